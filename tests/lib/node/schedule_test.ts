import assert from "node:assert/strict";
import fc from "fast-check";
import { Schedule } from "../../../lib/node/schedule.ts";

Deno.test("Schedule returns items when they are due, earliest first, each once", () => {
  const schedule = new Schedule<string>();
  schedule.set("b", 20);
  schedule.set("a", 10);
  schedule.set("c", 30);
  assert.equal(schedule.nextAt, 10);
  assert.deepEqual(schedule.takeAll(5), []);
  assert.deepEqual(schedule.takeAll(20), ["a", "b"]);
  assert.deepEqual(schedule.takeAll(20), []);
  assert.equal(schedule.nextAt, 30);
  schedule.set("c", undefined);
  assert.equal(schedule.nextAt, undefined);
});

Deno.test("Schedule does what a sorted list does, whatever is set in whatever order", () => {
  const command = fc.oneof(
    fc.record({ item: fc.nat(20), at: fc.option(fc.nat(1000), { nil: undefined }) }),
    fc.record({ now: fc.nat(1000) }),
  );
  fc.assert(fc.property(fc.array(command, { maxLength: 300 }), (commands) => {
    const schedule = new Schedule<number>();
    const model = new Map<number, number>();
    for (const step of commands) {
      if ("now" in step) {
        const expected = [...model].filter(([, at]) => at <= step.now).map(([item]) => item);
        assert.deepEqual(schedule.takeAll(step.now).toSorted(), expected.toSorted());
        for (const item of expected) model.delete(item);
      } else {
        schedule.set(step.item, step.at);
        if (step.at === undefined) model.delete(step.item);
        else model.set(step.item, step.at);
      }
      const next = model.size === 0 ? undefined : Math.min(...model.values());
      assert.equal(schedule.nextAt, next);
    }
  }));
});
