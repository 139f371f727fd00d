/** A gateway session and the node of a client over a simulated internet with a relay: real ICE, TURN and WireGuard. */

import assert from "node:assert/strict";
import { toBase64 } from "../../../lib/base/bytes.ts";
import { nobleProvider } from "../../../lib/base/crypto.ts";
import type { Datagram } from "../../../lib/base/datagram.ts";
import { IpAddress, type SocketAddress } from "../../../lib/base/ip.ts";
import { silentLog } from "../../../lib/base/log.ts";
import type { Instant, Wake } from "../../../lib/base/time.ts";
import type { GatewayEvent } from "../../../lib/gateway/event.ts";
import { GatewaySession } from "../../../lib/gateway/session.ts";
import type { KeyPair } from "../../../lib/node/connection.ts";
import { Node } from "../../../lib/node/node.ts";
import type { RelayConfig } from "../../../lib/node/relays.ts";
import { type IpPacket, parsePacket } from "../../../lib/wire/ip.ts";
import { decodeControl, encodeControl } from "../../../lib/wire/p2p_control.ts";
import { decodeGatewayInbound } from "../../../lib/wire/portal/gateway.ts";
import { buildTcp } from "../../../lib/wire/tcp.ts";
import { Host, type Machine } from "../../sim/host.ts";
import { Network } from "../../sim/network.ts";
import { newKeyPair } from "../../sim/node_peer.ts";
import { SimRelay, wallClock } from "../../sim/relay.ts";
import { Simulation } from "../../sim/simulation.ts";
import { checksumsHold } from "../wire/packets.ts";

const GATEWAY = "gateway";
const CLIENT = "client";
const CLIENT_ICE = { username: "cccc", password: "clientpassword01234567" };
const GATEWAY_ICE = { username: "gggg", password: "gatewaypassword0123456" };
const CLIENT_IP = IpAddress.from("100.64.0.1");
const PROXIES = ["100.96.0.1", "100.96.0.2", "100.96.0.3", "100.96.0.4"].map((text) => IpAddress.from(text));
const WEB = IpAddress.from("172.20.0.10");

/** The client's node, its packets kept as they come. */
class SimClient implements Machine {
  readonly host: Host;
  readonly node: Node;
  readonly packets: IpPacket[] = [];
  signal: (candidate: string) => void = () => {};

  constructor(simulation: Simulation, keyPair: KeyPair) {
    this.host = new Host(simulation);
    this.node = new Node({ ...commonOptions(simulation), keyPair, profile: "client" });
  }

  send(packet: Uint8Array): void {
    const datagram = this.node.encapsulate(GATEWAY, packet, this.host.simulation.now);
    assert(datagram !== undefined, "the client is not connected");
    this.host.send(datagram);
  }

  /** Returns and forgets the packets that have come. */
  take(): IpPacket[] {
    return this.packets.splice(0);
  }

  handleDatagram(local: SocketAddress, remote: SocketAddress, payload: Uint8Array, now: Instant): void {
    const received = this.node.handleDatagram(local, remote, payload, now);
    if (received === undefined) return;
    const packet = parsePacket(received.packet.slice());
    assert(packet.ok);
    this.packets.push(packet.value);
  }

  handleTimeout(now: Instant): void {
    this.node.handleTimeout(now);
  }

  pollTimeout(): Wake | undefined {
    return this.node.pollTimeout();
  }

  pollDatagram(): Datagram | undefined {
    return this.node.pollDatagram();
  }

  drained(): void {
    for (let event = this.node.pollEvent(); event !== undefined; event = this.node.pollEvent()) {
      if (event.type === "candidate") this.signal(event.candidate);
    }
  }
}

/** The gateway; packets for its TUN device are answered by `serve`. */
class SimGateway implements Machine {
  readonly host: Host;
  readonly session: GatewaySession;
  readonly events: GatewayEvent[] = [];
  /** Names that the host can resolve. */
  readonly names = new Map<string, readonly IpAddress[]>();
  serve: (packet: IpPacket) => Uint8Array | undefined = () => undefined;
  onAuthorized: (ref: string) => void = () => {};
  signal: (candidate: string) => void = () => {};

  constructor(simulation: Simulation, keyPair: KeyPair) {
    this.host = new Host(simulation);
    this.session = new GatewaySession({ ...commonOptions(simulation), keyPair });
  }

  portal(event: string, payload: unknown): void {
    const message = decodeGatewayInbound(event, payload);
    assert(message.ok);
    this.session.handlePortal(message.value, this.host.simulation.now);
    this.host.drain();
  }

