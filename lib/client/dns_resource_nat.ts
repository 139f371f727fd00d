/**
 * The client's half of the mapping from proxy addresses to real ones, by gateway, resource and name (data-plane
 * reference §5.3): tells the gateway which proxy addresses stand for a name, and holds packets until it has agreed.
 * There is no timer: only traffic repeats what got lost.
 */

import { type Duration, type Instant, seconds } from "../base/time.ts";
import type { IpAddress } from "../base/ip.ts";
import type { IpPacket } from "../wire/ip.ts";
import { PacketBuffer } from "./packet_buffer.ts";

/** What a gateway has to be told: `domain` of the resource is reached at these proxy addresses. */
export interface Assignment {
  readonly gatewayId: string;
  readonly resourceId: string;
  readonly domain: string;
  readonly proxyIps: readonly IpAddress[];
}

/** Returns the proxy addresses of `domain`, in the families that the resource offers: 4 or 8. */
export type ProxyIpsOf = (resourceId: string, domain: string) => readonly IpAddress[];

type State =
  /** Told at `sentAt`, not confirmed; undefined `sentAt`: not told yet, the gateway is not connected. */
  | { readonly type: "pending"; readonly sentAt: Instant | undefined }
  | { readonly type: "confirmed" }
  | { readonly type: "failed" };

interface Entry {
  proxyIps: readonly IpAddress[];
  state: State;
  /** Where packets wait; undefined when they may pass meanwhile, since the mapping existed before. */
  buffer: PacketBuffer | undefined;
}

type Domains = Map<string, Entry>;

/** All mappings. */
export class DnsResourceNat {
  readonly #proxyIpsOf: ProxyIpsOf;
  readonly #byGateway = new Map<string, Map<string, Domains>>();
  /** Entries that hold packets, longest first; those that are gone meanwhile are pushed out by others. */
  readonly #holding = new Set<Entry>();
  #assignments: Assignment[] = [];

  constructor(proxyIpsOf: ProxyIpsOf) {
    this.#proxyIpsOf = proxyIpsOf;
  }

  /** Returns the next thing to tell a connected gateway. */
  pollAssignment(): Assignment | undefined {
    return this.#assignments.shift();
  }

  /**
   * The name was asked for again: the gateway shall look it up anew. Packets pass meanwhile if the mapping was there.
   */
  handleQuery(
    gatewayId: string,
    resourceId: string,
    domain: string,
    isConnected: boolean,
    now: Instant,
  ): void {
    const entry = this.#find(gatewayId, resourceId, domain);
    const proxyIps = this.#proxyIpsOf(resourceId, domain);
    if (entry === undefined || entry.proxyIps[0]?.key !== proxyIps[0]?.key) {
      this.#create(gatewayId, resourceId, domain, isConnected, now);
      return;
    }
    if (entry.state.type === "failed") entry.buffer = new PacketBuffer(MAX_WAITING);
    if (entry.state.type === "pending" && !isDue(entry.state, now)) return;
    this.#tell(entry, gatewayId, resourceId, domain, isConnected, now);
  }

  /** Returns whether `packet` for the name may be sent now; if not, it is kept. */
  handleOutgoing(
    gatewayId: string,
    resourceId: string,
    domain: string,
    packet: IpPacket,
    isConnected: boolean,
    now: Instant,
  ): boolean {
    const entry = this.#find(gatewayId, resourceId, domain) ??
      this.#create(gatewayId, resourceId, domain, isConnected, now);
    if (entry.state.type !== "pending") return true;
    if (isDue(entry.state, now)) this.#tell(entry, gatewayId, resourceId, domain, isConnected, now);
    if (entry.buffer === undefined) return true;
    entry.buffer.push(packet);
    this.#noteHolding(entry);
    return false;
  }

