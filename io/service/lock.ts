/**
 * Locks of a runtime folder: one session, one `fz up` that looks for it. The kernel lets go of them when their process
 * ends, however it ends; the files stay, for removing one would let two hold a lock of the same name.
 */

import fs from "node:fs";
import { sleep } from "./sleep.ts";

/** A lock that is held. */
export interface Lock {
  release(): void;
}

const INTERVAL_MS = 20;

/** Takes the lock at `path`, or returns undefined if another process has it after `patienceMs`. */
export async function takeLock(path: string, patienceMs = 0): Promise<Lock | undefined> {
  const isMade = makeFor(path);
  const file = await Deno.open(path, { read: true, write: true, create: !isMade, mode: 0o600 });
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

/**
 * Root makes a lock in a folder of the service's user for him, who must be able to take it, and through no link that he
 * may have laid there, a hard one to a file of root's included. Returns whether that was to be done.
 */
function makeFor(path: string): boolean {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return false;
  const folder = fs.statSync(path.slice(0, path.lastIndexOf("/")) || "/", { throwIfNoEntry: false });
  if (folder === undefined || folder.uid === 0) return false;
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = fs.constants;
  const file = fs.openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  try {
    const { uid, nlink } = fs.fstatSync(file);
    if (uid === 0 && nlink === 1) fs.fchownSync(file, folder.uid, folder.gid);
    return true;
  } finally {
    fs.closeSync(file);
  }
}
