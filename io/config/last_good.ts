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

/** Returns the copy of the settings of `profile` and when they were read; undefined if there is none. */
export async function lastGood(
  paths: Paths,
  profile: string,
): Promise<{ readonly bytes: Uint8Array; readonly since: string } | undefined> {
  const path = lastGoodFile(paths, profile);
  const bytes = await readBounded(path, MAX_PROFILE_BYTES);
  if (bytes === undefined) return undefined;
  const { mtime } = await Deno.stat(path);
  return { bytes, since: (mtime ?? new Date(0)).toISOString() };
}
