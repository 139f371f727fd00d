import assert from "node:assert/strict";
import { Prefixes } from "../../../lib/base/prefixes.ts";

Deno.test("Prefixes.of: returns the first bytes, the same view each time", () => {
  const prefixes = new Prefixes(Uint8Array.of(1, 2, 3));
  assert.deepEqual(prefixes.of(2), Uint8Array.of(1, 2));
  assert.equal(prefixes.of(2), prefixes.of(2));
  assert.deepEqual([prefixes.of(0).length, prefixes.of(3).length], [0, 3]);
  prefixes.bytes[0] = 9;
  assert.equal(prefixes.of(1)[0], 9);
});
