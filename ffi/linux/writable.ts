/** Whether this process may write a file, by asking the kernel: modes do not tell of capabilities and mounts. */

import { arena } from "../memory.ts";
import { libc } from "./symbols.ts";

/** Returns whether `path` may be written, or made into if it is a folder (faccessat(2)). Changes nothing. */
export function isWritable(path: string): boolean {
  const at = arena.allocate(PATH_CAPACITY);
  try {
    if (new TextEncoder().encode(path).length >= PATH_CAPACITY) return false;
    arena.setText(at, path, PATH_CAPACITY);
    return libc.faccessat(AT_FDCWD, arena.address(at), W_OK, AT_EACCESS) === 0;
  } finally {
    arena.release(at, PATH_CAPACITY);
  }
}

/** PATH_MAX. */
const PATH_CAPACITY = 4096;
const AT_FDCWD = -100;
const AT_EACCESS = 0x200;
const W_OK = 2;
