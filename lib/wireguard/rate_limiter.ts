/**
 * The door for handshake messages, one per node: nothing without our public key comes in, and under load nothing without
 * a cookie, before any curve arithmetic is spent on it. Whitepaper §5.3.
 */

import type { IpAddress } from "../base/ip.ts";
import type { Rng } from "../base/rng.ts";
import { type Instant, seconds } from "../base/time.ts";
import { messageType } from "../wire/wireguard.ts";
import { MessageChecker } from "./cookie.ts";

/** Handshake messages per second above which a node asks for cookies. */
export const HANDSHAKES_PER_SECOND = 100;

/** What to do with a handshake message. */
export type Admission =
  | { readonly type: "admitted" }
  /** Send `reply` (64 bytes) to the sender and drop the message. */
  | { readonly type: "cookie"; readonly reply: Uint8Array }
  | { readonly type: "dropped"; readonly reason: "not-a-handshake" | "mac1" };

export class RateLimiter {
  readonly #checker: MessageChecker;
  #secondStartedAt: Instant;
  #count = 0;

  /** `localPublicKey` is the node's own. */
  constructor(localPublicKey: Uint8Array, rng: Rng, now: Instant) {
    this.#checker = new MessageChecker(localPublicKey, rng, now);
    this.#secondStartedAt = now;
  }

  /** Judges an initiation or response that came from `source`. */
  admit(message: Uint8Array, source: IpAddress, now: Instant): Admission {
    const type = messageType(message);
    if (type !== "initiation" && type !== "response") return { type: "dropped", reason: "not-a-handshake" };
    if (!this.#checker.isMac1Valid(message)) return { type: "dropped", reason: "mac1" };
    if (!this.#isUnderLoad(now) || this.#checker.isMac2Valid(message, source, now)) return ADMITTED;
    return { type: "cookie", reply: this.#checker.cookieReply(message, source, now) };
  }

  #isUnderLoad(now: Instant): boolean {
    if (now - this.#secondStartedAt >= seconds(1)) {
      this.#secondStartedAt = now;
      this.#count = 0;
    }
    this.#count++;
    return this.#count > HANDSHAKES_PER_SECOND;
  }
}

const ADMITTED: Admission = { type: "admitted" };
