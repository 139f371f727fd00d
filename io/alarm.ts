/** One timer that follows a machine's `pollTimeout`. Chunks waits that `setTimeout` cannot hold. */

import type { Wake } from "../lib/base/time.ts";
import { monotonicNow } from "./clock.ts";

export class Alarm {
  readonly #ring: () => void;
  #at: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `ring` is called when the moment has come; at once if it has passed already, but never from inside `set`. */
  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Moves the alarm to `wake`; undefined switches it off. */
  set(wake: Wake | undefined): void {
    if (wake?.at === this.#at && this.#timer !== undefined) return;
    this.clear();
    if (wake === undefined) return;
    this.#at = wake.at;
    this.#wait();
  }

  clear(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#at = undefined;
  }

  #wait(): void {
    const rest = this.#at! - monotonicNow();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (monotonicNow() < this.#at!) return this.#wait();
      this.#at = undefined;
      this.#ring();
    }, Math.min(Math.max(Math.ceil(rest), 0), LONGEST_WAIT));
  }
}

// setTimeout overflows at 2^31 ms and then fires at once.
const LONGEST_WAIT = 2 ** 30;
