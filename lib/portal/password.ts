/** Passwords as a portal keeps them: scrypt (RFC 7914) with a salt for each, as text in the PHC string format. */

import { scrypt } from "@noble/hashes/scrypt.js";
import { equalBytes, fromBase64, toBase64, utf8 } from "../base/bytes.ts";
import type { Rng } from "../base/rng.ts";

/** What one guess costs: 128·r·2^logN bytes of memory, p times over. */
export interface ScryptCost {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
}

/** A kept password, taken apart. */
export interface KeptPassword {
  readonly cost: ScryptCost;
  readonly salt: Uint8Array;
  readonly hash: Uint8Array;
}

/** 32 MiB, three times: OWASP's recommendation for this much memory. */
export const PASSWORD_COST: ScryptCost = { logN: 15, r: 8, p: 3 };

/** Fewest and most characters of a password. */
export const PASSWORD_LENGTH = { min: 8, max: 256 } as const;

/** Length of the hash in bytes. */
export const PASSWORD_HASH_BYTES = 32;

/** Returns what is kept of `password`. Takes a good part of a second, as it should. */
export function hashPassword(password: string, rng: Rng, cost: ScryptCost = PASSWORD_COST): string {
  const salt = rng.bytes(SALT_BYTES);
  return textOf({ cost, salt, hash: derive(password, salt, cost) });
}

/** Returns whether `kept` is what was kept of `password`. Slow; the shell has a faster way. */
export function isPassword(password: string, kept: string): boolean {
  const parts = readPassword(kept);
  return parts !== undefined && equalBytes(derive(password, parts.salt, parts.cost), parts.hash);
}

/** Returns the parts of `kept`, or undefined if it is not what `hashPassword` returns. */
export function readPassword(kept: string): KeptPassword | undefined {
  const match = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([^$]{1,100})\$([^$]{1,100})$/.exec(kept);
  if (match === null) return undefined;
  const cost = { logN: Number(match[1]), r: Number(match[2]), p: Number(match[3]) };
  const salt = padded(match[4]!);
  const hash = padded(match[5]!);
  const isPossible = cost.logN >= 1 && cost.logN <= 20 && cost.r >= 1 && cost.r <= 16 && cost.p >= 1;
  if (!isPossible || salt === undefined || hash?.length !== PASSWORD_HASH_BYTES) return undefined;
  return { cost, salt, hash };
}

/** Returns what is hashed of `password`: keyboards differ in how they compose a letter. */
export function passwordBytes(password: string): Uint8Array {
  return utf8(password.normalize("NFC"));
}

/** What nobody's password was kept as: checking it takes as long as checking a real one. */
export const NOBODYS_PASSWORD: string = textOf({
  cost: PASSWORD_COST,
  salt: new Uint8Array(16),
  hash: new Uint8Array(PASSWORD_HASH_BYTES),
});

function derive(password: string, salt: Uint8Array, { logN, r, p }: ScryptCost): Uint8Array {
  return scrypt(passwordBytes(password), salt, { N: 2 ** logN, r, p, dkLen: PASSWORD_HASH_BYTES });
}

function textOf({ cost, salt, hash }: KeptPassword): string {
  const { logN, r, p } = cost;
  return `$scrypt$ln=${logN},r=${r},p=${p}$${unpadded(salt)}$${unpadded(hash)}`;
}

function unpadded(bytes: Uint8Array): string {
  return toBase64(bytes).replace(/=+$/, "");
}

function padded(base64: string): Uint8Array | undefined {
  return fromBase64(base64 + "=".repeat((4 - base64.length % 4) % 4));
}

const SALT_BYTES = 16;
