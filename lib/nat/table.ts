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
  readonly #byInside = new TupleMap();
  readonly #byOutside = new TupleMap();
  /** Outside keys of sessions that ended: their late packets must not pass as something else. */
  readonly #ended = new Set<string>();
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
    let session = this.#byInside.get(proxy.key, portKey(transport, packet.sourcePort));
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
    const source = packet.sourceKey;
    const port = portKey(transport, packet.destinationPort);
    const session = this.#byOutside.get(source, port);
    if (session === undefined) return this.#ended.has(endedKey(source, port)) ? "expired" : "unknown";
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
    const port = portKey(quoted.transport, quoted.sourcePort);
    const session = this.#byOutside.get(quoted.destinationKey, port);
    if (session === undefined) {
      return this.#ended.has(endedKey(quoted.destinationKey, port)) ? "expired" : "unknown";
    }
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
    const outside = portKey(transport, outsidePort);
    this.#ended.delete(endedKey(target.key, outside));
    this.#byInside.set(proxy.key, portKey(transport, insidePort), session);
    this.#byOutside.set(target.key, outside, session);
    return session;
  }

  /** Returns `preferred` or the next free port above it, wrapping to 1; undefined if there is none near. */
  #freePort(transport: NatTransport, preferred: number, target: AddressKey): number | undefined {
    let port = preferred;
    for (let attempt = 0; attempt < MAX_PORT_ATTEMPTS; attempt++) {
      if (this.#byOutside.get(target, portKey(transport, port)) === undefined) return port;
      port = port === 65535 ? 1 : port + 1;
    }
    return undefined;
  }

  #remove(session: NatSession): void {
    const { transport, insidePort, proxy, outsidePort, target } = session;
    const outside = portKey(transport, outsidePort);
    this.#byInside.delete(proxy.key, portKey(transport, insidePort));
    this.#byOutside.delete(target.key, outside);
    if (this.#ended.size >= MAX_ENDED) {
      for (const oldest of this.#ended) {
        this.#ended.delete(oldest);
        break;
      }
    }
    this.#ended.add(endedKey(target.key, outside));
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

/** Returns a number that tells the ports of all transports apart. */
function portKey(transport: NatTransport, port: number): number {
  return TRANSPORT_NUMBERS[transport] * 65536 + port;
}

function endedKey(address: AddressKey, port: number): string {
  return `${address} ${port}`;
}

/** Sessions by an address and a port. Two steps, so that no key has to be put together for a packet. */
class TupleMap {
  readonly #byAddress = new Map<AddressKey, Map<number, NatSession>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(address: AddressKey, port: number): NatSession | undefined {
    return this.#byAddress.get(address)?.get(port);
  }

  /** There must be no session of these yet. */
  set(address: AddressKey, port: number, session: NatSession): void {
    let ports = this.#byAddress.get(address);
    if (ports === undefined) this.#byAddress.set(address, ports = new Map());
    ports.set(port, session);
    this.#size++;
  }

  delete(address: AddressKey, port: number): void {
    const ports = this.#byAddress.get(address);
    if (ports?.delete(port) !== true) return;
    this.#size--;
    if (ports.size === 0) this.#byAddress.delete(address);
  }

  clear(): void {
    this.#byAddress.clear();
    this.#size = 0;
  }

  *values(): IterableIterator<NatSession> {
    for (const ports of this.#byAddress.values()) yield* ports.values();
  }
}
