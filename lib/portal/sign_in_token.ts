/** Tokens that sign-in hands out. portal-protocol §6.4: what the client sends is its nonce and the portal's fragment. */

import type { Rng } from "../base/rng.ts";
import type { Directory } from "./directory.ts";
import type { Account, Actor, Token } from "./model.ts";

/** How long a sign-in lasts where the account says nothing else. */
export const DEFAULT_SESSION_LIFETIME_SECONDS: number = 7 * 24 * 3600;

/** Makes a token of `actor` for the client that holds `nonce`. The fragment is told once; only a hash is kept. */
export function issueSignInToken(
  directory: Directory,
  account: Account,
  actor: Actor,
  nonce: string,
  rng: Rng,
  unixSeconds: number,
): { readonly token: Token; readonly fragment: string } {
  makeRoom(directory, actor, unixSeconds);
  const fragment = `.fz_client_${rng.bytes(32).toBase64({ alphabet: "base64url", omitPadding: true })}`;
  const id = directory.newId();
  const token: Token = {
    id,
    accountId: account.id,
    kind: "client",
    name: `sign-in ${actor.name} ${id.slice(0, 8)}`,
    hash: directory.hashToken(nonce + fragment),
    actorId: actor.id,
    isInteractive: true,
    expiresAt: unixSeconds + (account.sessionLifetime ?? DEFAULT_SESSION_LIFETIME_SECONDS),
  };
  directory.put("tokens", token);
  return { token, fragment };
}

/** Ends all sign-ins of the actor. */
export function endSignIns(directory: Directory, actorId: string): void {
  for (const token of signInsOf(directory, actorId)) directory.remove("tokens", token.id);
}

/** Somebody who signs in again and again must not fill the table. */
function makeRoom(directory: Directory, actor: Actor, unixSeconds: number): void {
  const tokens = signInsOf(directory, actor.id);
  const live = tokens.filter((token) => token.expiresAt === undefined || token.expiresAt > unixSeconds)
    .toSorted((one, other) => (one.expiresAt ?? Infinity) - (other.expiresAt ?? Infinity));
  const kept = new Set(live.slice(-(MAX_SIGN_INS - 1)).map(({ id }) => id));
  for (const token of tokens) if (!kept.has(token.id)) directory.remove("tokens", token.id);
}

function signInsOf(directory: Directory, actorId: string): Token[] {
  return directory.all("tokens").filter((token) => token.isInteractive === true && token.actorId === actorId);
}

const MAX_SIGN_INS = 50;
