import assert from "node:assert/strict";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import { Channels } from "../../../lib/turn/channels.ts";

const peer = (number: number) => new SocketAddress(IpAddress.from("10.0.0.0").plus(number), 1);
const MINUTE = 60_000;

/** Returns how often anything was looked up while `work` ran: what it costs, on a machine of any speed. */
function countLooks(work: () => void): number {
  const { get } = Map.prototype;
  let count = 0;
  Map.prototype.get = function (key) {
    count++;
    return get.call(this, key);
  };
  try {
    work();
  } finally {
    Map.prototype.get = get;
  }
  return count;
}

Deno.test("Channels has 4096 numbers, and says quickly when there is none left", () => {
  const channels = new Channels();
  for (let number = 0; number < 4096; number++) {
    const channel = channels.open(peer(number), 0);
    assert.equal(channel?.number, 0x4000 + number);
    channels.handleBound(channel!, 0);
  }
  const looks = countLooks(() => {
    for (let count = 0; count < 1000; count++) {
      assert.equal(channels.open(peer(5000 + count), 10), undefined);
    }
  });
  // Once at each number, and then no more.
  assert.ok(looks >= 4096 && looks < 2 * 4096, `${looks} looks`);
  assert.equal(channels.size, 4096);
  assert.equal(channels.open(peer(5000), 15 * MINUTE - 1), undefined, "numbers cool down");
  assert.equal(channels.open(peer(5000), 15 * MINUTE + 1000)?.number, 0x4000);
});

Deno.test("Channels gives a number that was refused to another at once", () => {
  const channels = new Channels();
  const all = Array.from({ length: 4096 }, (_, number) => channels.open(peer(number), 0)!);
  assert.equal(channels.open(peer(5000), 0), undefined);
  channels.forget(all[7]!);
  assert.equal(channels.open(peer(5000), 0)?.number, 0x4007);
});
