/** Time as data. The core never reads a clock: `now` comes in as an argument. */

/** Milliseconds on a monotonic clock with an arbitrary origin. Fractions are allowed. */
export type Instant = number;

/** A span of time in milliseconds. */
export type Duration = number;

/** When a machine wants `handleTimeout` to be called, and why; the reason goes to the trace log. */
export interface Wake {
  readonly at: Instant;
  readonly reason: string;
}

/** Returns `count` seconds in milliseconds. */
export function seconds(count: number): Duration {
  return count * 1000;
}

/** Returns `count` minutes in milliseconds. */
export function minutes(count: number): Duration {
  return count * 60_000;
}

/** Returns the earliest of `wakes`, skipping the undefined ones. */
export function earliest(...wakes: (Wake | undefined)[]): Wake | undefined {
  let first: Wake | undefined;
  for (const wake of wakes) {
    if (wake !== undefined && (first === undefined || wake.at < first.at)) first = wake;
  }
  return first;
}

/**
 * Maps the portal's wall-clock stamps to instants of the monotonic clock. Made once, at start, from one reading of
 * both clocks, so that a later step of the wall clock moves nothing.
 */
export class WallClock {
  readonly #offset: number;

  /** `now` and `unixMs` are readings of the two clocks at the same moment. */
  constructor(now: Instant, unixMs: number) {
    this.#offset = unixMs - now;
  }

  /** Returns the unix time in milliseconds at `now`. */
  unixMs(now: Instant): number {
    return now + this.#offset;
  }

  /** Returns the instant at which the unix time is `unixSeconds`. */
  instantAt(unixSeconds: number): Instant {
    return unixSeconds * 1000 - this.#offset;
  }
}
