/** The answers of a TURN server (RFC 8656 §7.2, §8.2, §12.2), begun here and finished by whoever signs them. */

import { type StunMessage, StunWriter } from "../wire/stun.ts";

/** What an answer needs of its request. Unlike the message it is no view of a receive buffer, so it may be kept. */
export type RequestId = Pick<StunMessage, "method" | "transactionId" | "transactionKey">;

/** The error codes we answer with, and their reason phrases (RFC 8489 §14.8, RFC 8656 §19). */
const REASONS = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  437: "Allocation Mismatch",
  438: "Stale Nonce",
  440: "Address Family not Supported",
  443: "Peer Address Family Mismatch",
  508: "Insufficient Capacity",
} as const;

/** The code of an error that the server answers with. */
export type ErrorCode = keyof typeof REASONS;

/** Returns the part of `request` that may be kept. */
export function requestId({ method, transactionId, transactionKey }: StunMessage): RequestId {
  return { method, transactionId, transactionKey };
}

/** Returns the beginning of a success response. */
export function success({ method, transactionId }: RequestId): StunWriter {
  return new StunWriter(method, "success", transactionId);
}

/** Returns the beginning of an error response. */
export function failure({ method, transactionId }: RequestId, code: ErrorCode): StunWriter {
  return new StunWriter(method, "error", transactionId).addError(code, REASONS[code]);
}
