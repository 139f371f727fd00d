import assert from "node:assert/strict";
import { Arena } from "../../ffi/memory.ts";

Deno.test("Arena.allocate: hands out aligned, zeroed blocks that do not overlap, and reuses what was released", () => {
  const arena = new Arena(1);
  const first = arena.allocate(10);
  const second = arena.allocate(33);
  assert.equal(first % 16, 0);
  assert.ok(second >= first + 16);
  arena.bytes.fill(0xff, first, first + 10);
  arena.release(first, 10);
  assert.equal(arena.allocate(16), first);
  assert.equal(arena.bytes[first], 0);
  assert.throws(() => arena.allocate(70_000), RangeError);
});

Deno.test("Arena.address: counts from the base, and only for memory of its own", () => {
  const arena = new Arena(1);
  const offset = arena.allocate(16);
  assert.equal(arena.address(offset), arena.base + BigInt(offset));
  assert.equal(arena.addressOf(arena.view(offset, 4)), arena.address(offset));
  assert.equal(arena.addressOf(new Uint8Array(4)), undefined);
  arena.setPointer(offset, 32);
  assert.equal(arena.data.getBigUint64(offset, true), arena.base + 32n);
});

Deno.test("Arena.setText: writes a C string that getText reads", () => {
  const arena = new Arena(1);
  const offset = arena.allocate(16);
  arena.setText(offset, "fz0", 16);
  assert.equal(arena.getText(offset, 16), "fz0");
});

Deno.test("Arena.view: hands the same view out again, and never one of another place or length", () => {
  const arena = new Arena(16);
  for (const [offset, length] of [[32, 5], [32, 6], [33, 5], [32 + 131_072, 5], [32, 5]] as const) {
    const view = arena.view(offset, length);
    assert.deepEqual([view.byteOffset, view.length], [offset, length]);
    assert.equal(arena.view(offset, length), view);
  }
});
