/** Failures on their way through the control API: a `Fault` becomes a `Problem`, and a `Fault` again. */

import { Fault, type FaultCode } from "../../lib/base/fault.ts";
import type { Problem } from "../../lib/control/api.ts";

/** Tells in the trailer of bytes, as JSON in ASCII, that they ended by a failure. */
export const PROBLEM_TRAILER = "fz-problem";

/** Longest text of a problem, in characters. */
const MAX_TEXT = 4096;

const STATUSES: Readonly<Record<FaultCode, number>> = {
  "usage": 400,
  "privilege": 403,
  "unknown-resource": 404,
  "rejected": 409,
  "expired": 409,
  "tun": 500,
  "dns": 500,
  "unexpected": 500,
  "unreachable": 502,
  "offline": 503,
  "not-running": 503,
  "timeout": 504,
};

/** Returns the HTTP status for `problem`. */
export function statusOf({ code }: Problem): number {
  return STATUSES[code];
}

/** Returns what may be told of `error`: all of a `Fault` but its cause, nothing of a bug. */
export function problemOf(error: unknown): Problem {
  if (!(error instanceof Fault)) {
    return {
      code: "unexpected",
      message: "The session failed to answer: unexpected error",
      next: "What happened is in its log: `fz log`.",
    };
  }
  const { code, message, next } = error;
  return { code, message: cut(message), ...(next === undefined ? {} : { next: cut(next) }) };
}

/** Returns the `Fault` that `problem` was. */
export function faultOf({ code, message, next }: Problem): Fault {
  return new Fault(code, message, next === undefined ? {} : { next });
}

/** Returns `problem` as JSON that fits into a header: ASCII on one line. */
export function trailerText(problem: Problem): string {
  return JSON.stringify(problem).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}
