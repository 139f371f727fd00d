/** Paths that two agents find, keep, change and give up. Timing: data-plane.md §2.7, §2.10. */

import assert from "node:assert/strict";
import { IpAddress } from "../../../lib/base/ip.ts";
import { formatCandidate, parseCandidate } from "../../../lib/ice/candidate.ts";
import { bothConnected, gather, newWorld, type Peer, SIGNALLING_LATENCY, type World } from "./harness.ts";

/** Asserts that what each side sends to is where the other side is. */
function assertSamePath({ client, gateway }: World): void {
  const clientPair = client.agent.selected!;
  const gatewayPair = gateway.agent.selected!;
  assert.equal(clientPair.local.kind, gatewayPair.remote.kind === "relayed" ? "relayed" : "host");
  assert.equal(gatewayPair.local.kind, clientPair.remote.kind === "relayed" ? "relayed" : "host");
}

Deno.test("IceAgent: two hosts without NAT connect directly within three round trips of signalling", () => {
  const world = newWorld("none", "none");
  gather(world, false);
  const took = world.simulation.runUntil(bothConnected(world), 10_000);
  assert(took !== undefined && took <= SIGNALLING_LATENCY + 60, `${took} ms`);
  assertSamePath(world);
  assert.equal(world.client.agent.selected?.localKind, "host");
  assert.equal(world.client.agent.selected?.rttMs, 20);
});

Deno.test("IceAgent: two port-restricted NATs are traversed", () => {
  const world = newWorld("port-restricted", "port-restricted");
  gather(world, true);
  const isDirect = () =>
    world.client.agent.selected?.local.kind === "host" && world.gateway.agent.selected?.local.kind === "host";
  const took = world.simulation.runUntil(isDirect, 10_000);
  assert(took !== undefined && took < 1500, `${took} ms`);
  assert.equal(world.client.agent.selected?.remote.kind, "serverReflexive");
  assert.equal(world.client.agent.selected?.localKind, "serverReflexive");
});

Deno.test("IceAgent: two symmetric NATs fall back to relays", () => {
  const world = newWorld("symmetric", "symmetric");
  gather(world, true);
  const took = world.simulation.runUntil(bothConnected(world), 10_000);
  assert(took !== undefined && took < 1500, `${took} ms`);
  world.simulation.runFor(60_000);
  assert.equal(world.client.agent.state, "connected");
  const kinds = [world.client.agent.selected!.local.kind, world.client.agent.selected!.remote.kind];
  assert(kinds.includes("relayed"), kinds.join());
});

Deno.test("IceAgent: a symmetric NAT against none is traversed by a peer-reflexive candidate", () => {
  const world = newWorld("symmetric", "none");
  gather(world, false);
  assert(world.simulation.runUntil(bothConnected(world), 10_000) !== undefined);
  assert.equal(world.client.agent.selected?.localKind, "peerReflexive");
  assert.equal(world.gateway.agent.selected?.remote.kind, "peerReflexive");
});

Deno.test("IceAgent: a better path that appears later is nominated on both sides", () => {
  const world = newWorld("none", "none");
  const { simulation, client, gateway, internet } = world;
  client.addRelayed(internet, "198.51.100.1:50000");
  gateway.addRelayed(internet, "198.51.100.2:50001");
  simulation.runFor(2000);
  assert.equal(client.agent.selected?.remote.kind, "relayed");
  client.addHost();
  gateway.addHost();
  simulation.runFor(2000);
  for (const peer of [client, gateway]) {
    assert.equal(peer.agent.selected?.local.kind, "host");
    assert.equal(peer.agent.selected?.remote.kind, "host");
  }
});

Deno.test("IceAgent: a peer that vanishes is given up within 19.25 s: silence, 15.75 s of checks, 2 s of grace", () => {
  for (const pause of [0, 400, 800, 1200]) {
    const world = newWorld("none", "none");
    gather(world, false);
    world.simulation.runFor(5000 + pause);
    world.gateway.host.isOn = false;
    const took = world.simulation.runUntil(() => world.client.agent.state === "failed", 60_000);
    assert(took !== undefined && took >= 17_700 && took <= 19_300, `${took} ms`);
    assert.deepEqual(world.client.states.slice(-3), ["connected", "disconnected", "failed"]);
  }
});

Deno.test("IceAgent: without any remote candidate it fails after 10 s", () => {
  const world = newWorld("none", "none");
  world.client.peer = undefined;
  world.client.addHost();
  const took = world.simulation.runUntil(() => world.client.agent.state === "failed", 60_000);
  assert.equal(took, 10_000);
});

Deno.test("IceAgent: when the direct path dies both sides move to the relayed one long before the pair fails", () => {
  const world = newWorld("none", "none");
  const { simulation, client, gateway, internet } = world;
  gather(world, true);
  simulation.runFor(20_000);
  assert.equal(client.agent.selected?.remote.kind, "host");
  const block = internet.block(client.host.address()!.ip, gateway.host.address()!.ip);
  const isRelayed = (peer: Peer) => {
    const { local, remote } = peer.agent.selected!;
    return local.kind === "relayed" || remote.kind === "relayed";
  };
  const clientTook = simulation.runUntil(() => isRelayed(client), 60_000);
  const gatewayTook = simulation.runUntil(() => isRelayed(gateway), 60_000);
  assert(clientTook !== undefined && clientTook < 6000, `client ${clientTook} ms`);
  assert(gatewayTook !== undefined && gatewayTook < 8000, `gateway ${gatewayTook} ms`);
  simulation.runFor(60_000);
  assert.equal(client.agent.state, "connected");
  internet.filters.delete(block);
  const back = simulation.runUntil(() => !isRelayed(client) && !isRelayed(gateway), 60_000);
  assert(back !== undefined && back < 30_000, `back after ${back} ms`);
});

