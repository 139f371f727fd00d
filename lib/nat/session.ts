/** One NAT session: how a client's flow looks inside the tunnel and outside, and when it ends (data-plane §5.6). */

import type { IpAddress } from "../base/ip.ts";
import type { Duration, Instant } from "../base/time.ts";
import { minutes, seconds } from "../base/time.ts";
import type { IpPacket, Transport } from "../wire/ip.ts";
import { TcpFlag, tcpFlags } from "../wire/tcp.ts";

/** Protocols that have something like a port to tell sessions apart by. */
export type NatTransport = Exclude<Transport, "other">;

/** How long an established TCP session may be silent: RFC 5382 §5 asks for at least 2 h 4 min. */
const TCP_TTL: Duration = minutes(124);
/** How long a UDP or ICMP session may be silent. */
const DATAGRAM_TTL: Duration = seconds(120);
/** How long a session waits for its first answer, from the last outgoing packet. */
const UNCONFIRMED_TTL: Duration = seconds(60);
/** How long a session lives after its last packet once both sides sent a FIN. */
const CLOSED_TTL: Duration = seconds(5);
/** How long a session lives after a RST. */
const RESET_TTL: Duration = seconds(1);

/** Which way a packet goes: from the client, or to it. */
export type Direction = "out" | "in";

export class NatSession {
  readonly transport: NatTransport;
  /** The client's own port or echo identifier. */
  readonly insidePort: number;
  /** What the client believes to talk to. */
  readonly proxy: IpAddress;
  readonly outsidePort: number;
  /** What it really talks to. Stays, even if the name resolves to something else later. */
  readonly target: IpAddress;

  #lastSeenAt: Instant;
  #confirmed = false;
  #finOut = false;
  #finIn = false;
  #resetAt: Instant | undefined;

  constructor(
    flow: {
      readonly transport: NatTransport;
      readonly insidePort: number;
      readonly proxy: IpAddress;
      readonly outsidePort: number;
      readonly target: IpAddress;
    },
    now: Instant,
  ) {
    this.transport = flow.transport;
    this.insidePort = flow.insidePort;
    this.proxy = flow.proxy;
    this.outsidePort = flow.outsidePort;
    this.target = flow.target;
    this.#lastSeenAt = now;
  }

  /** When the session ends if no packet comes; a packet at or after it is too late. */
  get expiresAt(): Instant {
    if (this.#resetAt !== undefined) return this.#resetAt + RESET_TTL;
    if (this.isClosed) return this.#lastSeenAt + CLOSED_TTL;
    if (!this.#confirmed) return this.#lastSeenAt + UNCONFIRMED_TTL;
    return this.#lastSeenAt + (this.transport === "tcp" ? TCP_TTL : DATAGRAM_TTL);
  }

  /** Whether both sides have sent a FIN. */
  get isClosed(): boolean {
    return this.#finOut && this.#finIn;
  }

  /** Whether a new connection on the same port must not continue this session. */
  isReplacedBy(packet: IpPacket): boolean {
    if (this.transport !== "tcp" || !(this.isClosed || this.#resetAt !== undefined)) return false;
    return (tcpFlags(packet) & (TcpFlag.syn | TcpFlag.ack)) === TcpFlag.syn;
  }

  /** Takes note of a packet of this session. Returns whether `expiresAt` may have come closer. */
  note(packet: IpPacket, direction: Direction, now: Instant): boolean {
    this.#lastSeenAt = now;
    if (direction === "in") this.#confirmed = true;
    if (this.transport !== "tcp") return false;
    const flags = tcpFlags(packet);
    if ((flags & (TcpFlag.fin | TcpFlag.rst)) === 0) return false;
    if ((flags & TcpFlag.rst) !== 0) this.#resetAt ??= now;
    if ((flags & TcpFlag.fin) !== 0) {
      if (direction === "out") this.#finOut = true;
      else this.#finIn = true;
    }
    return true;
  }
}
