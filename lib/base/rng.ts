/** Dice as an argument: the shell hands in the system's generator, tests and simulations a seeded one. */

/** A source of randomness. */
export interface Rng {
  /** Returns `length` random bytes in a new array. */
  bytes(length: number): Uint8Array;
  /** Returns a random integer, 0 ≤ it < 2^32. */
  u32(): number;
}

/** Returns a random number, 0 ≤ it < 1. */
export function unit(rng: Rng): number {
  return rng.u32() / 2 ** 32;
}

/** Returns a random integer, 0 ≤ it < `bound`. */
export function below(rng: Rng, bound: number): number {
  return Math.floor(unit(rng) * bound);
}

/** Returns a reproducible generator (splitmix32). Never for secrets. */
export function seededRng(seed: number): Rng {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  return {
    u32: next,
    bytes: (length) => Uint8Array.from({ length }, () => next() & 0xff),
  };
}
