/**
 * A client: packets of a TUN device on one side, datagrams on the other, the portal's word in between. A machine,
 * driven by its shell: after every `handle…` drain all `poll…`, then sleep until `pollTimeout`. What it decides is in
 * the files beside this one; here everything is joined.
 */

import type { Datagram } from "../base/datagram.ts";
import { IpAddress, SocketAddress } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import { Ring } from "../base/ring.ts";
import { type Duration, earliest, type Instant, type Wake } from "../base/time.ts";
import { Outbox, type OwnCandidates } from "../channel/outbox.ts";
import { ProxyIps } from "../dns/proxy_ips.ts";
import { StubResolver } from "../dns/stub_resolver.ts";
import type { UpstreamOutcome, UpstreamQuery } from "../dns/upstream.ts";
import type { KeyPair } from "../node/key_pair.ts";
import { Node, type NodeOptions } from "../node/node.ts";
import { relayConfigs } from "../node/relay_config.ts";
import type { ClientInbound, ClientOutbound } from "../wire/portal/client.ts";
import { Access, type WishOutcome } from "./access.ts";
import { ClientDns } from "./dns.ts";
import type { LocalAnswer } from "./dns_replies.ts";
import { type EchoOutcome, EchoProbes } from "./echo.ts";
import type { ClientEvent, InterfaceConfig } from "./event.ts";
import { explain, type ExplainContext, type Explanation } from "./explain.ts";
import { interfaceConfig, type OwnInterface, parseInterface } from "./interface.ts";
import type { ClientNode } from "./node_port.ts";
import { type ResourceChange, Resources } from "./resources.ts";
import { Router } from "./router.ts";
import {
  type AccessStatus,
  accessStatus,
  type ClientStatus,
  gatewayStatuses,
  resourceStatuses,
} from "./status.ts";
import { Traffic } from "./traffic.ts";

export type { ClientEvent, InterfaceConfig } from "./event.ts";
export type { ClientStatus, GatewayStatus, ResourceStatus } from "./status.ts";

/** What a session is made of: what its node is made of, and its user's wishes. */
export interface ClientSessionOptions extends Omit<NodeOptions, "profile"> {
  /** Whether the Internet resource shall be used if there is one. */
  readonly internetResourceActive: boolean;
  /** The host's own resolvers, best first. */
  readonly systemResolvers: readonly SocketAddress[];
  /** Tests bring their own. */
  readonly node?: ClientNode;
}

/** The session. */
export class ClientSession {
  readonly #log: Log;
  readonly #node: ClientNode;
  readonly #outbox = new Outbox<ClientOutbound>(candidatesMessage);
  readonly #proxyIps = new ProxyIps();
  readonly #stub = new StubResolver(this.#proxyIps);
  readonly #resources = new Resources(this.#stub);
  readonly #access: Access;
  readonly #router: Router;
  readonly #dns: ClientDns;
  readonly #traffic: Traffic;
  readonly #echo: EchoProbes;
  readonly #events = new Ring<ClientEvent>(MAX_QUEUED);
  #own: OwnInterface | undefined;
  #systemResolvers: readonly SocketAddress[];
  #isInternetWanted: boolean;
  #config: InterfaceConfig | undefined;
  #configText = "";

