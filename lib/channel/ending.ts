/**
 * Why a portal ends a session or refuses a token for good. Upstream's portal says "token_expired" and "invalid_token"
 * of all of them; ours adds `cause` to the same message, which upstream's peers ignore.
 */

import { Fault, type FaultCode } from "../base/fault.ts";

/** Why a portal ended a session for good. */
export type EndCause = "expired" | "revoked" | "disabled" | "replaced";

/** Returns `value` if it is a cause that this version knows. */
export function endCause(value: unknown): EndCause | undefined {
  return typeof value === "string" && Object.hasOwn(SENTENCES, value) ? value as EndCause : undefined;
}

/** Returns the fault of a session that the portal ended; `next` is how to get another token. */
export function endFault(cause: EndCause | undefined, next: string): Fault {
  if (cause === undefined) {
    return new Fault("expired", "The portal ended this session: the token expired or was revoked", { next });
  }
  const [code, sentence, isTokenLost] = SENTENCES[cause];
  return new Fault(code, `The portal ended this session: ${sentence}`, isTokenLost ? { next } : {});
}

/** Returns whether the token is worth nothing after `cause`. */
export function isTokenLost(cause: EndCause | undefined): boolean {
  return cause === undefined || SENTENCES[cause][2];
}

const SENTENCES: Readonly<Record<EndCause, readonly [FaultCode, sentence: string, isTokenLost: boolean]>> = {
  expired: ["expired", "the token expired", true],
  revoked: ["rejected", "the token was revoked", true],
  disabled: ["rejected", "the account or the owner of the token was disabled", false],
  replaced: ["rejected", "another program signed in with the same identity", false],
};
