import assert from "node:assert/strict";
import { DnsUpkeep } from "../../io/dns_upkeep.ts";
import { oneAtATime } from "../../io/one_at_a_time.ts";
import { Fault } from "../../lib/base/fault.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { SystemDns } from "../../ffi/platform.ts";

function setUp() {
  const seen = { isInForce: true, events: [] as unknown[], changed: () => {} };
  const dns = {
    control: "etc-resolv-conf",
    isInForce: () => Promise.resolve(seen.isInForce),
    watch: (onChange: () => void) => {
      seen.changed = onChange;
      return { close() {} };
    },
  } as Partial<SystemDns> as SystemDns;
  const upkeep = new DnsUpkeep({ dns, reason: "why", evidence: ["seen"], log: silentLog });
  return { seen, upkeep };
}

Deno.test("DnsUpkeep: sets again what was overwritten, counts it and tells", async () => {
  const { seen, upkeep } = setUp();
  upkeep.watch(() => {}, (event) => seen.events.push(event));
  const set = () => {
    seen.isInForce = true;
    return Promise.resolve();
  };
  await upkeep.maintain(set);
  assert.deepEqual(seen.events, []);
  seen.isInForce = false;
  await upkeep.maintain(set);
  assert.deepEqual(seen.events, [{ event: "dns-repaired", repairs: 1 }]);
  assert.deepEqual(upkeep.state, {
    ...{ control: "etc-resolv-conf", reason: "why", evidence: ["seen"], repairs: 1, problem: undefined },
  });
  upkeep.close();
});

Deno.test("DnsUpkeep: tells of a repair that fails, and is well again when it is done", async () => {
  const { seen, upkeep } = setUp();
  upkeep.watch(() => {}, (event) => seen.events.push(event));
  seen.isInForce = false;
  await upkeep.maintain(() => Promise.reject(new Fault("dns", "Cannot write it")));
  assert.deepEqual(seen.events, [{ event: "dns-problem", reason: "Cannot write it" }]);
  assert.equal(upkeep.state.problem, "Cannot write it");
  seen.isInForce = true;
  await upkeep.maintain(() => Promise.reject(new Error("not asked")));
  assert.equal(upkeep.state.problem, undefined);
  upkeep.close();
});

Deno.test("DnsUpkeep.watch: hears of many changes once, when they have settled", async () => {
  const { seen, upkeep } = setUp();
  const { promise, resolve } = Promise.withResolvers<void>();
  let count = 0;
  upkeep.watch(() => {
    count++;
    resolve();
  }, () => {});
  for (let index = 0; index < 10; index++) seen.changed();
  await promise;
  assert.equal(count, 1);
  upkeep.close();
});

Deno.test("oneAtATime: does once more what was asked for meanwhile, and no more", async () => {
  let count = 0;
  let isOver = false;
  const gates: PromiseWithResolvers<void>[] = [];
  const work = oneAtATime(() => {
    count++;
    gates.push(Promise.withResolvers());
    return gates.at(-1)!.promise;
  }, () => isOver);
  const all = work();
  void work();
  void work();
  assert.equal(count, 1);
  gates[0]!.resolve();
  await Promise.resolve();
  await Promise.resolve();
  assert.equal(count, 2);
  void work();
  isOver = true;
  gates[1]!.resolve();
  await all;
  assert.equal(count, 2);
});
