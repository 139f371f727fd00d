/** Two agents over a simulated network. Timing: data-plane.md §2.7, §2.10. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { utf8 } from "../../../lib/base/bytes.ts";
import type { Datagram } from "../../../lib/base/datagram.ts";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import { silentLog } from "../../../lib/base/log.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import type { Instant, Wake } from "../../../lib/base/time.ts";
import { IceAgent, type IceState, type LocalCandidate } from "../../../lib/ice/agent.ts";
import { type Candidate, formatCandidate, parseCandidate } from "../../../lib/ice/candidate.ts";
import { CLIENT_PROFILE, GATEWAY_PROFILE, type IceProfile } from "../../../lib/ice/profile.ts";
import { Attribute, decodeStun, Method, StunWriter } from "../../../lib/wire/stun.ts";
import { Host, type Machine } from "../../sim/host.ts";
import { Nat, type NatKind } from "../../sim/nat.ts";
import { Network } from "../../sim/network.ts";
import { Simulation } from "../../sim/simulation.ts";

const CLIENT_CREDENTIALS = { username: "cccc", password: "clientpassword01234567" };
const GATEWAY_CREDENTIALS = { username: "gggg", password: "gatewaypassword0123456" };
const SIGNALLING_LATENCY = 20;

function newAgent(controlling: boolean, now: Instant, profile: IceProfile): IceAgent {
  return new IceAgent({
    controlling,
    localCredentials: controlling ? CLIENT_CREDENTIALS : GATEWAY_CREDENTIALS,
    remoteCredentials: controlling ? GATEWAY_CREDENTIALS : CLIENT_CREDENTIALS,
    profile,
    transactionTag: controlling ? 0xc : 0x6,
    rng: seededRng(controlling ? 1 : 2),
    now,
    log: silentLog,
  });
}

/** An agent on a host; a relayed address is one more address that the agent is fed from and sends from. */
class Peer implements Machine {
  readonly agent: IceAgent;
  readonly host: Host;
  readonly #relayed = new Map<unknown, { address: SocketAddress; network: Network }>();
  states: IceState[] = [];
  selections: string[] = [];
  peer: Peer | undefined;

  constructor(simulation: Simulation, controlling: boolean, profile: IceProfile) {
    this.host = new Host(simulation);
    this.agent = newAgent(controlling, simulation.now, profile);
  }

  start(): void {
    this.host.run(this);
  }

  addLocal(candidate: LocalCandidate): Candidate | undefined {
    const { simulation } = this.host;
    const added = this.agent.addLocalCandidate(candidate, simulation.now);
    this.host.drain();
    if (added !== undefined) {
      const text = formatCandidate(added);
      simulation.schedule(SIGNALLING_LATENCY, () => {
        const parsed = parseCandidate(text);
        assert(parsed.ok);
        this.peer?.agent.addRemoteCandidate(parsed.value, simulation.now);
        this.peer?.host.drain();
      });
    }
    return added;
  }

  addHost(): void {
    const address = this.host.address()!;
    this.addLocal({ kind: "host", address, base: address });
  }

  /** Adds what a STUN server on the internet would tell. */
  addReflexive(internet: Network): void {
    const base = this.host.address()!;
    const server = IpAddress.from("192.0.2.200");
    internet.attach(server, (source) => this.addLocal({ kind: "serverReflexive", address: source, base }));
    this.host.send({ local: base, remote: new SocketAddress(server, 3478), payload: new Uint8Array(1) });
    this.host.simulation.runFor(100);
  }

  addRelayed(internet: Network, text: string): void {
    const address = SocketAddress.from(text);
    this.#relayed.set(address.key, { address, network: internet });
    internet.attach(address.ip, (source, destination, payload) => {
      this.handleDatagram(destination, source, payload, this.host.simulation.now);
      this.host.drain();
    });
    this.addLocal({ kind: "relayed", address, base: address });
  }

  handleDatagram(local: SocketAddress, remote: SocketAddress, payload: Uint8Array, now: Instant): void {
    const message = decodeStun(payload);
    if (message.ok) this.agent.handleStun(message.value, local, remote, now);
  }

  handleTimeout(now: Instant): void {
    this.agent.handleTimeout(now);
  }

  pollTimeout(): Wake | undefined {
    return this.agent.pollTimeout();
  }

  pollDatagram(): Datagram | undefined {
    for (;;) {
      const transmit = this.agent.pollTransmit();
      if (transmit === undefined) return undefined;
      const relayed = this.#relayed.get(transmit.local.key);
      if (relayed === undefined) return transmit;
      relayed.network.send(relayed.address, transmit.remote, transmit.payload);
    }
  }

