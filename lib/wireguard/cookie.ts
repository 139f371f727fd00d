/**
 * The two MACs that end a handshake message, and the cookies behind the second one. The sender signs; a responder under
 * load answers with a cookie that only the owner of the source address can read. Whitepaper §5.3, §5.4.4, §5.4.7.
 */

import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { equalBytes, readU32Le, utf8, writeU32Le } from "../base/bytes.ts";
import type { IpAddress } from "../base/ip.ts";
import type { Rng } from "../base/rng.ts";
import { type Duration, type Instant, seconds } from "../base/time.ts";
import { COOKIE_REPLY_LENGTH, decodeCookieReply, MAC_LENGTH, MessageType } from "../wire/wireguard.ts";
import { hash, mac } from "./noise.ts";

/** How long a responder keeps the secret that its cookies are made of. */
export const COOKIE_SECRET_LIFETIME: Duration = seconds(128);

/** The sender's side: signs messages to one peer and remembers the peer's cookie. */
export class MessageSigner {
  readonly #macKey: Uint8Array;
  readonly #cookieKey: Uint8Array;
  readonly #cookieLifetime: Duration;
  #lastMac1: Uint8Array | undefined;
  #cookie: { readonly value: Uint8Array; readonly receivedAt: Instant } | undefined;

  constructor(remotePublicKey: Uint8Array, cookieLifetime: Duration) {
    this.#macKey = hash(MAC1_LABEL, remotePublicKey);
    this.#cookieKey = hash(COOKIE_LABEL, remotePublicKey);
    this.#cookieLifetime = cookieLifetime;
  }

  /** Writes mac1, and mac2 if a fresh cookie is known, into the last 32 bytes of `message`. */
  sign(message: Uint8Array, now: Instant): void {
    const mac1At = message.length - 2 * MAC_LENGTH;
    const mac2At = message.length - MAC_LENGTH;
    const mac1 = mac(this.#macKey, message.subarray(0, mac1At));
    message.set(mac1, mac1At);
    this.#lastMac1 = mac1;
    if (this.#cookie === undefined) return;
    if (now - this.#cookie.receivedAt >= this.#cookieLifetime) {
      this.#cookie = undefined;
      return;
    }
    message.set(mac(this.#cookie.value, message.subarray(0, mac2At)), mac2At);
  }

  /** Keeps the cookie of a reply to the message signed last; returns false when it is no such reply. */
  handleCookieReply(message: Uint8Array, now: Instant): boolean {
    const reply = decodeCookieReply(message);
    if (reply === undefined || this.#lastMac1 === undefined) return false;
    try {
      const value = xchacha20poly1305(this.#cookieKey, reply.nonce, this.#lastMac1).decrypt(
        reply.encryptedCookie,
      );
      this.#cookie = { value, receivedAt: now };
    } catch {
      return false;
    }
    // A second reply to the same message would only be a replay.
    this.#lastMac1 = undefined;
    return true;
  }
}

/** The responder's side: checks both MACs of messages sent to us, and makes cookie replies. */
export class MessageChecker {
  readonly #macKey: Uint8Array;
  readonly #cookieKey: Uint8Array;
  readonly #rng: Rng;
  #secret: { readonly value: Uint8Array; readonly madeAt: Instant };
  /** The secret before this one: a cookie must not die early because it was made late in a secret's life. */
  #previousSecret: Uint8Array | undefined;

  constructor(localPublicKey: Uint8Array, rng: Rng, now: Instant) {
    this.#macKey = hash(MAC1_LABEL, localPublicKey);
    this.#cookieKey = hash(COOKIE_LABEL, localPublicKey);
    this.#rng = rng;
    this.#secret = { value: rng.bytes(32), madeAt: now };
  }

  /** Returns whether the sender of an initiation or response knows our public key. */
  isMac1Valid(message: Uint8Array): boolean {
    const mac1At = message.length - 2 * MAC_LENGTH;
    const expected = mac(this.#macKey, message.subarray(0, mac1At));
    return equalBytes(expected, message.subarray(mac1At, mac1At + MAC_LENGTH));
  }

  /** Returns whether the sender of an initiation or response has received a cookie of ours at `source`. */
  isMac2Valid(message: Uint8Array, source: IpAddress, now: Instant): boolean {
    this.#rotate(now);
    const mac2At = message.length - MAC_LENGTH;
    const mac2 = message.subarray(mac2At);
    const secrets = [this.#secret.value, this.#previousSecret];
    return secrets.some((secret) =>
      secret !== undefined &&
      equalBytes(mac(cookieFor(secret, source), message.subarray(0, mac2At)), mac2)
    );
  }

  /** Returns the cookie reply (64 bytes) to an initiation or response whose mac1 is valid. */
  cookieReply(message: Uint8Array, source: IpAddress, now: Instant): Uint8Array {
    this.#rotate(now);
    const nonce = this.#rng.bytes(24);
    const mac1At = message.length - 2 * MAC_LENGTH;
    const mac1 = message.subarray(mac1At, mac1At + MAC_LENGTH);
    const cookie = cookieFor(this.#secret.value, source);

    const reply = new Uint8Array(COOKIE_REPLY_LENGTH);
    writeU32Le(reply, 0, MessageType.cookieReply);
    writeU32Le(reply, 4, readU32Le(message, 4));
    reply.set(nonce, 8);
    reply.set(xchacha20poly1305(this.#cookieKey, nonce, mac1).encrypt(cookie), 32);
    return reply;
  }

  #rotate(now: Instant): void {
    const age = now - this.#secret.madeAt;
    if (age < COOKIE_SECRET_LIFETIME) return;
    this.#previousSecret = age < 2 * COOKIE_SECRET_LIFETIME ? this.#secret.value : undefined;
    this.#secret = { value: this.#rng.bytes(32), madeAt: now };
  }
}

function cookieFor(secret: Uint8Array, source: IpAddress): Uint8Array {
  const padded = new Uint8Array(16);
  padded.set(source.bytes);
  return mac(secret, padded);
}

const MAC1_LABEL = utf8("mac1----");
const COOKIE_LABEL = utf8("cookie--");
