/** A client and a gateway, real relays, a simulated internet. Rules: data-plane.md §2–§4. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { equalBytes, fromHex } from "../../../lib/base/bytes.ts";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import { Nat, type NatKind } from "../../sim/nat.ts";
import { Network } from "../../sim/network.ts";
import { authorize, newKeyPair, NodePeer, packetSaying } from "../../sim/node_peer.ts";
import { SimRelay } from "../../sim/relay.ts";
import { Simulation } from "../../sim/simulation.ts";

interface World {
  readonly simulation: Simulation;
  readonly internet: Network;
  readonly client: NodePeer;
  readonly gateway: NodePeer;
  readonly relays: SimRelay[];
}

interface WorldOptions {
  readonly client?: NatKind;
  readonly gateway?: NatKind;
  /** Each relay's addresses. */
  readonly relays?: string[][];
  readonly seed?: number;
}

function newWorld(options: WorldOptions = {}): World {
  const simulation = new Simulation(options.seed ?? 1);
  const internet = new Network(simulation, "internet", 10);
  const relayAddresses = options.relays ?? [["198.51.100.1"]];
  const relays = relayAddresses.map((addresses, index) =>
    new SimRelay(simulation, internet, `relay${index}`, ...addresses)
  );
  const client = new NodePeer(simulation, "client", "client");
  const gateway = new NodePeer(simulation, "gateway", "gateway");
  for (const [index, peer] of [client, gateway].entries()) {
    const nat = index === 0 ? options.client : options.gateway;
    if (nat === undefined) {
      peer.host.attach(internet, IpAddress.from(`192.0.2.${index + 1}`));
    } else {
      const lan = new Network(simulation, `lan${index}`, 1);
      peer.host.attach(lan, IpAddress.from(`10.${index}.0.2`));
      new Nat(nat, lan, internet, IpAddress.from(`192.0.2.${index + 1}`));
    }
    peer.start();
    tellRelays(peer, relays);
  }
  return { simulation, internet, client, gateway, relays };
}

function tellRelays(peer: NodePeer, relays: SimRelay[]): void {
  peer.use((node, now) => node.setRelays(relays.flatMap((relay) => relay.configs(peer.name)), now));
}

/** Lets the relays answer, authorizes, and returns how long both sides took to be connected. */
function connect({ simulation, client, gateway }: World): number {
  simulation.runFor(500);
  authorize(client, gateway);
  const took = simulation.runUntil(() => areConnected({ client, gateway }), 20_000);
  assert(took !== undefined, "never connected");
  return took;
}

function areConnected({ client, gateway }: Pick<World, "client" | "gateway">): boolean {
  return client.node.isConnected("gateway") && gateway.node.isConnected("client");
}

/** Asserts that packets pass both ways now. */
function assertFlows({ simulation, client, gateway }: World, text = "hello"): void {
  assert(client.send("gateway", packetSaying(text)), "client cannot send");
  assert(gateway.send("client", packetSaying(`${text} back`)), "gateway cannot send");
  simulation.runFor(300);
  const hasArrived = (at: NodePeer, from: string, said: string) =>
    at.packets.some((received) => received.from === from && equalBytes(received.packet, packetSaying(said)));
  assert(hasArrived(gateway, "client", text), "nothing arrives at the gateway");
  assert(hasArrived(client, "gateway", `${text} back`), "nothing arrives at the client");
}

/** Sends a packet each way every 100 ms. */
function keepTalking({ simulation, client, gateway }: World): void {
  client.send("gateway", packetSaying("tick"));
  gateway.send("client", packetSaying("tock"));
  simulation.schedule(100, () => keepTalking({ simulation, client, gateway } as World));
}

Deno.test("Node: two hosts without NAT connect directly, in five one-way trips after the last signal", () => {
  const world = newWorld();
  const took = connect(world);
  assert(took <= 200, `${took} ms`);
  assertFlows(world);
  const path = world.client.path("gateway")!;
  assert.equal(path.kind, "direct");
  assert.equal(path.remote.toString(), "192.0.2.2:52625");
  assert.deepEqual([path.localKind, path.remoteKind], ["host", "host"]);
  assert.equal(path.rttMs, 20);
});

Deno.test("Node: two hosts in one LAN behind one NAT connect over the LAN", () => {
  const simulation = new Simulation(3);
  const internet = new Network(simulation, "internet", 10);
  const lan = new Network(simulation, "lan", 1);
  new Nat("port-restricted", lan, internet, IpAddress.from("192.0.2.1"));
  const relays = [new SimRelay(simulation, internet, "relay", "198.51.100.1")];
  const client = new NodePeer(simulation, "client", "client");
  const gateway = new NodePeer(simulation, "gateway", "gateway");
  client.host.attach(lan, IpAddress.from("10.0.0.2"));
  gateway.host.attach(lan, IpAddress.from("10.0.0.3"));
  for (const peer of [client, gateway]) {
    peer.start();
    tellRelays(peer, relays);
  }
  const world = { simulation, internet, client, gateway, relays };
  connect(world);
  simulation.runFor(2000);
  assertFlows(world);
  assert.equal(client.path("gateway")?.remote.toString(), "10.0.0.3:52625");
});

