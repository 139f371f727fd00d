/** A client session over a node of the test's own, and shorthands for what portal, applications and gateways send. */

import assert from "node:assert/strict";
import { toBase64 } from "../../../lib/base/bytes.ts";
import { nobleProvider } from "../../../lib/base/crypto.ts";
import type { Datagram } from "../../../lib/base/datagram.ts";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import { silentLog } from "../../../lib/base/log.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import { WallClock } from "../../../lib/base/time.ts";
import type { ClientNode } from "../../../lib/client/node_port.ts";
import type { KeyPair } from "../../../lib/node/key_pair.ts";
import type { NodeEvent } from "../../../lib/node/node.ts";
import type { PathInfo } from "../../../lib/node/path.ts";
import type { RelayConfig } from "../../../lib/node/relay_config.ts";
import { type ClientEvent, ClientSession, type ClientSessionOptions } from "../../../lib/client/session.ts";
import { decodeDnsQuery, encodeDnsQuery, RecordType } from "../../../lib/wire/dns.ts";
import { describeDnsMessage } from "../../../lib/wire/dns_text.ts";
import { IpPacket, parsePacket } from "../../../lib/wire/ip.ts";
import { decodeControl, encodeControl } from "../../../lib/wire/p2p_control.ts";
import type { ControlMessage } from "../../../lib/wire/p2p_control.ts";
import { type ClientOutbound, decodeClientInbound } from "../../../lib/wire/portal/client.ts";
import { buildTcp, TcpFlag } from "../../../lib/wire/tcp.ts";
import { buildUdp, udpPayload } from "../../../lib/wire/udp.ts";

export const OWN_4 = IpAddress.from("100.69.12.4");
export const OWN_6 = IpAddress.from("fd00:2021:1111::9:c04");
export const SENTINEL = SocketAddress.from("100.100.111.1:53");

const PATH: PathInfo = {
  kind: "direct",
  local: SocketAddress.from("192.0.2.1:52625"),
  remote: SocketAddress.from("192.0.2.2:52625"),
  localKind: "host",
  remoteKind: "host",
  rttMs: 3,
  relayId: undefined,
};

/** A node without network: connections are up when the test says so. */
export class FakeNode implements ClientNode {
  hasRelay = true;
  relaysHeardAt = -Infinity;
  readonly connections = new Map<string, { connected: boolean }>();
  readonly sent: { peerId: string; packet: Uint8Array }[] = [];
  readonly goodbyes: string[] = [];
  readonly remoteCandidates: string[] = [];
  relays: readonly RelayConfig[] = [];
  resets = 0;
  closed = false;
  incoming: { peerId: string; packet: Uint8Array } | undefined;
  readonly events: NodeEvent[] = [];

  setRelays(connected: readonly RelayConfig[]): void {
    this.relays = connected;
  }

  handleRelays(presence: { readonly connected: readonly RelayConfig[] }): void {
    this.relays = presence.connected;
  }

  upsertConnection(
    peerId: string,
  ): { readonly ok: true } | { readonly ok: false; readonly reason: "no-relays" } {
    if (!this.hasRelay) {
      this.events.push({ type: "no-relays" });
      return { ok: false, reason: "no-relays" };
    }
    if (!this.connections.has(peerId)) this.connections.set(peerId, { connected: false });
    this.events.push({ type: "candidate", peerId, candidate: `candidate:of-${peerId}` });
    return { ok: true };
  }

  addRemoteCandidate(peerId: string, text: string): void {
    this.remoteCandidates.push(`${peerId} ${text}`);
  }

  removeRemoteCandidate(peerId: string, text: string): void {
    this.remoteCandidates.push(`${peerId} -${text}`);
  }

  encapsulate(peerId: string, packet: Uint8Array): Datagram | undefined {
    if (!this.isConnected(peerId)) return undefined;
    this.sent.push({ peerId, packet: packet.slice() });
    return { local: undefined, remote: PATH.remote, payload: packet };
  }

  handleDatagram(): { readonly peerId: string; readonly packet: Uint8Array } | undefined {
    return this.incoming;
  }

  isConnected(peerId: string): boolean {
    return this.connections.get(peerId)?.connected === true;
  }

  hurry(): void {}

  hasConnection(peerId: string): boolean {
    return this.connections.has(peerId);
  }

  closeConnection(peerId: string): void {
    this.connections.delete(peerId);
  }

  sayGoodbye(peerId: string): void {
    if (this.isConnected(peerId)) this.goodbyes.push(peerId);
    this.connections.delete(peerId);
  }

