import assert from "node:assert/strict";
import { Turns } from "../../../lib/base/turns.ts";

Deno.test("Turns: does each work when the one before it is done, and settles as it does", async () => {
  const turns = new Turns();
  const done: string[] = [];
  const first = Promise.withResolvers<void>();
  const results = [
    turns.take(async () => {
      await first.promise;
      done.push("first");
      return 1;
    }),
    turns.take(() => {
      done.push("second");
      throw new Error("it fails");
    }),
    turns.take(() => {
      done.push("third");
      return 3;
    }),
  ];
  await Promise.resolve();
  assert.deepEqual(done, []);
  first.resolve();
  const [one, two, three] = await Promise.allSettled(results);
  assert.deepEqual(done, ["first", "second", "third"]);
  assert.deepEqual([one, three].map((each) => each?.status === "fulfilled" && each.value), [1, 3]);
  assert.equal(two?.status, "rejected");
});
