/** How long a client bears with its relay: when it tries again after a failure, and how far it lets itself be led around. */

import { type Duration, type Instant, minutes, seconds } from "../base/time.ts";
import type { LossReason } from "./allocation_event.ts";

/** How many mismatches in a while we follow before we call the relay's behaviour a refusal. */
const MAX_DETOURS = 6;
const DETOUR_WINDOW = seconds(60);
/** Most outages are short, and streams wait for their end. */
const EAGER_FOR = minutes(5);
const EAGER_DELAY = seconds(3);
const FIRST_DELAY = seconds(5);
const MAX_DELAY = seconds(60);

export class Patience {
  #detours = 0;
  #detoursSince: Instant = -Infinity;
  #failingSince: Instant | undefined;
  /** After eagerness ended. */
  #failures = 0;

  /** When the first of the failures began that nothing ended yet. */
  get failingSince(): Instant | undefined {
    return this.#failingSince;
  }

  /** Counts a mismatch; returns whether to go on regardless. */
  bearsDetour(now: Instant): boolean {
    if (now >= this.#detoursSince + DETOUR_WINDOW) {
      this.#detoursSince = now;
      this.#detours = 0;
    }
    return ++this.#detours <= MAX_DETOURS;
  }

  /** Counts a failure; returns how long to wait before the next attempt: longer each time, but not soon after silence began. */
  nextDelay(reason: LossReason, now: Instant): Duration {
    this.#failingSince ??= now;
    if (reason === "unreachable" && now < this.#failingSince + EAGER_FOR) return EAGER_DELAY;
    return Math.min(FIRST_DELAY * 2 ** this.#failures++, MAX_DELAY);
  }

  /** The relay granted what we wanted: the next failure is the first. */
  forgetFailures(): void {
    this.#failures = 0;
    this.#failingSince = undefined;
  }
}
