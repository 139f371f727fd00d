import assert from "node:assert/strict";
import { seededRng } from "../../../lib/base/rng.ts";
import { IndexAllocator, tunnelId } from "../../../lib/wireguard/index_allocator.ts";

Deno.test("IndexAllocator hands out all but one of the 24-bit ids before it repeats one", () => {
  const allocator = new IndexAllocator(seededRng(8));
  const seen = new Uint8Array(2 ** 24);
  for (let count = 0; count < 2 ** 24 - 1; count++) {
    const id = allocator.next();
    if (id >= 2 ** 24 || seen[id] !== 0) assert.fail(`${id} came again after ${count} calls`);
    seen[id] = 1;
  }
});

Deno.test("tunnelId returns the upper 24 bits, also where the sign bit is set", () => {
  assert.equal(tunnelId(0xfedcba98), 0xfedcba);
});
