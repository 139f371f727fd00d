/** Valid messages with some bytes changed or cut off: hostile input that gets deep into a decoder. */

import fc from "fast-check";

/** Returns variants of `samples` in which up to eight bytes are others, and up to eight are missing at the end. */
export function mutatedBytes(samples: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  return fc.constantFrom(...samples).chain((sample) =>
    fc.tuple(
      fc.array(fc.tuple(fc.nat(Math.max(sample.length - 1, 0)), fc.nat(255)), { maxLength: 8 }),
      fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(8) }),
    ).map(([edits, cut]) => {
      const bytes = sample.slice();
      for (const [at, value] of edits) bytes[at] = value;
      return bytes.slice(0, Math.max(sample.length - cut, 0));
    })
  );
}
