/** The clocks of the computer, for the machines of `lib/`. */

import { type Instant, WallClock } from "../lib/base/time.ts";

export { systemRng } from "./rng.ts";

/** The time, for those who measure it. */
export interface Clock {
  /** Returns milliseconds on a clock that never goes back; the origin is arbitrary. */
  now(): Instant;
}

/** Returns milliseconds since some moment before the start of this process. */
export function monotonicNow(): Instant {
  return read() + offset;
}

/** The one clock of this process. */
export const systemClock: Clock = { now: monotonicNow };

/** Returns the mapping between `monotonicNow` and the wall clock, as of now. */
export function readWallClock(): WallClock {
  return new WallClock(monotonicNow(), Date.now());
}

/**
 * Goes on with `source`, which also counts while the computer sleeps (`Platform.now`), where the runtime's own clock
 * stands still. What was read before stays comparable.
 */
export function useSuspendAwareClock(source: () => Instant): void {
  offset = monotonicNow() - source();
  read = source;
}

let read: () => Instant = () => performance.now();
let offset = 0;
