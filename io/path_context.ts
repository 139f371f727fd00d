/** What decides on this machine where a session keeps its things (`lib/control/paths.ts`). */

import type { PathContext } from "../lib/control/paths.ts";

/** Returns the context of this process and its user. */
export function pathContext(): PathContext {
  const { os } = Deno.build;
  return {
    os: os === "windows" || os === "darwin" ? os : "linux",
    uid: Deno.uid() ?? undefined,
    env: (name) => Deno.env.get(name),
  };
}
