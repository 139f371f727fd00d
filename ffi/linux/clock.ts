/** The clock that goes on while the machine sleeps (clock_gettime(2), CLOCK_BOOTTIME). */

import type { Instant } from "../../lib/base/time.ts";
import { arena } from "../memory.ts";
import { libc } from "./symbols.ts";

/** Returns milliseconds since the machine started. */
export function now(): Instant {
  libc.clock_gettime(CLOCK_BOOTTIME, TIME_ADDRESS);
  const seconds = arena.getU32(TIME) + arena.getU32(TIME + 4) * 2 ** 32;
  return seconds * 1000 + arena.getU32(TIME + 8) / 1e6;
}

const CLOCK_BOOTTIME = 7;
const TIME = arena.allocate(16);
const TIME_ADDRESS = arena.address(TIME);
