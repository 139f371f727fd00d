/** The life of connections between a client and a gateway. Rules: data-plane.md §1.6, §4. */

import assert from "node:assert/strict";
import { equalBytes, fromHex } from "../../../lib/base/bytes.ts";
import { IpAddress } from "../../../lib/base/ip.ts";
import { newKeyPair } from "../../../lib/node/key_pair.ts";
import { Nat } from "../../sim/nat.ts";
import { Network } from "../../sim/network.ts";
import { authorize, NodePeer, packetSaying } from "../../sim/node_peer.ts";
import { assertFlows, connect, keepTalking, newWorld, tellRelays } from "../../sim/node_world.ts";

Deno.test("Node: a gateway that vanishes is given up by the client within 19.3 s", () => {
  const world = newWorld();
  const { simulation, client, gateway } = world;
  connect(world);
  keepTalking(world);
  simulation.runFor(5000);
  gateway.host.isOn = false;
  const took = simulation.runUntil(() => client.has("failed"), 60_000);
  assert(took !== undefined && took >= 15_000 && took <= 19_300, `${took} ms`);
  assert.equal(client.node.hasConnection("gateway"), false);
  assert.equal(client.node.isConnected("gateway"), false);
});

Deno.test("Node: an authorized peer that never shows up is given up after 10 s", () => {
  const world = newWorld();
  const { simulation, client, gateway } = world;
  simulation.runFor(500);
  authorize(client, gateway);
  client.others.clear();
  gateway.others.clear();
  simulation.runFor(100);
  assert.equal(client.node.hasConnection("gateway"), true);
  const took = simulation.runUntil(() => client.has("failed"), 60_000);
  assert(took !== undefined && Math.abs(took - 9940) < 100, `${took} ms`);
  assert.deepEqual(client.events.at(-1)?.event, {
    type: "failed",
    peerId: "gateway",
    reason: "no-path",
    isCutOff: false,
  });
});

Deno.test("Node.sayGoodbye sends one last packet and forgets the peer", () => {
  const world = newWorld();
  const { simulation, client, gateway } = world;
  connect(world);
  const goodbye = fromHex(`600000000008ff00 ${"00".repeat(32)} 0200000000000000`);
  client.use((node, now) => node.sayGoodbye("gateway", goodbye, now));
  assert.equal(client.node.hasConnection("gateway"), false);
  simulation.runFor(100);
  assert.deepEqual(gateway.packets.map(({ packet }) => packet), [goodbye]);
  gateway.use((node) => node.closeConnection("client"));
  simulation.runFor(5000);
  assert.equal(gateway.node.hasConnection("client"), false);
  assert(!gateway.has("failed"));
});

Deno.test("Node.sayGoodbye says nothing on a connection that is still being made", () => {
  const world = newWorld();
  const { simulation, client, gateway } = world;
  simulation.runFor(500);
  authorize(client, gateway);
  simulation.runFor(21);
  assert.equal(client.node.isConnected("gateway"), false);
  client.use((node, now) => node.sayGoodbye("gateway", packetSaying("bye"), now));
  simulation.runFor(1000);
  assert.equal(gateway.packets.length, 0);
});

Deno.test("Node: a relay that restarts with other credentials is used again while packets flow", () => {
  const world = newWorld({ client: "symmetric", gateway: "symmetric" });
  const { simulation, client, gateway, relays } = world;
  connect(world);
  keepTalking(world);
  simulation.runFor(5000);
  relays[0]!.restart();
  simulation.runFor(500);
  for (const peer of [client, gateway]) {
    peer.use((node, now) =>
      node.handleRelays({ disconnectedIds: ["relay0"], connected: relays[0]!.configs(peer.name) }, now)
    );
  }
  const before = gateway.packets.length;
  simulation.runFor(3000);
  assert(gateway.packets.length - before > 15, `${gateway.packets.length - before} packets`);
  assert(!client.has("failed") && !gateway.has("failed"));
  assertFlows(world);
});

