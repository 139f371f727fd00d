/**
 * Messages of a gateway for its portal, in order. Candidates of one client are gathered into one message. While the
 * portal is away candidates wait, confirmations do not: their references are worthless on the next connection.
 */

import { Ring } from "../base/ring.ts";
import type { GatewayOutbound } from "../wire/portal/gateway.ts";

type CandidateEvent = "broadcast_ice_candidates" | "broadcast_invalidated_ice_candidates";

export class PortalOutbox {
  readonly #messages = new Ring<GatewayOutbound>(MAX_WAITING);
  #isJoined = false;

  handleJoined(): void {
    this.#isJoined = true;
  }

  handleLost(): void {
    this.#isJoined = false;
    for (const message of this.#messages.takeAll()) {
      if (isCandidates(message)) this.#messages.push(message);
    }
  }

  /** Confirms a grant. Must come before any candidate for that client. */
  confirm(ref: string): void {
    this.#messages.push({ event: "authorization_created", payload: { ref } });
  }

  /** Asks the portal for relays. */
  requestRelays(): void {
    const isAsked = [...this.#messages].some(({ event }) => event === "no_relays");
    if (!isAsked) this.#messages.push({ event: "no_relays", payload: {} });
  }

  /** Tells a client of a candidate. */
  addCandidate(clientId: string, candidate: string): void {
    this.#push("broadcast_ice_candidates", clientId, candidate);
  }

  /** Tells a client that a candidate is no longer one. */
  addInvalidated(clientId: string, candidate: string): void {
    this.#push("broadcast_invalidated_ice_candidates", clientId, candidate);
  }

  /** Returns the next message; undefined while the portal is away. */
  poll(): GatewayOutbound | undefined {
    return this.#isJoined ? this.#messages.shift() : undefined;
  }

  #push(event: CandidateEvent, clientId: string, candidate: string): void {
    const last = this.#messages.last;
    const isSame = last !== undefined && last.event === event && isCandidates(last) &&
      last.payload.client_ids[0] === clientId && last.payload.candidates.length < MAX_CANDIDATES;
    if (!isSame) {
      this.#messages.push({ event, payload: { client_ids: [clientId], candidates: [candidate] } });
    } else if (!last.payload.candidates.includes(candidate)) last.payload.candidates.push(candidate);
  }
}

const MAX_WAITING = 1024;
/** Of one message. */
const MAX_CANDIDATES = 64;

function isCandidates(
  message: GatewayOutbound,
): message is Extract<GatewayOutbound, { event: CandidateEvent }> {
  return message.event === "broadcast_ice_candidates" ||
    message.event === "broadcast_invalidated_ice_candidates";
}
