import assert from "node:assert/strict";
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

Deno.test("LocalPorts: tells the ports of peers and those of questions that are open", async () => {
  const { ports, last } = recorded();
  await ports.setPeers([52_625, 52_625]);
  await ports.hold(4000);
  assert.deepEqual(last(), [4000, 52_625]);
  await ports.setPeers([6000]);
  assert.deepEqual(last(), [4000, 6000]);
  await ports.release(4000);
  assert.deepEqual(last(), [6000]);
  await ports.release(6000);
  assert.deepEqual(last(), [6000]);
});

Deno.test("LocalPorts.hold: takes no more than so many at a time", async () => {
  const { ports, last } = recorded();
  for (let port = 1; port <= 1000; port++) await ports.hold(port);
  assert.ok(last().length < 100);
  for (let port = 1; port <= 1000; port++) await ports.release(port);
  assert.deepEqual(last(), []);
});