  drained(): void {
    if (this.states.at(-1) !== this.agent.state) this.states.push(this.agent.state);
    const { selected } = this.agent;
    const text = selected && `${selected.local.kind}/${selected.remote.kind}`;
    if (text !== undefined && text !== this.selections.at(-1)) this.selections.push(text);
  }
}

interface World {
  readonly simulation: Simulation;
  readonly internet: Network;
  readonly client: Peer;
  readonly gateway: Peer;
  readonly nats: readonly (Nat | undefined)[];
}

/** The client in 10.1.0.0/24, the gateway in 10.2.0.0/24, each behind a NAT of the kind given. */
function newWorld(clientNat: NatKind | "none", gatewayNat: NatKind | "none", seed = 1): World {
  const simulation = new Simulation(seed);
  const internet = new Network(simulation, "internet", 10);
  const client = new Peer(simulation, true, CLIENT_PROFILE);
  const gateway = new Peer(simulation, false, GATEWAY_PROFILE);
  client.peer = gateway;
  gateway.peer = client;
  const nats = [client, gateway].map((peer, index) => {
    const kind = index === 0 ? clientNat : gatewayNat;
    if (kind === "none") {
      peer.host.attach(internet, IpAddress.from(`192.0.2.${index + 1}`));
      return undefined;
    }
    const lan = new Network(simulation, `lan${index}`, 1);
    peer.host.attach(lan, IpAddress.from(`10.${index}.0.2`));
    return new Nat(kind, lan, internet, IpAddress.from(`192.0.2.${index + 1}`));
  });
  client.start();
  gateway.start();
  return { simulation, internet, client, gateway, nats };
}

function gather({ internet, client, gateway, nats }: World, withRelays: boolean): void {
  for (const [index, peer] of [client, gateway].entries()) {
    peer.addHost();
    if (nats[index] !== undefined) peer.addReflexive(internet);
    if (withRelays) peer.addRelayed(internet, `198.51.100.${index + 1}:5000${index}`);
  }
}

function bothConnected({ client, gateway }: World): () => boolean {
  return () => client.agent.state === "connected" && gateway.agent.state === "connected";
}

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

Deno.test("IceAgent guesses that a peer's router keeps the host's port", () => {
  const agent = newAgent(true, 0, CLIENT_PROFILE);
  const base = SocketAddress.from("10.0.0.2:52625");
  agent.addLocalCandidate({ kind: "host", address: base, base }, 0);
  const signal = (kind: Candidate["kind"], text: string) => {
    const address = SocketAddress.from(text);
    return agent.addRemoteCandidate(
      { kind, address, base: address, priority: 9, foundation: "x", ufrag: undefined },
      0,
    );
  };
  assert(signal("host", "10.9.0.2:52625"));
  assert(signal("serverReflexive", "192.0.2.9:40000"));
  const addresses = agent.remoteCandidates.map(({ address }) => `${address}`);
  assert.deepEqual(addresses, ["10.9.0.2:52625", "192.0.2.9:40000", "192.0.2.9:52625"]);
});

Deno.test("IceAgent.addLocalCandidate refuses redundant and unusable candidates", () => {
  const agent = newAgent(true, 0, CLIENT_PROFILE);
  const base = SocketAddress.from("10.0.0.2:52625");
  assert(agent.addLocalCandidate({ kind: "host", address: base, base }, 0) !== undefined);
  assert.equal(agent.addLocalCandidate({ kind: "host", address: base, base }, 0), undefined);
  assert.equal(agent.addLocalCandidate({ kind: "serverReflexive", address: base, base }, 0), undefined);
  const linkLocal = SocketAddress.from("169.254.0.2:52625");
  assert.equal(agent.addLocalCandidate({ kind: "host", address: linkLocal, base: linkLocal }, 0), undefined);
});

Deno.test("IceAgent.addRemoteCandidate refuses another agent's ufrag", () => {
  const agent = newAgent(true, 0, CLIENT_PROFILE);
  const address = SocketAddress.from("10.0.0.2:52625");
  const candidate = { kind: "host", address, base: address, priority: 1, foundation: "x" } as const;
  assert.equal(agent.addRemoteCandidate({ ...candidate, ufrag: "zzzz" }, 0), false);
  assert.equal(agent.addRemoteCandidate({ ...candidate, ufrag: "gggg" }, 0), true);
});

