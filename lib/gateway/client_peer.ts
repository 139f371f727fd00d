/**
 * What a gateway knows of one client: its tunnel addresses, what it may reach and until when, the proxy addresses that
 * it assigned, its NAT. Judges each packet, both ways, and rewrites those of DNS resources in place (data-plane
 * reference §8.1–8.4). Driven by the gateway session.
 */

import type { IpAddress } from "../base/ip.ts";
import { IpNetwork } from "../base/ip.ts";
import type { Instant, Wake } from "../base/time.ts";
import { earliest } from "../base/time.ts";
import { Pattern } from "../dns/pattern.ts";
import type { AssignmentOutcome, ProxyEntry, ResolvedAddresses } from "../nat/proxy_map.ts";
import { isProxyAddressAt, ProxyMap } from "../nat/proxy_map.ts";
import { NatTable } from "../nat/table.ts";
import type { FilterSet } from "../resource/filter.ts";
import type { GatewayServed } from "../resource/resource.ts";
import { RouteTable } from "../resource/route_table.ts";
import type { AssignedIps } from "../wire/p2p_control.ts";
import type { IpPacket } from "../wire/ip.ts";
import { isPeerAddressAt, isSpecialAddressAt } from "./special_ranges.ts";

/** The tunnel addresses of a client or gateway. */
export interface TunnelAddresses {
  readonly ipv4: IpAddress;
  readonly ipv6: IpAddress;
}

/** A resource that the client may reach. */
export interface Authorization {
  readonly resource: GatewayServed;
  /** Undefined: as long as the portal does not take it back. */
  readonly expiresAt: Instant | undefined;
}

/**
 * What becomes of a packet from the client: `pass` to the network, `prohibited` and `unreachable` are answered with an
 * ICMP error, `dropped` is not answered at all.
 */
export type ClientVerdict = "pass" | "prohibited" | "unreachable" | "dropped";

/** What becomes of a packet for the client; why it is not passed on is for the counters. */
export type NetworkVerdict = "pass" | "nat-expired" | "not-authorized";

/** Whether a resource may lead to a domain, and if not, why. */
export type DomainVerdict = "allowed" | "unknown-resource" | "not-dns" | "no-match";

export class ClientPeer {
  readonly id: string;
  readonly addresses: TunnelAddresses;
  readonly #authorizations = new Map<string, Authorization>();
  readonly #routes = new RouteTable<"cidr" | "internet">();
  readonly #patterns = new Map<string, Pattern>();
  readonly #proxies = new ProxyMap();
  readonly #nat = new NatTable();

  constructor(id: string, addresses: TunnelAddresses) {
    this.id = id;
    this.addresses = addresses;
  }

  get authorizations(): Iterable<Authorization> {
    return this.#authorizations.values();
  }

  /** How many resources the client may reach. */
  get size(): number {
    return this.#authorizations.size;
  }

  /** Whether the client may reach nothing at all any more. */
  get isEmpty(): boolean {
    return this.#authorizations.size === 0;
  }

  get natSessions(): number {
    return this.#nat.size;
  }

  has(resourceId: string): boolean {
    return this.#authorizations.has(resourceId);
  }

  /** Lets the client reach `resource`; replaces what was known of it. */
  authorize(resource: GatewayServed, expiresAt: Instant | undefined): void {
    this.#removeRoutes(resource.id);
    this.#authorizations.set(resource.id, { resource, expiresAt });
    switch (resource.type) {
      case "dns": {
        const pattern = Pattern.parse(resource.pattern);
        if (pattern === undefined) this.#patterns.delete(resource.id);
        else this.#patterns.set(resource.id, pattern);
        this.#proxies.retainDomains(resource.id, (domain) => pattern?.matches(domain) ?? false);
        return;
      }
      case "cidr":
        this.#addRoute(resource.network, resource);
        return;
      case "internet":
        for (const network of EVERYTHING) this.#addRoute(network, resource);
        return;
    }
  }

  /** Changes when the authorization ends; returns whether there is one. */
  setExpiry(resourceId: string, expiresAt: Instant | undefined): boolean {
    const authorization = this.#authorizations.get(resourceId);
    if (authorization === undefined) return false;
    this.#authorizations.set(resourceId, { ...authorization, expiresAt });
    return true;
  }

  /** Changes the filters of a resource in place; returns whether the client has it. */
  setFilters(resourceId: string, filters: FilterSet): boolean {
    const authorization = this.#authorizations.get(resourceId);
    if (authorization === undefined) return false;
    this.authorize({ ...authorization.resource, filters }, authorization.expiresAt);
    return true;
  }

  /** Takes a resource back; returns whether the client had it. */
  removeResource(resourceId: string): boolean {
    this.#removeRoutes(resourceId);
    this.#patterns.delete(resourceId);
    return this.#authorizations.delete(resourceId);
  }