Deno.test("IceAgent: the gateway leaves all dead paths at once, and returns as soon as the client does", () => {
  const world = newWorld("none", "none");
  const { simulation, client, gateway, internet } = world;
  gather(world, true);
  for (const [index, peer] of [client, gateway].entries()) {
    peer.host.attach(internet, IpAddress.from(`2001:db8::${index + 1}`));
    const address = peer.host.address(6)!;
    peer.addLocal({ kind: "host", address, base: address });
  }
  simulation.runFor(20_000);
  assert.equal(gateway.agent.selected?.local.address.family, 6);
  const blocks = ([4, 6] as const).map((family) =>
    internet.block(client.host.address(family)!.ip, gateway.host.address(family)!.ip)
  );
  const isRelayed = (peer: Peer) =>
    [peer.agent.selected!.local.kind, peer.agent.selected!.remote.kind].includes("relayed");
  simulation.runUntil(() => isRelayed(client), 10_000);
  const behind = simulation.runUntil(() => isRelayed(gateway), 10_000);
  assert(behind !== undefined && behind <= 2000, `the gateway was ${behind} ms behind`);
  for (const block of blocks) internet.filters.delete(block);
  simulation.runUntil(() => !isRelayed(client), 30_000);
  const late = simulation.runUntil(() => !isRelayed(gateway), 10_000);
  assert(late !== undefined && late <= 100, `the gateway was ${late} ms late`);
});

Deno.test("IceAgent: invalidating the nominated candidates moves both sides to what is left, else fails after 2 s", () => {
  const world = newWorld("none", "none");
  const { simulation, client, gateway } = world;
  gather(world, true);
  simulation.runFor(5000);
  const invalidate = (from: Peer, to: Peer, kind: "host" | "relayed") => {
    const known = from.agent.localCandidates.find((candidate) => candidate.kind === kind)!;
    const gone = from.agent.invalidateLocalCandidate(kind, known.address, simulation.now)!;
    const parsed = parseCandidate(formatCandidate(gone));
    assert(parsed.ok);
    to.agent.invalidateRemoteCandidate(parsed.value, simulation.now);
    from.host.drain();
    to.host.drain();
  };
  invalidate(client, gateway, "host");
  simulation.runFor(1000);
  assert.equal(client.agent.selected?.local.kind, "relayed");
  assert.equal(gateway.agent.selected?.remote.kind, "relayed");
  invalidate(client, gateway, "relayed");
  assert.equal(client.agent.state, "disconnected");
  assert.equal(simulation.runUntil(() => client.agent.state === "failed", 10_000), 2000);
  assert.equal(gateway.agent.state, "failed");
});

Deno.test("IceAgent: checks of a withdrawn candidate are ignored until it is offered again", () => {
  const world = newWorld("none", "none");
  const { simulation, client, gateway } = world;
  gather(world, false);
  simulation.runFor(2000);
  const candidate = gateway.agent.remoteCandidates[0]!;
  gateway.agent.invalidateRemoteCandidate(candidate, simulation.now);
  simulation.runFor(1500);
  assert(gateway.agent.ignored > 0);
  assert.equal(gateway.agent.remoteCandidates.length, 0);
  gateway.agent.addRemoteCandidate(candidate, simulation.now);
  gateway.host.drain();
  simulation.runFor(500);
  assert.equal(client.agent.state, "connected");
  assert.equal(gateway.agent.state, "connected");
});

Deno.test("IceAgent: an idle agent checks every 25 s, one that wakes up at once", () => {
  const world = newWorld("none", "none");
  const { simulation, client, gateway } = world;
  gather(world, false);
  simulation.runFor(5000);
  client.agent.setIdle(true, simulation.now);
  gateway.agent.setIdle(true, simulation.now);
  client.host.drain();
  gateway.host.drain();
  simulation.runFor(1000);
  const before = client.host.sent + gateway.host.sent;
  simulation.runFor(100_000);
  const idle = client.host.sent + gateway.host.sent - before;
  assert(idle <= 2 * 2 * 5, `${idle} datagrams in 100 s`);
  assert.equal(client.agent.state, "connected");
  const sent = client.host.sent;
  simulation.runFor(3000);
  client.agent.setIdle(false, simulation.now);
  client.host.drain();
  assert.equal(client.host.sent, sent + 1);
});

Deno.test("IceAgent: survives a path that loses a quarter of the datagrams", () => {
  const world = newWorld("port-restricted", "port-restricted", 7);
  world.internet.loss = 0.25;
  world.internet.jitter = 30;
  gather(world, true);
  assert(world.simulation.runUntil(bothConnected(world), 15_000) !== undefined);
  world.simulation.runFor(300_000);
  assert.equal(world.client.agent.state, "connected");
  assert(!world.client.states.includes("disconnected"));
});