Deno.test("Node: two port-restricted NATs are traversed", () => {
  const world = newWorld({ client: "port-restricted", gateway: "port-restricted" });
  connect(world);
  world.simulation.runFor(2000);
  assertFlows(world);
  assert.equal(world.client.path("gateway")?.kind, "direct");
  assert.equal(world.client.path("gateway")?.localKind, "serverReflexive");
  assert.equal(world.gateway.path("client")?.kind, "direct");
});

Deno.test("Node: two symmetric NATs connect through relays, be it one or two", () => {
  for (const relays of [[["198.51.100.1"]], [["198.51.100.1"], ["198.51.100.2"]]]) {
    for (let seed = 1; seed <= 4; seed++) {
      const world = newWorld({ client: "symmetric", gateway: "symmetric", relays, seed });
      const took = connect(world);
      assert(took < 2000, `${took} ms`);
      assertFlows(world);
      world.simulation.runFor(60_000);
      assertFlows(world, "still there");
      assert.equal(world.client.path("gateway")?.kind, "relayed");
      assert.equal(world.gateway.path("client")?.kind, "relayed");
    }
  }
});

Deno.test("Node: blocked between the peers, packets pass between two allocations at one relay", () => {
  const world = newWorld();
  const { internet } = world;
  // Neither peer may send anything but to port 3478 of the relay.
  internet.filters.add((source, destination) =>
    source.ip.equals(IpAddress.from("198.51.100.1")) ||
    destination.toString() === "198.51.100.1:3478"
  );
  connect(world);
  assertFlows(world);
  const path = world.client.path("gateway")!;
  assert.deepEqual([path.kind, path.localKind, path.remoteKind, path.relayId], [
    "relayed",
    "relayed",
    "relayed",
    "relay0",
  ]);
});

Deno.test("Node: blocked between the peers, one side sends to the other's relay", () => {
  const world = newWorld({ relays: [["198.51.100.1"], ["198.51.100.2"]] });
  world.internet.block(IpAddress.from("192.0.2.1"), IpAddress.from("192.0.2.2"));
  connect(world);
  world.simulation.runFor(3000);
  assertFlows(world);
  assert.equal(world.client.path("gateway")?.kind, "relayed");
});

Deno.test("Node: an IPv6-only client reaches an IPv4-only gateway through a dual-stack relay", () => {
  const simulation = new Simulation(5);
  const internet = new Network(simulation, "internet", 10);
  const relays = [new SimRelay(simulation, internet, "relay", "198.51.100.1", "2001:db8::1")];
  const client = new NodePeer(simulation, "client", "client");
  const gateway = new NodePeer(simulation, "gateway", "gateway");
  client.host.attach(internet, IpAddress.from("2001:db8:1::1"));
  gateway.host.attach(internet, IpAddress.from("192.0.2.2"));
  for (const peer of [client, gateway]) {
    peer.start();
    tellRelays(peer, relays);
  }
  const world = { simulation, internet, client, gateway, relays };
  connect(world);
  assertFlows(world);
  assert.equal(client.path("gateway")?.kind, "relayed");
});

Deno.test("Node: without relays there is no connection, and the owner is told", () => {
  const world = newWorld({ relays: [] });
  assert.equal(world.client.node.hasRelay, false);
  authorize(world.client, world.gateway);
  world.simulation.runFor(100);
  assert.deepEqual(world.client.eventTypes(), ["no-relays"]);
  assert.equal(world.client.node.hasConnection("gateway"), false);
});

Deno.test("Node: a connection authorized before the relays answer is made as soon as they do", () => {
  const world = newWorld({ client: "symmetric", gateway: "symmetric" });
  authorize(world.client, world.gateway);
  const took = world.simulation.runUntil(() => areConnected(world), 5000);
  assert(took !== undefined && took < 2000, `${took} ms`);
  assertFlows(world);
});

Deno.test("Node: a path that is lost is replaced by the relayed one, and taken again when it is back", () => {
  const world = newWorld();
  const { simulation, internet, client, gateway } = world;
  connect(world);
  keepTalking(world);
  simulation.runFor(3000);
  assert.equal(client.path("gateway")?.kind, "direct");
  const block = internet.block(IpAddress.from("192.0.2.1"), IpAddress.from("192.0.2.2"));
  simulation.runFor(15_000);
  assert.equal(client.path("gateway")?.kind, "relayed");
  assert.equal(gateway.path("client")?.kind, "relayed");
  const before = gateway.packets.length;
  const beforeBack = client.packets.length;
  simulation.runFor(5000);
  assert(gateway.packets.length - before >= 48 && client.packets.length - beforeBack >= 48);
  internet.filters.delete(block);
  simulation.runFor(40_000);
  assert.equal(client.path("gateway")?.kind, "direct");
  assert.equal(gateway.path("client")?.kind, "direct");
  assert(!client.has("failed") && !gateway.has("failed"));
});

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
  assert.deepEqual(client.events.at(-1)?.event, { type: "failed", peerId: "gateway", reason: "no-path" });
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
  client.keyPair = newKeyPair(simulation);
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
  client.keyPair = newKeyPair(simulation);
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

