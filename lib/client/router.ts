/**
 * Where a packet from the TUN device goes (data-plane reference §6.2, §6.3). Decides only. Costs a few map and trie
 * lookups a packet, whatever the number of resources and names.
 */

import { type AddressKey, type IpAddress, IpNetwork } from "../base/ip.ts";
import type { ProxyIps } from "../dns/proxy_ips.ts";
import { PROXY_RANGES } from "../dns/proxy_ips.ts";
import { SENTINEL_RANGES } from "../dns/sentinels.ts";
import type { CidrResource, DnsResource, InternetResource } from "../resource/resource.ts";
import type { IpPacket } from "../wire/ip.ts";
import type { GatewayPeer, Peers } from "./peers.ts";
import type { Resources } from "./resources.ts";

/** Why a packet goes nowhere. */
export type DropReason =
  | "multicast"
  | "foreign-source"
  | "own-destination"
  | "unassigned-sentinel"
  | "unknown-proxy-ip"
  | "unknown-peer"
  | "unknown-resource"
  | "unclassifiable";

/** A resource that traffic can go to through a gateway. */
export type RoutedResource = DnsResource | CidrResource | InternetResource;

/** Where a packet goes. */
export type RouteDecision =
  | { readonly type: "sentinel" }
  | { readonly type: "gateway"; readonly peer: GatewayPeer }
  | { readonly type: "resource"; readonly resource: RoutedResource; readonly domain: string | undefined }
  /** A filter of the best matching resource forbids it. */
  | { readonly type: "prohibited"; readonly resourceId: string }
  /** A device of a pool: not supported. */
  | { readonly type: "device"; readonly resourceId: string }
  | { readonly type: "drop"; readonly reason: DropReason };

/** Ranges of tunnel addresses of clients and gateways. */
export const PEER_RANGES: readonly [IpNetwork, IpNetwork] = [
  IpNetwork.from("100.64.0.0/11"),
  IpNetwork.from("fd00:2021:1111::/107"),
];

/** The decision, with what it depends on. */
export class Router {
  readonly #resources: Resources;
  readonly #peers: Peers;
  readonly #proxyIps: ProxyIps;
  /** Our tunnel addresses. */
  #own: readonly [AddressKey, AddressKey] | undefined;
  #isInternetActive = false;
  /** Resources of names, as long as the resources do not change. */
  readonly #ofDomain = new Map<string, readonly DnsResource[]>();

  constructor(resources: Resources, peers: Peers, proxyIps: ProxyIps) {
    this.#resources = resources;
    this.#peers = peers;
    this.#proxyIps = proxyIps;
  }

  setOwnAddresses(ipv4: AddressKey, ipv6: AddressKey): void {
    this.#own = [ipv4, ipv6];
  }

  setInternetActive(active: boolean): void {
    this.#isInternetActive = active;
  }

  /** To be called after every change of resources. */
  handleResourcesChanged(): void {
    this.#ofDomain.clear();
  }

  /** Returns where `packet` from the TUN device goes. */
  route(packet: IpPacket): RouteDecision {
    if (packet.isMulticast) return MULTICAST;
    const destination = packet.destinationKey;
    if (this.#own === undefined || !this.#own.includes(packet.sourceKey)) return FOREIGN_SOURCE;
    if (this.#own.includes(destination)) return OWN_DESTINATION;
    const { bytes, destinationOffset } = packet;
    const family = packet.family === 4 ? 0 : 1;
    if (SENTINEL_RANGES[family].containsBytes(bytes, destinationOffset)) return SENTINEL;
    const isPeerRange = PEER_RANGES[family].containsBytes(bytes, destinationOffset);
    if (isPeerRange) {
      const peer = this.#peers.byAddress(destination);
      if (peer !== undefined) return { type: "gateway", peer };
      const poolId = this.#resources.poolOf(destination);
      if (poolId !== undefined) return { type: "device", resourceId: poolId };
    }
    return this.#routeToResource(packet, destination, family, isPeerRange);
  }

  /** Returns whether an address resource leads to `ip` and permits this kind of traffic. */
  leadsTo(ip: IpAddress, transport: "udp" | "tcp", port: number): boolean {
    const match = this.#resources.networks.lookup(ip, transport, port);
    if (match !== undefined) return match.permitted;
    const isActive = this.#isInternetActive && this.#resources.internet !== undefined;
    return isActive && !PEER_RANGES.some((range) => range.contains(ip));
  }

  /** Returns the DNS resources that `domain` belongs to, the most specific first. */
  resourcesOf(domain: string): readonly DnsResource[] {
    let resources = this.#ofDomain.get(domain);
    if (resources === undefined) {
      if (this.#ofDomain.size >= MAX_CACHED_DOMAINS) this.#ofDomain.clear();
      this.#ofDomain.set(domain, resources = this.#resources.matching(domain));
    }
    return resources;
  }

  #routeToResource(
    packet: IpPacket,
    destination: AddressKey,
    family: 0 | 1,
    isPeerRange: boolean,
  ): RouteDecision {
    // Without a port or an echo identifier, replies could not be told apart.
    if (packet.transport === "other") return UNCLASSIFIABLE;
    if (PROXY_RANGES[family].containsBytes(packet.bytes, packet.destinationOffset)) {
      return this.#routeToName(packet, destination);
    }
    const match = this.#resources.networks.lookupDestination(packet);
    if (match !== undefined) {
      if (!match.permitted) return { type: "prohibited", resourceId: match.route.id };
      return { type: "resource", resource: match.route.value, domain: undefined };
    }
    if (isPeerRange) return UNKNOWN_PEER;
    const internet = this.#isInternetActive ? this.#resources.internet : undefined;
    return internet === undefined
      ? UNKNOWN_RESOURCE
      : { type: "resource", resource: internet, domain: undefined };
  }

  #routeToName(packet: IpPacket, destination: AddressKey): RouteDecision {
    const domain = this.#proxyIps.nameOf(destination);
    if (domain === undefined) return UNKNOWN_PROXY_IP;
    const candidates = this.resourcesOf(domain);
    for (const resource of candidates) {
      if (resource.filters.permitsTo(packet)) return { type: "resource", resource, domain };
    }
    const best = candidates[0];
    return best === undefined ? UNKNOWN_RESOURCE : { type: "prohibited", resourceId: best.id };
  }
}

const MAX_CACHED_DOMAINS = 65_536;

const SENTINEL: RouteDecision = { type: "sentinel" };
const MULTICAST: RouteDecision = { type: "drop", reason: "multicast" };
const FOREIGN_SOURCE: RouteDecision = { type: "drop", reason: "foreign-source" };
const OWN_DESTINATION: RouteDecision = { type: "drop", reason: "own-destination" };
const UNCLASSIFIABLE: RouteDecision = { type: "drop", reason: "unclassifiable" };
const UNKNOWN_PROXY_IP: RouteDecision = { type: "drop", reason: "unknown-proxy-ip" };
const UNKNOWN_PEER: RouteDecision = { type: "drop", reason: "unknown-peer" };
const UNKNOWN_RESOURCE: RouteDecision = { type: "drop", reason: "unknown-resource" };
