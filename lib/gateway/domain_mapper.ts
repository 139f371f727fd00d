/**
 * Turns a client's announcement of proxy addresses into a mapping: has the name resolved by the host, then says whether
 * packets may come (data-plane reference §5.4). Driven by the gateway session.
 */

import { Ring } from "../base/ring.ts";
import type { Instant, Wake } from "../base/time.ts";
import { seconds } from "../base/time.ts";
import type { ResolvedAddresses } from "../nat/proxy_map.ts";
import type { AssignedIps, DomainStatus } from "../wire/p2p_control.ts";
import type { PeerTable } from "./peer_table.ts";
import { isServiceAddress } from "./special_ranges.ts";

/** How long a name may take to resolve. */
const RESOLVE_TIMEOUT = seconds(10);

/** Most names being resolved at a time. */
const MAX_RESOLUTIONS = 1000;

/** Most names being resolved at a time for one client: nobody takes all the places. */
const MAX_RESOLUTIONS_PER_CLIENT = 100;

/** A name to resolve: A and AAAA, through the host's own resolver. */
export interface ResolveRequest {
  readonly id: number;
  readonly domain: string;
}

/** What to tell a client. */
export interface DomainReport {
  readonly clientId: string;
  readonly status: DomainStatus;
}

interface Pending {
  readonly clientId: string;
  /** The latest announcement; earlier ones of the same name need no resolution of their own. */
  request: AssignedIps;
  readonly deadline: Instant;
}

export class DomainMapper {
  readonly #peers: PeerTable;
  readonly #pending = new Map<number, Pending>();
  readonly #requests = new Ring<ResolveRequest>(MAX_RESOLUTIONS);
  readonly #reports = new Ring<DomainReport>(MAX_RESOLUTIONS);
  #nextId = 1;

  constructor(peers: PeerTable) {
    this.#peers = peers;
  }

  /** Takes a client's announcement. */
  handleAssignedIps(clientId: string, request: AssignedIps, now: Instant): void {
    if (this.#peers.get(clientId)?.checkDomain(request.resourceId, request.domain) !== "allowed") {
      this.#report(clientId, request, "inactive");
      return;
    }
    let ofClient = 0;
    for (const pending of this.#pending.values()) {
      if (pending.clientId !== clientId) continue;
      ofClient++;
      const isSame = pending.request.resourceId === request.resourceId &&
        pending.request.domain.toLowerCase() === request.domain.toLowerCase();
      if (!isSame) continue;
      pending.request = request;
      return;
    }
    if (this.#pending.size >= MAX_RESOLUTIONS || ofClient >= MAX_RESOLUTIONS_PER_CLIENT) {
      this.#report(clientId, request, "inactive");
      return;
    }
    const id = this.#nextId++;
    this.#pending.set(id, { clientId, request, deadline: now + RESOLVE_TIMEOUT });
    this.#requests.push({ id, domain: request.domain });
  }

  /** Takes the outcome of a resolution: no addresses if the name has none, undefined if nobody could tell. */
  handleResolved(id: number, resolved: ResolvedAddresses | undefined): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    const { clientId, request } = pending;
    const peer = this.#peers.get(clientId);
    if (peer === undefined) return;
    const isAllowed = peer.checkDomain(request.resourceId, request.domain) === "allowed";
    const isMapped = isAllowed && resolved !== undefined &&
      peer.assignProxies(request, servicesOf(resolved)) !== "refused";
    this.#report(clientId, request, isMapped ? "active" : "inactive");
  }

  pollResolve(): ResolveRequest | undefined {
    return this.#requests.shift();
  }

  pollReport(): DomainReport | undefined {
    return this.#reports.shift();
  }

  pollTimeout(): Wake | undefined {
    // Deadlines lie in the order of insertion.
    for (const { deadline } of this.#pending.values()) return { at: deadline, reason: "name resolution" };
    return undefined;
  }

  handleTimeout(now: Instant): void {
    for (const [id, { deadline }] of this.#pending) {
      if (now < deadline) return;
      this.handleResolved(id, undefined);
    }
  }

  #report(clientId: string, request: AssignedIps, status: DomainStatus["status"]): void {
    const { resourceId, domain } = request;
    this.#reports.push({ clientId, status: { type: "domain-status", resourceId, domain, status } });
  }
}

function servicesOf({ ipv4, ipv6 }: ResolvedAddresses): ResolvedAddresses {
  return { ipv4: ipv4.filter(isServiceAddress), ipv6: ipv6.filter(isServiceAddress) };
}
