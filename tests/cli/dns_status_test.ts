import assert from "node:assert/strict";
import { dnsFacts, dnsOutlookFacts } from "../../cli/dns_text.ts";
import { run } from "../../cli/mod.ts";
import type { DnsFacts } from "../../lib/control/doctor.ts";
import { fakeContext } from "./fake_context.ts";

const OUTLOOK: DnsFacts = {
  control: "resolvconf",
  reason: "openresolv writes /etc/resolv.conf",
  evidence: ["/etc/resolv.conf is a file of its own", "It is openresolv's"],
  failure: undefined,
  resolvers: 1,
  addresses: ["fe80::1%eth0"],
  isAsked: false,
};

Deno.test("fz dns status: tells without a session which way would be taken, and why", async () => {
  const context = fakeContext({ host: { dnsOutlook: () => Promise.resolve(OUTLOOK) } });
  assert.equal(await run(["dns", "status"], context), 0);
  const { stdout } = context.written;
  assert.match(stdout, /Session\s+none runs/);
  assert.match(stdout, /Names would come by\s+resolvconf/);
  assert.match(stdout, /Because\s+openresolv writes/);
  assert.match(stdout, /Seen\s+It is openresolv's/);
  assert.match(stdout, /fe80::1%eth0/);
});

Deno.test("fz dns status --json: says so to programs, with the problem that a session would meet", async () => {
  const failure = "Cannot use resolvconf: it is not installed";
  const context = fakeContext({ host: { dnsOutlook: () => Promise.resolve({ ...OUTLOOK, failure }) } });
  assert.equal(await run(["dns", "status", "--json"], context), 0);
  const document = JSON.parse(context.written.stdout);
  assert.equal(document.session, false);
  assert.equal(document.control, "resolvconf");
  assert.equal(document.problem, failure);
  assert.deepEqual(document.systemResolvers, ["fe80::1%eth0"]);
});

Deno.test("dnsFacts: tells of repairs and of what is wrong", () => {
  const facts = new Map(dnsFacts({
    ...{
      control: "etc-resolv-conf",
      reason: "a reason",
      evidence: ["one"],
      repairs: 3,
      problem: "another program",
    },
    ...{ sentinels: [], systemResolvers: [], intercepted: [], answered: {}, cacheEntries: 0 },
  }));
  assert.equal(facts.get("Because"), "a reason");
  assert.equal(facts.get("Seen"), "one");
  assert.match(facts.get("Set again")!, /^3 times/);
  assert.equal(facts.get("Problem"), "another program");
  assert.equal(
    new Map(dnsOutlookFacts({ ...OUTLOOK, addresses: [] })).get("This machine's own"),
    "no resolver",
  );
});

Deno.test("dnsFacts, dnsOutlookFacts: name three resolvers of the machine, and say how many more there are", () => {
  const addresses = [1, 2, 3, 4, 5].map((number) => `192.0.2.${number}`);
  const rest = { sentinels: [], intercepted: [], answered: {}, cacheEntries: 0 };
  const own = (count: number) => {
    const systemResolvers = addresses.slice(0, count);
    return [
      dnsFacts({ control: "disabled", systemResolvers, ...rest }),
      dnsOutlookFacts({ ...OUTLOOK, addresses: systemResolvers }),
    ].map((facts) => new Map(facts).get("This machine's own"));
  };
  const three = "192.0.2.1, 192.0.2.2, 192.0.2.3";
  assert.deepEqual(own(3), [three, three]);
  assert.deepEqual(own(5), [`${three}, and 2 more`, `${three}, and 2 more`]);
});
