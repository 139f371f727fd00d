import assert from "node:assert/strict";
import { World } from "../sim/world.ts";

Deno.test("scenario: a gateway that says goodbye is replaced with the next packet", () => {
  const world = new World({ gateways: 2 });
  world.echo("10.1.2.3:7", "before");
  const first = world.gatewayOf("Net");
  first.shutdown();
  world.simulation.runFor(50);
  assert.equal(world.client.status.gateways.length, 0);
  const lost = world.client.events.find(({ type }) => type === "gateway-lost");
  assert.ok(lost?.type === "gateway-lost" && lost.reason === "goodbye");
  const took = world.echo("10.1.2.3:7", "after");
  assert.ok(took <= 500, `took ${took} ms`);
  assert.notEqual(world.gatewayOf("Net"), first);
});

Deno.test("scenario: a gateway that vanishes is replaced once its silence is noticed", () => {
  const world = new World({ gateways: 2 });
  world.echo("10.1.2.3:7", "before");
  const first = world.gatewayOf("Net");
  first.crash();
  const took = world.echo("10.1.2.3:7", "after", 60_000);
  assert.ok(took <= 20_000, `took ${took} ms`);
  assert.notEqual(world.gatewayOf("Net"), first);
});

Deno.test("scenario: without any gateway the resource shows offline, and works once there is one", () => {
  const world = new World({ gateways: 1 });
  world.gateways[0]!.link.unplug();
  world.client.say("10.1.2.3:7", "anybody?");
  world.simulation.runFor(1000);
  assert.equal(world.client.status.resources.find(({ name }) => name === "Net")?.state, "offline");
  assert.ok(world.client.has("site-offline"));
  world.gateways[0]!.link.plug();
  world.simulation.runFor(10_000);
  world.echo("10.1.2.3:7", "now");
  assert.equal(world.client.status.resources.find(({ name }) => name === "Net")?.state, "online");
});

Deno.test("scenario: access ends with its policies, and the connection with it; both come back", () => {
  const world = new World();
  const { client, gateways: [gateway], portal, simulation } = world;
  world.echo("10.1.2.3:7", "before");
  const policies = portal.portal.directory.all("policies");
  portal.change((directory) => policies.forEach(({ id }) => directory.remove("policies", id)));
  simulation.runFor(1000);
  assert.deepEqual(client.status.resources, []);
  assert.deepEqual(client.status.gateways, []);
  assert.deepEqual(gateway!.status.clients, []);
  assert.ok(gateway!.has("access-revoked") && gateway!.has("client-removed"));
  client.say("10.1.2.3:7", "without");
  simulation.runFor(2000);
  assert.ok(!client.heard("10.1.2.3:7", "without"));
  portal.change((directory) => policies.forEach((policy) => directory.put("policies", policy)));
  simulation.runFor(500);
  world.echo("10.1.2.3:7", "after");
});

Deno.test("scenario: the portal restarts without anybody noticing", () => {
  const world = new World();
  world.echo("10.1.2.3:7", "before");
  world.portal.restart();
  assert.ok(world.echo("10.1.2.3:7", "meanwhile") <= 250);
  world.simulation.runFor(30_000);
  assert.ok(world.client.link.isJoined && world.gateways[0]!.link.isJoined);
  assert.ok(world.echo("10.1.2.3:7", "after") <= 250);
  assert.ok(!world.gateways[0]!.has("access-revoked"), "the new portal process still knows what was granted");
});

Deno.test("scenario: an hour without the portal does no harm to what was granted", () => {
  const world = new World();
  world.echo("10.1.2.3:7", "before");
  world.portal.isCut = true;
  world.simulation.runFor(3_600_000);
  world.echo("10.1.2.3:7", "after");
});

Deno.test("scenario: while the portal is away traffic goes on; a new resource waits for it and then works", () => {
  const world = new World();
  world.echo("10.1.2.3:7", "before");
  world.client.link.unplug();
  assert.ok(world.echo("10.1.2.3:7", "meanwhile") <= 250);
  world.client.resolve("main.wiki.corp.example");
  world.client.say("100.96.0.1:7", "waiting");
  world.simulation.runFor(5000);
  assert.ok(!world.client.heard("100.96.0.1:7", "waiting"));
  world.client.link.plug();
  world.simulation.runFor(20_000);
  assert.ok(world.client.heard("100.96.0.1:7", "waiting"));
});

Deno.test("scenario: a client that moves to another network goes on with a new key", () => {
  const world = new World();
  world.client.resolve("main.wiki.corp.example");
  world.echo("100.96.0.1:7", "at home");
  world.moveClient("192.0.2.200");
  world.client.roam();
  const took = world.echo("100.96.0.1:7", "elsewhere");
  assert.ok(took <= 2000, `took ${took} ms`);
});

Deno.test("scenario: a client whose router restarts gets back by itself", () => {
  const world = new World({ clientNat: "symmetric", gatewayNat: "port-restricted" });
  world.echo("10.1.2.3:7", "before");
  world.rebootClientNat();
  const took = world.echo("10.1.2.3:7", "after", 120_000);
  assert.ok(took <= 60_000, `took ${took} ms`);
});

Deno.test("scenario: a relayed connection survives the loss of its relay when there is another", () => {
  const world = new World({ clientNat: "symmetric", gatewayNat: "symmetric", relays: 2 });
  world.echo("10.1.2.3:7", "before");
  const path = world.client.status.gateways[0]!.path!;
  assert.equal(path.kind, "relayed");
  const used = world.relays.find(({ ip }) => ip.equals(path.local.ip) || ip.equals(path.remote.ip))!;
  used.host.isOn = false;
  used.link.unplug();
  const took = world.echo("10.1.2.3:7", "after", 90_000);
  assert.ok(took <= 30_000, `took ${took} ms`);
});

Deno.test("scenario: shutdown tells the gateway at once", () => {
  const world = new World();
  world.echo("10.1.2.3:7", "hello");
  assert.equal(world.gateways[0]!.status.clients.length, 1);
  world.client.use((session, now) => session.shutdown(now));
  world.simulation.runFor(100);
  assert.equal(world.gateways[0]!.status.clients.length, 0);
});

Deno.test("scenario: an hour of silence ends nothing", () => {
  const world = new World({ clientNat: "port-restricted", gatewayNat: "port-restricted" });
  world.client.resolve("main.wiki.corp.example");
  world.echo("100.96.0.1:7", "first");
  world.simulation.runFor(3_600_000);
  const took = world.echo("100.96.0.1:7", "second");
  assert.ok(took <= 2000, `took ${took} ms`);
});

Deno.test("scenario: a client that moves without noticing gets back by itself", () => {
  const world = new World();
  world.echo("10.1.2.3:7", "at home");
  world.moveClient("192.0.2.200");
  const took = world.echo("10.1.2.3:7", "elsewhere", 200_000);
  assert.ok(took <= 60_000, `took ${took} ms`);
});
