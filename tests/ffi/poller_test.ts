import assert from "node:assert/strict";
import { SocketAddress } from "../../lib/base/ip.ts";
import { platform } from "../../ffi/mod.ts";

const host = await platform();

Deno.test("Poller.wait: returns the sources that are readable, also ones added while it waits", async () => {
  const poller = host.createPoller();
  const a = host.bindUdp({ address: SocketAddress.from("127.0.0.1:0") })!;
  const b = host.bindUdp({ address: SocketAddress.from("127.0.0.1:0") })!;
  poller.add(a);
  const pending = poller.wait(2000);
  poller.add(b);
  a.send({ local: undefined, remote: b.local, payload: new Uint8Array(1) });
  a.flush();
  assert.deepEqual(await pending, [b]);
  // Level-triggered: still there.
  assert.deepEqual(await poller.wait(0), [b]);
  poller.remove(b);
  assert.deepEqual(await poller.wait(0), []);
  await poller.close();
  a.close();
  b.close();
});

Deno.test("Poller.wait: ends after its time, and after wake, now or before", async () => {
  const poller = host.createPoller();
  const begin = performance.now();
  assert.deepEqual(await poller.wait(20), []);
  assert.ok(performance.now() - begin >= 19);
  poller.wake();
  await poller.wait(undefined);
  setTimeout(() => poller.wake(), 10);
  await poller.wait(undefined);
  await poller.close();
});

Deno.test("Poller.close: ends a pending wait, so that the process can end", async () => {
  const poller = host.createPoller();
  const pending = poller.wait(undefined);
  await poller.close();
  assert.deepEqual(await pending, []);
  assert.deepEqual(await poller.wait(undefined), []);
});
