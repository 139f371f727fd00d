/** Sizes as people write them: "10MiB", "500 kB", "4096". */

import { message } from "@optique/core/message";
import type { ValueParser } from "@optique/core/valueparser";
import { custom } from "./options.ts";

const UNITS: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["b", 1],
  ["k", 2 ** 10],
  ["kib", 2 ** 10],
  ["kb", 1000],
  ["m", 2 ** 20],
  ["mib", 2 ** 20],
  ["mb", 1000 ** 2],
  ["g", 2 ** 30],
  ["gib", 2 ** 30],
  ["gb", 1000 ** 3],
]);

/** A number of bytes. */
export const SIZE: ValueParser<"sync", number> = custom(
  "SIZE",
  (input) => parseSize(input) ?? message`${input} is not a size such as ${"10MiB"} or ${"500kB"}.`,
);

/** Returns the bytes that `text` denotes, or undefined. */
export function parseSize(text: string): number | undefined {
  const match = /^\s*(\d{1,12}(?:\.\d{1,6})?)\s*([a-z]*)\s*$/i.exec(text);
  const unit = UNITS.get(match?.[2]?.toLowerCase() ?? "?");
  return match === null || unit === undefined ? undefined : Math.round(Number(match[1]) * unit);
}
