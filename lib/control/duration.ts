/** Durations as people write them: "30s", "1h 30m", "2days". The units of upstream's `--max-partition-time`. */

import type { Duration } from "../base/time.ts";

const UNITS: ReadonlyMap<string, Duration> = new Map(
  ([
    [["ms", "msec", "millis"], 1],
    [["s", "sec", "secs", "second", "seconds"], 1000],
    [["m", "min", "mins", "minute", "minutes"], 60_000],
    [["h", "hr", "hrs", "hour", "hours"], 3_600_000],
    [["d", "day", "days"], 86_400_000],
    [["w", "week", "weeks"], 604_800_000],
  ] as const).flatMap(([names, duration]) => names.map((name) => [name, duration] as const)),
);

/** Returns the duration that `text` denotes, or undefined. */
export function parseDuration(text: string): Duration | undefined {
  if (!/^\s*(\d+\s*[a-z]+\s*)+$/.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)\s*([a-z]+)/g)) {
    const duration = UNITS.get(unit!);
    if (duration === undefined) return undefined;
    total += Number(count) * duration;
  }
  return total;
}

/** Returns `duration` in the largest units, as `parseDuration` takes it back. */
export function formatDuration(duration: Duration): string {
  const parts: string[] = [];
  let rest = duration;
  for (const unit of ["d", "h", "m", "s", "ms"]) {
    const size = UNITS.get(unit)!;
    const count = Math.floor(rest / size);
    if (count > 0) parts.push(`${count}${unit}`);
    rest -= count * size;
  }
  return parts.length === 0 ? "0s" : parts.join(" ");
}
