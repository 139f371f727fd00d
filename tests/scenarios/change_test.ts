import assert from "node:assert/strict";
import { Scenario } from "./world.ts";

Deno.test("scenario: a gateway that says goodbye is replaced with the next packet", () => {
  const world = new Scenario({ gateways: 2 });
  world.echo("10.1.2.3:7", "before");
  const first = world.gatewayOf("Net");
  first.shutdown();
  world.simulation.runFor(50);
  assert.equal(world.status.gateways.length, 0);
  const took = world.echo("10.1.2.3:7", "after");
  assert.ok(took <= 500, `took ${took} ms`);
  assert.notEqual(world.gatewayOf("Net"), first);
});

Deno.test("scenario: a gateway that vanishes is replaced once its silence is noticed", () => {
  const world = new Scenario({ gateways: 2 });
  world.echo("10.1.2.3:7", "before");
  const first = world.gatewayOf("Net");
  first.crash();
  const took = world.echo("10.1.2.3:7", "after", 60_000);
  assert.ok(took <= 20_000, `took ${took} ms`);
  assert.notEqual(world.gatewayOf("Net"), first);
});

Deno.test("scenario: without any gateway the resource shows offline, and works once there is one", () => {
  const world = new Scenario({ gateways: 1 });
  world.gateways[0]!.link.break(false);
  world.client.say("10.1.2.3:7", "anybody?");
  world.simulation.runFor(1000);
  assert.equal(world.status.resources.find(({ name }) => name === "Net")?.state, "offline");
  assert.ok(world.client.eventTypes().includes("site-offline"));
  world.gateways[0]!.link.restore();
  world.simulation.runFor(10_000);
  world.echo("10.1.2.3:7", "now");
  assert.equal(world.status.resources.find(({ name }) => name === "Net")?.state, "online");
});

Deno.test("scenario: taking the policy away ends access and the connection", () => {
  const world = new Scenario();
  world.echo("10.1.2.3:7", "before");
  world.portal.delete("/v1/resources/Net");
  world.simulation.runFor(1000);
  assert.deepEqual(world.status.resources.map(({ name }) => name), ["Web", "Wiki"]);
  assert.equal(world.status.gateways.length, 0);
  world.client.say("10.1.2.3:7", "after");
  world.simulation.runFor(2000);
  assert.ok(!world.client.heard("10.1.2.3:7", "after"));
});

Deno.test("scenario: while the portal is away traffic goes on; a new resource waits for it and then works", () => {
  const world = new Scenario();
  world.echo("10.1.2.3:7", "before");
  world.client.link.break(false);
  assert.ok(world.echo("10.1.2.3:7", "meanwhile") <= 250);
  world.client.resolve("main.wiki.corp.example");
  world.client.say("100.96.0.1:7", "waiting");
  world.simulation.runFor(5000);
  assert.ok(!world.client.heard("100.96.0.1:7", "waiting"));
  world.client.link.restore();
  world.simulation.runFor(20_000);
  assert.ok(world.client.heard("100.96.0.1:7", "waiting"));
});

Deno.test("scenario: a client that moves to another network goes on with a new key", () => {
  const world = new Scenario();
  world.client.resolve("main.wiki.corp.example");
  world.echo("100.96.0.1:7", "at home");
  world.moveClient("192.0.2.200");
  world.client.roam();
  const took = world.echo("100.96.0.1:7", "elsewhere");
  assert.ok(took <= 2000, `took ${took} ms`);
});

Deno.test("scenario: a client whose router restarts gets back by itself", () => {
  const world = new Scenario({ clientNat: "symmetric", gatewayNat: "port-restricted" });
  world.echo("10.1.2.3:7", "before");
  world.nats.at(-1)!.reboot();
  const took = world.echo("10.1.2.3:7", "after", 120_000);
  assert.ok(took <= 60_000, `took ${took} ms`);
});

Deno.test("scenario: a relayed connection survives the loss of its relay when there is another", () => {
  const world = new Scenario({ clientNat: "symmetric", gatewayNat: "symmetric", relays: 2 });
  world.echo("10.1.2.3:7", "before");
  const used = world.status.gateways[0]?.path;
  assert.equal(used?.kind, "relayed");
  const index = world.relays.findIndex(({ v4 }) =>
    [used!.local.ip, used!.remote.ip].some((ip) => v4?.equals(ip) === true)
  );
  world.relays[index]!.host.isOn = false;
  world.relayLinks[index]!.break(false);
  const took = world.echo("10.1.2.3:7", "after", 90_000);
  assert.ok(took <= 30_000, `took ${took} ms`);
});

Deno.test("scenario: shutdown tells the gateway at once", () => {
  const world = new Scenario();
  world.echo("10.1.2.3:7", "hello");
  assert.equal(world.gateways[0]!.session.status(world.now).clients.length, 1);
  world.client.use((session, now) => session.shutdown(now));
  world.simulation.runFor(100);
  assert.equal(world.gateways[0]!.session.status(world.now).clients.length, 0);
});

Deno.test("scenario: an idle tunnel still works after ten minutes", () => {
  const world = new Scenario({ clientNat: "port-restricted", gatewayNat: "port-restricted" });
  world.client.resolve("main.wiki.corp.example");
  world.echo("100.96.0.1:7", "first");
  world.simulation.runFor(600_000);
  const took = world.echo("100.96.0.1:7", "second");
  assert.ok(took <= 2000, `took ${took} ms`);
});

Deno.test("scenario: a client that moves without noticing gets back by itself", () => {
  const world = new Scenario();
  world.echo("10.1.2.3:7", "at home");
  world.moveClient("192.0.2.200");
  const took = world.echo("10.1.2.3:7", "elsewhere", 200_000);
  assert.ok(took <= 60_000, `took ${took} ms`);
});
