/**
 * Access to resources: asks the portal for it, makes connections to the gateways it names, and keeps what depends on
 * them consistent: which resource goes through which gateway, mappings of names, states of sites, packets that wait.
 */

import { fromBase64 } from "../base/bytes.ts";
import type { Datagram } from "../base/datagram.ts";
import { IpAddress } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import type { Instant } from "../base/time.ts";
import type { Outbox } from "../channel/outbox.ts";
import type { ProxyIps } from "../dns/proxy_ips.ts";
import type { NodeEvent } from "../node/node.ts";
import type { PathInfo } from "../node/path.ts";
import type { IpPacket } from "../wire/ip.ts";
import { type ControlMessage, encodeControl } from "../wire/p2p_control.ts";
import type { ClientInboundPayload, ClientOutbound } from "../wire/portal/client.ts";
import { Authorizations, type Waiting } from "./authorizations.ts";
import { DnsResourceNat } from "./dns_resource_nat.ts";
import type { Question } from "./dns_replies.ts";
import type { ClientEvent, GatewayLossReason } from "./event.ts";
import type { ClientNode } from "./node_port.ts";
import { type GatewayIdentity, type GatewayPeer, Peers } from "./peers.ts";
import { EVERYWHERE, type Resources } from "./resources.ts";
import { Revivals } from "./revivals.ts";
import type { RoutedResource } from "./router.ts";
import { Sites } from "./sites.ts";

/** What access needs from the session. */
export interface AccessContext {
  readonly node: ClientNode;
  readonly resources: Resources;
  readonly proxyIps: ProxyIps;
  readonly isInternetActive: () => boolean;
  readonly outbox: Outbox<ClientOutbound>;
  readonly log: Log;
  readonly emit: (event: ClientEvent) => void;
  /** Sends a packet that waited as if it came from the TUN device just now. */
  readonly resend: (packet: Uint8Array, now: Instant) => void;
  /** Takes a datagram for later; copies it. */
  readonly transmit: (datagram: Datagram) => void;
  /** Asks a site query of a gateway. */
  readonly askSite: (question: Question, peer: GatewayPeer, now: Instant) => void;
  /** Gives up on a query. */
  readonly failQuestion: (question: Question, now: Instant) => void;
}

/** What came of the user's wish for access to a resource. */
export type WishOutcome = "unknown-resource" | "inactive" | "unsupported" | "pending" | "granted";

type ConnectionFailure = NodeEvent & { readonly type: "failed" };

/** The state of access. */
export class Access {
  readonly peers = new Peers();
  readonly sites = new Sites();
  readonly authorizations = new Authorizations<Question>();
  readonly nat: DnsResourceNat;
  readonly #revivals = new Revivals();
  readonly #context: AccessContext;

