/** How often something may be done that others provoke: seldom, and more seldom while they go on. */

import type { Duration, Instant } from "../base/time.ts";

/** The bounds of a pace. */
export interface PaceOptions {
  /** Between two times at least. */
  readonly shortest: Duration;
  /** What that grows to, by half each time. */
  readonly longest: Duration;
  /** After so long without one it is `shortest` again. */
  readonly calm: Duration;
}

export class Pace {
  readonly #options: PaceOptions;
  #last: Instant | undefined;
  #interval: Duration;

  constructor(options: PaceOptions) {
    this.#options = options;
    this.#interval = options.shortest;
  }

  /** From when on it may be done again. */
  get next(): Instant {
    return this.#last === undefined ? -Infinity : this.#last + this.#interval;
  }

  /** Notes that it was done. */
  note(now: Instant): void {
    const { shortest, longest, calm } = this.#options;
    const isAgain = this.#last !== undefined && now - this.#last < calm;
    this.#interval = isAgain ? Math.min(this.#interval * 1.5, longest) : shortest;
    this.#last = now;
  }
}
