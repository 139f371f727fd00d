import assert from "node:assert/strict";
import { toHex } from "../../../lib/base/bytes.ts";
import { WallClock } from "../../../lib/base/time.ts";
import { encodeTimestamp, isLaterTimestamp, TimestampSource } from "../../../lib/wireguard/tai64n.ts";

Deno.test("encodeTimestamp writes 2^62 + 37 + seconds and nanoseconds, big endian", () => {
  assert.equal(toHex(encodeTimestamp(0, 0)), "400000000000002500000000");
  assert.equal(toHex(encodeTimestamp(1_790_000_000, 999_999_999)), "400000006ab13ba53b9ac9ff");
});

Deno.test("encodeTimestamp goes on after 2106", () => {
  assert.equal(toHex(encodeTimestamp(2 ** 32, 1)), "400000010000002500000001");
});

Deno.test("TimestampSource follows the clock", () => {
  const source = new TimestampSource(new WallClock(1000, 1_790_000_000_000));
  assert.deepEqual(source.next(1000), encodeTimestamp(1_790_000_000, 0));
  assert.deepEqual(source.next(2500), encodeTimestamp(1_790_000_001, 500_000_000));
});

Deno.test("TimestampSource grows when the clock stands still or goes back", () => {
  const source = new TimestampSource(new WallClock(0, 1_790_000_000_999.9999));
  let previous = source.next(0);
  for (const now of [0, 0, 0, -5000, 0.0001, 1, 1, 100_000, 50_000]) {
    const next = source.next(now);
    assert.ok(isLaterTimestamp(next, previous));
    assert.ok(!isLaterTimestamp(previous, next));
    assert.ok(!isLaterTimestamp(next, next));
    previous = next;
  }
});

Deno.test("TimestampSource carries from nanoseconds to seconds", () => {
  const source = new TimestampSource(new WallClock(0, 1_790_000_000_999.999));
  let previous = source.next(0);
  for (let count = 0; count < 1200; count++) {
    const next = source.next(0);
    assert.ok(isLaterTimestamp(next, previous));
    previous = next;
  }
  assert.deepEqual(previous.subarray(0, 8), encodeTimestamp(1_790_000_001, 0).subarray(0, 8));
});
