/**
 * A small process that outlives a killed session and gives the machine its DNS back at once: a command interpreter that
 * waits at a pipe. A word ends it; the end of the pipe without one is the end of the session, and then it removes our
 * rules from the registry. The next session needs longer to its first change than this needs for its last.
 */

import type { Log } from "../../lib/base/log.ts";
import type { Change } from "../../lib/host/journal.ts";
import { startGuard } from "../guard_process.ts";
import type { Guard } from "../platform.ts";
import { allRuleKeys } from "./nrpt.ts";

/** See `Platform.guardChange`. */
export function guardChange(change: Change, log: Log): Guard | undefined {
  if (change.type !== "nrpt") return undefined;
  const root = Deno.env.get("SystemRoot") ?? "C:\\Windows";
  return startGuard({
    program: `${root}\\System32\\cmd.exe`,
    args: guardArguments(),
    isRaw: true,
    env: { SystemRoot: root, PATH: `${root}\\System32` },
    folder: `${root}\\System32`,
    word: "done\r\n",
  }, log);
}

/**
 * Returns the arguments for cmd.exe, as they are: no automatic commands, and all within the outer quotation marks. `set`
 * leaves the variable undefined when nothing is to be read any more.
 */
export function guardArguments(): readonly string[] {
  const [local, policy] = allRuleKeys().map((key) => `reg.exe delete "HKLM\\${key}" /f /reg:64`);
  const steps = [local, `${policy} && gpupdate.exe /target:computer /force`, "ipconfig.exe /flushdns"];
  return ["/d", "/s", "/c", `"set /p FZ_WORD=& if not defined FZ_WORD (${steps.join(" & ")})"`];
}
