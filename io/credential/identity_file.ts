/**
 * What is known of who is signed in, in a file beside the token. It holds no secret, but names; it says which token it
 * is about, so that one that somebody else put there is not taken for it.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import * as v from "valibot";
import { toHex, utf8 } from "../../lib/base/bytes.ts";
import type { Identity } from "../../lib/control/credential.ts";
import { readTokenFile } from "../token_file.ts";
import { removeSecretFile, writeSecretFile } from "./secret_file.ts";

const Text = v.optional(v.pipe(v.string(), v.maxLength(1024)));

const IdentityFile = v.object({
  schema: v.literal(1),
  tokenHash: v.string(),
  portal: v.string(),
  account: v.optional(v.object({ slug: Text, name: Text })),
  actor: v.optional(v.object({ name: Text, email: Text, type: Text })),
  expiresAt: v.nullish(v.string()),
  signedInAt: Text,
});

/** Returns the place of what is known about the token at `tokenPath`. */
export function identityPath(tokenPath: string): string {
  return `${tokenPath.replace(/\.(token|txt)$/, "")}.identity.json`;
}

/** Returns what is known about `token`; undefined if nothing is, or the file cannot be used. */
export async function readIdentity(tokenPath: string, token: string): Promise<Identity | undefined> {
  try {
    const parsed = v.parse(IdentityFile, JSON.parse(await readTokenFile(identityPath(tokenPath)) ?? ""));
    const { schema: _schema, tokenHash, ...identity } = parsed;
    return tokenHash === hashOf(token) ? identity : undefined;
  } catch {
    return undefined;
  }
}

/** Writes down what is known about `token`. */
export function writeIdentity(tokenPath: string, token: string, identity: Identity): void {
  const text = JSON.stringify({ schema: 1, tokenHash: hashOf(token), ...identity }, undefined, 2);
  writeSecretFile(identityPath(tokenPath), `${text}\n`);
}

/** Removes it. */
export function removeIdentity(tokenPath: string): void {
  removeSecretFile(identityPath(tokenPath));
}

/** Tells tokens apart and gives none away: half of a hash of something that cannot be guessed. */
function hashOf(token: string): string {
  return toHex(sha256(utf8(token)).subarray(0, 16));
}
