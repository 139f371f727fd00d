/**
 * Echo requests of the session's own, for people who ask whether something answers (`fz ping`, `fz wait`). They take
 * the way of any packet of this machine; what answers them is recognised before it reaches the TUN device.
 */

import type { IpAddress } from "../base/ip.ts";
import { Ring } from "../base/ring.ts";
import { below, type Rng } from "../base/rng.ts";
import { type Duration, earliest, type Instant, type Wake } from "../base/time.ts";
import { buildEcho, parseEcho, parseQuoted } from "../wire/icmp.ts";
import type { IpPacket } from "../wire/ip.ts";

/** What came of an echo request. */
export interface EchoOutcome {
  readonly id: number;
  readonly result:
    | { readonly type: "reply"; readonly rttMs: Duration }
    /** An ICMP error came back instead. */
    | { readonly type: "refused"; readonly reason: EchoRefusal }
    | { readonly type: "timeout" };
}

/** Why a router, a gateway or our own filter turned a request away. */
export type EchoRefusal = "prohibited" | "unreachable" | "other";

interface Outstanding {
  readonly destination: IpAddress;
  readonly identifier: number;
  readonly sequence: number;
  readonly token: Uint8Array;
  readonly sentAt: Instant;
  readonly deadline: Instant;
}

/** Requests that wait for their answers. */
export class EchoProbes {
  readonly #rng: Rng;
  readonly #outstanding = new Map<number, Outstanding>();
  readonly #outcomes = new Ring<EchoOutcome>(MAX_OUTSTANDING);
  #nextId = 1;

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  /** Returns a new request from `source` and its id, or undefined if too many wait already. */
  request(
    source: IpAddress,
    destination: IpAddress,
    timeout: Duration,
    now: Instant,
  ): { readonly id: number; readonly packet: Uint8Array } | undefined {
    if (this.#outstanding.size >= MAX_OUTSTANDING) return undefined;
    const identifier = this.#freeIdentifier();
    const sequence = below(this.#rng, 0x1_0000);
    const token = this.#rng.bytes(TOKEN_LENGTH);
    const id = this.#nextId++;
    this.#outstanding.set(id, {
      ...{ destination, identifier, sequence, token },
      ...{ sentAt: now, deadline: now + timeout },
    });
    return {
      id,
      packet: buildEcho({ kind: "request", source, destination, identifier, sequence, payload: token }),
    };
  }

  /** Takes a packet for this machine; returns whether it answers a request of ours and is thus nobody else's. */
  handlePacket(packet: IpPacket, now: Instant): boolean {
    if (this.#outstanding.size === 0 || packet.transport !== "icmp") return false;
    return this.#handleReply(packet, now) || this.#handleError(packet);
  }

  pollOutcome(): EchoOutcome | undefined {
    return this.#outcomes.shift();
  }

  pollTimeout(): Wake | undefined {
    let wake: Wake | undefined;
    for (const { deadline } of this.#outstanding.values()) {
      wake = earliest(wake, { at: deadline, reason: "echo request" });
    }
    return wake;
  }

  handleTimeout(now: Instant): void {
    for (const [id, { deadline }] of [...this.#outstanding]) {
      if (now >= deadline) this.#finish(id, { type: "timeout" });
    }
  }

  #handleReply(packet: IpPacket, now: Instant): boolean {
    const echo = parseEcho(packet);
    if (echo?.kind !== "reply") return false;
    for (const [id, { destination, identifier, sequence, token, sentAt }] of this.#outstanding) {
      // Applications have identifiers of their own; only the token tells whose an answer is.
      if (echo.identifier !== identifier || echo.sequence !== sequence) continue;
      if (packet.sourceKey !== destination.key || !isSame(echo.payload, token)) continue;
      this.#finish(id, { type: "reply", rttMs: Math.max(0, now - sentAt) });
      return true;
    }
    return false;
  }

  #handleError(packet: IpPacket): boolean {
    const quoted = parseQuoted(packet);
    if (quoted?.transport !== "icmp") return false;
    for (const [id, { destination, identifier }] of this.#outstanding) {
      if (quoted.sourcePort !== identifier || quoted.destinationKey !== destination.key) continue;
      this.#finish(id, { type: "refused", reason: refusalOf(packet) });
      return true;
    }
    return false;
  }

  #finish(id: number, result: EchoOutcome["result"]): void {
    this.#outstanding.delete(id);
    this.#outcomes.push({ id, result });
  }

  #freeIdentifier(): number {
    const taken = new Set([...this.#outstanding.values()].map(({ identifier }) => identifier));
    let identifier = below(this.#rng, 0x1_0000);
    while (taken.has(identifier)) identifier = (identifier + 1) & 0xffff;
    return identifier;
  }
}

const MAX_OUTSTANDING = 64;
const TOKEN_LENGTH = 16;

/** Codes of RFC 792 and RFC 1812 §5.2.7.1, and of RFC 4443 §3.1. */
function refusalOf(packet: IpPacket): EchoRefusal {
  const type = packet.bytes[packet.transportOffset]!;
  const code = packet.bytes[packet.transportOffset + 1]!;
  const isV4 = packet.family === 4;
  if (type !== (isV4 ? 3 : 1)) return "other";
  const isProhibited = isV4 ? [9, 10, 13].includes(code) : code === 1 || code === 5;
  return isProhibited ? "prohibited" : "unreachable";
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
