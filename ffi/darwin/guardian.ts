/**
 * A small process that outlives a killed session and gives the Mac its DNS back at once: a shell that waits at a pipe.
 * The word "done" ends it; the end of the pipe without it is the end of the session, and then it removes our key from the
 * dynamic store. It has a session of its own (setsid(2)), so that neither the terminal nor a signal to the group reaches
 * it. The next session needs longer to its first change than this needs for its last.
 */

import type { Log } from "../../lib/base/log.ts";
import type { Change } from "../../lib/host/journal.ts";
import { startGuard } from "../guard_process.ts";
import type { Guard } from "../platform.ts";
import { isOwnKey, removeCommands } from "./scutil.ts";

/** See `Platform.guardChange`. `folder` has the tools, and is for tests. */
export function guardChange(change: Change, log: Log, folder?: string): Guard | undefined {
  if (change.type !== "scutil" || !isOwnKey(change.key)) return undefined;
  return startGuard({
    program: "/bin/sh",
    args: ["-c", SCRIPT, "fz-guardian"],
    env: {
      COMMANDS: removeCommands(change.key),
      LC_ALL: "C",
      PATH: folder ?? "/usr/sbin:/usr/bin:/sbin:/bin",
    },
    folder: "/",
    word: "done\n",
  }, log);
}

const SCRIPT = `
trap '' HUP INT QUIT TERM PIPE
while read -r word; do
  [ "$word" = done ] && exit 0
done
printf %s "$COMMANDS" | scutil
dscacheutil -flushcache
killall -HUP mDNSResponder
`;
