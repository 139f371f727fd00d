/**
 * Requests for access that the portal has not answered yet, with what waits for the answer (data-plane reference §6.4).
 * Nothing times out here: the next packet asks again.
 */

import { type Duration, type Instant, seconds } from "../base/time.ts";
import { Ring } from "../base/ring.ts";
import type { IpPacket } from "../wire/ip.ts";
import { PacketBuffer } from "./packet_buffer.ts";

/** What waited for a resource. */
export interface Waiting<Q> {
  readonly packets: readonly Uint8Array[];
  readonly queries: readonly Q[];
}

/** What the portal said when it refused. */
export interface Denial {
  readonly reason: string;
  readonly violatedProperties: readonly string[];
  readonly at: Instant;
}

interface Pending<Q> {
  /** Undefined when the request has not been sent, because the portal is away. */
  requestedAt: Instant | undefined;
  /** It was granted when there was no relay to connect by. */
  lacksRelay: boolean;
  readonly packets: PacketBuffer;
  readonly queries: Ring<Q>;
}

/** Pending authorizations by resource; `Q` is a DNS query that waits. */
export class Authorizations<Q> {
  readonly #pending = new Map<string, Pending<Q>>();
  readonly #denials = new Map<string, Denial>();

  isPending(resourceId: string): boolean {
    return this.#pending.has(resourceId);
  }

  /** Returns the last refusal for a resource, until it is granted. */
  denial(resourceId: string): Denial | undefined {
    return this.#denials.get(resourceId);
  }

  /** Keeps `packet` until `resourceId` is granted. Returns whether the portal should be asked (again). */
  holdPacket(resourceId: string, packet: IpPacket, now: Instant): boolean {
    const pending = this.#obtain(resourceId);
    pending.packets.push(packet);
    return isDue(pending, now);
  }

  /** Keeps a DNS query until `resourceId` is granted. Returns whether the portal should be asked (again). */
  holdQuery(resourceId: string, query: Q, now: Instant): boolean {
    const pending = this.#obtain(resourceId);
    pending.queries.push(query);
    return isDue(pending, now);
  }

  /** Wants access without a packet at hand. Returns whether the portal should be asked (again). */
  want(resourceId: string, now: Instant): boolean {
    return isDue(this.#obtain(resourceId), now);
  }

  /** Records that the portal was asked. */
  handleRequested(resourceId: string, now: Instant): void {
    const pending = this.#obtain(resourceId);
    pending.requestedAt = now;
    pending.lacksRelay = false;
  }

  /** The connection to the portal is gone, and the requests with it. */
  handlePortalLost(): void {
    for (const pending of this.#pending.values()) pending.requestedAt = undefined;
  }

  /** A grant could not be used for want of a relay: it is worth asking again when one comes. */
  handleRelayMissing(resourceId: string): void {
    this.#obtain(resourceId).lacksRelay = true;
  }

  /** Returns the resources that are wanted but not asked for, or have to be asked for again. */
  unrequested(): string[] {
    return [...this.#pending]
      .filter(([, { requestedAt, lacksRelay }]) => requestedAt === undefined || lacksRelay)
      .map(([id]) => id);
  }

  /** The portal granted. Returns what waited, or undefined if nothing was asked for. */
  handleGranted(resourceId: string): Waiting<Q> | undefined {
    this.#denials.delete(resourceId);
    return this.forget(resourceId);
  }

  /**
   * The portal refused. Returns what need not wait any longer: queries always, and packets if there is nobody to send
   * them to. Otherwise packets stay, so that the next one asks again.
   */
  handleDenied(resourceId: string, denial: Denial): Waiting<Q> | undefined {
    this.#denials.set(resourceId, denial);
    if (denial.reason === "offline") return this.forget(resourceId);
    const queries = this.#pending.get(resourceId)?.queries.takeAll();
    return queries && { packets: [], queries };
  }

  /** Forgets a request; returns what waited for it. */
  forget(resourceId: string): Waiting<Q> | undefined {
    const pending = this.#pending.get(resourceId);
    if (pending === undefined) return undefined;
    this.#pending.delete(resourceId);
    return { packets: pending.packets.takeAll(), queries: pending.queries.takeAll() };
  }

  /** The resource is gone: forgets its refusal, too. */
  handleRemoved(resourceId: string): Waiting<Q> | undefined {
    this.#denials.delete(resourceId);
    return this.forget(resourceId);
  }

  #obtain(resourceId: string): Pending<Q> {
    let pending = this.#pending.get(resourceId);
    if (pending === undefined) {
      pending = {
        requestedAt: undefined,
        lacksRelay: false,
        packets: new PacketBuffer(MAX_WAITING),
        queries: new Ring(MAX_WAITING),
      };
      this.#pending.set(resourceId, pending);
    }
    return pending;
  }
}

const MAX_WAITING = 128;
const REQUEST_INTERVAL: Duration = seconds(2);

function isDue(pending: { readonly requestedAt: Instant | undefined }, now: Instant): boolean {
  return pending.requestedAt === undefined || now - pending.requestedAt >= REQUEST_INTERVAL;
}