  constructor(context: AccessContext) {
    this.#context = context;
    this.nat = new DnsResourceNat((resourceId, domain) => this.#proxyIpsOf(resourceId, domain));
  }

  /** Returns the datagram for a packet to a resource, or undefined if it has to wait. */
  sendToResource(
    resource: RoutedResource,
    domain: string | undefined,
    packet: IpPacket,
    now: Instant,
  ): Datagram | undefined {
    const peer = this.peers.ofResource(resource.id);
    if (peer === undefined) {
      if (this.authorizations.holdPacket(resource.id, packet, now)) this.#request(resource.id, now);
      return undefined;
    }
    if (domain !== undefined) {
      const passes = this.nat.handleOutgoing(peer.id, resource.id, domain, packet, peer.isConnected, now);
      this.#tellAssignments(now);
      if (!passes) return undefined;
    }
    return this.sendToPeer(peer, packet, now);
  }

  /** Returns the datagram for a packet to a gateway, or undefined if it has to wait for the connection. */
  sendToPeer(peer: GatewayPeer, packet: IpPacket, now: Instant): Datagram | undefined {
    if (peer.isConnected) return this.#context.node.encapsulate(peer.id, packet.bytes, now);
    peer.waiting.push(packet);
    return undefined;
  }

  /** The user wants access to a resource, without a packet. */
  wish(resourceId: string, now: Instant): WishOutcome {
    const { resources } = this.#context;
    const resource = resources.get(resourceId);
    if (resource === undefined) return "unknown-resource";
    const isOff = resource.type === "internet" && !this.#context.isInternetActive();
    if (isOff || resources.isDisabled(resourceId)) return "inactive";
    const isPool = resource.type === "static-device-pool" || resource.type === "dynamic-device-pool";
    return isPool ? "unsupported" : this.want(resourceId, now);
  }

  /** Wants access to a resource without a packet; returns what there is of it. */
  want(resourceId: string, now: Instant): "granted" | "pending" {
    if (this.peers.ofResource(resourceId) !== undefined) return "granted";
    if (this.authorizations.want(resourceId, now)) this.#request(resourceId, now);
    return "pending";
  }

  /** Sends a site query to the resource's gateway, or keeps it until there is one. */
  handleSiteQuery(question: Question, resourceId: string, now: Instant): void {
    const peer = this.peers.ofResource(resourceId);
    if (peer !== undefined) return this.#context.askSite(question, peer, now);
    if (this.authorizations.holdQuery(resourceId, question, now)) this.#request(resourceId, now);
  }

  /** A name was asked for: its gateways shall look it up (again). */
  handleResolved(domain: string, resourceIds: readonly string[], now: Instant): void {
    for (const resourceId of resourceIds) {
      const peer = this.peers.ofResource(resourceId);
      if (peer !== undefined) this.nat.handleQuery(peer.id, resourceId, domain, peer.isConnected, now);
    }
    this.#tellAssignments(now);
  }

  /** Asks again for everything that the portal does not know of (it was away) and for grants that lacked a relay. */
  requestAll(now: Instant): void {
    for (const resourceId of this.authorizations.unrequested()) {
      if (this.#context.resources.getEnabled(resourceId) !== undefined) this.#request(resourceId, now);
      else this.#failAll(this.authorizations.handleRemoved(resourceId), now);
    }
  }

  /** The portal granted access through a gateway. */
  handleGranted(grant: ClientInboundPayload<"authorization_created">, now: Instant): void {
    const { resource_id: resourceId, gateway_id: gatewayId } = grant;
    const { node, resources, log, emit } = this.#context;
    const resource = resources.getEnabled(resourceId);
    if (resource === undefined || !this.authorizations.isPending(resourceId)) {
      log.debug("ignored a grant that was not asked for", { resourceId });
      return;
    }
    const identity: GatewayIdentity = {
      id: gatewayId,
      siteId: grant.site_id,
      ipv4: IpAddress.from(grant.gateway_ipv4),
      ipv6: IpAddress.from(grant.gateway_ipv6),
      publicKey: grant.gateway_public_key,
    };
    // A gateway that started anew knows nothing of what was authorized before.
    if (this.peers.get(gatewayId)?.is(identity) === false) {
      this.dropGateway(gatewayId, "replaced", undefined, now);
    }
    const connection = node.upsertConnection(gatewayId, {
      remotePublicKey: fromBase64(grant.gateway_public_key)!,
      presharedKey: fromBase64(grant.preshared_key)!,
      localIce: grant.client_ice_credentials,
      remoteIce: grant.gateway_ice_credentials,
      controlling: true,
    }, now);
    if (!connection.ok) {
      this.authorizations.handleRelayMissing(resourceId);
      emit({ type: "authorization-denied", resourceId, reason: connection.reason, violatedProperties: [] });
      return;
    }
    const peer = this.peers.obtain(identity);
    const isConnected = node.isConnected(gatewayId);
    if (peer.isConnected && !isConnected) this.#handleDisconnected(peer);
    peer.isConnected = isConnected;
    if (isConnected) this.#revivals.forget(resourceId);
    const networks = resource.type === "cidr"
      ? [resource.network]
      : resource.type === "internet"
      ? EVERYWHERE
      : [];
    const before = this.peers.assign(resourceId, peer, networks);
    if (before !== undefined) {
      this.nat.removeResource(resourceId);
      this.#releaseIfUnused(before, now);
    }
    emit({ type: "authorization-granted", resourceId, gatewayId });
    const waiting = this.authorizations.handleGranted(resourceId);
    for (const packet of waiting?.packets ?? []) this.#context.resend(packet, now);
    for (const question of waiting?.queries ?? []) this.#context.askSite(question, peer, now);
  }

  /** The portal refused access. */
  handleDenied(denial: ClientInboundPayload<"authorization_creation_failed">, now: Instant): void {
    const { resource_id: resourceId, reason, violated_properties: violatedProperties } = denial;
    const resource = this.#context.resources.getEnabled(resourceId);
    if (resource === undefined) return;
    this.#failAll(this.authorizations.handleDenied(resourceId, { reason, violatedProperties, at: now }), now);
    this.#context.emit({ type: "authorization-denied", resourceId, reason, violatedProperties });
    if (reason !== "offline") return;
    for (const site of resource.sites) {
      this.sites.handleOffline(site.id, now);
      this.#context.emit({ type: "site-offline", siteId: site.id, name: site.name });
    }
    this.#unassign(resourceId, now);
  }

  /** Resources are gone or no longer what was authorized. */
  revoke(resourceIds: readonly string[], now: Instant): void {
    for (const resourceId of resourceIds) {
      this.#revivals.forget(resourceId);
      this.#failAll(this.authorizations.handleRemoved(resourceId), now);
      this.#unassign(resourceId, now);
    }
  }

  /** A gateway's connection is up. */
  handleConnected(gatewayId: string, path: PathInfo, now: Instant): void {
    const peer = this.peers.get(gatewayId);
    if (peer === undefined) return;
    peer.isConnected = true;
    for (const resourceId of peer.resourceIds) this.#revivals.forget(resourceId);
    this.sites.handleConnected(peer.siteId, gatewayId);
    this.#context.emit({ type: "gateway-connected", gatewayId, path });
    // Names first: packets for them are held until the gateway has mapped them.
    this.nat.handleConnected(gatewayId, now);
    this.#tellAssignments(now);
    for (const packet of peer.waiting.takeAll()) {
      const datagram = this.#context.node.encapsulate(gatewayId, packet, now);
      if (datagram !== undefined) this.#context.transmit(datagram);
    }
  }

  /** A gateway sent a control message through the tunnel. */
  handleControl(gatewayId: string, message: ControlMessage, now: Instant): void {
    switch (message.type) {
      case "goodbye":
        return this.dropGateway(gatewayId, "goodbye", undefined, now);
      case "domain-status": {
        const { resourceId, domain, status } = message;
        const packets = this.nat.handleStatus(
          gatewayId,
          resourceId,
          domain.toLowerCase(),
          status === "active",
        );
        for (const packet of packets) this.#context.resend(packet, now);
        return;
      }
      case "assigned-ips":
        this.#context.log.debug("ignored a message that only clients send", { gatewayId });
    }
  }

  /** The connection to a gateway failed. Where we are cut off it was not the gateway: streams can go on through it alone. */
  handleFailed({ peerId, reason, isCutOff }: ConnectionFailure, now: Instant): void {
    if (isCutOff) this.peers.doubt(peerId, now);
    else this.peers.markLeft(peerId, now);
    this.dropGateway(peerId, "failed", reason, now);
  }

  /** Forgets a gateway with everything that went through it: the next packet asks for a new one. */
  dropGateway(gatewayId: string, reason: GatewayLossReason, detail: string | undefined, now: Instant): void {
    const { node, outbox, emit } = this.#context;
    const peer = this.peers.remove(gatewayId);
    const saysGoodbye = reason === "unused" || reason === "shutdown" || reason === "reset";
    if (saysGoodbye) node.sayGoodbye(gatewayId, GOODBYE, now);
    else node.closeConnection(gatewayId, now);
    outbox.forgetPeer(gatewayId);
    if (peer === undefined) return;
    this.nat.removeGateway(gatewayId);
    this.sites.handleGone(peer.siteId, gatewayId);
    if (reason === "goodbye") this.peers.markLeft(gatewayId, now);
    emit({ type: "gateway-lost", gatewayId, reason, detail });
    if (reason !== "reset" && reason !== "failed") return;
    const wasInUse = reason === "reset" || peer.isConnected;
    for (const resourceId of [...peer.resourceIds].slice(0, MAX_WANTED_AGAIN)) {
      if (this.#revivals.handleLost(resourceId, wasInUse)) this.want(resourceId, now);
    }
  }

  /** Forgets all gateways. */
  dropAll(reason: "reset" | "shutdown", now: Instant): void {
    for (const { id } of [...this.peers.values()]) this.dropGateway(id, reason, undefined, now);
    // They were lost with our network: the same ones, where streams go on, are the best choice again.
    if (reason === "reset") this.peers.forgive();
  }

  #request(resourceId: string, now: Instant): void {
    const { node, outbox, emit } = this.#context;
    this.peers.handleRelaysHeard(node.relaysHeardAt, now);
    node.hurry(now);
    const sent = outbox.send({
      event: "request_authorization",
      payload: { resource_id: resourceId, connected_gateway_ids: this.peers.preferredIds(now) },
    });
    if (!sent) return;
    this.authorizations.handleRequested(resourceId, now);
    emit({ type: "authorization-requested", resourceId });
  }

  #unassign(resourceId: string, now: Instant): void {
    const peer = this.peers.unassign(resourceId);
    this.nat.removeResource(resourceId);
    if (peer !== undefined) this.#releaseIfUnused(peer, now);
  }

  #releaseIfUnused(peer: GatewayPeer, now: Instant): void {
    if (peer.resourceIds.size === 0) this.dropGateway(peer.id, "unused", undefined, now);
  }

