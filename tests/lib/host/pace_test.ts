import assert from "node:assert/strict";
import fc from "fast-check";
import { Pace } from "../../../lib/host/pace.ts";

const OPTIONS = { shortest: 2, inRow: 3, longest: 10 };

/** Does it as soon as it may and somebody wants it, and returns when. */
function times(wishes: readonly number[]): number[] {
  const pace = new Pace(OPTIONS);
  const done: number[] = [];
  for (const wish of wishes) {
    if (done.length > 0 && wish <= done.at(-1)!) continue;
    const at = Math.max(wish, pace.next);
    pace.note(at);
    done.push(at);
  }
  return done;
}

Deno.test("Pace: a few times in a row, then once in a while for as long as it is wanted", () => {
  const always = Array.from({ length: 50 }, (_, second) => second);
  assert.deepEqual(times(always), [0, 2, 4, 10, 20, 30, 40, 50]);
});

Deno.test("Pace: who comes as seldom as in the long run never waits", () => {
  const seldom = Array.from({ length: 50 }, (_, index) => index * 10);
  assert.deepEqual(times(seldom), seldom);
});

Deno.test("Pace: two in a row with a rest after them never wait", () => {
  const pairs = Array.from({ length: 20 }, (_, index) => [index * 20, index * 20 + 7]).flat();
  assert.deepEqual(times(pairs), pairs);
});

Deno.test("Pace: what is done ahead of its time puts the next one off no longer than once in a while", () => {
  const pace = new Pace(OPTIONS);
  for (let count = 0; count < 100; count++) pace.note(50);
  assert.equal(pace.next, 60);
});

Deno.test("Pace: whenever it is wanted, it is bounded, and nobody waits longer than once in a while", () => {
  const waits = fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 100 });
  fc.assert(fc.property(waits, (gaps) => {
    let at = 0;
    const pace = new Pace(OPTIONS);
    const done: number[] = [];
    for (const gap of gaps) {
      at += gap;
      const next = Math.max(at, pace.next);
      assert.ok(next - at <= OPTIONS.longest);
      pace.note(next);
      done.push(next);
      at = next;
    }
    for (const [first, begin] of done.entries()) {
      for (const [count, end] of done.slice(first).entries()) {
        assert.ok(count <= OPTIONS.inRow + (end - begin) / OPTIONS.longest);
        if (count === 1) assert.ok(end - begin >= OPTIONS.shortest);
      }
    }
  }));
});