  handleDatagram(local: SocketAddress, remote: SocketAddress, payload: Uint8Array, now: Instant): void {
    const bytes = this.session.handleDatagram(local, remote, payload, now);
    if (bytes === undefined) return;
    const packet = parsePacket(bytes.slice());
    assert(packet.ok);
    const answer = this.serve(packet.value);
    const datagram = answer && this.session.handlePacket(answer, now);
    if (datagram !== undefined) this.host.send(datagram);
  }

  handleTimeout(now: Instant): void {
    this.session.handleTimeout(now);
  }

  pollTimeout(): Wake | undefined {
    return this.session.pollTimeout();
  }

  pollDatagram(): Datagram | undefined {
    return this.session.pollDatagram();
  }

  drained(): void {
    const { session } = this;
    for (let message = session.pollPortal(); message !== undefined; message = session.pollPortal()) {
      if (message.event === "authorization_created") this.onAuthorized(message.payload.ref);
      if (message.event === "broadcast_ice_candidates") message.payload.candidates.forEach(this.signal);
    }
    for (let request = session.pollResolve(); request !== undefined; request = session.pollResolve()) {
      const { id, domain } = request;
      this.host.simulation.schedule(10, () => {
        session.handleResolved(
          id,
          { ipv4: this.names.get(domain) ?? [], ipv6: [] },
          this.host.simulation.now,
        );
        this.host.drain();
      });
    }
    for (let event = session.pollEvent(); event !== undefined; event = session.pollEvent()) {
      this.events.push(event);
    }
  }
}

function commonOptions(simulation: Simulation) {
  const { rng, now } = simulation;
  return { crypto: nobleProvider, rng, now, wallClock: wallClock(), log: silentLog };
}

function wireRelay({ id, addr, username, password, expiresAt }: RelayConfig): unknown {
  return { type: "turn", id, addr: addr.toString(), username, password, expires_at: expiresAt };
}

class World {
  readonly simulation = new Simulation(7);
  readonly internet = new Network(this.simulation, "internet", 10);
  readonly relay = new SimRelay(this.simulation, this.internet, "relay", "198.51.100.1");
  readonly clientKeys = newKeyPair(this.simulation);
  readonly gatewayKeys = newKeyPair(this.simulation);
  readonly client = new SimClient(this.simulation, this.clientKeys);
  readonly gateway = new SimGateway(this.simulation, this.gatewayKeys);

  constructor() {
    const { client, gateway, simulation, relay } = this;
    client.host.attach(this.internet, IpAddress.from("192.0.2.1"));
    gateway.host.attach(this.internet, IpAddress.from("192.0.2.2"));
    client.signal = (candidate) =>
      simulation.schedule(
        20,
        () => gateway.portal("ice_candidates", { client_id: CLIENT, candidates: [candidate] }),
      );
    gateway.signal = (candidate) =>
      simulation.schedule(20, () => {
        client.node.addRemoteCandidate(GATEWAY, candidate, simulation.now);
        client.host.drain();
      });
    gateway.onAuthorized = () => simulation.schedule(20, () => this.#connectClient());
    client.host.run(client);
    gateway.host.run(gateway);
    client.node.setRelays(relay.configs(CLIENT), simulation.now);
    client.host.drain();
    gateway.session.handlePortalJoined(simulation.now);
    gateway.portal("init", {
      interface: { ipv4: "100.64.0.2", ipv6: "fd00:2021:1111::2" },
      relays: relay.configs(GATEWAY).map(wireRelay),
    });
    simulation.runFor(500);
  }

  authorize(resource: unknown): void {
    this.gateway.portal("create_authorization", {
      ref: "ref",
      expires_at: null,
      client: {
        id: CLIENT,
        public_key: toBase64(this.clientKeys.publicKey),
        preshared_key: toBase64(new Uint8Array(32).fill(9)),
        ipv4: CLIENT_IP.toString(),
        ipv6: "fd00:2021:1111::1",
      },
      resource,
      client_ice_credentials: CLIENT_ICE,
      gateway_ice_credentials: GATEWAY_ICE,
    });
  }

  connect(resource: unknown): void {
    this.authorize(resource);
    const took = this.simulation.runUntil(() => this.client.node.isConnected(GATEWAY), 10_000);
    assert(took !== undefined, "never connected");
    this.simulation.runFor(500);
  }

  eventTypes(): string[] {
    return this.gateway.events.map(({ type }) => type);
  }

  #connectClient(): void {
    this.client.node.upsertConnection(GATEWAY, {
      remotePublicKey: this.gatewayKeys.publicKey,
      presharedKey: new Uint8Array(32).fill(9),
      localIce: CLIENT_ICE,
      remoteIce: GATEWAY_ICE,
      controlling: true,
    }, this.simulation.now);
    this.client.host.drain();
  }
}

