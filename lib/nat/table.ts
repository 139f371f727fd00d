/**
 * The NAT of one client at a gateway (data-plane reference §5.6): packets to a proxy address go to the real address of
 * the service instead, answers come back from the proxy address. Only destinations change on the way out; the source
 * stays the client's tunnel address, the host's masquerade does the rest. Driven by the client's peer state.
 */

import type { AddressKey, IpAddress } from "../base/ip.ts";
import type { Instant, Wake } from "../base/time.ts";
import { seconds } from "../base/time.ts";
import { parseQuoted, translateQuoted } from "../wire/icmp.ts";
import type { IpPacket } from "../wire/ip.ts";
import type { NatTransport } from "./session.ts";
import { NatSession } from "./session.ts";

/** Most sessions that one client may have at a time. */
export const MAX_SESSIONS = 32_768;

/** How a packet from the client fared. `no-target`: no session yet, and nowhere to open one to. */
export type OutgoingOutcome = "translated" | "unsupported" | "no-target" | "full";

/** How a packet to the client fared. `unknown`: no NAT traffic; `expired`: of a session that has ended. */
export type IncomingOutcome = "translated" | "expired" | "unknown";

export class NatTable {
  readonly #byInside = new Map<AddressKey, NatSession>();
  readonly #byOutside = new Map<AddressKey, NatSession>();
  /** Outside keys of sessions that ended: their late packets must not pass as something else. */
  readonly #ended = new Set<AddressKey>();
  #nextSweep: Instant | undefined;
  #lastSweep: Instant = -Infinity;

  /** How many sessions there are. */
  get size(): number {
    return this.#byInside.size;
  }

  /**
   * Rewrites `packet`, whose destination is the proxy address `proxy`, in place. Packets of a session keep its target;
   * others open a session to `target`.
   */
  translateOutgoing(
    packet: IpPacket,
    proxy: IpAddress,
    target: IpAddress | undefined,
    now: Instant,
  ): OutgoingOutcome {
    const transport = natTransport(packet);
    if (transport === undefined) return "unsupported";
    const inside = tupleKey(transport, packet.sourcePort, proxy.key);
    let session = this.#byInside.get(inside);
    if (session !== undefined && (now >= session.expiresAt || session.isReplacedBy(packet))) {
      this.#remove(session);
      session = undefined;
    }
    if (session === undefined) {
      if (target === undefined) return "no-target";
      session = this.#open(transport, packet.sourcePort, proxy, target, now);
      if (session === undefined) return "full";
      this.#scheduleSweep(session.expiresAt);
    }
    if (session.note(packet, "out", now)) this.#scheduleSweep(session.expiresAt);
    packet.setDestination(session.target.bytes);
    if (session.outsidePort !== session.insidePort) packet.setSourcePort(session.outsidePort);
    return "translated";
  }

  /** Rewrites `packet`, which came from the network for the client, in place if it belongs to a session. */
  translateIncoming(packet: IpPacket, now: Instant): IncomingOutcome {
    if (packet.isIcmpError) return this.#translateError(packet, now);
    const transport = natTransport(packet);
    if (transport === undefined) return "unknown";
    const outside = tupleKey(transport, packet.destinationPort, packet.sourceKey);
    const session = this.#byOutside.get(outside);
    if (session === undefined) return this.#ended.has(outside) ? "expired" : "unknown";
    if (now >= session.expiresAt) {
      this.#remove(session);
      return "expired";
    }
    if (session.note(packet, "in", now)) this.#scheduleSweep(session.expiresAt);
    packet.setSource(session.proxy.bytes);
    if (session.outsidePort !== session.insidePort) packet.setDestinationPort(session.insidePort);
    return "translated";
  }

  /** Forgets everything. */
  clear(): void {
    this.#byInside.clear();
    this.#byOutside.clear();
    this.#ended.clear();
    this.#nextSweep = undefined;
  }

