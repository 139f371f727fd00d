/** Valid messages with some values replaced or removed: hostile input that gets deep into a decoder. */

import fc from "fast-check";

/** Returns variants of `value` in which about one node in eight is replaced by any JSON or left out. */
export function mutatedJson(value: unknown): fc.Arbitrary<unknown> {
  const intact = Array.isArray(value)
    ? fc.tuple(...value.map(mutatedJson))
    : typeof value === "object" && value !== null
    ? fc.record(Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mutatedJson(item)])), {
      requiredKeys: [],
    })
    : fc.constant(value);
  return fc.oneof({ weight: 7, arbitrary: intact }, { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) });
}
