/**
 * The clock that goes on while the machine sleeps: interrupt time, which counts sleep and hibernation and which nobody
 * sets ("Interrupt Time" in Microsoft's documentation); only its "unbiased" form stands still asleep. In units of 100 ns.
 */

import type { Instant } from "../../lib/base/time.ts";
import { arena } from "../memory.ts";
import { realtime } from "./symbols.ts";

/** Returns milliseconds since the machine started. */
export function now(): Instant {
  realtime.QueryInterruptTimePrecise(TIME_ADDRESS);
  return (arena.getU32(TIME) + arena.getU32(TIME + 4) * 2 ** 32) / 10_000;
}

const TIME = arena.allocate(8);
const TIME_ADDRESS = arena.address(TIME);