  /** The same gateway, but the connection had to be made anew: what it was told may be lost. */
  #handleDisconnected(peer: GatewayPeer): void {
    this.nat.removeGateway(peer.id);
    this.sites.handleGone(peer.siteId, peer.id);
  }

  #failAll(waiting: Waiting<Question> | undefined, now: Instant): void {
    for (const question of waiting?.queries ?? []) this.#context.failQuestion(question, now);
  }

  #tellAssignments(now: Instant): void {
    for (
      let assignment = this.nat.pollAssignment();
      assignment !== undefined;
      assignment = this.nat.pollAssignment()
    ) {
      const { gatewayId, resourceId, domain, proxyIps } = assignment;
      const packet = encodeControl({ type: "assigned-ips", resourceId, domain, proxyIps });
      const datagram = this.#context.node.encapsulate(gatewayId, packet, now);
      if (datagram !== undefined) this.#context.transmit(datagram);
    }
  }

  #proxyIpsOf(resourceId: string, domain: string): readonly IpAddress[] {
    const addresses = this.#context.proxyIps.addresses(domain);
    const resource = this.#context.resources.get(resourceId);
    if (addresses === undefined || resource?.type !== "dns") return [];
    switch (resource.ipStack) {
      case "dual":
        return [...addresses.ipv4, ...addresses.ipv6];
      case "ipv4-only":
        return addresses.ipv4;
      case "ipv6-only":
        return addresses.ipv6;
    }
  }
}

/** Of one gateway, without a packet for each. */
const MAX_WANTED_AGAIN = 32;
const GOODBYE = encodeControl({ type: "goodbye" });