Deno.test("Node: when its relay goes away a connection turns to another one", () => {
  const world = newWorld({
    client: "symmetric",
    gateway: "symmetric",
    relays: [["198.51.100.1"], ["198.51.100.2"]],
  });
  const { simulation, client, gateway, relays } = world;
  connect(world);
  keepTalking(world);
  simulation.runFor(3000);
  relays[0]!.host.isOn = false;
  for (const peer of [client, gateway]) {
    peer.use((node, now) => node.handleRelays({ disconnectedIds: ["relay0"], connected: [] }, now));
  }
  simulation.runFor(5000);
  assert(!client.has("failed") && !gateway.has("failed"));
  assertFlows(world);
});

Deno.test("Node.upsertConnection with the same parameters keeps a connection and signals again", () => {
  const world = newWorld();
  const { simulation, client, gateway } = world;
  connect(world);
  simulation.runFor(30_000);
  assert.equal(client.node.status().connections[0]?.state, "idle");
  const before = client.node.status().connections[0]!.lastHandshakeAt!;
  const signalled = client.events.length;
  authorize(client, gateway);
  simulation.runFor(1000);
  assertFlows(world);
  const { state, lastHandshakeAt } = client.node.status().connections[0]!;
  assert.equal(state, "connected");
  assert(lastHandshakeAt! > before + 20_000);
  assert(client.events.length > signalled);
  assert.equal(client.eventTypes().filter((type) => type === "connected").length, 1);
});

Deno.test("Node: a side that lost its connection makes it again with the same keys", () => {
  for (const side of ["client", "gateway"] as const) {
    const world = newWorld({ client: "port-restricted", gateway: "port-restricted" });
    const { simulation, client, gateway } = world;
    connect(world);
    // The client tries a connection that it kept at most every 20 s.
    simulation.runFor(21_000);
    const [lost, other] = side === "client" ? [client, "gateway"] : [gateway, "client"];
    lost.use((node, now) => node.closeConnection(other, now));
    simulation.runFor(1000);
    authorize(client, gateway);
    const took = simulation.runUntil(() => lost.node.isConnected(other), 20_000);
    assert(took !== undefined && took < 1000, `${side}: ${took} ms`);
    simulation.runFor(1000);
    assertFlows(world);
  }
});

Deno.test("Node.upsertConnection with another key replaces the connection", () => {
  const world = newWorld();
  const { simulation, client, gateway } = world;
  connect(world);
  client.keyPair = newKeyPair(simulation.rng);
  client.use((node, now) => node.reset(client.keyPair, now));
  assert.equal(client.node.hasConnection("gateway"), false);
  authorize(client, gateway);
  const took = simulation.runUntil(() => client.node.isConnected("gateway"), 5000);
  assert(took !== undefined && took < 1000, `${took} ms`);
  simulation.runFor(500);
  assertFlows(world);
  assert.equal(gateway.node.status().connections.length, 1);
});

Deno.test("Node.reset on another network starts over there", () => {
  const world = newWorld();
  const { simulation, internet, client, gateway } = world;
  connect(world);
  client.host.detach(internet);
  client.host.attach(internet, IpAddress.from("192.0.2.77"));
  client.keyPair = newKeyPair(simulation.rng);
  client.use((node, now) => node.reset(client.keyPair, now));
  simulation.runFor(500);
  authorize(client, gateway);
  simulation.runFor(1000);
  assertFlows(world);
  assert.equal(gateway.path("client")?.remote.toString(), "192.0.2.77:52625");
});

Deno.test("Node: sessions are renewed for an hour without a packet lost", () => {
  const world = newWorld();
  const { simulation, client, gateway } = world;
  connect(world);
  let sent = 0;
  const talk = () => {
    if (sent === 1800 || !client.send("gateway", packetSaying(`${sent}`))) return;
    sent++;
    gateway.send("client", packetSaying(`${sent}`));
    simulation.schedule(2000, talk);
  };
  talk();
  simulation.runFor(3_600_000);
  assert.equal(sent, 1800);
  assert.equal(gateway.packets.length, sent);
  assert.equal(client.packets.length, sent);
  assert(simulation.now - client.node.status().connections[0]!.lastHandshakeAt! < 125_000);
});

