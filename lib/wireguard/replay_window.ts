/**
 * The sliding window against replayed data messages: a counter is accepted once, in any order, unless it lags too far
 * behind the highest one. The idea is RFC 6479's; the window is exact to one packet.
 */

/** How far behind the highest accepted counter another may be. */
export const REPLAY_WINDOW_SIZE = 8192;

export class ReplayWindow {
  readonly #seen = new Uint32Array(REPLAY_WINDOW_SIZE / 32);
  /** The highest accepted counter plus one. */
  #next = 0;

  /** Returns whether `counter` is new. Ask before opening a message; it changes nothing. */
  isNew(counter: number): boolean {
    if (counter >= this.#next) return counter !== Infinity;
    if (counter < this.#next - REPLAY_WINDOW_SIZE) return false;
    const bit = counter % REPLAY_WINDOW_SIZE;
    return (this.#seen[bit >>> 5]! & (1 << (bit & 31))) === 0;
  }

  /** Marks `counter` as used. Call after the message proved authentic, and only if it `isNew`. */
  accept(counter: number): void {
    if (counter >= this.#next) {
      this.#clear(this.#next, counter);
      this.#next = counter + 1;
    }
    const bit = counter % REPLAY_WINDOW_SIZE;
    this.#seen[bit >>> 5]! |= 1 << (bit & 31);
  }

  /** Forgets the counters that shared their bits with those from `from` up to and including `to`. */
  #clear(from: number, to: number): void {
    if (to - from >= REPLAY_WINDOW_SIZE) {
      this.#seen.fill(0);
      return;
    }
    for (let counter = from; counter <= to; counter++) {
      const bit = counter % REPLAY_WINDOW_SIZE;
      this.#seen[bit >>> 5]! &= ~(1 << (bit & 31));
    }
  }
}
