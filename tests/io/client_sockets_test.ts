import assert from "node:assert/strict";
import type { UdpSocket } from "../../ffi/platform.ts";
import { ClientSockets } from "../../io/client_sockets.ts";
import { Fault } from "../../lib/base/fault.ts";
import { SocketAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";

class FakeSocket implements UdpSocket {
  readonly descriptor = 0;
  readonly local = SocketAddress.from("0.0.0.0:52625");
  isClosed = false;
  readonly stats = {
    receivedDatagrams: 0,
    receivedBytes: 0,
    sentDatagrams: 0,
    sentBytes: 0,
    sendErrors: new Map<string, number>(),
    dropped: 0,
  };
  readonly marked: boolean;

  constructor(marked = true) {
    this.marked = marked;
  }

  receive(): boolean {
    return false;
  }

  send(): void {}

  flush(): void {}

  close(): void {
    this.isClosed = true;
  }
}

/** Binds what `supply` has at the moment, and notes what was in use. */
function world() {
  const used: number[] = [];
  const state = { supply: () => [new FakeSocket()], used };
  const sockets = new ClientSockets({
    bind: () => state.supply(),
    use: (all) => {
      // Those of before must still be open when the loop lets go of them.
      for (const socket of all) assert.ok(!(socket as FakeSocket).isClosed);
      used.push(all.length);
    },
    log: silentLog,
  });
  return { state, sockets };
}

Deno.test("ClientSockets: waits where there is no family at all, and retries", () => {
  const { state, sockets } = world();
  state.supply = () => [];
  sockets.open();
  assert.deepEqual(sockets.all, []);
  assert.equal(sockets.retry(), false);
  state.supply = () => [new FakeSocket(), new FakeSocket()];
  assert.equal(sockets.retry(), true);
  assert.equal(sockets.all.length, 2);
  assert.equal(sockets.retry(), false);
});

Deno.test("ClientSockets: refuses sockets that would send into the tunnel", () => {
  const { state, sockets } = world();
  const made = [new FakeSocket(), new FakeSocket(false)];
  state.supply = () => made;
  assert.throws(() => sockets.open(), (error) => error instanceof Fault && error.code === "privilege");
  assert.ok(made.every(({ isClosed }) => isClosed));
});

Deno.test("ClientSockets: lets go of the old ones before others take their port, and waits if none can be had", () => {
  const { state, sockets } = world();
  sockets.open();
  const [old] = sockets.all as FakeSocket[];
  state.supply = () => {
    assert.ok(old!.isClosed);
    throw new Fault("unexpected", "Cannot listen");
  };
  sockets.replace();
  assert.deepEqual(sockets.all, []);
  assert.deepEqual(state.used, [1, 0]);
});

Deno.test("ClientSockets: counts what could not be sent, also by sockets that are gone", () => {
  const { sockets } = world();
  sockets.open();
  (sockets.all[0] as FakeSocket).stats.sendErrors.set("EPERM", 2);
  sockets.replace();
  (sockets.all[0] as FakeSocket).stats.sendErrors.set("EPERM", 1).set("ENOBUFS", 4);
  assert.deepEqual(sockets.sendErrors, { EPERM: 3, ENOBUFS: 4 });
});
