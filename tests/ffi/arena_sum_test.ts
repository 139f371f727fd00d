import assert from "node:assert/strict";
import fc from "fast-check";
import { internetSum } from "../../lib/wire/internet_sum.ts";
import { arenaSum } from "../../ffi/arena_sum.ts";
import { arena } from "../../ffi/memory.ts";

Deno.test("arenaSum: agrees with internetSum at every offset and length", () => {
  const offset = arena.allocate(4096);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(33), (data, skip) => {
    arena.bytes.set(data, offset + skip);
    assert.equal(arenaSum(offset + skip, data.length), internetSum(arena.data, offset + skip, data.length));
  }));
  arena.release(offset, 4096);
});

Deno.test("arenaSum: holds the largest packet of the largest words", () => {
  const offset = arena.allocate(65_536);
  arena.bytes.fill(0xff, offset, offset + 65_535);
  for (const length of [65_535, 65_534, 65_504, 1280, 1]) {
    assert.equal(arenaSum(offset, length), internetSum(arena.data, offset, length));
  }
  arena.release(offset, 65_536);
});
