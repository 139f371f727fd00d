/**
 * One WireGuard tunnel to one peer, both roles. The node drives it: it hands in what arrived for our indices, sends what
 * `pollTransmit` returns to wherever the peer is, and asks `encapsulate` for every packet. Paths and source addresses are
 * none of its business. Handshake messages must have passed the node's `RateLimiter`. Whitepaper §5, §6.
 */

import type { CryptoProvider } from "../base/crypto.ts";
import { equalBytes } from "../base/bytes.ts";
import type { Log } from "../base/log.ts";
import { Ring } from "../base/ring.ts";
import { below, type Rng } from "../base/rng.ts";
import type { Instant, Wake, WallClock } from "../base/time.ts";
import { DATA_OVERHEAD, decodeCookieReply, decodeResponse, messageType } from "../wire/wireguard.ts";
import { MessageSigner } from "./cookie.ts";
import {
  createInitiation,
  createResponse,
  type HandshakeParties,
  type OpenedInitiation,
  openInitiation,
  openResponse,
  openTimestamp,
  type PendingInitiation,
  wipePending,
} from "./handshake.ts";
import { tunnelId } from "./index_allocator.ts";
import { innerLength } from "./inner_packet.ts";
import { dh, KEY_LENGTH } from "./noise.ts";
import { FORGED, REPLAYED, Session, SessionSet, TOO_LONG } from "./session.ts";
import { isLaterTimestamp, TIMESTAMP_LENGTH, TimestampSource } from "./tai64n.ts";
import { TimerState, type TunnelTimers } from "./timers.ts";

/** What a tunnel is made of. */
export interface TunnelOptions {
  /** Our X25519 keys and the peer's, 32 bytes each. */
  readonly staticPrivateKey: Uint8Array;
  readonly staticPublicKey: Uint8Array;
  readonly remotePublicKey: Uint8Array;
  /** 32 bytes; undefined means none, which on the wire is all zeros. */
  readonly presharedKey: Uint8Array | undefined;
  /** This tunnel's id from the node's `IndexAllocator`: the upper 24 bits of all our session indices. */
  readonly index24: number;
  readonly crypto: CryptoProvider;
  readonly rng: Rng;
  readonly now: Instant;
  readonly wallClock: WallClock;
  /** Share one between all tunnels of a node; made of `wallClock` when left out. */
  readonly timestamps?: TimestampSource;
  readonly timers: TunnelTimers;
  readonly log: Log;
}

/** What became of a message. */
export type Decapsulated =
  /** `packet` is a view into the scratch buffer, exactly as long as its IP header says. */
  | { readonly type: "packet"; readonly packet: Uint8Array }
  | { readonly type: "keepalive" }
  /** A handshake message was accepted: drain `pollTransmit` and `pollEvent`. */
  | { readonly type: "handshake" }
  | { readonly type: "dropped"; readonly reason: DropReason };

/** Why a message was not taken. */
export type DropReason =
  | "not-wireguard"
  | "unknown-session"
  | "replayed"
  | "forged"
  | "too-long"
  | "not-ip"
  | "unknown-peer"
  | "unexpected";

/** What a tunnel tells its owner. */
export type TunnelEvent =
  /** A new session carries what we send from now on. */
  | { readonly type: "session-established"; readonly isInitiator: boolean }
  /** Handshakes went unanswered, or no session was made for long: all keys are gone. */
  | { readonly type: "expired" };

/** What a tunnel has done so far. */
export interface TunnelStats {
  /** When the session that carries what we send was established. */
  readonly lastHandshakeAt: Instant | undefined;
  /** Bytes of packets sent, without WireGuard's overhead. */
  readonly txBytes: number;
  /** Bytes of packets received, without WireGuard's overhead. */
  readonly rxBytes: number;
}