  pollTimeout(): Wake | undefined {
    return this.#nextSweep === undefined ? undefined : { at: this.#nextSweep, reason: "nat expiry" };
  }

  /** Removes sessions that have ended. */
  handleTimeout(now: Instant): void {
    if (this.#nextSweep === undefined || now < this.#nextSweep) return;
    this.#lastSweep = now;
    this.#nextSweep = undefined;
    for (const session of this.#byInside.values()) {
      if (now >= session.expiresAt) this.#remove(session);
      else this.#scheduleSweep(session.expiresAt);
    }
  }

  #translateError(packet: IpPacket, now: Instant): IncomingOutcome {
    const quoted = parseQuoted(packet);
    if (quoted === undefined) return "unknown";
    const outside = tupleKey(quoted.transport, quoted.sourcePort, quoted.destinationKey);
    const session = this.#byOutside.get(outside);
    if (session === undefined) return this.#ended.has(outside) ? "expired" : "unknown";
    if (now >= session.expiresAt) return "expired";
    translateQuoted(packet, { destination: session.proxy, sourcePort: session.insidePort });
    return "translated";
  }

  #open(
    transport: NatTransport,
    insidePort: number,
    proxy: IpAddress,
    target: IpAddress,
    now: Instant,
  ): NatSession | undefined {
    if (this.#byInside.size >= MAX_SESSIONS) return undefined;
    const outsidePort = this.#freePort(transport, insidePort, target.key);
    if (outsidePort === undefined) return undefined;
    const session = new NatSession({ transport, insidePort, proxy, outsidePort, target }, now);
    const outside = outsideKey(session);
    this.#ended.delete(outside);
    this.#byInside.set(insideKey(session), session);
    this.#byOutside.set(outside, session);
    return session;
  }

  /** Returns `preferred` or the next free port above it, wrapping to 1; undefined if there is none near. */
  #freePort(transport: NatTransport, preferred: number, target: AddressKey): number | undefined {
    let port = preferred;
    for (let attempt = 0; attempt < MAX_PORT_ATTEMPTS; attempt++) {
      if (!this.#byOutside.has(tupleKey(transport, port, target))) return port;
      port = port === 65535 ? 1 : port + 1;
    }
    return undefined;
  }

  #remove(session: NatSession): void {
    const outside = outsideKey(session);
    this.#byInside.delete(insideKey(session));
    this.#byOutside.delete(outside);
    if (this.#ended.size >= MAX_ENDED) {
      for (const oldest of this.#ended) {
        this.#ended.delete(oldest);
        break;
      }
    }
    this.#ended.add(outside);
  }

  #scheduleSweep(expiresAt: Instant): void {
    const at = Math.max(expiresAt, this.#lastSweep + SWEEP_INTERVAL);
    if (this.#nextSweep === undefined || at < this.#nextSweep) this.#nextSweep = at;
  }
}

const MAX_ENDED = 8192;

/** Keeps the price of a new session small for a client that crowds one target on purpose. */
const MAX_PORT_ATTEMPTS = 2048;

/** Sweeps look at every session, so they are no more frequent than this. */
const SWEEP_INTERVAL = seconds(1);

const TRANSPORT_NUMBERS = { tcp: 0, udp: 1, icmp: 2 } as const;

function natTransport(packet: IpPacket): NatTransport | undefined {
  if (packet.transport === "other" || (packet.transport === "icmp" && !packet.isEcho)) return undefined;
  return packet.transport;
}

function insideKey(session: NatSession): AddressKey {
  return tupleKey(session.transport, session.insidePort, session.proxy.key);
}

function outsideKey(session: NatSession): AddressKey {
  return tupleKey(session.transport, session.outsidePort, session.target.key);
}

function tupleKey(transport: NatTransport, port: number, address: AddressKey): AddressKey {
  const number = TRANSPORT_NUMBERS[transport];
  return typeof address === "number"
    ? (number * 2 ** 32 + address) * 65536 + port
    : address + String.fromCharCode(port, number);
}
