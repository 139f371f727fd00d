/** Stops the program when `condition` does not hold: our own invariant is broken, going on would do harm. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`Broken invariant: ${message}`);
}