Deno.test("IceAgent: a check carries the documented attributes in order, and its tag in the transaction id", () => {
  const agent = newAgent(true, 0, CLIENT_PROFILE);
  const base = SocketAddress.from("10.0.0.2:52625");
  agent.addLocalCandidate({ kind: "host", address: base, base }, 0);
  const address = SocketAddress.from("10.0.0.3:52625");
  agent.addRemoteCandidate({
    kind: "host",
    address,
    base: address,
    priority: 1,
    foundation: "x",
    ufrag: "gggg",
  }, 0);
  const { local, remote, payload } = agent.pollTransmit()!;
  assert(local.equals(base) && remote.equals(address));
  const decoded = decodeStun(payload);
  assert(decoded.ok);
  const message = decoded.value;
  assert.equal(message.username, "gggg:cccc");
  assert.equal(message.attribute(0x802a)?.length, 8);
  assert.equal(message.priority, 1862270719);
  assert.equal(message.useCandidate, false);
  assert(message.verifyIntegrity(utf8(GATEWAY_CREDENTIALS.password)) && message.verifyFingerprint());
  assert.deepEqual([...message.transactionId.subarray(0, 3)], [0, 0, 0xc]);
});

Deno.test("IceAgent: forged and foreign messages change nothing and are not answered", () => {
  const agent = newAgent(true, 0, CLIENT_PROFILE);
  const base = SocketAddress.from("10.0.0.2:52625");
  const remote = SocketAddress.from("10.0.0.66:1");
  agent.addLocalCandidate({ kind: "host", address: base, base }, 0);
  const request = (username: string, password: string, extra?: number) => {
    const writer = new StunWriter(Method.Binding, "request", new Uint8Array(12))
      .addText(Attribute.Username, username).addU32(Attribute.Priority, 1);
    if (extra !== undefined) writer.add(extra);
    const decoded = decodeStun(writer.addIntegrity(utf8(password)).finish());
    assert(decoded.ok);
    return decoded.value;
  };
  const { password } = CLIENT_CREDENTIALS;
  assert.equal(agent.handleStun(request("cccc:gggg", "wrong"), base, remote, 0), false);
  assert.equal(agent.handleStun(request("cccc:other", password), base, remote, 0), false);
  assert.equal(
    agent.handleStun(request("cccc:gggg", password, Attribute.UseCandidate), base, remote, 0),
    true,
  );
  assert.equal(
    agent.handleStun(request("cccc:gggg", password, Attribute.IceControlling), base, remote, 0),
    true,
  );
  assert.equal(agent.pollTransmit(), undefined);
  assert.equal(agent.remoteCandidates.length, 0);
  assert.equal(agent.handleStun(request("cccc:gggg", password), base, remote, 0), true);
  assert.notEqual(agent.pollTransmit(), undefined);
});

Deno.test("IceAgent: hostile authenticated peers cannot make it grow without bound", () => {
  const agent = newAgent(false, 0, GATEWAY_PROFILE);
  const base = SocketAddress.from("10.0.0.2:52625");
  agent.addLocalCandidate({ kind: "host", address: base, base }, 0);
  for (let index = 1; index <= 500; index++) {
    const bytes = new StunWriter(Method.Binding, "request", new Uint8Array(12))
      .addText(Attribute.Username, "gggg:cccc").addU32(Attribute.Priority, index)
      .addIntegrity(utf8(GATEWAY_CREDENTIALS.password)).finish();
    const decoded = decodeStun(bytes);
    assert(decoded.ok);
    const remote = new SocketAddress(IpAddress.from("192.0.2.1"), index);
    agent.handleStun(decoded.value, base, remote, index);
    while (agent.pollTransmit() !== undefined);
  }
  assert(agent.remoteCandidates.length <= 64);
});

Deno.test("IceAgent never throws on mutated messages", () => {
  const world = newWorld("none", "none");
  gather(world, false);
  const seen: Uint8Array[] = [];
  world.internet.filters.add((_source, _destination, payload) => seen.push(payload.slice()) > 0);
  world.simulation.runFor(3000);
  const { agent, host } = world.client;
  const mutation = fc.tuple(fc.nat(150), fc.nat(255));
  fc.assert(
    fc.property(fc.constantFrom(...seen), fc.array(mutation, { maxLength: 4 }), (payload, mutations) => {
      const bytes = payload.slice();
      for (const [offset, value] of mutations) if (offset < bytes.length) bytes[offset] = value;
      const message = decodeStun(bytes);
      const remote = world.gateway.host.address()!;
      if (message.ok) agent.handleStun(message.value, host.address()!, remote, world.simulation.now);
      while (agent.pollTransmit() !== undefined);
    }),
  );
  assert.equal(agent.state, "connected");
});