Deno.test("Node: an idle connection survives an hour and few datagrams, and then carries packets at once", () => {
  const world = newWorld({ client: "port-restricted", gateway: "port-restricted" });
  const { simulation, client } = world;
  connect(world);
  simulation.runFor(60_000);
  const before = client.host.sent;
  simulation.runFor(3_600_000);
  const perMinute = (client.host.sent - before) / 60;
  assert(perMinute < 60, `${perMinute} datagrams a minute`);
  assertFlows(world);
});

Deno.test("Node: a packet that finds the session too old goes with the next one, which it asks for", () => {
  const world = newWorld();
  const { simulation, client } = world;
  connect(world);
  // Upstream's initiator encrypts nothing more after 170 s, and renews an unused session only after 180 s.
  const age = simulation.now - client.node.status().connections[0]!.lastHandshakeAt!;
  simulation.runFor(172_000 - age);
  assert.equal(client.send("gateway", packetSaying("patient")), false);
  simulation.runFor(100);
  assert(world.gateway.packets.some(({ packet }) => equalBytes(packet, packetSaying("patient"))));
  assertFlows(world);
});

Deno.test("Node: a lost initiation is repeated after half a second, then after another", () => {
  const world = newWorld();
  let lost = 0;
  world.internet.filters.add((_source, _destination, payload) =>
    payload.length !== 148 || payload[0] !== 1 || ++lost > 2
  );
  const took = connect(world);
  assert(took > 1500 && took < 1800, `${took} ms`);
});

Deno.test("Node: a client that comes back elsewhere with the same keys is found by the gateway's old connection", () => {
  const world = newWorld({ client: "port-restricted" });
  const { simulation, internet, client, gateway, relays } = world;
  connect(world);
  simulation.runFor(30_000);
  const lan = new Network(simulation, "other lan", 1);
  const successor = new NodePeer(simulation, "client", "client");
  successor.keyPair = client.keyPair;
  successor.node.reset(client.keyPair, simulation.now);
  client.host.isOn = false;
  successor.host.attach(lan, IpAddress.from("10.7.0.2"));
  new Nat("port-restricted", lan, internet, IpAddress.from("192.0.2.70"));
  successor.start();
  tellRelays(successor, relays);
  simulation.runFor(500);
  authorize(successor, gateway);
  const took = simulation.runUntil(() => successor.node.isConnected("gateway"), 20_000);
  assert(took !== undefined, "never connected");
  simulation.runFor(500);
  assertFlows({ ...world, client: successor });
  assert.equal(gateway.node.status().connections.length, 1);
});

Deno.test("Node: a gateway serves forty clients at once", () => {
  const world = newWorld();
  const { simulation, internet, gateway, relays } = world;
  const clients = Array.from({ length: 40 }, (_, index) => {
    const client = new NodePeer(simulation, `client${index}`, "client");
    client.host.attach(internet, IpAddress.from(`203.0.113.${index + 1}`));
    client.start();
    tellRelays(client, relays);
    return client;
  });
  simulation.runFor(1000);
  for (const client of clients) authorize(client, gateway);
  simulation.runFor(2000);
  for (const client of clients) {
    assert(client.node.isConnected("gateway"), client.name);
    client.send("gateway", packetSaying(client.name));
  }
  simulation.runFor(200);
  assert.deepEqual(
    gateway.packets.map(({ from }) => from).toSorted(),
    clients.map(({ name }) => name).toSorted(),
  );
  for (const { from, packet } of gateway.packets) assert.deepEqual(packet, packetSaying(from));
});

Deno.test("Node.close gives allocations back", () => {
  const world = newWorld();
  connect(world);
  assert.equal(world.relays[0]!.server.allocationCount, 2);
  world.client.use((node, now) => node.close(now));
  world.simulation.runFor(100);
  assert.equal(world.relays[0]!.server.allocationCount, 1);
});
