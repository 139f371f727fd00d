/**
 * Ingest tokens: signed statements about an authorization, with which peers would upload flow logs. This portal takes no
 * uploads, yet peers throw a grant away whose token is not well-formed. portal-protocol §2.1.
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8 } from "../base/bytes.ts";
import type { Actor, Authorization, Resource } from "./model.ts";

/** Returns the compact JWT (HS256) for one side of `authorization`. `key` is the account's ingest key. */
export function ingestToken(
  key: string,
  role: "initiator" | "responder",
  authorization: Authorization,
  resource: Resource,
  actor: Actor,
  unixSeconds: number,
): string {
  const claims = {
    account_id: authorization.accountId,
    uploads_enabled: false,
    iat: Math.floor(unixSeconds),
    exp: authorization.expiresAt + THIRTY_DAYS,
    role,
    initiator_device_id: authorization.clientId,
    responder_device_id: authorization.receiverId,
    policy_authorization_id: authorization.id,
    policy_id: authorization.policyId,
    resource_id: resource.id,
    resource_name: resource.name,
    ...(resource.address === undefined ? {} : { resource_address: resource.address }),
    initiator_actor_id: actor.id,
    initiator_actor_name: actor.name,
    ...(actor.email === undefined ? {} : { initiator_actor_email: actor.email }),
    // Peers of July 2026 insist on these names for the same facts; unknown claims are no trouble to anybody.
    device_id: authorization.clientId,
    actor_id: actor.id,
    actor_name: actor.name,
    authorized_at: isoTime(unixSeconds),
    authorization_expires_at: isoTime(authorization.expiresAt),
  };
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${base64Url(hmac(sha256, utf8(key), utf8(signed)))}`;
}

function encode(value: unknown): string {
  return base64Url(utf8(JSON.stringify(value)));
}

function base64Url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

function isoTime(unixSeconds: number): string {
  return new Date(Math.floor(unixSeconds) * 1000).toISOString();
}

const THIRTY_DAYS = 30 * 86_400;