  reset(): void {
    this.connections.clear();
    this.resets++;
  }

  close(): void {
    this.closed = true;
  }

  handleTimeout(): void {}

  pollTimeout(): undefined {
    return undefined;
  }

  pollDatagram(): undefined {
    return undefined;
  }

  pollEvent(): NodeEvent | undefined {
    return this.events.shift();
  }

  status(): ReturnType<ClientNode["status"]> {
    const connections = [...this.connections].map(([peerId, { connected }]) => ({
      peerId,
      state: connected ? "connected" as const : "connecting" as const,
      path: connected ? PATH : undefined,
      lastHandshakeAt: undefined,
      rxBytes: 1,
      txBytes: 2,
    }));
    return { connections, relays: [] };
  }
}

export const SITE = { id: "site-paris", name: "Paris" };

export const WIKI = {
  type: "dns",
  id: "r-wiki",
  name: "Wiki",
  address: "*.wiki.corp.example",
  address_description: null,
  ip_stack: "dual",
  filters: [] as unknown[],
  sites: [SITE],
};

export const OFFICE = {
  type: "cidr",
  id: "r-office",
  name: "Office",
  address: "10.20.0.0/16",
  address_description: null,
  filters: [] as unknown[],
  sites: [SITE],
};

export const INTERNET = { type: "internet", id: "r-internet", can_be_disabled: true, sites: [SITE] };

/** A session with everything that it said. */
export class Harness {
  readonly node = new FakeNode();
  readonly session: ClientSession;
  now = 1000;
  readonly events: ClientEvent[] = [];

  constructor(options: Partial<ClientSessionOptions> = {}) {
    this.session = new ClientSession({
      keyPair: KEY_PAIR,
      crypto: nobleProvider,
      rng: seededRng(1),
      now: this.now,
      wallClock: new WallClock(this.now, 1_790_000_000_000),
      log: silentLog,
      internetResourceActive: false,
      systemResolvers: [SocketAddress.from("192.168.1.1:53")],
      node: this.node,
      ...options,
    });
  }

  /** A session that has joined and was told of `resources`. */
  static started(resources: readonly unknown[], options: Partial<ClientSessionOptions> = {}): Harness {
    const harness = new Harness(options);
    harness.session.handlePortalJoined(harness.now);
    harness.init(resources);
    harness.takeEvents();
    return harness;
  }

  init(resources: readonly unknown[], ownInterface: Record<string, unknown> = {}): void {
    this.portal("init", {
      interface: { ipv4: OWN_4.toString(), ipv6: OWN_6.toString(), ...ownInterface },
      resources,
      relays: [],
      authorizations: [],
    });
  }

  portal(event: string, payload: unknown): void {
    const message = decodeClientInbound(event, payload);
    assert.ok(message.ok, `${event}: ${message.ok ? "" : message.reason}`);
    this.session.handlePortal(message.value, this.now);
  }

  /** What the session sent to the portal since last asked. */
  takePortal(): ClientOutbound[] {
    const messages: ClientOutbound[] = [];
    for (let next = this.session.pollPortal(); next !== undefined; next = this.session.pollPortal()) {
      messages.push(next);
    }
    return messages;
  }

  /** Ids of resources that access was asked for since last asked. */
  takeRequests(): string[] {
    return this.takePortal().flatMap((message) =>
      message.event === "request_authorization" ? [message.payload.resource_id] : []
    );
  }

  takeEvents(): ClientEvent[] {
    for (let event = this.session.pollEvent(); event !== undefined; event = this.session.pollEvent()) {
      this.events.push(event);
    }
    return this.events.splice(0);
  }

  /** Packets for the TUN device since last asked. */
  takePackets(): IpPacket[] {
    const packets: IpPacket[] = [];
    for (let bytes = this.session.pollPacket(); bytes !== undefined; bytes = this.session.pollPacket()) {
      packets.push(parsed(bytes));
    }
    return packets;
  }

  /** Packets that went into tunnels since last asked, in words. */
  takeSent(): string[] {
    return this.node.sent.splice(0).map(({ peerId, packet }) => `${peerId} ${describe(parsed(packet))}`);
  }

  /** An application sends a packet; returns whether it went out at once. */
  send(packet: Uint8Array): boolean {
    return this.session.handlePacket(packet, this.now) !== undefined;
  }

