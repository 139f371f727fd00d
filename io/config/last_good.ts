/** Copies of the settings with which a session started: what it starts with when the file is broken. */

import type { Paths } from "../../lib/control/paths.ts";
import { MAX_PROFILE_BYTES } from "../../lib/control/profile_text.ts";
import { serviceOwner } from "../held_folder.ts";
import { locked, readBounded, removeFile, replaceFile } from "./files.ts";

/** Returns where the copy of the settings of `profile` is. */
export function lastGoodFile({ state }: Paths, profile: string): string {
  return `${state}/profiles/${profile}.toml.good`;
}

/**
 * Keeps `bytes`, the settings of `profile`, which are good; undefined if it has none. Returns a warning if that cannot be
 * done: the session runs all the same. Nothing is kept by root in a folder of the service's user.
 */
export async function keepGood(
  paths: Paths,
  profile: string,
  bytes: Uint8Array | undefined,
): Promise<string | undefined> {
  const path = lastGoodFile(paths, profile);
  // The service keeps one of its own: root would leave it a lock that it cannot take, or follow a link that it laid.
  if (serviceOwner(`${paths.state}/profiles`) !== undefined) return undefined;
  try {
    const kept = await readBounded(path, MAX_PROFILE_BYTES);
    if (bytes === undefined) {
      if (kept !== undefined) await removeFile(path);
      return undefined;
    }
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    if (kept !== undefined && new TextDecoder("utf-8", { ignoreBOM: true }).decode(kept) === text) {
      return undefined;
    }
    await Deno.mkdir(`${paths.state}/profiles`, { recursive: true, mode: 0o700 });
    await locked(`${paths.state}/profiles`, () => replaceFile(path, text));
    return undefined;
  } catch (error) {
    return `Cannot keep a copy of the settings: ${error instanceof Error ? error.message : error}`;
  }
}

/** What there is of a copy. */
export type LastGood =
  | { readonly type: "none" }
  /** `since` is when it was kept. */
  | { readonly type: "kept"; readonly bytes: Uint8Array; readonly since: string }
  /** `whose`, a phrase, could write it, where root reads it: the settings may be anybody's. */
  | { readonly type: "untrusted"; readonly whose: string };

/** Returns the copy of the settings of `profile`. Throws a `Fault` if it cannot be read. */
export async function lastGood(paths: Paths, profile: string): Promise<LastGood> {
  const path = lastGoodFile(paths, profile);
  if (Deno.uid() === 0) {
    // From above: what is in a folder of root's alone stays what it is.
    for (const place of [paths.state, `${paths.state}/profiles`, path]) {
      const info = await Deno.stat(place).catch(absent);
      if (info === undefined) return { type: "none" };
      const whose = writerBesideRoot(info);
      if (whose !== undefined) return { type: "untrusted", whose };
    }
  }
  const bytes = await readBounded(path, MAX_PROFILE_BYTES);
  if (bytes === undefined) return { type: "none" };
  const { mtime } = await Deno.stat(path);
  return { type: "kept", bytes, since: (mtime ?? new Date(0)).toISOString() };
}

/** Returns who besides root may write what `info` is of; undefined if nobody may. */
function writerBesideRoot({ uid, gid, mode }: Deno.FileInfo): string | undefined {
  if (uid !== null && uid !== 0) return `user ${uid}`;
  if (mode === null || (mode & 0o022) === 0) return undefined;
  return (mode & 0o002) !== 0 ? "everybody" : `group ${gid}`;
}

/** Root without its capabilities may be kept out, too; what is in there is not its own then. */
function absent(error: unknown): undefined {
  const isAbsent = error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory ||
    error instanceof Deno.errors.PermissionDenied;
  if (!isAbsent) throw error;
}
