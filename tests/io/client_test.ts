import assert from "node:assert/strict";
import type { HostNetwork, Platform, Poller, SystemDns, Tun, UdpSocket } from "../../ffi/platform.ts";
import { startClient } from "../../io/client.ts";
import { Fault } from "../../lib/base/fault.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { ClientConfig } from "../../lib/control/config.ts";

Deno.test("startClient: leaves nothing open where it fails half-way, whether sockets are refused or what comes after", async () => {
  for (const marked of [false, true]) {
    const story: string[] = [];
    const portal = {
      // Read when the sockets are open.
      get userAgent(): string {
        throw new Error("no");
      },
    };
    await assert.rejects(
      inFolder(() => startClient(CONFIG, silentLog, { platform: machine(story, marked), portal })),
      (error: unknown) => marked ? `${error}` === "Error: no" : error instanceof Fault,
    );
    const opened = story.filter((word) => word.endsWith(".open"));
    assert.deepEqual(opened, ["tun.open", "poller.open", "socket.open", "socket.open"]);
    const closed = story.filter((word) => word.endsWith(".close"));
    assert.deepEqual(closed, ["socket.close", "socket.close", "poller.close", "tun.close"]);
    assert.ok(story.indexOf("network.undo") < story.indexOf("tun.close"));
  }
});

const CONFIG = {
  apiUrl: "wss://portal.test",
  token: "t0ken",
  id: "machine",
  internetResource: false,
  flowLogs: false,
  dnsControl: "disabled",
} as unknown as ClientConfig;

/** A machine that writes down what is opened and closed. `marked`: whether it lets sockets carry a mark. */
function machine(story: string[], marked: boolean): Platform {
  const tun = { name: "fz0", close: () => void story.push("tun.close") } as unknown as Tun;
  const poller = {
    add() {},
    remove() {},
    close: () => Promise.resolve(void story.push("poller.close")),
  } as unknown as Poller;
  const network = {
    otherDevice: () => Promise.resolve(undefined),
    present: () => Promise.resolve([]),
    setLocalPorts: () => Promise.resolve(),
    undo: () => {
      story.push("network.undo");
      return Promise.resolve([]);
    },
  } as unknown as HostNetwork;
  const dns = {
    control: "disabled",
    check: () => Promise.resolve(),
    upstreams: () => Promise.resolve([]),
    undo: () => Promise.resolve(false),
  } as unknown as SystemDns;
  return {
    now: () => performance.now(),
    checkTun() {},
    openTun: () => {
      story.push("tun.open");
      return tun;
    },
    createPoller: () => {
      story.push("poller.open");
      return poller;
    },
    bindUdp: ({ address }: Parameters<Platform["bindUdp"]>[0]) => {
      story.push("socket.open");
      const close = () => void story.push("socket.close");
      return { marked, local: address, close, stats: { sendErrors: new Map() } } as unknown as UdpSocket;
    },
    createHostNetwork: () => network,
    createSystemDns: () => dns,
    chooseDns: () => Promise.resolve({ control: "disabled", reason: "", evidence: [] }),
    observeDns: () => Promise.resolve({}),
    undoChange: () => Promise.resolve(false),
  } as unknown as Platform;
}

/** Runs `body` with folders of its own, and a file for events. */
async function inFolder<T>(body: () => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir();
  const names = ["FZ_STATE_DIR", "FZ_RUNTIME_DIR", "FZ_EVENTS"];
  const before = names.map((name) => Deno.env.get(name));
  for (const name of names) Deno.env.set(name, `${folder}/${name}`);
  try {
    return await body();
  } finally {
    names.forEach((name, index) =>
      before[index] === undefined ? Deno.env.delete(name) : Deno.env.set(name, before[index])
    );
    await Deno.remove(folder, { recursive: true });
  }
}
