/**
 * The clock that goes on while the machine sleeps. On macOS that is CLOCK_MONOTONIC_RAW, which reads
 * mach_continuous_time and which nobody sets (clock_gettime(3)); CLOCK_UPTIME_RAW stands still asleep, and CLOCK_MONOTONIC
 * is made of the wall clock.
 */

import type { Instant } from "../../lib/base/time.ts";
import { arena } from "../memory.ts";
import { libc } from "./symbols.ts";

/** Returns milliseconds since the machine started. */
export function now(): Instant {
  libc.clock_gettime(CLOCK_MONOTONIC_RAW, TIME_ADDRESS);
  const seconds = arena.getU32(TIME) + arena.getU32(TIME + 4) * 2 ** 32;
  return seconds * 1000 + arena.getU32(TIME + 8) / 1e6;
}

const CLOCK_MONOTONIC_RAW = 4;
const TIME = arena.allocate(16);
const TIME_ADDRESS = arena.address(TIME);
