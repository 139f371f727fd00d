/**
 * Ids for tunnels. On the wire a session's index is `(id << 8) | counter`: the id finds the tunnel, the counter tells its
 * sessions apart.
 */

import { below, type Rng } from "../base/rng.ts";

/** Hands out 24-bit ids in an order that tells an observer nothing; none comes twice within 2^24 - 1 calls. */
export class IndexAllocator {
  readonly #mask: number;
  #state: number;

  constructor(rng: Rng) {
    this.#mask = below(rng, 2 ** 24);
    this.#state = 1 + below(rng, 2 ** 24 - 1);
  }

  /** Returns the next id, 0 ≤ it < 2^24. */
  next(): number {
    const isOdd = (this.#state & 1) === 1;
    this.#state >>>= 1;
    if (isOdd) this.#state ^= MAXIMAL_POLYNOMIAL;
    return this.#state ^ this.#mask;
  }
}

/** Returns the id of the tunnel that a session index belongs to. */
export function tunnelId(sessionIndex: number): number {
  return sessionIndex >>> 8;
}

/** Feedback of a Galois LFSR over 24 bits with full period: x^24 + x^23 + x^21 + x^20 + 1. */
const MAXIMAL_POLYNOMIAL = 0xd80000;