export class Tunnel {
  readonly #options: TunnelOptions;
  readonly #parties: HandshakeParties | undefined;
  readonly #timestamps: TimestampSource;
  readonly #signer: MessageSigner;
  readonly #timers: TimerState;
  readonly #sessions = new SessionSet();
  readonly #transmits = new Ring<Uint8Array>(MAX_QUEUE);
  readonly #events = new Ring<TunnelEvent>(MAX_QUEUE);
  #indexCounter = 0;
  /** The two initiations sent last: a late response to the one before the last still completes. */
  #pending: PendingInitiation | undefined;
  #previousPending: PendingInitiation | undefined;
  #lastRemoteTimestamp: Uint8Array = new Uint8Array(TIMESTAMP_LENGTH);
  #lastHandshakeAt: Instant | undefined;
  #txBytes = 0;
  #rxBytes = 0;

  constructor(options: TunnelOptions) {
    this.#options = options;
    const staticShared = dh(options.staticPrivateKey, options.remotePublicKey);
    this.#parties = staticShared && {
      local: { privateKey: options.staticPrivateKey, publicKey: options.staticPublicKey },
      remotePublicKey: options.remotePublicKey,
      staticShared,
      presharedKey: options.presharedKey ?? new Uint8Array(KEY_LENGTH),
    };
    this.#timestamps = options.timestamps ?? new TimestampSource(options.wallClock);
    this.#signer = new MessageSigner(options.remotePublicKey, options.timers.cookieLifetime);
    this.#timers = new TimerState(options.timers, options.now);
  }

  /** Whether the newest session came from an initiation of ours: then we re-key it. */
  get isInitiator(): boolean {
    return this.#timers.isInitiator;
  }

  /** Whether an initiation of ours waits for its response. */
  get isHandshakeInProgress(): boolean {
    return this.#timers.isHandshakeInProgress;
  }

  get stats(): TunnelStats {
    return { lastHandshakeAt: this.#lastHandshakeAt, txBytes: this.#txBytes, rxBytes: this.#rxBytes };
  }

  /** Returns whether `encapsulate` would send. */
  canSend(now: Instant): boolean {
    return this.#sendingSession(now) !== undefined;
  }

  /** Begins a handshake unless one of ours is in progress. */
  startHandshake(now: Instant): void {
    if (!this.#timers.isHandshakeInProgress) this.#sendInitiation(now);
  }

  /**
   * Sends the initiation of the handshake in progress again, ahead of its schedule: for an owner who knows better how
   * long a response can take. Responses to the last two initiations are understood.
   */
  repeatHandshake(now: Instant): void {
    if (this.#timers.isHandshakeInProgress) this.#sendInitiation(now);
  }

  /**
   * Writes `packet` as a data message to the start of `out` and returns the message's length, `packet.length + 32`, or
   * returns 0 when there is no session to send on. Cheapest when `out` is the same view each time.
   */
  encapsulate(packet: Uint8Array, out: Uint8Array, now: Instant): number {
    const session = this.#sendingSession(now);
    if (session === undefined) {
      // Too old to send on but not yet dead: do not wait for its death.
      if (this.#timers.isInitiator) this.startHandshake(now);
      return 0;
    }
    this.#timers.dataSent(now);
    this.#txBytes += packet.length;
    return session.seal(packet, out);
  }

  /**
   * Takes any message addressed to this tunnel. A packet is written to the start of `out`, which may begin at the
   * message's own ciphertext (offset 16) but must not overlap it otherwise.
   */
  decapsulate(message: Uint8Array, out: Uint8Array, now: Instant): Decapsulated {
    switch (messageType(message)) {
      case "data": {
        const length = this.decapsulateData(message, out, now);
        if (length > 0) return { type: "packet", packet: out.subarray(0, length) };
        return length === 0 ? KEEPALIVE : dropped(DATA_DROPS[-length]!);
      }
      case "initiation": {
        const { staticPrivateKey: privateKey, staticPublicKey: publicKey } = this.#options;
        const opened = openInitiation({ privateKey, publicKey }, message);
        return opened === undefined ? dropped("forged") : this.handleInitiation(opened, now);
      }
      case "response":
        return this.#handleResponse(message, now);
      case "cookieReply":
        return this.#handleCookieReply(message, now);
      case undefined:
        return dropped("not-wireguard");
    }
  }

  /**
   * `decapsulate` for a message that `messageType` calls data, without any allocation for the result: returns the
   * packet's length, 0 for a keepalive, or a negative number for a dropped message.
   */
  decapsulateData(message: Uint8Array, out: Uint8Array, now: Instant): number {
    this.#expireSessions(now);
    const session = this.#sessions.find(message);
    if (session === undefined) return UNKNOWN_SESSION;
    const opened = session.open(message, out);
    if (opened < 0) return opened;
    if (session !== this.#sessions.current && this.#sessions.promote(session)) this.#announce(session);
    if (opened === 0) {
      this.#timers.received();
      return 0;
    }
    const length = innerLength(out, opened);
    if (length === undefined) {
      this.#timers.received();
      return NOT_IP;
    }
    this.#timers.dataReceived(now);
    this.#rxBytes += length;
    return length;
  }

  /**
   * Takes an initiation that the node has opened to find this tunnel, sparing the arithmetic of opening it again.
   * `opened` is used up.
   */
  handleInitiation(opened: OpenedInitiation, now: Instant): Decapsulated {
    const parties = this.#parties;
    if (parties === undefined || !equalBytes(opened.remotePublicKey, parties.remotePublicKey)) {
      return dropped("unknown-peer");
    }
    const timestamp = openTimestamp(parties, opened);
    if (timestamp === undefined) return dropped("forged");
    if (!isLaterTimestamp(timestamp, this.#lastRemoteTimestamp)) return dropped("replayed");
    const localIndex = this.#nextIndex();
    const response = createResponse(parties, opened, localIndex, this.#options.rng.bytes(KEY_LENGTH));
    if (response === undefined) return dropped("forged");
    this.#lastRemoteTimestamp = timestamp;
    this.#expireSessions(now);
    this.#sessions.add(new Session(this.#options.crypto, response.keys, localIndex, false, now));
    this.#timers.received();
    this.#timers.sessionEstablished(now, false);
    this.#sendHandshake(response.message, now);
    this.#options.log.debug("Answered a WireGuard handshake", { localIndex });
    return HANDSHAKE;
  }

  /** Returns the next message to send to the peer, or undefined: handshakes and keepalives. */
  pollTransmit(): Uint8Array | undefined {
    return this.#transmits.shift();
  }

  pollEvent(): TunnelEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): Wake | undefined {
    const actionAt = this.#timers.nextAt();
    const oldestAt = this.#sessions.oldestAt;
    const sessionEndsAt = oldestAt === undefined ? Infinity : oldestAt + this.#options.timers.rejectAfterTime;
    if (sessionEndsAt <= actionAt) {
      return sessionEndsAt === Infinity
        ? undefined
        : { at: sessionEndsAt, reason: "wireguard: session ends" };
    }
    return { at: actionAt, reason: `wireguard: ${this.#timers.nextReason()}` };
  }

  handleTimeout(now: Instant): void {
    this.#expireSessions(now);
    for (let action = this.#timers.due(now); action !== undefined; action = this.#timers.due(now)) {
      switch (action) {
        case "expire":
          this.#expire();
          break;
        case "retransmit":
        case "handshake":
          this.#sendInitiation(now);
          break;
        case "keepalive":
          this.#timers.sent();
          this.#sendKeepalive(now);
          break;
      }
    }
  }

  /** Wipes all keys. The tunnel must not be used afterwards. */
  close(): void {
    this.#forgetPending();
    this.#sessions.clear();
    this.#timers.expired();
    this.#transmits.takeAll();
    this.#events.takeAll();
    this.#parties?.staticShared.fill(0);
  }

  #handleResponse(message: Uint8Array, now: Instant): Decapsulated {
    const receiver = decodeResponse(message)?.receiver;
    const pending = [this.#pending, this.#previousPending].find((one) => one?.localIndex === receiver);
    if (this.#parties === undefined || pending === undefined) return dropped("unexpected");
    const keys = openResponse(this.#parties, pending, message);
    if (keys === undefined) return dropped("forged");
    wipePending(pending);
    if (pending === this.#previousPending) this.#previousPending = undefined;
    else this.#forgetPending();

    this.#expireSessions(now);
    const session = new Session(this.#options.crypto, keys, pending.localIndex, true, now);
    this.#sessions.add(session);
    this.#sessions.promote(session);
    this.#timers.received();
    this.#timers.sessionEstablished(now, true);
    this.#announce(session);
    // Confirms the keys: the responder sends nothing on the session before it has heard us use it.
    this.#sendKeepalive(now);
    this.#options.log.debug("Completed a WireGuard handshake", { localIndex: pending.localIndex });
    return HANDSHAKE;
  }

  #handleCookieReply(message: Uint8Array, now: Instant): Decapsulated {
    const receiver = decodeCookieReply(message)!.receiver;
    if (tunnelId(receiver) !== this.#options.index24) return dropped("unexpected");
    if (!this.#signer.handleCookieReply(message, now)) return dropped("forged");
    this.#timers.received();
    return HANDSHAKE;
  }

  #sendInitiation(now: Instant): void {
    const { rng, timers, log } = this.#options;
    const localIndex = this.#nextIndex();
    const created = this.#parties &&
      createInitiation(this.#parties, localIndex, this.#timestamps.next(now), rng.bytes(KEY_LENGTH));
    if (created === undefined) {
      log.warn("Cannot begin a WireGuard handshake: the peer's public key is not usable");
      this.#expire();
      return;
    }
    if (this.#previousPending !== undefined) wipePending(this.#previousPending);
    this.#previousPending = this.#pending;
    this.#pending = created.pending;
    this.#timers.initiationSent(now, below(rng, timers.rekeyJitter + 1));
    this.#sendHandshake(created.message, now);
    log.debug("Sent a WireGuard handshake initiation", { localIndex });
  }

  #sendHandshake(message: Uint8Array, now: Instant): void {
    this.#signer.sign(message, now);
    this.#timers.sent();
    this.#transmits.push(message);
  }

  #sendKeepalive(now: Instant): void {
    const session = this.#sendingSession(now);
    if (session === undefined) return;
    const message = new Uint8Array(DATA_OVERHEAD);
    session.seal(NOTHING, message);
    this.#timers.sent();
    this.#transmits.push(message);
  }

  #sendingSession(now: Instant): Session | undefined {
    const session = this.#sessions.current;
    if (session === undefined) return undefined;
    const { initiatorStopsSendingAfter, rejectAfterTime } = this.#options.timers;
    const limit = session.isInitiator ? initiatorStopsSendingAfter : rejectAfterTime;
    return now - session.establishedAt < limit ? session : undefined;
  }

  #expireSessions(now: Instant): void {
    this.#sessions.expire(now - this.#options.timers.rejectAfterTime);
  }

  #expire(): void {
    this.#forgetPending();
    this.#sessions.clear();
    this.#timers.expired();
    this.#transmits.takeAll();
    this.#events.push({ type: "expired" });
    this.#options.log.debug("WireGuard tunnel expired");
  }

  #announce(session: Session): void {
    this.#lastHandshakeAt = session.establishedAt;
    this.#events.push({ type: "session-established", isInitiator: session.isInitiator });
  }

  #forgetPending(): void {
    if (this.#pending !== undefined) wipePending(this.#pending);
    if (this.#previousPending !== undefined) wipePending(this.#previousPending);
    this.#pending = undefined;
    this.#previousPending = undefined;
  }

  /** Returns the index of the next handshake of either role; the first one ends in 1. */
  #nextIndex(): number {
    this.#indexCounter = (this.#indexCounter + 1) & 0xff;
    return ((this.#options.index24 << 8) | this.#indexCounter) >>> 0;
  }
}

function dropped(reason: DropReason): Decapsulated {
  return { type: "dropped", reason };
}

/** More than a tunnel can have to say between two polls. */
const MAX_QUEUE = 16;
const UNKNOWN_SESSION = -4;
const NOT_IP = -5;
/** By the negated result of `decapsulateData`. */
const DATA_DROPS: readonly DropReason[] = (() => {
  const reasons: DropReason[] = [];
  reasons[-REPLAYED] = "replayed";
  reasons[-FORGED] = "forged";
  reasons[-TOO_LONG] = "too-long";
  reasons[-UNKNOWN_SESSION] = "unknown-session";
  reasons[-NOT_IP] = "not-ip";
  return reasons;
})();
const NOTHING = new Uint8Array(0);
const KEEPALIVE: Decapsulated = { type: "keepalive" };
const HANDSHAKE: Decapsulated = { type: "handshake" };
