import assert from "node:assert/strict";
import { Fault } from "../../lib/base/fault.ts";
import { type Log, silentLog } from "../../lib/base/log.ts";
import { type Change, encodeJournal } from "../../lib/host/journal.ts";
import { openJournal, peekJournal, thisKernel } from "../../io/journal.ts";

const NETWORK: Change = { id: "network", type: "network", device: "fz0" };
const RECORD: Change = { id: "resolvconf:a", type: "resolvconf", record: "a" };
const file = (path: string): Change => ({
  id: `file:${path}`,
  type: "file",
  path,
  original: undefined,
  isInPlace: false,
});

Deno.test("openJournal: what is noted is there for the next one until it is forgotten, with kernel and namespace", () =>
  withFolders((folders) => {
    const first = openJournal(folders, silentLog);
    assert.equal(first.path, `${folders.state}/journal.json`);
    first.note(NETWORK);
    first.note(RECORD);
    first.note(file("/etc/x"));
    first.forget("network");
    first.close();
    assert.deepEqual(peekJournal(folders).map(({ change }) => change.id), ["resolvconf:a", "file:/etc/x"]);
    assert.equal(Deno.lstatSync(first.path!).mode! & 0o777, 0o600);
    const second = openJournal(folders, silentLog);
    assert.deepEqual(second.entries(), [
      { ...thisKernel(), change: RECORD },
      { ...thisKernel(), change: file("/etc/x") },
    ]);
    second.forget("file:/etc/x");
    second.forget("resolvconf:a");
    second.close();
    assert.deepEqual([...Deno.readDirSync(folders.state)], []);
  }));

Deno.test({
  name: "openJournal: the folder of state that it makes is not for others, who could hold its lock",
  ignore: Deno.build.os === "windows",
  fn: () =>
    withFolders(({ state, runtime }) => {
      const folders = { state: `${state}/made`, runtime: `${runtime}/made` };
      openJournal(folders, silentLog).close();
      const modes = [folders.state, folders.runtime].map((path) => Deno.statSync(path).mode! & 0o777);
      assert.deepEqual(modes, [0o700, 0o755]);
    }),
});

Deno.test("openJournal: noting once more replaces what was noted", () =>
  withFolders((folders) => {
    const journal = openJournal(folders, silentLog);
    journal.note(RECORD);
    journal.note({ ...RECORD, record: "b" });
    journal.close();
    assert.deepEqual(peekJournal(folders).map(({ change }) => change), [{ ...RECORD, record: "b" }]);
  }));

Deno.test("openJournal: what cannot be understood or trusted is kept aside, told, and not believed", async () => {
  const good = encodeJournal([{ ...thisKernel(), change: RECORD }]);
  const spoils: readonly ((path: string) => void)[] = [
    (path) => Deno.writeTextFileSync(path, good.slice(0, -10), { mode: 0o600 }),
    (path) => Deno.writeTextFileSync(path, "", { mode: 0o600 }),
    (path) => Deno.writeFileSync(path, new Uint8Array(2 ** 20 + 1).fill(0x20), { mode: 0o600 }),
    (path) => {
      Deno.writeTextFileSync(path, good);
      Deno.chmodSync(path, 0o666);
    },
    (path) => Deno.mkdirSync(path),
    (path) => Deno.symlinkSync("/dev/zero", path),
  ];
  for (const spoil of spoils) {
    await withFolders((folders) => {
      spoil(`${folders.state}/journal.json`);
      assert.deepEqual(peekJournal(folders), []);
      const journal = openJournal(folders, silentLog);
      assert.deepEqual(journal.entries(), []);
      assert.deepEqual(journal.setAside, [`${folders.state}/journal.json.garbled`]);
      Deno.lstatSync(journal.setAside[0]!);
      journal.note(RECORD);
      journal.close();
      assert.equal(peekJournal(folders).length, 1);
    });
  }
});

Deno.test("openJournal: one of a later version waits for that, and what was put aside before stays", () =>
  withFolders((folders) => {
    const path = `${folders.state}/journal.json`;
    const later = JSON.stringify({ schema: 2, changes: [], more: "words" });
    Deno.writeTextFileSync(path, later, { mode: 0o600 });
    const journal = openJournal(folders, silentLog);
    assert.deepEqual(journal.setAside, [`${path}.newer`]);
    journal.note(RECORD);
    journal.close();
    assert.equal(Deno.readTextFileSync(`${path}.newer`), later);
    const again = openJournal(folders, silentLog);
    assert.deepEqual(again.setAside, []);
    again.forget(RECORD.id);
    again.close();
    assert.equal(Deno.readTextFileSync(`${path}.newer`), later);
    for (const garbage of ["first", "second", "third"]) {
      Deno.writeTextFileSync(path, garbage, { mode: 0o600 });
      openJournal(folders, silentLog).close();
    }
    const kept = [".garbled", ".garbled.2", ".garbled.3"].map((end) =>
      Deno.readTextFileSync(`${path}${end}`)
    );
    assert.deepEqual(kept, ["first", "second", "third"]);
  }));

Deno.test("openJournal: takes over what an earlier version put aside and this one understands", () =>
  withFolders((folders) => {
    const path = `${folders.state}/journal.json`;
    const aside = encodeJournal([{ ...thisKernel(), change: RECORD }, { ...thisKernel(), change: NETWORK }]);
    Deno.writeTextFileSync(`${path}.newer`, aside, { mode: 0o600 });
    Deno.writeTextFileSync(path, encodeJournal([{ ...thisKernel(), change: { ...RECORD, record: "b" } }]), {
      mode: 0o600,
    });
    assert.equal(peekJournal(folders).length, 3);
    openJournal(folders, silentLog).close();
    assert.deepEqual([...Deno.readDirSync(folders.state)].map(({ name }) => name), ["journal.json"]);
    assert.deepEqual(peekJournal(folders).map(({ change }) => change), [{ ...RECORD, record: "b" }, NETWORK]);
  }));

