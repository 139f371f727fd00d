import assert from "node:assert/strict";
import fc from "fast-check";
import { DnsRepair } from "../../../lib/host/dns_repair.ts";

const MINUTE = 60_000;

Deno.test("DnsRepair: repairs at once, then at growing distances, five times in ten minutes", () => {
  const repair = new DnsRepair();
  const done: number[] = [];
  let gaveUp: number | undefined;
  for (let now = 0; now < 10 * MINUTE; now += 500) {
    const verdict = repair.judge(false, now);
    if (verdict === "repair") done.push(now);
    if (verdict === "give-up") gaveUp ??= now;
  }
  assert.deepEqual(done, [0, 500, 1500, 3500, 8500]);
  assert.equal(gaveUp, 9000);
  assert.equal(repair.count, 5);
  assert.match(repair.problem!, /Another program keeps changing/);
});

Deno.test("DnsRepair: tells once that it gave up, tries again later, and forgets the problem when all is well", () => {
  const repair = new DnsRepair();
  for (let index = 0; index < 5; index++) assert.equal(repair.judge(false, index * MINUTE), "repair");
  assert.equal(repair.judge(false, 5 * MINUTE), "give-up");
  assert.equal(repair.judge(false, 6 * MINUTE), "none");
  assert.equal(repair.judge(false, 10 * MINUTE), "repair");
  assert.equal(repair.judge(true, 10 * MINUTE + 1), "none");
  assert.equal(repair.problem, undefined);
  assert.equal(repair.count, 6);
});

Deno.test("DnsRepair: is as quick as ever after a calm while", () => {
  const repair = new DnsRepair();
  for (let index = 0; index < 20; index++) {
    assert.equal(repair.judge(false, index * 11 * MINUTE), "repair");
    assert.equal(repair.judge(true, index * 11 * MINUTE + 1), "none");
  }
  assert.equal(repair.problem, undefined);
});

Deno.test("DnsRepair: a repair that fails is a problem until ours are in force", () => {
  const repair = new DnsRepair();
  repair.judge(false, 0);
  repair.noteFailed("the disk is full");
  assert.equal(repair.problem, "the disk is full");
  repair.judge(true, 1);
  assert.equal(repair.problem, undefined);
});

Deno.test("DnsRepair: never more than five in any ten minutes, whatever is seen", () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(5 * MINUTE)), { maxLength: 300 }), (steps) => {
    const repair = new DnsRepair();
    const done: number[] = [];
    let now = 0;
    for (const [isInForce, pause] of steps) {
      now += pause;
      if (repair.judge(isInForce, now) === "repair") done.push(now);
      assert.ok(done.filter((at) => now - at < 10 * MINUTE).length <= 5);
    }
  }));
});
