/**
 * Writing a file that is about to take its place. Root writes in folders of the service's user, too: so it is made anew,
 * never written through a link that was laid at its name (open(2), O_EXCL), and is his before it holds a byte.
 */

import fs from "node:fs";

/** Whose a file is to be. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Writes `text` to a new file at `path`; what a killed process, or somebody else, left there goes. It is `owner`'s, or
 * whose process this is. Throws what Deno and Node throw.
 */
export function writeDraft(path: string, text: string, mode: number, owner?: Owner): void {
  try {
    Deno.removeSync(path);
  } catch {
    // There is none, or the next call tells what is the matter.
  }
  if (owner === undefined) return Deno.writeTextFileSync(path, text, { createNew: true, mode });
  const file = fs.openSync(path, "wx", mode);
  try {
    fs.fchownSync(file, owner.uid, owner.gid);
    const bytes = new TextEncoder().encode(text);
    for (let offset = 0; offset < bytes.length;) offset += fs.writeSync(file, bytes, offset);
  } finally {
    fs.closeSync(file);
  }
}
