/**
 * Gateways that this client has an authorization for: which resources go through which, what each may send us, and
 * packets that wait for its connection.
 */

import type { AddressKey, IpAddress, IpNetwork } from "../base/ip.ts";
import { type Instant, minutes, seconds } from "../base/time.ts";
import { PERMIT_ALL } from "../resource/filter.ts";
import { RouteTable } from "../resource/route_table.ts";
import type { IpPacket } from "../wire/ip.ts";
import { PacketBuffer } from "./packet_buffer.ts";

/** Who a gateway is, as the portal says with each grant. */
export interface GatewayIdentity {
  readonly id: string;
  readonly siteId: string;
  readonly ipv4: IpAddress;
  readonly ipv6: IpAddress;
  /** WireGuard public key, base64. */
  readonly publicKey: string;
}

/** A gateway. */
export class GatewayPeer {
  readonly id: string;
  readonly siteId: string;
  readonly ipv4: IpAddress;
  readonly ipv6: IpAddress;
  /** WireGuard public key, base64. */
  readonly publicKey: string;
  /** Resources authorized through it. */
  readonly resourceIds = new Set<string>();
  /** Networks of those resources that have any: what it may use as source. */
  readonly #networks = new RouteTable<undefined>();
  readonly #networksOf = new Map<string, readonly IpNetwork[]>();
  /** Packets that came before its connection. */
  readonly waiting = new PacketBuffer(MAX_WAITING);
  /** Whether path and session exist. */
  isConnected = false;

  constructor(identity: GatewayIdentity) {
    this.id = identity.id;
    this.siteId = identity.siteId;
    this.ipv4 = identity.ipv4;
    this.ipv6 = identity.ipv6;
    this.publicKey = identity.publicKey;
  }

  /** Returns whether this is still the gateway that `identity` describes, and not one started anew. */
  is(identity: GatewayIdentity): boolean {
    return this.id === identity.id && this.siteId === identity.siteId &&
      this.publicKey === identity.publicKey &&
      this.ipv4.equals(identity.ipv4) && this.ipv6.equals(identity.ipv6);
  }

  /** Records that `resourceId` was authorized through this gateway, which may thus answer from `networks`. */
  authorize(resourceId: string, networks: readonly IpNetwork[]): void {
    this.revoke(resourceId);
    this.resourceIds.add(resourceId);
    this.#networksOf.set(resourceId, networks);
    for (const network of networks) {
      this.#networks.set({ network, id: resourceId, filters: PERMIT_ALL, value: undefined });
    }
  }

  revoke(resourceId: string): void {
    this.resourceIds.delete(resourceId);
    for (const network of this.#networksOf.get(resourceId) ?? []) this.#networks.delete(network, resourceId);
    this.#networksOf.delete(resourceId);
  }

  /** Returns whether the source of `packet` lies in a network authorized through this gateway. */
  servesSourceOf(packet: IpPacket): boolean {
    return this.#networks.lookupSource(packet) !== undefined;
  }
}

/** All gateways, and who they were. */
export class Peers {
  readonly #byId = new Map<string, GatewayPeer>();
  readonly #byAddress = new Map<AddressKey, GatewayPeer>();
  readonly #ofResource = new Map<string, GatewayPeer>();
  /** Every gateway ever learnt, the latest last. */
  readonly #known = new Set<string>();
  /** When gateways left or failed. */
  readonly #leftAt = new Map<string, Instant>();
  /** Gateways that were lost when all was silent. */
  readonly #doubts = new Map<string, Doubt>();

  values(): Iterable<GatewayPeer> {
    return this.#byId.values();
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): GatewayPeer | undefined {
    return this.#byId.get(id);
  }

  /** Returns the gateway with this tunnel address. */
  byAddress(key: AddressKey): GatewayPeer | undefined {
    return this.#byAddress.get(key);
  }

  /** Returns the gateway that `resourceId` is authorized through. */
  ofResource(resourceId: string): GatewayPeer | undefined {
    return this.#ofResource.get(resourceId);
  }