  constructor(options: ClientSessionOptions) {
    this.#log = options.log;
    this.#systemResolvers = options.systemResolvers;
    this.#isInternetWanted = options.internetResourceActive;
    this.#node = options.node ?? new Node({ ...options, profile: "client" });
    this.#access = new Access({
      node: this.#node,
      resources: this.#resources,
      proxyIps: this.#proxyIps,
      isInternetActive: () => this.#isInternetActive,
      outbox: this.#outbox,
      log: options.log,
      emit: (event) => this.#events.push(event),
      resend: (packet, now) => this.#traffic.resend(packet, now),
      transmit: (datagram) => this.#traffic.transmit(datagram),
      askSite: (question, peer, now) => {
        if (this.#own === undefined) return this.#dns.fail(question, now);
        this.#dns.askGateway(question, peer.ipv4, this.#own.ipv4, now);
      },
      failQuestion: (question, now) => this.#dns.fail(question, now),
    });
    this.#router = new Router(this.#resources, this.#access.peers, this.#proxyIps);
    this.#dns = new ClientDns({
      rng: options.rng,
      stub: this.#stub,
      tunnelSource: ({ ip, port }, transport) =>
        this.#router.leadsTo(ip, transport, port) ? this.#ownAddress(ip) : undefined,
    });
    this.#echo = new EchoProbes(options.rng);
    this.#traffic = new Traffic({
      echo: this.#echo,
      router: this.#router,
      access: this.#access,
      dns: this.#dns,
      proxyIps: this.#proxyIps,
      emit: (event) => this.#events.push(event),
    });
  }

  // —— the portal ——

  /** The channel is joined: requests can be made. The portal's `init` follows. */
  handlePortalJoined(_now: Instant): void {
    this.#outbox.handleJoined();
  }

  /** The connection to the portal is gone. Everything that is up stays up. */
  handlePortalLost(_now: Instant): void {
    this.#outbox.handleLost();
    this.#access.authorizations.handlePortalLost();
  }

  handlePortal(message: ClientInbound, now: Instant): void {
    switch (message.event) {
      case "init": {
        const { payload } = message;
        this.#setInterface(parseInterface(payload.interface), now);
        this.#applyResources(this.#resources.replaceAll(payload.resources), now);
        this.#refresh(now);
        this.#node.setRelays(relayConfigs(payload.relays), now);
        this.#access.requestAll(now);
        break;
      }
      case "config_changed":
        this.#setInterface(parseInterface(message.payload.interface), now);
        this.#refresh(now);
        break;
      case "resource_created_or_updated":
        this.#applyResources(this.#resources.upsert(message.payload), now);
        this.#refresh(now);
        break;
      case "resource_deleted":
        this.#applyResources(this.#resources.delete(message.payload), now);
        this.#refresh(now);
        break;
      case "authorization_created":
        this.#access.handleGranted(message.payload, now);
        break;
      case "authorization_creation_failed":
        this.#access.handleDenied(message.payload, now);
        break;
      case "ice_candidates":
        for (const candidate of message.payload.candidates) {
          this.#node.addRemoteCandidate(message.payload.gateway_id, candidate, now);
        }
        break;
      case "invalidate_ice_candidates":
        for (const candidate of message.payload.candidates) {
          this.#node.removeRemoteCandidate(message.payload.gateway_id, candidate, now);
        }
        break;
      case "relays_presence":
        this.#node.handleRelays({
          disconnectedIds: message.payload.disconnected_ids,
          connected: relayConfigs(message.payload.connected),
        }, now);
        if (this.#node.hasRelay) this.#access.requestAll(now);
        break;
      case "device_pool_domain_resolved":
        this.#dns.handleDevice(message.payload.resource_id, message.payload.domain, message.payload, now);
        break;
      case "device_pool_domain_resolution_failed":
        this.#dns.handleDevice(message.payload.resource_id, message.payload.domain, undefined, now);
        break;
      // Traffic between clients is not supported: no connection to another client exists that these could be about.
      case "client_device_access_authorized":
      case "client_device_access_denied":
      case "client_ice_candidates":
      case "invalidate_client_ice_candidates":
      case "client_ice_candidate_error":
      case "resource_filters_updated":
      case "reject_access":
      case "access_authorization_expiry_updated":
        this.#log.debug("ignored a message about traffic between clients", { event: message.event });
        break;
    }
    this.#drain(now);
  }

  /** Returns the next message for the portal; nothing while it is away. */
  pollPortal(): ClientOutbound | undefined {
    return this.#outbox.poll();
  }

  // —— packets ——

  /** Takes one IP packet from the TUN device; returns the datagram that carries it, valid until the next call. */
  handlePacket(packet: Uint8Array, now: Instant): Datagram | undefined {
    const datagram = this.#traffic.send(packet, now);
    // DNS questions leave work for others; a packet that goes straight on leaves none.
    if (datagram === undefined) this.#drain(now);
    return datagram;
  }

  /** Takes a datagram from a socket; returns one IP packet for the TUN device, valid until the next call. */
  handleDatagram(
    local: SocketAddress,
    remote: SocketAddress,
    payload: Uint8Array,
    now: Instant,
  ): Uint8Array | undefined {
    const received = this.#node.handleDatagram(local, remote, payload, now);
    if (received === undefined) {
      this.#drain(now);
      return undefined;
    }
    const result = this.#traffic.receive(received.peerId, received.packet, now);
    if (result.type === "control") this.#access.handleControl(received.peerId, result.message, now);
    const event = this.#node.pollEvent();
    if (result.type === "packet" && event === undefined) return result.packet;
    // What follows calls into the node, which may reuse the packet's memory.
    const packet = result.type === "packet" ? result.packet.slice() : undefined;
    if (event !== undefined) this.#handleNodeEvent(event, now);
    this.#drain(now);
    return packet;
  }

  /** Returns the next packet for the TUN device that no `handleDatagram` returned. */
  pollPacket(): Uint8Array | undefined {
    return this.#traffic.pollPacket();
  }

  /** Returns the next datagram to send. */
  pollDatagram(): Datagram | undefined {
    return this.#node.pollDatagram() ?? this.#traffic.pollDatagram();
  }

  // —— DNS ——

  /** Returns the next query that the host shall send, past the tunnel. */
  pollDnsQuery(): UpstreamQuery | undefined {
    return this.#dns.pollQuery();
  }

  /** Takes what came of a query that the host sent. */
  handleDnsAnswer(id: number, outcome: UpstreamOutcome, now: Instant): void {
    this.#dns.handleAnswer(id, outcome, now);
    this.#drain(now);
  }

  /** Asks as an application would; returns the id that its answer will have, or undefined if that is no query. */
  askDns(message: Uint8Array, now: Instant): number | undefined {
    const id = this.#dns.askLocally(message, now);
    this.#drain(now);
    return id;
  }

  /** Returns the next answer to `askDns`. */
  pollDnsAnswer(): LocalAnswer | undefined {
    return this.#dns.pollLocalAnswer();
  }

  /** The host's resolvers changed. */
  handleSystemResolvers(resolvers: readonly SocketAddress[], now: Instant): void {
    this.#systemResolvers = resolvers;
    this.#refresh(now);
    this.#drain(now);
  }

  // —— echo ——

  /** Sends an echo request; returns the id of its outcome, undefined if it cannot be sent now. */
  sendEcho(destination: IpAddress, timeout: Duration, now: Instant): number | undefined {
    const source = this.#ownAddress(destination);
    const request = source && this.#echo.request(source, destination, timeout, now);
    if (request !== undefined) this.#traffic.resend(request.packet, now);
    return request?.id;
  }

  pollEcho(): EchoOutcome | undefined {
    return this.#echo.pollOutcome();
  }

  // —— wishes of the user ——

  /** Disables the resources with these ids, whether known or not yet, and enables all others. */
  setDisabledResources(ids: Iterable<string>, now: Instant): void {
    this.#applyResources(this.#resources.setDisabled(ids), now);
    this.#refresh(now);
    this.#drain(now);
  }

  /** Switches the use of the Internet resource on or off. */
  setInternetResource(active: boolean, now: Instant): void {
    if (this.#isInternetWanted === active) return;
    this.#isInternetWanted = active;
    const { internet } = this.#resources;
    if (!active && internet !== undefined) this.#access.revoke([internet.id], now);
    this.#refresh(now);
    this.#events.push({ type: "resources-changed" });
    this.#drain(now);
  }

  /** Makes the connection to a resource without waiting for a packet. */
  requestAccess(resourceId: string, now: Instant): WishOutcome {
    const state = this.#access.wish(resourceId, now);
    this.#drain(now);
    return state;
  }

  /** The network changed: all paths are gone, `keyPair` is the new identity. The portal must be joined anew. */
  reset(keyPair: KeyPair, now: Instant): void {
    this.handlePortalLost(now);
    this.#node.reset(keyPair, now);
    this.#access.dropAll("reset", now);
    this.#traffic.reset();
    this.#dns.reset(now);
    this.#drain(now);
  }

  /** Says goodbye to all gateways and gives relays back; drain `pollDatagram`, then forget the session. */
  shutdown(now: Instant): void {
    this.#access.dropAll("shutdown", now);
    // Goodbyes are framed for relays that `close` gives up: they must have left before.
    this.#transmitAll();
    this.#node.close(now);
    this.#transmitAll();
  }

  // —— time, news, facts ——

  pollTimeout(): Wake | undefined {
    return earliest(this.#node.pollTimeout(), this.#dns.pollTimeout(), this.#echo.pollTimeout());
  }

  handleTimeout(now: Instant): void {
    this.#node.handleTimeout(now);
    this.#dns.handleTimeout(now);
    this.#echo.handleTimeout(now);
    this.#drain(now);
  }

  pollEvent(): ClientEvent | undefined {
    return this.#events.shift();
  }

  /** Returns everything a person might ask. */
  status(now: Instant): ClientStatus {
    const { connections, relays } = this.#node.status(now);
    return {
      isPortalJoined: this.#outbox.isJoined,
      interface: this.#config,
      internet: {
        isAvailable: this.#resources.internet !== undefined,
        isWanted: this.#isInternetWanted,
        isActive: this.#isInternetActive,
      },
      dns: this.#dns.status,
      resources: resourceStatuses(this.#resources, this.#access, this.#isInternetActive, now),
      gateways: gatewayStatuses(this.#access, connections, now),
      relays,
      drops: this.#traffic.drops,
    };
  }

  /** Returns what is known of one resource and its gateway; costs little. */
  accessStatus(resourceId: string, now: Instant): AccessStatus {
    const isPortalJoined = this.#outbox.isJoined;
    return accessStatus(resourceId, { ...this.#facts(now), node: this.#node, isPortalJoined });
  }

  /** Returns what would happen to traffic for `target`, a name or an address. */
  explain(target: string, now: Instant): Explanation {
    return explain(target, this.#facts(now));
  }

  // —— joints ——

  #facts(now: Instant): ExplainContext {
    return {
      resources: this.#resources,
      access: this.#access,
      proxyIps: this.#proxyIps,
      sentinels: this.#dns.sentinels,
      isInternetActive: this.#isInternetActive,
      now,
    };
  }

  #handleNodeEvent(event: NonNullable<ReturnType<ClientNode["pollEvent"]>>, now: Instant): void {
    switch (event.type) {
      case "candidate":
      case "candidate-invalidated":
        if (!this.#node.hasConnection(event.peerId)) return;
        return this.#outbox.signal(event.peerId, event.candidate, event.type === "candidate");
      case "connected":
        return this.#access.handleConnected(event.peerId, event.path, now);
      case "path-changed":
        this.#events.push({ type: "gateway-path-changed", gatewayId: event.peerId, path: event.path });
        return;
      case "failed":
        // A newer connection to the same gateway may have taken its place already.
        if (this.#node.hasConnection(event.peerId)) return;
        return this.#access.handleFailed(event, now);
      case "no-relays":
        this.#outbox.sendOnce({ event: "no_relays", payload: {} });
    }
  }

  /** Carries what one part has to say to the others until all are quiet. */
  #drain(now: Instant): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const event = this.#node.pollEvent();
      if (event !== undefined) {
        this.#handleNodeEvent(event, now);
        continue;
      }
      const request = this.#dns.pollRequest();
      if (request !== undefined) {
        this.#handleDnsRequest(request, now);
        continue;
      }
      const packet = this.#dns.pollTunnelPacket();
      if (packet === undefined) return;
      this.#traffic.resend(packet, now);
    }
  }

  #transmitAll(): void {
    const node = this.#node;
    for (let datagram = node.pollDatagram(); datagram !== undefined; datagram = node.pollDatagram()) {
      this.#traffic.transmit(datagram);
    }
  }

  #handleDnsRequest(request: NonNullable<ReturnType<ClientDns["pollRequest"]>>, now: Instant): void {
    switch (request.type) {
      case "resolved":
        return this.#access.handleResolved(request.domain, request.resourceIds, now);
      case "site":
        return this.#access.handleSiteQuery(request.question, request.resourceId, now);
      case "device": {
        const { resourceId, domain } = request;
        this.#outbox.send({
          event: "resolve_device_pool_domain",
          payload: { resource_id: resourceId, domain },
        });
      }
    }
  }

  #setInterface(own: OwnInterface, now: Instant): void {
    const before = this.#own;
    const moved = before !== undefined && !(before.ipv4.equals(own.ipv4) && before.ipv6.equals(own.ipv6));
    // Gateways accept packets only from the addresses that they were told of.
    if (moved) this.#access.dropAll("reset", now);
    this.#own = own;
    this.#traffic.setOwnAddresses(own.ipv4.key, own.ipv6.key);
  }

  #applyResources(change: ResourceChange, now: Instant): void {
    if (!change.changed) return;
    this.#access.revoke(change.revoked, now);
    this.#router.handleResourcesChanged();
    this.#dns.handleResourcesChanged();
    this.#events.push({ type: "resources-changed" });
  }

  get #isInternetActive(): boolean {
    return this.#isInternetWanted && this.#resources.internet !== undefined;
  }

  /** Brings sentinels and routes up to date, and tells if they changed. */
  #refresh(now: Instant): void {
    this.#router.setInternetActive(this.#isInternetActive);
    if (this.#own === undefined) return;
    this.#dns.setSources({ ...this.#own.upstreams, system: this.#systemResolvers }, now);
    const sentinels = this.#dns.sentinels.map(({ address }) => address);
    const { config, text } = interfaceConfig(this.#own, sentinels, this.#resources, this.#isInternetActive);
    if (text === this.#configText) return;
    this.#config = config;
    this.#configText = text;
    this.#events.push({ type: "interface", config });
  }

  /** Returns our address in the family of `other`. */
  #ownAddress(other: IpAddress): IpAddress | undefined {
    return other.family === 4 ? this.#own?.ipv4 : this.#own?.ipv6;
  }
}

const MAX_QUEUED = 1024;
/** Against parts that keep each other busy; what is left is done at the next call. */
const MAX_ROUNDS = 10_000;

function candidatesMessage({ peerId, isValid, candidates }: OwnCandidates): ClientOutbound {
  const event = isValid ? "new_gateway_ice_candidates" : "invalidate_gateway_ice_candidates";
  return { event, payload: { gateway_id: peerId, candidates } };
}
