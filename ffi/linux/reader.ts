/** Whether somebody still reads what is written to a pipe (poll(2)). */

import { arena } from "../memory.ts";
import { libc } from "./symbols.ts";

/** `struct pollfd`. */
const POLLFD_SIZE = 8;
const FOREVER = -1;

/**
 * Resolves when the reader of `descriptor` has gone; never for a file. Waits on one of the runtime's own threads, which
 * ends with the process.
 */
export async function untilReaderGone(descriptor: number): Promise<void> {
  const entry = arena.allocate(POLLFD_SIZE);
  try {
    arena.setU32(entry, descriptor);
    // No event is asked for: that there is no reader is told anyway.
    arena.setU32(entry + 4, 0);
    // A signal ends it early.
    while (await libc.poll_elsewhere(arena.address(entry), 1n, FOREVER) < 1);
  } finally {
    arena.release(entry, POLLFD_SIZE);
  }
}
