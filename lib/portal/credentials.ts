/**
 * Secrets that the portal derives for pairs of peers. All are deterministic per pair and keys: a second grant must
 * carry the same values, or peers tear their connection down. portal-protocol §8 and §5.3.
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, fromBase64, toBase64, toHex, utf8 } from "../base/bytes.ts";
import { assert } from "../base/assert.ts";
import type { IceCredentials } from "../wire/portal/common.ts";

/** One side of a pair. `publicKey` and `pskBase` are base64. */
export interface PairMember {
  readonly id: string;
  readonly publicKey: string;
  readonly pskBase: string;
}

/** Returns the ICE credentials of a pair: 4 and 22 characters each. §8.1 */
export function iceCredentials(
  initiator: Pick<PairMember, "id" | "publicKey">,
  receiver: Pick<PairMember, "id" | "publicKey">,
): { readonly initiator: IceCredentials; readonly receiver: IceCredentials } {
  const seed = `${initiator.id}:${initiator.publicKey}:${receiver.id}:${receiver.publicKey}`;
  const text = base32(sha256(utf8(seed)));
  return {
    initiator: { username: text.slice(0, 4), password: text.slice(4, 26) },
    receiver: { username: text.slice(26, 30), password: text.slice(30, 52) },
  };
}

/** Returns the preshared key (base64) of a client and a gateway. §8.2 */
export function gatewayPresharedKey(client: PairMember, gateway: PairMember): string {
  return presharedKey(
    client,
    gateway,
    `WG_PSK|C_ID:${client.id}|G_ID:${gateway.id}|C_PK:${client.publicKey}|G_PK:${gateway.publicKey}`,
  );
}

/** Returns the preshared key (base64) of two clients. §8.2 */
export function clientPresharedKey(initiator: PairMember, receiver: PairMember): string {
  return presharedKey(
    initiator,
    receiver,
    `WG_PSK_CC|CA_ID:${initiator.id}|CB_ID:${receiver.id}|CA_PK:${initiator.publicKey}|CB_PK:${receiver.publicKey}`,
  );
}

/** Returns the TURN user name and password of the peer with `publicKey` (base64) at a relay. §5.3 */
export function turnCredentials(
  publicKey: string,
  stampSecret: string,
  expiresAt: number,
): { readonly username: string; readonly password: string } {
  const salt = unpadded(sha256(utf8(publicKey)));
  return {
    username: `${expiresAt}:${salt}`,
    password: unpadded(sha256(utf8(`${expiresAt}:${stampSecret}:${salt}`))),
  };
}

/** Returns the id of the relay with this secret. §8.4 */
export function relayId(stampSecret: string): string {
  return uuidOf(sha256(utf8(stampSecret)));
}

/** Returns the first 16 of `bytes` as a version 4 UUID. */
export function uuidOf(bytes: Uint8Array): string {
  const id = bytes.slice(0, 16);
  id[6] = (id[6]! & 0x0f) | 0x40;
  id[8] = (id[8]! & 0x3f) | 0x80;
  const hex = toHex(id);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** PBKDF2-HMAC-SHA256 with one iteration and one block is this one HMAC. */
function presharedKey(one: PairMember, other: PairMember, salt: string): string {
  const password = concatBytes(bytesOf(one.pskBase), bytesOf(other.pskBase));
  return toBase64(hmac(sha256, password, concatBytes(utf8(salt), Uint8Array.of(0, 0, 0, 1))));
}

function bytesOf(base64: string): Uint8Array {
  const bytes = fromBase64(base64);
  assert(bytes !== undefined, "a kept psk base is base64");
  return bytes;
}

function unpadded(bytes: Uint8Array): string {
  return toBase64(bytes).replace(/=+$/, "");
}

function base32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(value >> bits) & 31];
    }
  }
  return bits === 0 ? text : text + ALPHABET[(value << (5 - bits)) & 31];
}

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";
