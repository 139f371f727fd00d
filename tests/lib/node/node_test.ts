/** Paths between a client and a gateway on a simulated internet. Rules: data-plane.md §2–§4. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import { Nat } from "../../sim/nat.ts";
import { Network } from "../../sim/network.ts";
import { authorize, NodePeer } from "../../sim/node_peer.ts";
import {
  areConnected,
  assertFlows,
  connect,
  keepTalking,
  newWorld,
  tellRelays,
} from "../../sim/node_world.ts";
import { SimRelay } from "../../sim/relay.ts";
import { Simulation } from "../../sim/simulation.ts";
import { mutatedBytes } from "../wire/mutation.ts";

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
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), remote, (payload, from) => void inject(payload, from)),
  );
  fc.assert(
    fc.property(mutatedBytes(seen), remote, (payload, from) => void inject(payload, from)),
    { numRuns: 500 },
  );
  simulation.runFor(3000);
  assert(client.node.isConnected("gateway") && gateway.node.isConnected("client"));
  assertFlows(world, "after all that");
});
