import assert from "node:assert/strict";
import fc from "fast-check";
import { AttemptLimiter } from "../../../lib/portal/attempts.ts";

Deno.test("AttemptLimiter: gives so many attempts at once, and one back each interval", () => {
  const limiter = new AttemptLimiter({ burst: 3, interval: 100 });
  const take = (now: number) => limiter.take("ada", now);
  assert.deepEqual([take(0), take(0), take(0)], [undefined, undefined, undefined]);
  assert.equal(take(0), 100);
  assert.equal(take(99), 1);
  assert.equal(take(100), undefined);
  assert.equal(take(100), 100);
  assert.equal(limiter.take("bob", 100), undefined);
  assert.deepEqual([take(10_000), take(10_000), take(10_000)], [undefined, undefined, undefined]);
  assert.equal(take(10_000), 100);
});

Deno.test("AttemptLimiter: takes attempts back that were no guesses", () => {
  const limiter = new AttemptLimiter({ burst: 1, interval: 100 });
  limiter.take("ada", 0);
  limiter.giveBack("ada");
  assert.equal(limiter.take("ada", 0), undefined);
  assert.equal(limiter.take("ada", 0), 100);
  limiter.forget("ada");
  assert.equal(limiter.take("ada", 0), undefined);
});

Deno.test("AttemptLimiter: never lets more through than burst and time allow", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { maxLength: 200 }), fc.integer({ min: 1, max: 5 }), (gaps, burst) => {
      const limiter = new AttemptLimiter({ burst, interval: 20 });
      let now = 0;
      let taken = 0;
      for (const gap of gaps) {
        now += gap;
        if (limiter.take("key", now) === undefined) taken++;
        assert.ok(taken <= burst + Math.floor(now / 20), `${taken} by ${now}`);
      }
    }),
  );
});

Deno.test("AttemptLimiter: forgets the oldest keys when there are too many", () => {
  const limiter = new AttemptLimiter({ burst: 1, interval: 1_000_000 });
  for (let index = 0; index < 10_001; index++) assert.equal(limiter.take(`${index}`, index), undefined);
  assert.equal(limiter.take("0", 10_001), undefined);
  assert.notEqual(limiter.take("10000", 10_001), undefined);
});
