/**
 * Locks of a runtime folder: one session, one `fz up` that looks for it. The kernel lets go of them when their process
 * ends, however it ends; the files stay, for removing one would let two hold a lock of the same name.
 */

import { sleep } from "./sleep.ts";

/** A lock that is held. */
export interface Lock {
  release(): void;
}

const INTERVAL_MS = 20;

/** Takes the lock at `path`, or returns undefined if another process has it after `patienceMs`. */
export async function takeLock(path: string, patienceMs = 0): Promise<Lock | undefined> {
  const file = await Deno.open(path, { read: true, write: true, create: true, mode: 0o600 });
  const deadline = performance.now() + patienceMs;
  try {
    while (!await file.tryLock(true)) {
      if (performance.now() >= deadline) {
        file.close();
        return undefined;
      }
      await sleep(INTERVAL_MS);
    }
  } catch (error) {
    file.close();
    throw error;
  }
  // Closing lets go.
  return { release: () => file.close() };
}
