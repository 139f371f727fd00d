/** Whether this process may write a file, by asking the kernel: modes do not tell of capabilities and mounts. */

import { Errno } from "../errno.ts";
import { arena } from "../memory.ts";
import { errno, libc } from "./symbols.ts";

/** Returns whether `path` may be written, or made into if it is a folder (faccessat(2)). Changes nothing. */
export function isWritable(path: string): boolean {
  return writeError(path) === 0;
}

/** Returns whether `path` is immutable (FS_IOC_SETFLAGS(2const)): nobody may write it, nor put another in its place. */
export function isImmutable(path: string): boolean {
  return writeError(path) === Errno.EPERM;
}

/** Returns 0, or the number of the error that keeps this process from writing `path`. */
function writeError(path: string): number {
  const at = arena.allocate(PATH_CAPACITY);
  try {
    if (new TextEncoder().encode(path).length >= PATH_CAPACITY) return Errno.EACCES;
    arena.setText(at, path, PATH_CAPACITY);
    return libc.faccessat(AT_FDCWD, arena.address(at), W_OK, AT_EACCESS) === 0 ? 0 : errno();
  } finally {
    arena.release(at, PATH_CAPACITY);
  }
}

/** PATH_MAX. */
const PATH_CAPACITY = 4096;
const AT_FDCWD = -100;
const AT_EACCESS = 0x200;
const W_OK = 2;
