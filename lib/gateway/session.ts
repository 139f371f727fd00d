/**
 * A gateway: takes the portal's grants, lets clients connect, and passes their packets between the tunnel and the
 * host's network as far as the grants go (data-plane reference §8). A machine without I/O: the shell feeds portal
 * messages, datagrams and packets of the TUN device, and drains what is to be sent.
 */

import { assert } from "../base/assert.ts";
import type { Datagram } from "../base/datagram.ts";
import { IpAddress, type SocketAddress } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import { Ring } from "../base/ring.ts";
import type { Instant, Wake, WallClock } from "../base/time.ts";
import { earliest, seconds } from "../base/time.ts";
import { Outbox, type OwnCandidates } from "../channel/outbox.ts";
import type { UpstreamOutcome, UpstreamQuery } from "../dns/upstream.ts";
import type { ResolvedAddresses } from "../nat/proxy_map.ts";
import { Node, type NodeOptions } from "../node/node.ts";
import { relayConfigs } from "../node/relay_config.ts";
import { buildUnreachable } from "../wire/icmp.ts";
import { IpPacket } from "../wire/ip.ts";
import { decodeControl, encodeControl } from "../wire/p2p_control.ts";
import type { GatewayInbound, GatewayInit, GatewayOutbound } from "../wire/portal/gateway.ts";
import { Access } from "./access.ts";
import type { ClientPeer, TunnelAddresses } from "./client_peer.ts";
import { GatewayDnsServer } from "./dns_server.ts";
import type { ResolveRequest } from "./domain_mapper.ts";
import { DomainMapper } from "./domain_mapper.ts";
import type { GatewayEvent } from "./event.ts";
import type { GatewayNode } from "./node_port.ts";
import { PeerTable } from "./peer_table.ts";
import type { GatewayStatus } from "./status.ts";
import { describeClient } from "./status.ts";

/** What a session is made of: what its node is made of. */
export interface GatewaySessionOptions extends Omit<NodeOptions, "profile"> {
  /** Tests bring their own. */
  readonly node?: GatewayNode;
}

export class GatewaySession {
  readonly #node: GatewayNode;
  readonly #wallClock: WallClock;
  readonly #log: Log;
  readonly #peers = new PeerTable();
  readonly #mapper = new DomainMapper(this.#peers);
  readonly #dns: GatewayDnsServer;
  readonly #portal = new Outbox<GatewayOutbound>(candidatesMessage);
  readonly #access: Access;
  readonly #events = new Ring<GatewayEvent>(MAX_EVENTS);
  /** Packets of our own making for clients, sealed. */
  readonly #datagrams = new Ring<Datagram>(MAX_DATAGRAMS);
  /** What the node had to send when it was shut down. */
  readonly #lastWords: Datagram[] = [];
  readonly #drops = new Map<string, number>();
  readonly #view = new IpPacket();
  #own: TunnelAddresses | undefined;
  /** When clients are looked at next; packets may bring it forward to a second from now. */
  #nextPeerCheck: Instant | undefined;

