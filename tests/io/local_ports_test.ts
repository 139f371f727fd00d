import assert from "node:assert/strict";
import { SocketAddress } from "../../lib/base/ip.ts";
import { LocalPorts } from "../../io/local_ports.ts";

function recorded(): { readonly ports: LocalPorts; readonly last: () => readonly number[] } {
  let last: readonly number[] = [];
  const ports = new LocalPorts({
    setLocalPorts: (set) => {
      last = set;
      return Promise.resolve();
    },
  });
  return { ports, last: () => [...last].sort() };
}

const at = (port: number) => SocketAddress.from(`0.0.0.0:${port}`);
const at6 = (port: number) => SocketAddress.from(`[::]:${port}`);

Deno.test("LocalPorts: tells the ports of peers and those of questions that are open", async () => {
  const { ports, last } = recorded();
  await ports.setPeers([at(52_625), at6(52_625)]);
  await ports.hold(at(4000));
  assert.deepEqual(last(), [4000, 52_625]);
  await ports.setPeers([at(6000)]);
  assert.deepEqual(last(), [4000, 6000]);
  await ports.release(at(4000));
  assert.deepEqual(last(), [6000]);
  await ports.release(at(6000));
  assert.deepEqual(last(), [6000]);
});

Deno.test("LocalPorts.hold: takes no more than so many at a time", async () => {
  const { ports, last } = recorded();
  for (let port = 1; port <= 1000; port++) await ports.hold(at(port));
  assert.ok(last().length < 100);
  for (let port = 1; port <= 1000; port++) await ports.release(at(port));
  assert.deepEqual(last(), []);
});

Deno.test("LocalPorts: a port of IPv6 needs no rule, and takes none from IPv4", async () => {
  const { ports, last } = recorded();
  await ports.setPeers([at6(52_625)]);
  assert.deepEqual(last(), []);
  await ports.hold(at(4000));
  await ports.hold(at6(4000));
  await ports.hold(at6(4001));
  assert.deepEqual(last(), [4000]);
  await ports.release(at6(4000));
  assert.deepEqual(last(), [4000]);
});
