/**
 * A small process that outlives a killed session and gives the machine its DNS back at once: a PowerShell that waits at a
 * pipe. The word "done" ends it; the end of the pipe without it is the end of the session, and then it removes our rules
 * from the registry. The next session needs longer to its first change than this needs for its last.
 */

import type { Log } from "../../lib/base/log.ts";
import type { Change } from "../../lib/host/journal.ts";
import type { Guard } from "../platform.ts";
import { allRuleKeys } from "./nrpt.ts";

/** See `Platform.guardChange`. */
export function guardChange(change: Change, log: Log): Guard | undefined {
  if (change.type !== "nrpt") return undefined;
  const root = Deno.env.get("SystemRoot") ?? "C:\\Windows";
  try {
    const child = new Deno.Command(`${root}\\System32\\WindowsPowerShell\\v1.0\\powershell.exe`, {
      args: ["-NoLogo", "-NoProfile", "-NonInteractive", "-Command", guardScript()],
      // It must not keep a folder busy.
      cwd: `${root}\\System32`,
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn();
    child.unref();
    child.status.catch(() => {});
    return { end: () => void dismiss(child) };
  } catch (error) {
    log.debug("nobody watches over this machine's DNS, should this process be killed", { error });
    return undefined;
  }
}

/** Returns what PowerShell is to do. No quotation mark is in it: each program of Windows reads those its own way. */
export function guardScript(): string {
  const [local, policy] = allRuleKeys().map((key) => `'HKLM:\\${key}'`);
  return [
    "if ([Console]::In.ReadLine() -eq 'done') { exit }",
    `$isPolicy = Test-Path -LiteralPath ${policy}`,
    `Remove-Item -Recurse -Force -ErrorAction SilentlyContinue -LiteralPath ${local}, ${policy}`,
    "Clear-DnsClientCache",
    "if ($isPolicy) { gpupdate.exe /target:computer /force }",
  ].join("; ");
}

async function dismiss(child: Deno.ChildProcess): Promise<void> {
  try {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("done\r\n"));
    await writer.close();
  } catch {
    // Somebody ended it.
  }
}