  constructor(options: GatewaySessionOptions) {
    this.#node = options.node ?? new Node({ ...options, profile: "gateway" });
    this.#wallClock = options.wallClock;
    this.#log = options.log;
    this.#dns = new GatewayDnsServer({ rng: options.rng });
    this.#access = new Access({
      node: this.#node,
      peers: this.#peers,
      portal: this.#portal,
      wallClock: options.wallClock,
      emit: (event) => this.#events.push(event),
    });
  }

  /** The portal can be talked to: what waited for it is sent now. */
  handlePortalJoined(_now: Instant): void {
    this.#portal.handleJoined();
  }

  /** The portal is away. Clients are served on. */
  handlePortalLost(_now: Instant): void {
    this.#portal.handleLost();
  }

  /** Takes a message from the portal. */
  handlePortal(message: GatewayInbound, now: Instant): void {
    switch (message.event) {
      case "init":
        this.#initialise(message.payload, now);
        break;
      case "create_authorization":
        this.#access.authorize(message.payload, now);
        break;
      case "reject_access":
        this.#access.revoke(message.payload.client_id, message.payload.resource_id, "rejected", now);
        break;
      case "access_authorization_expiry_updated":
        this.#access.setExpiry(message.payload);
        break;
      case "resource_updated":
        this.#access.updateFilters(message.payload);
        break;
      case "ice_candidates":
        for (const candidate of message.payload.candidates) {
          this.#node.addRemoteCandidate(message.payload.client_id, candidate, now);
        }
        break;
      case "invalidate_ice_candidates":
        for (const candidate of message.payload.candidates) {
          this.#node.removeRemoteCandidate(message.payload.client_id, candidate, now);
        }
        break;
      case "relays_presence": {
        const { disconnected_ids: disconnectedIds, connected } = message.payload;
        this.#node.handleRelays({ disconnectedIds, connected: relayConfigs(connected) }, now);
        this.#access.handleRelays(now);
        break;
      }
    }
    this.#schedulePeerCheck(now);
    this.#settle(now);
  }

  /** Takes a packet of the TUN device; returns the datagram that carries it to its client. */
  handlePacket(bytes: Uint8Array, now: Instant): Datagram | undefined {
    const packet = this.#view;
    const fault = packet.load(bytes);
    if (fault !== undefined) return this.#drop(`tun: ${fault}`);
    const peer = this.#peers.byAddress(packet.destinationKey);
    if (peer === undefined || this.#own === undefined) return this.#drop("tun: unknown client");
    const verdict = peer.handleFromNetwork(packet, this.#own, now);
    if (verdict !== "pass") return this.#drop(`tun: ${verdict}`);
    this.#schedulePeerCheck(now);
    return this.#node.encapsulate(peer.id, packet.bytes, now) ?? this.#drop("tun: not connected");
  }

  /** Takes a datagram of one of our sockets; returns a packet for the TUN device if it carried one. */
  handleDatagram(
    local: SocketAddress,
    remote: SocketAddress,
    payload: Uint8Array,
    now: Instant,
  ): Uint8Array | undefined {
    const received = this.#node.handleDatagram(local, remote, payload, now);
    const packet = received === undefined
      ? undefined
      : this.#handleClientPacket(received.peerId, received.packet, now);
    this.#settle(now);
    return packet;
  }

  /** Takes the addresses of a name; undefined if the resolver did not tell. */
  handleResolved(id: number, resolved: ResolvedAddresses | undefined, now: Instant): void {
    this.#mapper.handleResolved(id, resolved);
    this.#settle(now);
  }

  /** Takes what came of a client's DNS query. */
  handleDnsAnswer(id: number, outcome: UpstreamOutcome, now: Instant): void {
    this.#dns.handleAnswer(id, outcome, now);
    this.#settle(now);
  }

  /** Sets the resolvers of the host, best first. */
  handleSystemResolvers(resolvers: readonly SocketAddress[]): void {
    this.#dns.setResolvers(resolvers);
  }

  pollPortal(): GatewayOutbound | undefined {
    return this.#portal.poll();
  }

  pollDatagram(): Datagram | undefined {
    return this.#datagrams.shift() ?? this.#lastWords.shift() ?? this.#node.pollDatagram();
  }

  /** A gateway makes no packets for its TUN device on its own. */
  pollPacket(): Uint8Array | undefined {
    return undefined;
  }

  pollResolve(): ResolveRequest | undefined {
    return this.#mapper.pollResolve();
  }

  pollDnsQuery(): UpstreamQuery | undefined {
    return this.#dns.pollQuery();
  }

  pollEvent(): GatewayEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): Wake | undefined {
    const peerWake = this.#nextPeerCheck === undefined
      ? undefined
      : { at: this.#nextPeerCheck, reason: "clients" };
    return earliest(
      peerWake,
      this.#node.pollTimeout(),
      this.#mapper.pollTimeout(),
      this.#dns.pollTimeout(),
    );
  }

  handleTimeout(now: Instant): void {
    this.#node.handleTimeout(now);
    this.#mapper.handleTimeout(now);
    this.#dns.handleTimeout(now);
    if (this.#nextPeerCheck !== undefined && now >= this.#nextPeerCheck) {
      this.#nextPeerCheck = this.#access.handleTimeout(now);
    }
    this.#settle(now);
  }

  /** Says goodbye to all clients and gives relays back; the datagrams have to be sent before the process ends. */
  shutdown(now: Instant): void {
    // Taken from the node one by one: its queue is bounded, and goodbyes by a relay must leave before it is given up.
    for (const peer of [...this.#peers]) {
      this.#access.remove(peer, "shutdown", now);
      this.#keepLastWords();
    }
    this.#node.close(now);
    this.#keepLastWords();
    this.#settle(now);
  }

  status(now: Instant): GatewayStatus {
    return {
      addresses: this.#own,
      clients: [...this.#peers].map((peer) => describeClient(peer, this.#wallClock)),
      node: this.#node.status(now),
      drops: Object.fromEntries(this.#drops),
    };
  }

  #handleClientPacket(peerId: string, bytes: Uint8Array, now: Instant): Uint8Array | undefined {
    const packet = this.#view;
    const fault = packet.load(bytes);
    if (fault !== undefined) return this.#drop(`client: ${fault}`);
    const peer = this.#peers.get(peerId);
    if (peer === undefined || this.#own === undefined) return this.#drop("client: no authorization");
    if (packet.isControl) return this.#handleControl(peer, packet, now);
    this.#schedulePeerCheck(now);
    const verdict = peer.handleFromClient(packet, this.#own, now);
    switch (verdict) {
      case "pass":
        return this.#isForUs(packet) && this.#dns.handlePacket(packet, now) ? undefined : packet.bytes;
      case "dropped":
        return this.#drop("client: multicast or ICMP error");
      case "prohibited":
        this.#reply(peer.id, buildUnreachable(packet, "prohibited"), now);
        return this.#drop("client: prohibited");
      case "unreachable":
        this.#reply(peer.id, buildUnreachable(packet, "network"), now);
        return this.#drop("client: unreachable");
    }
  }

  #handleControl(peer: ClientPeer, packet: IpPacket, now: Instant): undefined {
    const decoded = decodeControl(packet);
    if (!decoded.ok) return this.#drop(`control: ${decoded.reason}`);
    switch (decoded.value.type) {
      case "assigned-ips":
        this.#log.debug("Client assigned proxy addresses", {
          client: peer.id,
          domain: decoded.value.domain,
          proxyIps: decoded.value.proxyIps,
        });
        this.#mapper.handleAssignedIps(peer.id, decoded.value, now);
        return undefined;
      case "goodbye":
        this.#node.closeConnection(peer.id, now);
        this.#access.forget(peer, "goodbye");
        return undefined;
      case "domain-status":
        return this.#drop("control: not for gateways");
    }
  }

  #isForUs(packet: IpPacket): boolean {
    const key = packet.destinationKey;
    return key === this.#own?.ipv4.key || key === this.#own?.ipv6.key;
  }

  #initialise(init: GatewayInit, now: Instant): void {
    const ipv4 = IpAddress.from(init.interface.ipv4);
    const ipv6 = IpAddress.from(init.interface.ipv6);
    if (this.#own === undefined || !this.#own.ipv4.equals(ipv4) || !this.#own.ipv6.equals(ipv6)) {
      this.#own = { ipv4, ipv6 };
      this.#dns.listen(this.#own);
      this.#events.push({ type: "interface", ipv4, ipv6 });
    }
    this.#node.setRelays(relayConfigs(init.relays), now);
    this.#access.forgetWaiting();
    if (init.authorizations !== undefined) this.#access.resync(init.authorizations, now);
  }

  /** Moves on what the parts have to say, after every input. */
  #settle(now: Instant): void {
    for (let event = this.#node.pollEvent(); event !== undefined; event = this.#node.pollEvent()) {
      switch (event.type) {
        case "candidate":
        case "candidate-invalidated":
          this.#portal.signal(event.peerId, event.candidate, event.type === "candidate");
          break;
        case "connected":
          this.#events.push({ type: "client-connected", clientId: event.peerId, path: event.path });
          break;
        case "path-changed":
          this.#events.push({ type: "client-path-changed", clientId: event.peerId, path: event.path });
          break;
        case "failed":
          // Its authorizations stay: the client comes back with the same grant.
          this.#events.push({ type: "client-disconnected", clientId: event.peerId, reason: event.reason });
          break;
        case "no-relays":
          this.#portal.sendOnce({ event: "no_relays", payload: {} });
          this.#events.push({ type: "no-relays" });
          break;
      }
    }
    for (let report = this.#mapper.pollReport(); report !== undefined; report = this.#mapper.pollReport()) {
      const { clientId, status } = report;
      this.#events.push({
        type: "domain-mapped",
        clientId,
        resourceId: status.resourceId,
        status: status.status,
      });
      this.#reply(clientId, encodeControl(status), now);
    }
    for (let packet = this.#dns.pollPacket(); packet !== undefined; packet = this.#dns.pollPacket()) {
      const fault = this.#view.load(packet);
      assert(fault === undefined, "own DNS answers are valid packets");
      const peer = this.#peers.byAddress(this.#view.destinationKey);
      if (peer !== undefined) this.#reply(peer.id, packet, now);
    }
  }

  #reply(peerId: string, packet: Uint8Array | undefined, now: Instant): void {
    if (packet === undefined) return;
    const datagram = this.#node.encapsulate(peerId, packet, now);
    if (datagram === undefined) return;
    this.#datagrams.push({ ...datagram, payload: datagram.payload.slice() });
  }

  #keepLastWords(): void {
    const node = this.#node;
    for (let datagram = node.pollDatagram(); datagram !== undefined; datagram = node.pollDatagram()) {
      this.#lastWords.push({ ...datagram, payload: datagram.payload.slice() });
    }
  }

  #schedulePeerCheck(now: Instant): void {
    const at = now + PEER_CHECK_INTERVAL;
    if (this.#nextPeerCheck === undefined || at < this.#nextPeerCheck) this.#nextPeerCheck = at;
  }

  #drop(reason: string): undefined {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1);
    return undefined;
  }
}

const MAX_EVENTS = 1024;
const MAX_DATAGRAMS = 1024;
const PEER_CHECK_INTERVAL = seconds(1);

function candidatesMessage({ peerId, isValid, candidates }: OwnCandidates): GatewayOutbound {
  const event = isValid ? "broadcast_ice_candidates" : "broadcast_invalidated_ice_candidates";
  return { event, payload: { client_ids: [peerId], candidates } };
}