Deno.test("openJournal: without a folder of state the runtime folder has it, and the next one takes it over", () =>
  withFolders((folders) => {
    Deno.writeTextFileSync(`${folders.state}-file`, "");
    const early = openJournal({ ...folders, state: `${folders.state}-file/x` }, silentLog);
    assert.equal(early.path, `${folders.runtime}/journal.json`);
    early.check();
    early.note(RECORD);
    early.close();
    const late = openJournal(folders, silentLog);
    assert.deepEqual(late.entries().map(({ change }) => change), [RECORD]);
    assert.deepEqual([...Deno.readDirSync(folders.runtime)], []);
    late.close();
    assert.equal(peekJournal(folders).length, 1);
  }));

Deno.test("openJournal: with no folder at all, only what carries our mark may be changed", () =>
  withFolders((folders) => {
    Deno.writeTextFileSync(`${folders.state}-file`, "");
    const nowhere = `${folders.state}-file/x`;
    const journal = openJournal({ state: nowhere, runtime: nowhere }, silentLog);
    assert.equal(journal.path, undefined);
    journal.note(NETWORK);
    const isRefusal = (error: unknown) => error instanceof Fault && error.code === "privilege";
    assert.throws(() => journal.note(RECORD), isRefusal);
    assert.throws(() => journal.check(), isRefusal);
    assert.deepEqual(journal.entries().map(({ change }) => change), [NETWORK]);
    journal.forget("network");
    journal.close();
  }));

Deno.test("openJournal: a folder of state that another session has is left to it", () =>
  withFolders((folders) => {
    const first = openJournal(folders, silentLog);
    first.note(NETWORK);
    const other = openJournal({ ...folders, runtime: `${folders.runtime}/2` }, silentLog);
    assert.equal(other.path, `${folders.runtime}/2/journal.json`);
    assert.deepEqual(other.entries(), []);
    other.note(RECORD);
    other.close();
    first.close();
    assert.deepEqual(peekJournal(folders).map(({ change }) => change), [NETWORK]);
  }));

Deno.test("openJournal: has a bound, and a change that is not noted is not said to be", () =>
  withFolders((folders) => {
    const journal = openJournal(folders, silentLog);
    for (let index = 0; index < 256; index++) journal.note(file(`/etc/${index}`));
    assert.throws(() => journal.note(file("/etc/more")), Fault);
    assert.equal(journal.entries().length, 256);
    const long = { ...RECORD, id: "file:/etc/0", type: "file", path: "/etc/0", isInPlace: true } as const;
    journal.note({ ...long, original: undefined });
    journal.close();
    assert.throws(() => journal.note(RECORD), Fault);
    assert.equal(peekJournal(folders).length, 256);
  }));

Deno.test("openJournal: routes, which are found by their mark, leave room for what is not", () =>
  withFolders((folders) => {
    const journal = openJournal(folders, silentLog);
    for (let index = 0; index < 300; index++) {
      const destination = `10.0.${index % 256}.${index >> 8}/32`;
      const where = { destination, via: "192.168.1.1", device: "en0" };
      journal.note({ id: `route:${destination}`, type: "route", ...where });
    }
    journal.note(file("/etc/x"));
    journal.close();
    assert.ok(peekJournal(folders).some(({ change }) => change.type === "file"));
  }));

Deno.test("openJournal: tells which folder is of no use, and which one is used, or that all can be used", () =>
  withFolders((folders) => {
    const told: unknown[] = [];
    const log: Log = { ...silentLog, warn: (message, fields) => void told.push({ message, ...fields }) };
    const nowhere = `${folders.state}-file/x`;
    Deno.writeTextFileSync(`${folders.state}-file`, "");
    openJournal({ ...folders, state: nowhere }, log).close();
    openJournal({ ...folders, runtime: nowhere }, log).close();
    const [first, second, ...more] = told as Record<string, unknown>[];
    assert.match(`${first?.message}`, /where a power cut takes it/);
    assert.equal(first?.path, `${folders.runtime}/journal.json`);
    assert.equal(first?.unusable, `${nowhere}/journal.json`);
    assert.match(`${second?.message}`, /cannot look for the journal of an earlier session/);
    assert.equal(second?.path, `${nowhere}/journal.json`);
    assert.deepEqual(more, []);
  }));

Deno.test("openJournal: a folder that is of no use for a moment is free again, and one for both is no trouble", () =>
  withFolders((folders) => {
    const draft = `${folders.state}/journal.json.new`;
    Deno.mkdirSync(`${draft}/full`, { recursive: true });
    const first = openJournal(folders, silentLog);
    assert.equal(first.path, `${folders.runtime}/journal.json`);
    Deno.removeSync(draft, { recursive: true });
    const second = openJournal({ ...folders, runtime: `${folders.runtime}/2` }, silentLog);
    assert.equal(second.path, `${folders.state}/journal.json`);
    first.close();
    second.close();
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (message: string) => void warnings.push(message) };
    openJournal({ state: folders.state, runtime: folders.state }, log).close();
    assert.deepEqual(warnings, []);
  }));

interface Folders {
  readonly state: string;
  readonly runtime: string;
}

async function withFolders(body: (folders: Folders) => void | Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir();
  try {
    const folders = { state: `${root}/state`, runtime: `${root}/run` };
    for (const folder of Object.values(folders)) await Deno.mkdir(folder);
    await body(folders);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}
