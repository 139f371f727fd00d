/** Names of the profiles of this user; on their own, because the shell's completion waits for them. */

import { DEFAULT_PROFILE, type Paths } from "../../lib/control/paths.ts";
import { isProfileName } from "../../lib/control/profile.ts";

/** Most files of profiles that are looked at. */
const MAX_FILES = 1024;
/** What a profile is made of. */
export const PROFILE_ENDINGS = [".toml", ".token", ".identity.json"] as const;

/** Returns the names of all profiles, sorted; the default one is always among them. Throws what the OS throws. */
export async function profileNames({ config }: Pick<Paths, "config">): Promise<readonly string[]> {
  const names = new Set([DEFAULT_PROFILE]);
  let count = 0;
  try {
    for await (const { name } of Deno.readDir(`${config}/profiles`)) {
      if (++count > MAX_FILES) break;
      const ending = PROFILE_ENDINGS.find((candidate) => name.endsWith(candidate));
      const profile = ending === undefined ? "" : name.slice(0, -ending.length);
      if (isProfileName(profile)) names.add(profile);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return [...names].sort();
}
