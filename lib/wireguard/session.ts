/**
 * One session: a pair of keys with a counter and a replay window. `SessionSet` keeps the few that a tunnel has at once,
 * because messages of the old one arrive while the new one takes over. Whitepaper §5.4.6, §6.
 */

import type { AeadContext, CryptoProvider } from "../base/crypto.ts";
import type { Instant } from "../base/time.ts";
import {
  DATA_HEADER_LENGTH,
  DATA_OVERHEAD,
  dataCounter,
  dataReceiver,
  writeDataHeader,
} from "../wire/wireguard.ts";
import type { TransportKeys } from "./handshake.ts";
import { ReplayWindow } from "./replay_window.ts";

/** Most sessions a tunnel keeps: enough for a few crossed or repeated handshakes within three minutes. */
export const MAX_SESSIONS = 8;

/** Returned by `Session.open` for a counter that was used before or is too old. */
export const REPLAYED = -1;
/** Returned by `Session.open` for a message whose tag does not match. */
export const FORGED = -2;
/** Returned by `Session.open` for a message whose packet does not fit the buffer. */
export const TOO_LONG = -3;

export class Session {
  readonly localIndex: number;
  readonly remoteIndex: number;
  readonly isInitiator: boolean;
  readonly establishedAt: Instant;
  readonly #send: AeadContext;
  readonly #receive: AeadContext;
  readonly #window = new ReplayWindow();
  #counter = 0;
  #out: Uint8Array | undefined;
  #outBody: Uint8Array | undefined;

  /** Wipes `keys` after use. */
  constructor(
    crypto: CryptoProvider,
    keys: TransportKeys,
    localIndex: number,
    isInitiator: boolean,
    now: Instant,
  ) {
    this.localIndex = localIndex;
    this.remoteIndex = keys.remoteIndex;
    this.isInitiator = isInitiator;
    this.establishedAt = now;
    this.#send = crypto.aead(keys.send);
    this.#receive = crypto.aead(keys.receive);
    keys.send.fill(0);
    keys.receive.fill(0);
  }

  /** Writes `packet` as a data message to the start of `out` and returns the message's length. */
  seal(packet: Uint8Array, out: Uint8Array): number {
    const counter = this.#counter++;
    writeDataHeader(out, this.remoteIndex, counter);
    // A caller that uses one buffer for all packets spares us a view for each.
    if (this.#outBody === undefined || out !== this.#out) {
      this.#out = out;
      this.#outBody = out.subarray(DATA_HEADER_LENGTH);
    }
    this.#send.seal(counter, packet, this.#outBody);
    return packet.length + DATA_OVERHEAD;
  }

  /**
   * Writes the packet in the data message to the start of `out` and returns its length, 0 for a keepalive, or
   * `REPLAYED`, `FORGED` or `TOO_LONG`. `out` may begin at the message's ciphertext, but must not overlap it otherwise.
   */
  open(message: Uint8Array, out: Uint8Array): number {
    if (message.length - DATA_OVERHEAD > out.length) return TOO_LONG;
    const counter = dataCounter(message);
    if (!this.#window.isNew(counter)) return REPLAYED;
    if (!this.#receive.open(counter, message, out, DATA_HEADER_LENGTH)) return FORGED;
    this.#window.accept(counter);
    return message.length - DATA_OVERHEAD;
  }

  /** Wipes the keys. The session must not be used afterwards. */
  destroy(): void {
    this.#send.destroy();
    this.#receive.destroy();
  }
}

/** The sessions of one tunnel, newest last, and which of them carries what we send. */
export class SessionSet {
  #sessions: Session[] = [];
  #current: Session | undefined;

  /** The newest session that the peer is known to have. */
  get current(): Session | undefined {
    return this.#current;
  }

  /** Keeps `session`, wiping the oldest one where there are too many. */
  add(session: Session): void {
    this.#sessions.push(session);
    if (this.#sessions.length > MAX_SESSIONS) {
      const oldest = this.#sessions.find((candidate) => candidate !== this.#current)!;
      this.#sessions = this.#sessions.filter((candidate) => candidate !== oldest);
      oldest.destroy();
    }
  }

  /** Returns the session that a data message is for. */
  find(message: Uint8Array): Session | undefined {
    const localIndex = dataReceiver(message);
    if (this.#current !== undefined && this.#current.localIndex === localIndex) return this.#current;
    return this.#sessions.findLast((session) => session.localIndex === localIndex);
  }

  /** Makes `session` the current one unless that is newer; returns whether it did. */
  promote(session: Session): boolean {
    if (session === this.#current) return false;
    if (this.#current !== undefined && this.#isNewer(this.#current, session)) return false;
    this.#current = session;
    return true;
  }

  /** Returns when the oldest session was established. */
  get oldestAt(): Instant | undefined {
    return this.#sessions[0]?.establishedAt;
  }

  /** Wipes the sessions established at or before `limit`. */
  expire(limit: Instant): void {
    while (this.#sessions.length > 0 && this.#sessions[0]!.establishedAt <= limit) {
      const session = this.#sessions.shift()!;
      session.destroy();
      if (session === this.#current) this.#current = undefined;
    }
  }

  /** Wipes all. */
  clear(): void {
    for (const session of this.#sessions) session.destroy();
    this.#sessions = [];
    this.#current = undefined;
  }

  #isNewer(a: Session, b: Session): boolean {
    return this.#sessions.indexOf(a) > this.#sessions.indexOf(b);
  }
}