  /** Returns the gateway, made if it is new. One that `is` not the same any more must have been removed before. */
  obtain(identity: GatewayIdentity): GatewayPeer {
    const { id } = identity;
    let peer = this.#byId.get(id);
    if (peer === undefined) {
      peer = new GatewayPeer(identity);
      this.#byId.set(id, peer);
      this.#byAddress.set(peer.ipv4.key, peer);
      this.#byAddress.set(peer.ipv6.key, peer);
    }
    this.#known.delete(id);
    this.#known.add(id);
    this.#leftAt.delete(id);
    this.#doubts.delete(id);
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.values().next().value!);
    return peer;
  }

  /** Sends `resourceId` through `peer` from now on. Returns the gateway that it went through before, if another. */
  assign(resourceId: string, peer: GatewayPeer, networks: readonly IpNetwork[]): GatewayPeer | undefined {
    const before = this.#ofResource.get(resourceId);
    if (before !== undefined && before !== peer) before.revoke(resourceId);
    peer.authorize(resourceId, networks);
    this.#ofResource.set(resourceId, peer);
    return before === peer ? undefined : before;
  }

  /** Forgets the authorization of `resourceId`; returns the gateway that it went through. */
  unassign(resourceId: string): GatewayPeer | undefined {
    const peer = this.#ofResource.get(resourceId);
    this.#ofResource.delete(resourceId);
    peer?.revoke(resourceId);
    return peer;
  }

  /** Forgets a gateway and everything authorized through it. */
  remove(id: string): GatewayPeer | undefined {
    const peer = this.#byId.get(id);
    if (peer === undefined) return undefined;
    this.#byId.delete(id);
    for (const { key } of [peer.ipv4, peer.ipv6]) {
      if (this.#byAddress.get(key) === peer) this.#byAddress.delete(key);
    }
    for (const resourceId of peer.resourceIds) this.#ofResource.delete(resourceId);
    return peer;
  }

  /** Remembers that a gateway left or failed: for a while it is no good choice, whatever the portal still believes. */
  markLeft(id: string, now: Instant): void {
    this.#leftAt.delete(id);
    this.#leftAt.set(id, now);
    if (this.#leftAt.size > MAX_KNOWN) this.#leftAt.delete(this.#leftAt.keys().next().value!);
  }

  /** Remembers that a gateway was lost when all was silent: it is the best choice, for streams go on through it alone. */
  doubt(id: string, now: Instant): void {
    this.#doubts.set(id, { lostAt: now, networkSince: undefined });
    if (this.#doubts.size > MAX_KNOWN) this.#doubts.delete(this.#doubts.keys().next().value!);
  }

  /** Relays were last heard at `at`: if a gateway in doubt is not back soon after they are, it was the gateway. */
  handleRelaysHeard(at: Instant, now: Instant): void {
    for (const [id, doubt] of [...this.#doubts]) {
      if (at > doubt.lostAt) doubt.networkSince ??= now;
      if (doubt.networkSince === undefined || now - doubt.networkSince < DOUBT_FOR) continue;
      this.#doubts.delete(id);
      this.markLeft(id, now);
    }
  }

  /** Forgets which gateways left or failed: it was not they. */
  forgive(): void {
    this.#leftAt.clear();
    this.#doubts.clear();
  }

  /** Returns the gateways that the portal should prefer: connected ones first, then the latest known. */
  preferredIds(now: Instant): string[] {
    const usable = [...this.#known].reverse().filter((id) => {
      const leftAt = this.#leftAt.get(id);
      return leftAt === undefined || now - leftAt >= AVOID_FOR;
    });
    const connected = usable.filter((id) => this.#byId.get(id)?.isConnected === true);
    return [...connected, ...usable.filter((id) => !connected.includes(id))];
  }
}

interface Doubt {
  readonly lostAt: Instant;
  /** Since when relays are known to be there again. */
  networkSince: Instant | undefined;
}

const MAX_WAITING = 128;
const MAX_KNOWN = 100;
const AVOID_FOR = minutes(1);
/** Time to reach the portal again and to connect. */
const DOUBT_FOR = seconds(15);
