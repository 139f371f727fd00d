/** Virtual time: a queue of actions, run in order of their instants. Every run with the same seed is the same. */

import { type Rng, seededRng } from "../../lib/base/rng.ts";
import type { Duration, Instant } from "../../lib/base/time.ts";

export class Simulation {
  readonly rng: Rng;
  #now: Instant = 1000;
  #sequence = 0;
  readonly #queue: { readonly at: Instant; readonly sequence: number; readonly action: () => void }[] = [];

  constructor(seed = 1) {
    this.rng = seededRng(seed);
  }

  get now(): Instant {
    return this.#now;
  }

  /** Runs `action` after `delay`. */
  schedule(delay: Duration, action: () => void): void {
    this.scheduleAt(this.#now + delay, action);
  }

  scheduleAt(at: Instant, action: () => void): void {
    const queue = this.#queue;
    const entry = { at: Math.max(at, this.#now), sequence: this.#sequence++, action };
    let index = queue.length;
    while (index > 0 && queue[index - 1]!.at > entry.at) index--;
    queue.splice(index, 0, entry);
  }

  /** Runs everything due within the next `duration`. */
  runFor(duration: Duration): void {
    this.runUntil(() => false, duration);
  }

  /** Runs until `condition` holds. Returns how long that took, or undefined if it did not within `limit`. */
  runUntil(condition: () => boolean, limit: Duration): Duration | undefined {
    const start = this.#now;
    const end = start + limit;
    let sinceProgress = 0;
    while (!condition()) {
      const next = this.#queue[0];
      if (next === undefined || next.at > end) {
        this.#now = end;
        return undefined;
      }
      this.#queue.shift();
      sinceProgress = next.at > this.#now ? 0 : sinceProgress + 1;
      if (sinceProgress > MAX_ACTIONS_AT_ONCE) throw new Error(`Time stands still at ${this.#now}`);
      this.#now = next.at;
      next.action();
    }
    return this.#now - start;
  }
}

const MAX_ACTIONS_AT_ONCE = 10_000;
