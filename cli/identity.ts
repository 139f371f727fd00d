/** Who is signed in, in words and in JSON; shared by `fz sign-in` and `fz whoami`. */

import type { Identity } from "../lib/control/credential.ts";
import { formatSpan } from "./format.ts";

/** A sign-in that ends sooner than this is worth a word. */
const NEAR_MS = 24 * 3_600_000;

/** Returns "Acme (acme)"; undefined if the portal did not tell. */
export function accountText({ account }: Identity): string | undefined {
  return labelled(account?.name, account?.slug, "()");
}

/** Returns "Ada <ada@corp.example>"; undefined if the portal did not tell. */
export function actorText({ actor }: Identity): string | undefined {
  const text = labelled(actor?.name, actor?.email, "<>");
  return text !== undefined && actor?.type === "service_account" ? `${text}, a service account` : text;
}

/** Returns "as Ada <ada@corp.example> in Acme (acme)", as far as known; empty if nothing is. */
export function whoText(identity: Identity): string {
  const actor = actorText(identity);
  const account = accountText(identity);
  return `${actor === undefined ? "" : ` as ${actor}`}${account === undefined ? "" : ` in ${account}`}`;
}

/** Returns "in 5 d 4 h (2026-11-27 15:02 UTC)", "never", or that nobody knows. */
export function expiryText({ expiresAt }: Identity, nowMs: number): string {
  if (expiresAt === undefined) return "unknown: the portal does not tell";
  if (expiresAt === null) return "never";
  const left = Date.parse(expiresAt) - nowMs;
  const at = `${new Date(Date.parse(expiresAt)).toISOString().slice(0, 16).replace("T", " ")} UTC`;
  return left > 0 ? `in ${formatSpan(left)} (${at})` : `${formatSpan(-left)} ago (${at})`;
}

/** Returns how long the sign-in lasts if that is not long; undefined otherwise. */
export function nearExpiry({ expiresAt }: Identity, nowMs: number): string | undefined {
  if (typeof expiresAt !== "string") return undefined;
  const left = Date.parse(expiresAt) - nowMs;
  return left > 0 && left < NEAR_MS ? formatSpan(left) : undefined;
}

/** Returns `identity` with a time that can be read, or none. */
export function checkedIdentity(identity: Identity): Identity {
  const { expiresAt, ...rest } = identity;
  if (typeof expiresAt === "string" && Number.isNaN(Date.parse(expiresAt))) return rest;
  return identity;
}

function labelled(
  name: string | undefined,
  detail: string | undefined,
  [open, close]: string,
): string | undefined {
  if (name === undefined || name === detail) return detail;
  return detail === undefined ? name : `${name} ${open}${detail}${close}`;
}
