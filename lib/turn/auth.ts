/**
 * Credentials of the relays: the portal and a relay share a secret, and a username carries all that is needed to derive
 * its password from it, so a relay stores no users. Realm and long-term key: RFC 8489 §9.2.
 */

import { md5 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { toBase64, utf8 } from "../base/bytes.ts";

/** The realm of every relay. */
export const REALM = "firezone";

/** What a relay username says: `<expiry>:<salt>`. */
export interface RelayUsername {
  /** Unix time in seconds. */
  readonly expiry: number;
  readonly salt: string;
}

/** Returns the parts of a relay username, or undefined if `username` has another form. */
export function parseRelayUsername(username: string): RelayUsername | undefined {
  // Leading zeros would give one password many usernames, and with them many allocations.
  const match = /^(0|[1-9]\d{0,14}):([^:]*)$/.exec(username);
  return match === null ? undefined : { expiry: Number(match[1]), salt: match[2]! };
}

/** Returns the username of a credential that ends at `expiry` (unix seconds). */
export function relayUsername(expiry: number, salt: string): string {
  return `${expiry}:${salt}`;
}

/** Returns the password of the username `<expiry>:<salt>` at the relay with `secret`: base64 without padding. */
export function relayPassword(expiry: number, secret: string, salt: string): string {
  return unpadded(sha256(utf8(`${expiry}:${secret}:${salt}`)));
}

/** Returns the salt that the portal gives to the peer with this public key (base64 text as on the wire). */
export function relaySalt(publicKeyBase64: string): string {
  return unpadded(sha256(utf8(publicKeyBase64)));
}

/** Returns the 16-byte key of the long-term credential mechanism (RFC 8489 §9.2.2). */
export function longTermKey(username: string, realm: string, password: string): Uint8Array {
  return md5(utf8(`${username}:${realm}:${password}`));
}

function unpadded(bytes: Uint8Array): string {
  return toBase64(bytes).replace(/=+$/, "");
}
