/**
 * Whose silence it is when a peer falls silent: its own, while relays answer; or everybody's, because our network is cut
 * where we cannot see it. Then the peer is not to blame, and will be there when the network is.
 */

import { type Duration, type Instant, seconds } from "../base/time.ts";

export class PeerSilence {
  #heardAt: Instant;
  #suspectedAt: Instant | undefined;
  /** When others were first heard after that. */
  #othersHeardAt: Instant | undefined;

  constructor(now: Instant) {
    this.#heardAt = now;
  }

  /** The peer was heard. */
  handlePeer(now: Instant): void {
    this.#heardAt = now;
    this.#suspectedAt = undefined;
    this.#othersHeardAt = undefined;
  }

  /**
   * Returns whether others should be asked: the peer, which is heard every `interval` at least, has been silent for longer
   * than chance explains, or a handshake begun at `handshakeSince` has been without an answer for so long.
   */
  isSuspicious(interval: Duration, handshakeSince: Instant | undefined, now: Instant): boolean {
    const since = Math.min(this.#heardAt + interval, handshakeSince ?? Infinity);
    if (now < since + SUSPICIOUS_SILENCE) return false;
    this.#suspectedAt ??= now;
    return true;
  }

  /** Others were last heard at `at`. */
  handleOthers(at: Instant): void {
    if (this.#suspectedAt !== undefined && at >= this.#suspectedAt) this.#othersHeardAt ??= at;
  }

  /** Returns whether all are silent, for all that is known. Who was heard just before the end proves only that it is over. */
  isGeneral(now: Instant): boolean {
    if (this.#suspectedAt === undefined || now < this.#heardAt + SUSPICIOUS_SILENCE) return false;
    return this.#othersHeardAt === undefined || now < this.#othersHeardAt + PROOF_TIME;
  }
}

/** More than three periods of a client's checks. */
const SUSPICIOUS_SILENCE: Duration = seconds(5);
/** A peer that is there is heard again within this after others are. */
const PROOF_TIME: Duration = seconds(4);
