/**
 * A folder of the machine's state that is about to be written in. Where it is the service's own user's, root writes in it,
 * too: he could put a link in its place at any time, so root holds the folder itself open, and looks names up in that.
 */

import fs from "node:fs";
import type { Owner } from "./draft.ts";

/** A folder that stays the same whatever becomes of its path. Lets go of it when disposed of. */
export interface HeldFolder extends Disposable {
  /** Leads to it. */
  readonly path: string;
  /** Whose all in it is to be; undefined: whose process this is. */
  readonly owner: Owner | undefined;
}

/**
 * Makes the folder at `path` if it is not there, and returns it. It is its user's then, too. Throws what Deno and Node
 * throw, also for a link in its place.
 */
export function holdFolder(path: string, mode: number): HeldFolder {
  Deno.mkdirSync(path, { recursive: true, mode });
  const owner = serviceOwner(path);
  if (owner === undefined) return { path, owner, [Symbol.dispose]() {} };
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = fs.constants;
  const handle = fs.openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  fs.fchownSync(handle, owner.uid, owner.gid);
  return { path: `/proc/self/fd/${handle}`, owner, [Symbol.dispose]: () => fs.closeSync(handle) };
}

/**
 * Returns the service's own user where the folder above `path` is his: he must be able to read what root may have been the
 * first to write. Undefined where it is root's own affair, or this is not root.
 */
export function serviceOwner(path: string): Owner | undefined {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return undefined;
  const above = fs.lstatSync(path.slice(0, path.lastIndexOf("/")) || "/", { throwIfNoEntry: false });
  return above === undefined || above.uid === 0 ? undefined : { uid: above.uid, gid: above.gid };
}
