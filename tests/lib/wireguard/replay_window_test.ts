import assert from "node:assert/strict";
import fc from "fast-check";
import { ReplayWindow } from "../../../lib/wireguard/replay_window.ts";

/** Accepts `counter` if it is new and returns whether it was. */
function take(window: ReplayWindow, counter: number): boolean {
  const isNew = window.isNew(counter);
  if (isNew) window.accept(counter);
  return isNew;
}

Deno.test("ReplayWindow takes every counter once, in any order within 8192", () => {
  const window = new ReplayWindow();
  assert.equal(take(window, 0), true);
  assert.equal(take(window, 0), false);
  assert.equal(take(window, 8192), true);
  assert.equal(take(window, 0), false);
  assert.equal(take(window, 1), true);
  assert.equal(take(window, 1), false);
  assert.equal(take(window, 8193), true);
  assert.equal(take(window, 2), true);
  assert.equal(take(window, 8195), true);
  assert.equal(take(window, 3), false, "8192 behind the highest");
  assert.equal(take(window, 4), true, "8191 behind the highest");
});

Deno.test("ReplayWindow survives jumps, and counters above 2^32", () => {
  const window = new ReplayWindow();
  const far = 2 ** 40 + 5;
  assert.equal(take(window, 10), true);
  assert.equal(take(window, far), true);
  assert.equal(take(window, far), false);
  assert.equal(take(window, 10), false);
  assert.equal(take(window, far - 8191), true);
  assert.equal(take(window, far - 8192), false);
  assert.equal(take(window, Number.MAX_SAFE_INTEGER), true);
  assert.equal(take(window, Number.MAX_SAFE_INTEGER), false);
  assert.equal(take(window, Infinity), false);
});

Deno.test("ReplayWindow agrees with a set of all counters seen", () => {
  const step = fc.oneof(
    fc.integer({ min: -20, max: 20 }),
    fc.integer({ min: -8300, max: 300 }),
    fc.integer({ min: 8000, max: 20_000 }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const window = new ReplayWindow();
      const seen = new Set<number>();
      let highest = 0;
      for (const distance of steps) {
        const counter = Math.max(0, highest + distance);
        const expected = !seen.has(counter) && (seen.size === 0 || counter > highest - 8192);
        assert.equal(take(window, counter), expected);
        if (!expected) continue;
        seen.add(counter);
        highest = Math.max(highest, counter);
      }
    }),
    { numRuns: 200, seed: 3 },
  );
});
