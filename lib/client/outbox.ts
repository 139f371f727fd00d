/**
 * Messages for the portal. Candidates are gathered a gateway a message and held while the portal is away; everything
 * else is only worth sending on a connection that is up.
 */

import { Ring } from "../base/ring.ts";
import type { ClientOutbound } from "../wire/portal/client.ts";

interface Candidates {
  readonly event: "new_gateway_ice_candidates" | "invalidate_gateway_ice_candidates";
  readonly gatewayId: string;
  readonly candidates: string[];
}

/** The queue. */
export class Outbox {
  readonly #messages = new Ring<ClientOutbound>(MAX_MESSAGES);
  #candidates: Candidates[] = [];
  #isJoined = false;

  get isJoined(): boolean {
    return this.#isJoined;
  }

  handleJoined(): void {
    this.#isJoined = true;
  }

  handleLost(): void {
    this.#isJoined = false;
    this.#messages.takeAll();
  }

  /** Queues a message; returns false, and forgets it, if the portal is away. */
  send(message: ClientOutbound): boolean {
    if (this.#isJoined) this.#messages.push(message);
    return this.#isJoined;
  }

  /** Tells `gatewayId` of one of our candidates, or that it is none any more. */
  signal(gatewayId: string, candidate: string, isValid: boolean): void {
    const event = isValid ? "new_gateway_ice_candidates" : "invalidate_gateway_ice_candidates";
    const last = this.#candidates.at(-1);
    if (last?.event === event && last.gatewayId === gatewayId && last.candidates.length < MAX_CANDIDATES) {
      if (!last.candidates.includes(candidate)) last.candidates.push(candidate);
      return;
    }
    if (this.#candidates.length >= MAX_MESSAGES) this.#candidates.shift();
    this.#candidates.push({ event, gatewayId, candidates: [candidate] });
  }

  /** Forgets candidates for a gateway: its connection is gone. */
  forgetGateway(gatewayId: string): void {
    this.#candidates = this.#candidates.filter((each) => each.gatewayId !== gatewayId);
  }

  /** Returns the next message; nothing while the portal is away. */
  poll(): ClientOutbound | undefined {
    if (!this.#isJoined) return undefined;
    const message = this.#messages.shift();
    if (message !== undefined) return message;
    const next = this.#candidates.shift();
    if (next === undefined) return undefined;
    return { event: next.event, payload: { gateway_id: next.gatewayId, candidates: next.candidates } };
  }
}

const MAX_MESSAGES = 1024;
const MAX_CANDIDATES = 64;
