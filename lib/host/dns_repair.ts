/**
 * When DNS settings of ours that somebody overwrote are set again: at once, then with growing distance, and only so often,
 * for two programs that both insist would go on for ever. When that is used up, it is a problem for a person; a while
 * later it is tried again.
 */

import { type Duration, type Instant, minutes, seconds } from "../base/time.ts";

/** What is to be done. */
export type RepairVerdict =
  /** Ours are in force, or somebody else's for a moment more. */
  | "none"
  /** Set them again; then call `noteFailed` if it cannot be done. */
  | "repair"
  /** It was done too often; told once. */
  | "give-up";

/** Within `REPAIR_WINDOW`. */
const MAX_REPAIRS = 5;
/** How long a repair counts. */
const REPAIR_WINDOW: Duration = minutes(10);
/** How long after the last repair the next may be, by how many there were. */
const DISTANCES: readonly Duration[] = [0, seconds(0.5), seconds(1), seconds(2), seconds(5)];

export class DnsRepair {
  /** Of the last `REPAIR_WINDOW`. */
  #recent: Instant[] = [];
  #count = 0;
  #problem: string | undefined;

  /** How often they were set again, all in all. */
  get count(): number {
    return this.#count;
  }

  /** Why names do not reach us though they should: one sentence. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Judges what was just seen. */
  judge(isInForce: boolean, now: Instant): RepairVerdict {
    if (isInForce) {
      this.#problem = undefined;
      return "none";
    }
    this.#recent = this.#recent.filter((at) => now - at < REPAIR_WINDOW);
    if (this.#recent.length >= MAX_REPAIRS) {
      if (this.#problem !== undefined) return "none";
      this.#problem = TOO_OFTEN;
      return "give-up";
    }
    const last = this.#recent.at(-1);
    if (last !== undefined && now - last < DISTANCES[this.#recent.length]!) return "none";
    this.#recent.push(now);
    this.#count++;
    return "repair";
  }

  /** A repair could not be done. */
  noteFailed(reason: string): void {
    this.#problem = reason;
  }

  /** They were set for another reason than a repair, and are in force. */
  noteSet(): void {
    this.#problem = undefined;
  }
}

const TOO_OFTEN =
  `Another program keeps changing this machine's DNS settings: they were set again ${MAX_REPAIRS} ` +
  `times within ${REPAIR_WINDOW / 60_000} minutes`;
