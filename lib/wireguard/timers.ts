/**
 * When a tunnel acts without being asked: re-keying, retransmission, keepalives, giving up. The stamps are state, the
 * deadlines are derived from them, so that a timeout that comes early or late does no harm. Whitepaper §6; the values
 * and the exceptions are those of upstream (data-plane reference §1.6).
 */

import { type Duration, type Instant, seconds } from "../base/time.ts";

/** The spans a tunnel lives by. */
export interface TunnelTimers {
  /** The initiator re-keys when a session on which it sent data is this old. */
  readonly rekeyAfterTime: Duration;
  /** The initiator re-keys when a session on which it received data is this old. */
  readonly rekeyOnReceiveAfter: Duration;
  /** The initiator encrypts nothing more on a session this old. */
  readonly initiatorStopsSendingAfter: Duration;
  /** A session this old is wiped. */
  readonly rejectAfterTime: Duration;
  /** An unanswered initiation is repeated after this. */
  readonly rekeyTimeout: Duration;
  /** The most that chance adds to `rekeyTimeout`. */
  readonly rekeyJitter: Duration;
  /** A handshake without any answer is given up after this, and the tunnel with it. */
  readonly rekeyAttemptTime: Duration;
  /** Received data is acknowledged with a keepalive after this if nothing else was sent. */
  readonly keepaliveTimeout: Duration;
  /** Sent data that is answered by nothing at all starts a handshake after this. */
  readonly newHandshakeAfter: Duration;
  /** How long a cookie is good for. */
  readonly cookieLifetime: Duration;
  /** Without a new session for this long, everything is wiped and the tunnel is over. */
  readonly forgetAfter: Duration;
}

/** The profile of a connection whose path is kept by ICE. */
export const ICE_TIMERS: TunnelTimers = {
  rekeyAfterTime: seconds(120),
  rekeyOnReceiveAfter: seconds(165),
  initiatorStopsSendingAfter: seconds(170),
  rejectAfterTime: seconds(180),
  rekeyTimeout: seconds(5),
  rekeyJitter: 333,
  rekeyAttemptTime: seconds(20),
  keepaliveTimeout: seconds(10),
  newHandshakeAfter: seconds(15),
  cookieLifetime: seconds(120),
  forgetAfter: seconds(540),
};

/** What is due: give up, repeat the initiation, begin a handshake, or send an empty packet. */
export type TimerAction = "expire" | "retransmit" | "handshake" | "keepalive";

/** The stamps of one tunnel and what follows from them. */
export class TimerState {
  readonly #timers: TunnelTimers;
  /** When the newest session was established; the tunnel's birth before the first one. */
  #establishedAt: Instant;
  #hasSession = false;
  #isInitiator = false;
  #hasSentData = false;
  #hasReceivedData = false;
  /** When we first sent data after the last thing heard from the peer. */
  #unansweredSince: Instant | undefined;
  /** When we first received data after the last thing sent to the peer. */
  #keepaliveOwedSince: Instant | undefined;
  /** The handshake of ours in progress. */
  #attempt: { readonly startedAt: Instant; readonly retransmitAt: Instant } | undefined;
  #isOver = false;

  constructor(timers: TunnelTimers, now: Instant) {
    this.#timers = timers;
    this.#establishedAt = now;
  }

  /** Whether the newest session came from an initiation of ours. */
  get isInitiator(): boolean {
    return this.#isInitiator;
  }

  /** Whether an initiation of ours waits for its response. */
  get isHandshakeInProgress(): boolean {
    return this.#attempt !== undefined;
  }

  /** Notes an initiation sent; `jitter` delays its retransmission. The first one of a row starts the attempt. */
  initiationSent(now: Instant, jitter: Duration): void {
    this.#isOver = false;
    this.#attempt = {
      startedAt: this.#attempt?.startedAt ?? now,
      retransmitAt: now + this.#timers.rekeyTimeout + jitter,
    };
    this.#unansweredSince = undefined;
    this.sent();
  }

  /** Notes a new session, made by our initiation or by the peer's. */
  sessionEstablished(now: Instant, isInitiator: boolean): void {
    this.#isOver = false;
    this.#attempt = undefined;
    this.#establishedAt = now;
    this.#hasSession = true;
    this.#isInitiator = isInitiator;
    this.#hasSentData = false;
    this.#hasReceivedData = false;
  }

  /** Notes that anything authentic was sent. */
  sent(): void {
    this.#keepaliveOwedSince = undefined;
  }

  /** Notes that a packet, not a keepalive, was sent. */
  dataSent(now: Instant): void {
    this.#keepaliveOwedSince = undefined;
    this.#hasSentData = true;
    this.#unansweredSince ??= now;
  }

  /** Notes that anything authentic was received. */
  received(): void {
    this.#unansweredSince = undefined;
  }

  /** Notes that a packet, not a keepalive, was received. */
  dataReceived(now: Instant): void {
    this.#unansweredSince = undefined;
    this.#hasReceivedData = true;
    this.#keepaliveOwedSince ??= now;
  }

  /** Notes that the tunnel is over: no deadline until a new handshake. */
  expired(): void {
    this.#isOver = true;
    this.#attempt = undefined;
    this.#hasSession = false;
    this.#isInitiator = false;
    this.#unansweredSince = undefined;
    this.#keepaliveOwedSince = undefined;
  }

  /** Returns the most important action that is due at `now`. Perform it and ask again. */
  due(now: Instant): TimerAction | undefined {
    if (now >= this.#expireAt()) return "expire";
    if (now >= this.#retransmitAt()) return "retransmit";
    if (now >= this.#handshakeAt()) return "handshake";
    if (now >= this.#keepaliveAt()) return "keepalive";
    return undefined;
  }

  /** Returns when something will be due, Infinity for never. */
  nextAt(): Instant {
    return Math.min(this.#expireAt(), this.#retransmitAt(), this.#handshakeAt(), this.#keepaliveAt());
  }

  /** Returns what will be due first. */
  nextReason(): TimerAction {
    const at = this.nextAt();
    if (at === this.#expireAt()) return "expire";
    if (at === this.#retransmitAt()) return "retransmit";
    return at === this.#handshakeAt() ? "handshake" : "keepalive";
  }

  #expireAt(): Instant {
    if (this.#isOver) return Infinity;
    const forgetAt = this.#establishedAt + this.#timers.forgetAfter;
    if (this.#attempt === undefined) return forgetAt;
    return Math.min(forgetAt, this.#attempt.startedAt + this.#timers.rekeyAttemptTime);
  }

  #retransmitAt(): Instant {
    return this.#attempt?.retransmitAt ?? Infinity;
  }

  #handshakeAt(): Instant {
    if (this.#isOver || this.#attempt !== undefined) return Infinity;
    let at = Infinity;
    if (this.#unansweredSince !== undefined) at = this.#unansweredSince + this.#timers.newHandshakeAfter;
    if (this.#isInitiator && this.#hasSession) {
      // Upstream re-keys when the session dies, even if nothing was ever sent on it.
      let age = this.#timers.rejectAfterTime;
      if (this.#hasReceivedData) age = this.#timers.rekeyOnReceiveAfter;
      if (this.#hasSentData) age = this.#timers.rekeyAfterTime;
      at = Math.min(at, this.#establishedAt + age);
    }
    return at;
  }

  #keepaliveAt(): Instant {
    if (this.#keepaliveOwedSince === undefined) return Infinity;
    return this.#keepaliveOwedSince + this.#timers.keepaliveTimeout;
  }
}
