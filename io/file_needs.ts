/** Looks at the way to files, for `lib/host/capabilities.ts` to judge who may go it. Linux; reads only. */

import type { Need, Step } from "../lib/host/capabilities.ts";

/** Returns what the file system says of `path`, links followed, as far as it exists and can be seen. */
export function needOf(path: string, access: Need["access"]): Need {
  let existing = path;
  for (let depth = 0; depth < MAX_DEPTH && existing !== "/" && !exists(existing); depth++) {
    existing = existing.slice(0, existing.lastIndexOf("/")) || "/";
  }
  let real: string;
  try {
    real = Deno.realPathSync(existing);
  } catch {
    return { path, access, steps: [] };
  }
  const steps: Step[] = [];
  const parts = real.split("/").filter((part) => part !== "");
  for (let count = 0; count <= parts.length; count++) {
    const step = `/${parts.slice(0, count).join("/")}`;
    try {
      const { uid, gid, mode, isDirectory } = Deno.statSync(step);
      steps.push({ path: step, uid: uid ?? 0, gid: gid ?? 0, mode: mode ?? 0, isFolder: isDirectory });
    } catch {
      break;
    }
  }
  return { path: existing === path ? real : path, access, steps };
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** PATH_MAX allows no more parts. */
const MAX_DEPTH = 2048;
