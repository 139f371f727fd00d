/** How often something may be done that others provoke: a few times in a row, then seldom for as long as they go on. */

import type { Duration, Instant } from "../base/time.ts";

/** The bounds of a pace. */
export interface PaceOptions {
  /** Between two times at least. */
  readonly shortest: Duration;
  /** How many times in a row may be so close. At least 1. */
  readonly inRow: number;
  /** Between two times in the long run. */
  readonly longest: Duration;
}

export class Pace {
  readonly #options: PaceOptions;
  #last: Instant = -Infinity;
  /** When all of a row can be had again. */
  #fullAt: Instant = -Infinity;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** From when on it may be done again: at most `longest` after it was done last. */
  get next(): Instant {
    const { shortest, inRow, longest } = this.#options;
    return Math.max(this.#last + shortest, this.#fullAt - (inRow - 1) * longest);
  }

  /** Notes that it was done, at its time or not. */
  note(now: Instant): void {
    const { inRow, longest } = this.#options;
    this.#fullAt = Math.min(Math.max(this.#fullAt, now) + longest, now + inRow * longest);
    this.#last = now;
  }
}
