/** The exit codes of the program: one number for each cause, so that scripts need not read messages. */

import { Fault, type FaultCode } from "../lib/base/fault.ts";
import type { SignalName } from "./context.ts";

/** Everything went well. */
export const EXIT_OK = 0;

/** The person broke it off while nothing was done yet: as after Ctrl+C, 128 + SIGINT. */
export const EXIT_INTERRUPTED = 130;

const SIGNAL_NUMBERS: Readonly<Record<SignalName, number>> = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

const CODES: Readonly<Record<FaultCode, number>> = {
  "unexpected": 1,
  "usage": 2,
  "rejected": 3,
  "expired": 4,
  "unreachable": 5,
  "privilege": 6,
  "tun": 7,
  "dns": 8,
  "timeout": 9,
  "unknown-resource": 10,
  "offline": 11,
  "not-running": 12,
};

/** What each code means, for the manual and `fz --help`. */
export const EXIT_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [0, "success"],
  [1, "unexpected failure"],
  [2, "wrong usage"],
  [3, "not signed in, or rejected"],
  [4, "credential expired"],
  [5, "portal unreachable"],
  [6, "missing privilege"],
  [7, "TUN device busy or missing"],
  [8, "DNS manager"],
  [9, "timed out"],
  [10, "resource unknown or not allowed"],
  [11, "gateway offline"],
  [12, "service not running"],
];

/** Returns the exit code of a command that the signal `name` ended: 128 and its number (signal(7)), as shells count. */
export function exitCodeOfSignal(name: SignalName): number {
  return 128 + SIGNAL_NUMBERS[name];
}

/** Returns the exit code for `error`, whatever was thrown. */
export function exitCodeOf(error: unknown): number {
  return CODES[error instanceof Fault ? error.code : "unexpected"];
}
