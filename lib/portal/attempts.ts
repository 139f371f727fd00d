/** Bounds guessing: each key has so many attempts at once, and gets one back from time to time. */

import type { Duration, Instant } from "../base/time.ts";

/** How many attempts there are. */
export interface AttemptLimits {
  /** Attempts in a row. */
  readonly burst: number;
  /** After this long, one more. */
  readonly interval: Duration;
}

export class AttemptLimiter {
  readonly #limits: AttemptLimits;
  /** When each key will have all its attempts again. */
  readonly #fullAt = new Map<string, Instant>();

  constructor(limits: AttemptLimits) {
    this.#limits = limits;
  }

  /** Takes an attempt of `key`. Returns undefined, or how long to wait because there is none left. */
  take(key: string, now: Instant): Duration | undefined {
    const { burst, interval } = this.#limits;
    const fullAt = Math.max(this.#fullAt.get(key) ?? now, now);
    const wait = fullAt - now - (burst - 1) * interval;
    if (wait > 0) return wait;
    if (!this.#fullAt.has(key)) this.#makeRoom(now);
    this.#fullAt.set(key, fullAt + interval);
    return undefined;
  }

  /** Gives the last attempt of `key` back: it was no guess. */
  giveBack(key: string): void {
    const fullAt = this.#fullAt.get(key);
    if (fullAt !== undefined) this.#fullAt.set(key, fullAt - this.#limits.interval);
  }

  /** Gives all attempts of `key` back. */
  forget(key: string): void {
    this.#fullAt.delete(key);
  }

  #makeRoom(now: Instant): void {
    if (this.#fullAt.size < MAX_KEYS) return;
    for (const [key, at] of this.#fullAt) if (at <= now) this.#fullAt.delete(key);
    for (const key of this.#fullAt.keys()) {
      if (this.#fullAt.size < MAX_KEYS) break;
      this.#fullAt.delete(key);
    }
  }
}

const MAX_KEYS = 10_000;
