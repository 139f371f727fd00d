import assert from "node:assert/strict";
import type { DnsControl, HostNetwork, Platform, SystemDns } from "../../ffi/platform.ts";
import { openJournal, peekJournal, thisKernel } from "../../io/journal.ts";
import { FOUND_CONTROL, undoLeftovers } from "../../io/leftovers.ts";
import { Fault } from "../../lib/base/fault.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { Change } from "../../lib/host/journal.ts";

const FILE: Change = {
  id: "file:/etc/x",
  type: "file",
  path: "/etc/x",
  original: undefined,
  isInPlace: true,
};
const RECORD: Change = { id: "resolvconf:a", type: "resolvconf", record: "a" };
const CHANGES: readonly Change[] = [
  { id: "network", type: "network", device: "fz0" },
  FILE,
  { id: "resolved", type: "resolved", device: "fz0" },
  { id: "network-manager", type: "network-manager", device: "fz0" },
  { id: "route:192.0.2.1/32", type: "route", destination: "192.0.2.1/32", via: "10.0.0.1", device: "en0" },
  RECORD,
];
const IN_FILES = ["resolvconf:a", "file:/etc/x"];
const IN_KERNEL = ["route:192.0.2.1/32", "network-manager", "resolved"];

Deno.test("undoLeftovers: undoes the last change first, and forgets what it undid", async () => {
  const asked = await undo({ noted: CHANGES });
  assert.deepEqual(asked.ids, CHANGES.map(({ id }) => id).filter((id) => id !== "network").reverse());
  assert.deepEqual(asked.left, []);
  assert.equal(asked.wasDnsRestored, true);
});

Deno.test("undoLeftovers: after a start of the kernel, or in another network, only files are undone", async () => {
  for (const elsewhere of [{ boot: "another" }, { namespace: "net:[1]" }]) {
    const asked = await undo({ noted: CHANGES, by: { ...thisKernel(), ...elsewhere } });
    assert.deepEqual(asked.ids, IN_FILES);
    assert.deepEqual(asked.left, []);
  }
  assert.deepEqual((await undo({ noted: CHANGES })).ids.filter((id) => !IN_FILES.includes(id)), IN_KERNEL);
});

Deno.test("undoLeftovers: what cannot be undone stays noted, and stops only who will write over it", async () => {
  const refuse = (change: Change) => {
    if (change.type === "file") throw new Fault("dns", "Cannot restore /etc/x");
    return true;
  };
  await assert.rejects(undo({ noted: CHANGES, answer: refuse }), /Cannot restore/);
  const asked = await undo({ noted: CHANGES, answer: refuse, control: "systemd-resolved" });
  assert.deepEqual(asked.left, ["file:/etc/x"]);
  assert.equal(asked.ids.length, CHANGES.length - 1);
});

/** Notes as the kernel `by`, and has the next process undo it. */
async function undo({ noted, by, control = FOUND_CONTROL, answer = () => true }: {
  readonly noted: readonly Change[];
  readonly by?: ReturnType<typeof thisKernel>;
  readonly control?: DnsControl;
  readonly answer?: (change: Change) => boolean;
}) {
  const folder = Deno.makeTempDirSync();
  const folders = { state: `${folder}/state`, runtime: `${folder}/run` };
  const ids: string[] = [];
  const dns = (of: DnsControl) => ({ control: of, undo: () => Promise.resolve(false) } as SystemDns);
  const platform: Pick<Platform, "createSystemDns" | "undoChange"> = {
    createSystemDns: (options) => dns(options.control),
    undoChange: (change) =>
      Promise.try(() => {
        ids.push(change.id);
        return answer(change);
      }),
  };
  const network: Pick<HostNetwork, "undo"> = { undo: () => Promise.resolve([]) };
  try {
    const before = openJournal(folders, silentLog, by);
    noted.forEach((change) => before.note(change));
    before.close();
    const journal = openJournal(folders, silentLog);
    // What else they can do is not asked for.
    const undone = await undoLeftovers(platform as Platform, {
      network: network as HostNetwork,
      dns: dns(control),
      journal,
      log: silentLog,
    }).finally(() => journal.close());
    const left = peekJournal(folders).map(({ change }) => change.id);
    return { ids, left, wasDnsRestored: undone.wasDnsRestored };
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}
