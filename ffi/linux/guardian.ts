/**
 * A small process that outlives a killed session and gives the machine its DNS back at once: a shell (POSIX sh, about a
 * megabyte) that waits at a pipe. The word "done" ends it; the end of the pipe without it is the end of the session, and
 * then it undoes one change, if ours is still in place. It has a session of its own (setsid(2)), so that neither
 * the terminal nor a signal to the group reaches it, and takes the lock of the sessions, so that it never meets the
 * next one: whoever has it undoes leftovers himself. Everything else waits for that one, or for `fz cleanup`.
 */

import { fromBase64 } from "../../lib/base/bytes.ts";
import type { Log } from "../../lib/base/log.ts";
import type { Change } from "../../lib/host/journal.ts";
import { startGuard } from "../guard_process.ts";
import type { Guard } from "../platform.ts";
import { MARKER } from "./resolv_conf.ts";
import { RECORD_FOLDERS, TOOL_LOCK } from "./resolvconf_tool.ts";

/** See `Platform.guardChange`. */
export function guardChange(change: Change, lockPath: string, log: Log): Guard | undefined {
  const env = taskOf(change);
  if (env === undefined) return undefined;
  return startGuard({
    program: "sh",
    args: ["-c", SCRIPT, "fz-guardian"],
    env: {
      ...env,
      LOCK: lockPath,
      LC_ALL: "C",
      PATH: `${Deno.env.get("PATH") ?? ""}:/usr/sbin:/sbin:/usr/bin:/bin`,
    },
    folder: "/",
    word: "done\n",
  }, log);
}

/** What the script gets to know; undefined for what needs no guardian, and what a variable cannot hold. */
function taskOf(change: Change): Record<string, string> | undefined {
  if (change.type === "resolvconf") {
    return { TASK: "record", RECORD: change.record, RECORDS: RECORD_FOLDERS.join(" "), TOOL_LOCK };
  }
  if (change.type !== "file") return undefined;
  const { path, original, isInPlace } = change;
  const shared = { FILE: path, MARKER };
  if (original === undefined) return { ...shared, TASK: "none" };
  if (original.type === "link") return { ...shared, TASK: "link", TARGET: original.target };
  const content = new TextDecoder("utf-8", { ignoreBOM: true }).decode(fromBase64(original.content));
  if (content.length > MAX_CONTENT || content.includes("\0") || content.includes("\ufffd")) return undefined;
  const { mode, uid, gid } = original;
  return {
    ...shared,
    TASK: isInPlace ? "place" : "file",
    CONTENT: content,
    MODE: mode.toString(8),
    OWNER: `${uid}:${gid}`,
  };
}

/** One variable of an environment holds 128 KiB (execve(2)). */
const MAX_CONTENT = 100_000;

/**
 * What is made anew must not be there before (set -C). resolvconf runs hooks, which start daemons: those must inherit
 * neither the lock nor deaf ears, and one that hangs must not keep the lock from the next session.
 *
 * A resolvconf that the session had just started outlives it, and gives the record later: openresolv's has a folder for a
 * lock, and who finds it taken looks again after a whole second. So nothing is done while that is taken or before the
 * record is there, lest the other one has to wait; it is looked for for two seconds.
 */
const SCRIPT = `
set -C
trap '' HUP INT QUIT TERM PIPE
while read -r word; do
  [ "$word" = done ] && exit 0
done
is_ours() {
  [ "$TASK" = record ] && return 0
  [ -f "$FILE" ] && IFS= read -r line <"$FILE" || return 1
  case $line in "$MARKER"*) return 0 ;; esac
  return 1
}
is_ours || exit 0
lock() {
  [ -f "$LOCK" ] && command -v flock >/dev/null || return 0
  exec 9>>"$LOCK"
  flock -w 1 9
}
lock || exit 0
is_ours || exit 0
is_there() {
  for folder in $RECORDS; do [ -e "$folder/$RECORD" ] && return 0; done
  return 1
}
until_free() {
  for look in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ -d "$TOOL_LOCK" ] || return 0
    holder=$(cat "$TOOL_LOCK/pid" 9>&-)
    [ -z "$holder" ] || kill -0 "$holder" || return 0
    sleep 0.05 9>&- || return 0
  done
}
take_away() {
  (trap - HUP INT QUIT TERM PIPE && exec 9>&- && exec resolvconf -d "$RECORD") &
  tool=$!
  (exec 9>&-; sleep 5; kill -9 $tool) &
  watch=$!
  wait $tool
  kill -9 $watch
}
if [ "$TASK" = record ]; then
  left=3
  for moment in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    sleep 0.1 9>&- || sleep 1 9>&-
    until_free
    if is_there; then
      [ $left -gt 0 ] && lock && is_there || exit 0
      left=$((left - 1))
      take_away
    fi
    exec 9>&-
  done
  exit 0
fi
draft=$FILE.fz-new
rm -f "$draft"
case $TASK in
  none) rm -f "$FILE" ;;
  link) ln -s "$TARGET" "$draft" && mv -f "$draft" "$FILE" ;;
  place) printf %s "$CONTENT" >|"$FILE" ;;
  file)
    umask 077
    printf %s "$CONTENT" >"$draft" && chmod "$MODE" "$draft" && { chown "$OWNER" "$draft" || :; } && mv -f "$draft" "$FILE"
    ;;
esac
rm -f "$draft"
`;