  /** A packet arrives from a gateway; returns what the TUN device gets. */
  receive(peerId: string, packet: Uint8Array): IpPacket | undefined {
    this.node.incoming = { peerId, packet };
    const delivered = this.session.handleDatagram(PATH.local, PATH.remote, new Uint8Array(0), this.now);
    this.node.incoming = undefined;
    return delivered === undefined ? undefined : parsed(delivered);
  }

  control(peerId: string, message: ControlMessage): void {
    assert.equal(this.receive(peerId, encodeControl(message)), undefined);
  }

  grant(resourceId: string, gatewayId: string, overrides: Record<string, unknown> = {}): void {
    const number = Number(/\d+$/.exec(gatewayId)?.[0] ?? 1);
    this.portal("authorization_created", {
      resource_id: resourceId,
      gateway_id: gatewayId,
      site_id: SITE.id,
      gateway_public_key: toBase64(new Uint8Array(32).fill(number)),
      gateway_ipv4: `100.81.7.${number}`,
      gateway_ipv6: `fd00:2021:1111::a:${number}`,
      preshared_key: toBase64(new Uint8Array(32).fill(9)),
      client_ice_credentials: { username: "aaaa", password: "bbbbbbbbbbbbbbbbbbbbbb" },
      gateway_ice_credentials: { username: "cccc", password: "dddddddddddddddddddddd" },
      ...overrides,
    });
  }

  connect(gatewayId: string): void {
    this.node.connections.set(gatewayId, { connected: true });
    this.node.events.push({ type: "connected", peerId: gatewayId, path: PATH });
    this.session.handleTimeout(this.now);
  }

  fail(gatewayId: string, isCutOff = false): void {
    this.node.connections.delete(gatewayId);
    this.node.events.push({ type: "failed", peerId: gatewayId, reason: "no-path", isCutOff });
    this.session.handleTimeout(this.now);
  }

  /** An application asks at a sentinel over UDP. */
  ask(name: string, type: keyof typeof RecordType = "a", id = 7, sentinel = SENTINEL): void {
    this.send(buildUdp({
      source: sentinel.family === 4 ? OWN_4 : OWN_6,
      destination: sentinel.ip,
      sourcePort: 4444,
      destinationPort: sentinel.port,
      payload: encodeDnsQuery(id, name, RecordType[type])!,
    }));
  }

  /** DNS answers for the TUN device since last asked: code and records. */
  takeAnswers(): string[] {
    return this.takePackets().map((packet) => {
      assert.equal(packet.destination.toString(), OWN_4.toString());
      const text = describeDnsMessage(udpPayload(packet)!)!;
      return [text.code, ...text.records.map(({ type, data }) => `${type} ${data}`)].join(" ");
    });
  }
}

/** A TCP SYN from us. */
export function syn(destination: string, port = 443, sourcePort = 50_000, sequence = 1): Uint8Array {
  const address = IpAddress.from(destination);
  return buildTcp({
    source: address.family === 4 ? OWN_4 : OWN_6,
    destination: address,
    sourcePort,
    destinationPort: port,
    sequence,
    acknowledgment: 0,
    flags: TcpFlag.syn,
    window: 1000,
  });
}

/** A UDP packet between any two. */
export function udp(
  source: string,
  destination: string,
  payload: Uint8Array = new Uint8Array(1),
): Uint8Array {
  const [from, to] = [SocketAddress.from(source), SocketAddress.from(destination)];
  return buildUdp({
    source: from.ip,
    destination: to.ip,
    sourcePort: from.port,
    destinationPort: to.port,
    payload,
  });
}

export function parsed(bytes: Uint8Array): IpPacket {
  const packet = parsePacket(bytes);
  assert.ok(packet.ok);
  return packet.value;
}

/** Returns a packet in words. */
export function describe(packet: IpPacket): string {
  if (packet.isControl) {
    const message = decodeControl(packet);
    assert.ok(message.ok);
    if (message.value.type !== "assigned-ips") return message.value.type;
    const { resourceId, domain, proxyIps } = message.value;
    return `assigned-ips ${resourceId} ${domain} ${proxyIps.length}`;
  }
  return `${packet.transport} ${packet.destination}:${packet.destinationPort}`;
}

export function queryIn(packet: Uint8Array) {
  const query = decodeDnsQuery(udpPayload(parsed(packet))!);
  assert.ok(query.ok);
  return query.value;
}

export const KEY_PAIR: KeyPair = {
  privateKey: new Uint8Array(32).fill(1),
  publicKey: new Uint8Array(32).fill(2),
};