function tcp(source: IpAddress, destination: IpAddress, ports: [number, number], text: string): Uint8Array {
  return buildTcp({
    source,
    destination,
    sourcePort: ports[0],
    destinationPort: ports[1],
    sequence: 1,
    acknowledgment: 1,
    flags: 0x18,
    window: 1000,
    payload: new TextEncoder().encode(text),
  });
}

/** A server that answers each packet from where it was sent to. */
function echo(packet: IpPacket): Uint8Array {
  return tcp(packet.destination, packet.source, [packet.destinationPort, packet.sourcePort], "pong");
}

Deno.test("GatewaySession serves a DNS resource over a real tunnel: announce, map, translate, answer", () => {
  const world = new World();
  const { client, gateway, simulation } = world;
  gateway.names.set("web.example.com", [WEB]);
  const seen: IpPacket[] = [];
  gateway.serve = (packet) => {
    seen.push(packet);
    return echo(packet);
  };
  world.connect({ id: "r1", type: "dns", name: "web", address: "*.example.com", filters: [] });
  assert(world.eventTypes().includes("client-connected"));

  client.send(
    encodeControl({ type: "assigned-ips", resourceId: "r1", domain: "web.example.com", proxyIps: PROXIES }),
  );
  simulation.runFor(200);
  const [status] = client.take();
  assert(status?.isControl);
  assert.deepEqual(decodeControl(status), {
    ok: true,
    value: { type: "domain-status", resourceId: "r1", domain: "web.example.com", status: "active" },
  });

  client.send(tcp(CLIENT_IP, PROXIES[1]!, [5000, 443], "ping"));
  simulation.runFor(200);
  const [inside] = seen;
  assert(inside !== undefined && inside.destination.equals(WEB));
  assert(checksumsHold(inside.bytes));
  const [answer] = client.take();
  assert(answer !== undefined && answer.source.equals(PROXIES[1]!));
  assert.equal(answer.destinationPort, 5000);
  assert(checksumsHold(answer.bytes));
});

Deno.test("GatewaySession answers forbidden packets through a real tunnel", () => {
  const world = new World();
  world.connect({ id: "r1", type: "cidr", name: "net", address: "172.20.0.0/16", filters: [] });
  world.client.send(tcp(CLIENT_IP, IpAddress.from("203.0.113.1"), [5000, 443], "ping"));
  world.simulation.runFor(200);
  const [answer] = world.client.take();
  assert.deepEqual([...answer!.bytes.subarray(20, 22)], [3, 13]);
});

Deno.test("GatewaySession says goodbye to a connected client at shutdown and when its last resource goes", () => {
  for (const cause of ["shutdown", "reject"]) {
    const world = new World();
    world.connect({ id: "r1", type: "cidr", name: "net", address: "172.20.0.0/16", filters: [] });
    if (cause === "shutdown") {
      world.gateway.session.shutdown(world.simulation.now);
      world.gateway.host.drain();
    } else {
      world.gateway.portal("reject_access", { client_id: CLIENT, resource_id: "r1" });
    }
    world.simulation.runFor(200);
    const [goodbye] = world.client.take();
    assert(goodbye?.isControl);
    assert.deepEqual(decodeControl(goodbye), { ok: true, value: { type: "goodbye" } });
  }
});

Deno.test("GatewaySession forgets a client that says goodbye over a real tunnel", () => {
  const world = new World();
  world.connect({ id: "r1", type: "cidr", name: "net", address: "172.20.0.0/16", filters: [] });
  world.client.send(encodeControl({ type: "goodbye" }));
  world.simulation.runFor(200);
  assert(world.eventTypes().includes("client-removed"));
  assert.deepEqual(world.gateway.session.status(world.simulation.now).clients, []);
});

Deno.test("GatewaySession serves a client again that lost its connection and is granted anew", () => {
  const world = new World();
  const { client, gateway, simulation } = world;
  gateway.serve = echo;
  const resource = { id: "r1", type: "cidr", name: "net", address: "172.20.0.0/16", filters: [] };
  world.connect(resource);
  client.node.closeConnection(GATEWAY, simulation.now);
  simulation.runFor(1000);
  world.connect(resource);
  client.take();
  client.send(tcp(CLIENT_IP, WEB, [5000, 80], "ping"));
  simulation.runFor(200);
  const [answer] = client.take();
  assert(answer?.source.equals(WEB));
});
