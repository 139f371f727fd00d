import assert from "node:assert/strict";
import { World } from "../sim/world.ts";

Deno.test("scenario: a client reaches a CIDR resource through its gateway", () => {
  const world = new World();
  const took = world.echo("10.1.2.3:7", "hello");
  assert.ok(took <= 500, `took ${took} ms`);
  assert.equal(world.gateways[0]!.served.at(-1), "10.1.2.3:7");
  assert.equal(world.client.status.gateways[0]?.path?.kind, "direct");
});

Deno.test("scenario: a client reaches a service by name, over UDP and TCP", () => {
  const world = new World();
  assert.match(world.client.resolve("main.wiki.corp.example"), /^NOERROR 100\.96\.0\.1 /);
  const took = world.echo("100.96.0.1:7", "hello wiki");
  assert.ok(took <= 500, `took ${took} ms`);
  assert.equal(world.gateways[0]!.served.at(-1), "10.9.0.1:7");
  assert.ok(world.client.connects("100.96.0.1:443", 100));
  assert.equal(world.gateways[0]!.served.at(-1), "10.9.0.1:443");
});

Deno.test("scenario: a name that has only IPv6 at the site is reached over its IPv6 proxy address", () => {
  const world = new World();
  assert.equal(world.client.resolve("six.wiki.corp.example", "aaaa").split(" ")[1], "fd00:2021:1111:8000::");
  world.echo("[fd00:2021:1111:8000::]:7", "six", 2000);
  assert.equal(world.gateways[0]!.served.at(-1), "2001:db8::9:7");
});

Deno.test("scenario: a name that does not exist at the site gets an error, not silence", () => {
  const world = new World();
  world.client.resolve("nothing.wiki.corp.example");
  assert.ok(!world.client.connects("100.96.0.1:443", 3000));
  assert.ok(world.client.received.some(({ isIcmpError }) => isIcmpError));
});

Deno.test("scenario: the second resource of a site needs no second connection", () => {
  const world = new World();
  world.echo("10.1.2.3:7", "one");
  world.client.resolve("main.wiki.corp.example");
  const took = world.echo("100.96.0.1:7", "two");
  assert.ok(took <= 250, `took ${took} ms`);
  assert.equal(world.client.status.gateways.length, 1);
  assert.equal(world.client.status.gateways[0]?.resourceIds.length, 2);
});

const NATS = [undefined, "full-cone", "port-restricted", "symmetric"] as const;
for (const clientNat of NATS) {
  for (const gatewayNat of NATS) {
    Deno.test(`scenario: client behind ${clientNat ?? "no"} NAT, gateway behind ${gatewayNat ?? "no"} NAT`, () => {
      const world = new World({ clientNat, gatewayNat });
      const took = world.echo("10.1.2.3:7", "through NAT");
      assert.ok(took <= 2000, `took ${took} ms`);
    });
  }
}

Deno.test("scenario: filters are enforced at the client, and what they permit passes", () => {
  const world = new World();
  world.client.say("10.2.0.1:80", "forbidden");
  world.simulation.runFor(100);
  assert.deepEqual(world.client.received.map(({ transport }) => transport), ["icmp"]);
  assert.ok(world.client.has("filtered"));
  assert.ok(!world.client.has("authorization-requested"));
  world.echo("10.2.0.1:443", "permitted");
});

Deno.test("scenario: SRV questions are answered inside the site, others by the host's resolver", () => {
  const world = new World();
  assert.equal(world.client.resolve("main.wiki.corp.example", "srv"), "NXDOMAIN");
  assert.equal(world.client.resolve("example.org"), "NOERROR 203.0.113.5");
  assert.deepEqual(world.client.asked, ["example.org"]);
});

Deno.test("scenario: a resolver inside a resource is asked through the tunnel", () => {
  const world = new World({ account: { dns: ["10.1.0.53"] } });
  world.client.resolve("example.org");
  assert.deepEqual(world.client.asked, []);
  assert.equal(world.gateways[0]!.served.at(-1), "10.1.0.53:53");
});

Deno.test("scenario: loss and jitter slow access down but do not prevent it", () => {
  for (let seed = 1; seed <= 8; seed++) {
    const world = new World({ seed, clientNat: "port-restricted", gatewayNat: "symmetric" });
    world.internet.loss = 0.2;
    world.internet.jitter = 30;
    world.client.resolve("main.wiki.corp.example");
    const took = world.echo("100.96.0.1:7", `seed ${seed}`, 30_000);
    assert.ok(took <= 15_000, `seed ${seed} took ${took} ms`);
  }
});