  /** The gateway's connection is up: tells it everything that it was not told. */
  handleConnected(gatewayId: string, now: Instant): void {
    for (const [resourceId, domains] of this.#byGateway.get(gatewayId) ?? []) {
      for (const [domain, entry] of domains) {
        if (entry.state.type !== "pending" || entry.state.sentAt !== undefined) continue;
        this.#tell(entry, gatewayId, resourceId, domain, true, now);
      }
    }
  }

  /** The gateway said what came of it. Returns the packets that may go now. */
  handleStatus(gatewayId: string, resourceId: string, domain: string, isActive: boolean): Uint8Array[] {
    const entry = this.#find(gatewayId, resourceId, domain);
    if (entry === undefined) return [];
    const packets = entry.buffer?.takeAll() ?? [];
    entry.buffer = undefined;
    this.#holding.delete(entry);
    entry.state = { type: isActive ? "confirmed" : "failed" };
    return isActive ? packets : [];
  }

  /** Returns what is known of a name. */
  state(gatewayId: string, resourceId: string, domain: string): State["type"] | undefined {
    return this.#find(gatewayId, resourceId, domain)?.state.type;
  }

  /** Forgets everything about a gateway. */
  removeGateway(gatewayId: string): void {
    this.#byGateway.delete(gatewayId);
    this.#assignments = this.#assignments.filter((assignment) => assignment.gatewayId !== gatewayId);
  }

  /** Forgets everything about a resource. */
  removeResource(resourceId: string): void {
    for (const resources of this.#byGateway.values()) resources.delete(resourceId);
    this.#assignments = this.#assignments.filter((assignment) => assignment.resourceId !== resourceId);
  }

  clear(): void {
    this.#byGateway.clear();
    this.#holding.clear();
    this.#assignments = [];
  }

  #find(gatewayId: string, resourceId: string, domain: string): Entry | undefined {
    return this.#byGateway.get(gatewayId)?.get(resourceId)?.get(domain);
  }

  /** Applications that talk to thousands of names at once lose the packets that have waited longest. */
  #noteHolding(entry: Entry): void {
    this.#holding.add(entry);
    if (this.#holding.size <= MAX_HOLDING) return;
    for (const oldest of this.#holding) {
      this.#holding.delete(oldest);
      oldest.buffer?.takeAll();
      return;
    }
  }

  #create(gatewayId: string, resourceId: string, domain: string, isConnected: boolean, now: Instant): Entry {
    let resources = this.#byGateway.get(gatewayId);
    if (resources === undefined) this.#byGateway.set(gatewayId, resources = new Map());
    let domains = resources.get(resourceId);
    if (domains === undefined) resources.set(resourceId, domains = new Map());
    if (domains.size >= MAX_DOMAINS) domains.delete(domains.keys().next().value!);
    const entry: Entry = {
      proxyIps: this.#proxyIpsOf(resourceId, domain),
      state: { type: "pending", sentAt: undefined },
      buffer: new PacketBuffer(MAX_WAITING),
    };
    domains.set(domain, entry);
    this.#tell(entry, gatewayId, resourceId, domain, isConnected, now);
    return entry;
  }

  #tell(
    entry: Entry,
    gatewayId: string,
    resourceId: string,
    domain: string,
    isConnected: boolean,
    now: Instant,
  ): void {
    entry.state = { type: "pending", sentAt: isConnected ? now : undefined };
    if (!isConnected) return;
    this.#assignments.push({ gatewayId, resourceId, domain, proxyIps: entry.proxyIps });
  }
}

const MAX_WAITING = 32;
/** Names of one resource at one gateway; each may hold packets. */
const MAX_DOMAINS = 16_384;
/** Names that hold packets at the same time, all gateways together. */
const MAX_HOLDING = 1024;
const REPEAT_AFTER: Duration = seconds(2);

function isDue(state: { readonly sentAt: Instant | undefined }, now: Instant): boolean {
  return state.sentAt === undefined || now - state.sentAt >= REPEAT_AFTER;
}