  /** Judges a packet that came through the tunnel; `own` are the gateway's addresses. */
  handleFromClient(packet: IpPacket, own: TunnelAddresses, now: Instant): ClientVerdict {
    if (packet.isMulticast || packet.isIcmpError) return "dropped";
    const { family, bytes, destinationOffset } = packet;
    if (packet.sourceKey !== addressOf(this.addresses, family).key) return "prohibited";
    const destination = packet.destinationKey;
    if (destination === addressOf(own, family).key) return "pass";
    if (isProxyAddressAt(family, bytes, destinationOffset)) {
      return this.#toProxy(packet, this.#proxies.get(destination), now);
    }
    if (isPeerAddressAt(family, bytes, destinationOffset)) return "prohibited";
    const match = this.#routes.lookupDestination(packet);
    if (match === undefined || !match.permitted) return "prohibited";
    if (match.route.value === "cidr") return "pass";
    return isSpecialAddressAt(family, bytes, destinationOffset) ? "unreachable" : "pass";
  }

  /** Judges a packet that came from the network for one of the client's addresses. */
  handleFromNetwork(packet: IpPacket, own: TunnelAddresses, now: Instant): NetworkVerdict {
    const { family, bytes, sourceOffset } = packet;
    if (packet.sourceKey === addressOf(own, family).key) return "pass";
    const outcome = this.#nat.translateIncoming(packet, now);
    if (outcome === "expired") return "nat-expired";
    if (isPeerAddressAt(family, bytes, sourceOffset)) return "not-authorized";
    if (packet.isIcmpError) return "pass";
    if (outcome === "translated") {
      const entry = this.#proxies.get(packet.sourceKey);
      return entry !== undefined && this.#permits(entry, (filters) => filters.permitsFrom(packet))
        ? "pass"
        : "not-authorized";
    }
    const match = this.#routes.lookupSource(packet);
    if (match === undefined || !match.permitted) return "not-authorized";
    const isForeign = match.route.value === "internet" && isSpecialAddressAt(family, bytes, sourceOffset);
    return isForeign ? "not-authorized" : "pass";
  }

  /** Returns whether the client may use the resource for `domain`. */
  checkDomain(resourceId: string, domain: string): DomainVerdict {
    const authorization = this.#authorizations.get(resourceId);
    if (authorization === undefined) return "unknown-resource";
    if (authorization.resource.type !== "dns") return "not-dns";
    return this.#patterns.get(resourceId)?.matches(domain) === true ? "allowed" : "no-match";
  }

  /** Maps the proxy addresses of a request that `checkDomain` allowed. */
  assignProxies(request: AssignedIps, resolved: ResolvedAddresses): AssignmentOutcome {
    const outcome = this.#proxies.assign({ ...request, resolved });
    if (outcome === "reset") this.#nat.clear();
    return outcome;
  }

  pollTimeout(): Wake | undefined {
    let wake = this.#nat.pollTimeout();
    for (const { expiresAt } of this.#authorizations.values()) {
      if (expiresAt !== undefined) wake = earliest(wake, { at: expiresAt, reason: "authorization expiry" });
    }
    return wake;
  }

  /** Returns the ids of resources whose authorization has ended; they are gone already. */
  handleTimeout(now: Instant): string[] {
    this.#nat.handleTimeout(now);
    const ended: string[] = [];
    for (const [id, { expiresAt }] of this.#authorizations) {
      if (expiresAt !== undefined && now >= expiresAt) ended.push(id);
    }
    for (const id of ended) this.removeResource(id);
    return ended;
  }

  #toProxy(packet: IpPacket, entry: ProxyEntry | undefined, now: Instant): ClientVerdict {
    if (entry === undefined) return "unreachable";
    if (!this.#permits(entry, (filters) => filters.permitsTo(packet))) return "prohibited";
    switch (this.#nat.translateOutgoing(packet, entry.proxy, entry.target, now)) {
      case "translated":
        return "pass";
      case "unsupported":
        return "prohibited";
      case "no-target":
      case "full":
        return "unreachable";
    }
  }

  /** Several resources can share a proxy address; one that lets the packet pass is enough. */
  #permits(entry: ProxyEntry, permits: (filters: FilterSet) => boolean): boolean {
    for (const id of entry.resourceIds) {
      const authorization = this.#authorizations.get(id);
      if (authorization !== undefined && permits(authorization.resource.filters)) return true;
    }
    return false;
  }

  #addRoute(
    network: IpNetwork,
    resource: { readonly type: "cidr" | "internet"; id: string; filters: FilterSet },
  ) {
    this.#routes.set({ network, id: resource.id, filters: resource.filters, value: resource.type });
  }

  #removeRoutes(resourceId: string): void {
    const resource = this.#authorizations.get(resourceId)?.resource;
    if (resource?.type === "cidr") this.#routes.delete(resource.network, resourceId);
    if (resource?.type === "internet") {
      for (const network of EVERYTHING) this.#routes.delete(network, resourceId);
    }
  }
}

const EVERYTHING = [IpNetwork.from("0.0.0.0/0"), IpNetwork.from("::/0")];

function addressOf(addresses: TunnelAddresses, family: 4 | 6): IpAddress {
  return family === 4 ? addresses.ipv4 : addresses.ipv6;
}
