/** What a refused upgrade says: problem details (RFC 9457) and `Retry-After` (RFC 9110 §10.2.3). */

import { type Duration, minutes, seconds } from "../base/time.ts";
import { printable } from "../base/text.ts";
import { type EndCause, endCause } from "./ending.ts";

/** What a refused upgrade says about itself. */
export interface Problem {
  /** The portal's own word for the cause, such as "invalid_token". */
  readonly code: string | undefined;
  readonly detail: string | undefined;
  /** Why a token is refused; only portals of this program say it. */
  readonly cause: EndCause | undefined;
}

/** Returns the problem in `body`, or undefined if the answer is not `application/problem+json`. */
export function decodeProblem(contentType: string | undefined, body: string): Problem | undefined {
  if (contentType?.split(";", 1)[0]?.trim().toLowerCase() !== PROBLEM_TYPE) return undefined;
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value !== "object" || value === null) return undefined;
    return {
      code: "code" in value && typeof value.code === "string" ? printable(value.code, 100) : undefined,
      detail: "detail" in value && typeof value.detail === "string"
        ? printable(value.detail, 500)
        : undefined,
      cause: "cause" in value ? endCause(value.cause) : undefined,
    };
  } catch {
    return undefined;
  }
}

/** Returns the text of a problem document. */
export function encodeProblem(
  status: number,
  title: string,
  code: string,
  detail: string,
  cause?: EndCause,
): string {
  return JSON.stringify({ type: "about:blank", title, status, detail, code, cause });
}

/**
 * Returns how long the `retry-after` header of `headers` asks to wait, or undefined if it is missing or unreadable. A
 * date is measured against the answer's own `date` header, else against `unixMs`; one in the past means zero.
 */
export function retryAfter(
  headers: Readonly<Record<string, string | undefined>>,
  unixMs: number | undefined,
): Duration | undefined {
  const text = headers["retry-after"]?.trim();
  if (text === undefined || text === "") return undefined;
  if (/^\d+$/.test(text)) return Math.min(seconds(Number(text)), MAX_RETRY_AFTER);
  const until = Date.parse(text);
  const reference = headers["date"] === undefined ? NaN : Date.parse(headers["date"]);
  const from = Number.isNaN(reference) ? unixMs : reference;
  if (Number.isNaN(until) || from === undefined) return undefined;
  return Math.min(Math.max(until - from, 0), MAX_RETRY_AFTER);
}

/** The media type of problem documents. */
export const PROBLEM_TYPE = "application/problem+json";

// A typo of a proxy must not silence a peer for a year.
const MAX_RETRY_AFTER = minutes(60);