Deno.test("Node: a packet that finds the session too old starts a handshake, and the next one passes", () => {
  const world = newWorld();
  const { simulation, client } = world;
  connect(world);
  // Upstream's initiator encrypts nothing more after 170 s, and renews an unused session only after 180 s.
  const age = simulation.now - client.node.status().connections[0]!.lastHandshakeAt!;
  simulation.runFor(172_000 - age);
  assert.equal(client.send("gateway", packetSaying("lost")), false);
  simulation.runFor(100);
  assertFlows(world);
});

Deno.test("Node: a lossy path carries a connection for ten minutes", () => {
  const world = newWorld({ client: "port-restricted", gateway: "symmetric", seed: 11 });
  const { simulation, internet, client, gateway } = world;
  connect(world);
  internet.loss = 0.15;
  internet.jitter = 20;
  keepTalking(world);
  simulation.runFor(600_000);
  assert(!client.has("failed") && !gateway.has("failed"));
  assert(gateway.packets.length > 3500, `${gateway.packets.length} packets`);
});

Deno.test("Node: a gateway that is flooded with handshakes answers with cookies and goes on", () => {
  const world = newWorld();
  const { simulation, internet, client, gateway } = world;
  simulation.runFor(500);
  let initiation: Uint8Array | undefined;
  internet.filters.add((_source, _destination, payload) => {
    if (payload.length === 148 && payload[0] === 1) initiation ??= payload.slice();
    return true;
  });
  connect(world);
  const from = client.host.address()!;
  for (let index = 0; index < 200; index++) {
    gateway.use((node, now) => node.handleDatagram(gateway.host.address()!, from, initiation!, now));
  }
  assert((gateway.node.counters.get("cookie reply") ?? 0) >= 90);
  simulation.runFor(21_000);
  authorize(client, gateway);
  simulation.runFor(2000);
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

Deno.test("Node.addRemoteCandidate drops candidates of unknown peers and nonsense", () => {
  const world = newWorld();
  connect(world);
  world.client.use((node, now) => {
    node.addRemoteCandidate("nobody", "candidate:1 1 udp 1 192.0.2.9 9 typ host", now);
    node.addRemoteCandidate("gateway", "nonsense", now);
    node.removeRemoteCandidate("gateway", "nonsense", now);
    node.addRemoteCandidate("gateway", "candidate:1 1 udp 1 192.0.2.9 9 typ host ufrag wrong", now);
  });
  assertFlows(world);
  assert.equal(world.client.node.counters.get("candidate for unknown peer"), 1);
  assert.equal(world.client.node.counters.get("candidate refused"), 1);
});

Deno.test("Node.close gives allocations back", () => {
  const world = newWorld();
  connect(world);
  assert.equal(world.relays[0]!.server.allocationCount, 2);
  world.client.use((node, now) => node.close(now));
  world.simulation.runFor(100);
  assert.equal(world.relays[0]!.server.allocationCount, 1);
});

Deno.test("Node.handleDatagram never throws on what strangers, relays and peers may send, and goes on", () => {
  const world = newWorld({ client: "symmetric", gateway: "symmetric" });
  const { simulation, internet, client, gateway } = world;
  const seen: Uint8Array[] = [];
  internet.filters.add((_source, _destination, payload) => seen.push(payload.slice()) > 0);
  connect(world);
  assertFlows(world);
  const local = client.host.address()!;
  const remotes = ["198.51.100.1:3478", "192.0.2.2:52625", "203.0.113.5:1"].map((text) =>
    SocketAddress.from(text)
  );
  const inject = (payload: Uint8Array, remote: SocketAddress) =>
    client.use((node, now) => node.handleDatagram(local, remote, payload, now));
  const remote = fc.constantFrom(...remotes);
  const mutation = fc.tuple(fc.nat(200), fc.nat(255));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), remote, (payload, from) => void inject(payload, from)),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...seen),
      fc.array(mutation, { maxLength: 4 }),
      remote,
      (original, mutations, from) => {
        const payload = original.slice();
        for (const [offset, value] of mutations) if (offset < payload.length) payload[offset] = value;
        inject(payload, from);
      },
    ),
    { numRuns: 500 },
  );
  simulation.runFor(3000);
  assert(client.node.isConnected("gateway") && gateway.node.isConnected("client"));
  assertFlows(world, "after all that");
});
