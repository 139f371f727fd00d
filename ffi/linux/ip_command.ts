/** The `ip` tool (ip(8), iproute2): commands in batches, listings as JSON. */

import { Fault } from "../../lib/base/fault.ts";
import type { Family } from "../../lib/base/ip.ts";
import { runTool, type ToolOutcome } from "./command.ts";

const NEXT = "Install the package iproute2.";

/** Runs `ip` with `args` and returns how it ended. */
export async function ip(family: Family, args: readonly string[]): Promise<ToolOutcome> {
  return await runTool("ip", [`-${family}`, ...args], { next: NEXT });
}

/** Runs all `commands` in one process, each even if one before it failed. Returns what failed, one line each. */
export async function ipBatch(family: Family, commands: readonly string[]): Promise<string[]> {
  if (commands.length === 0) return [];
  const input = commands.join("\n") + "\n";
  const { code, stderr } = await runTool("ip", [`-${family}`, "-force", "-batch", "-"], {
    input,
    next: NEXT,
  });
  if (code === 0) return [];
  // "RTNETLINK answers: File exists", then "Command failed -:3": the number of the line.
  const failures: string[] = [];
  let reason = "";
  for (const line of stderr.split("\n")) {
    const failed = /^Command failed -:(\d+)/.exec(line);
    if (failed === null) {
      if (line.trim() !== "") reason = line.trim();
      continue;
    }
    failures.push(`ip ${commands[Number(failed[1]) - 1] ?? ""}: ${reason}`);
    reason = "";
  }
  return failures.length > 0 ? failures : [stderr.trim()];
}

/** Returns the entries of a listing, empty if there are none or the family is missing. */
export async function ipList(family: Family, args: readonly string[]): Promise<Record<string, unknown>[]> {
  const { code, stdout } = await runTool("ip", [`-${family}`, "-json", "-details", ...args], { next: NEXT });
  if (code !== 0) return [];
  try {
    const entries: unknown = JSON.parse(stdout.trim() === "" ? "[]" : stdout);
    return Array.isArray(entries)
      ? entries.filter((entry) => typeof entry === "object" && entry !== null)
      : [];
  } catch {
    return [];
  }
}

/** Returns the Fault for an `ip` command that must not fail. */
export function ipFault(action: string, reason: string): Fault {
  const text = reason.trim().replace(/^RTNETLINK answers: /, "").replace(/^Error: /, "");
  if (/not permitted|permission denied/i.test(text)) {
    return new Fault("privilege", `${action}: ${text}`, {
      next: "Run as root, or give the program the capability CAP_NET_ADMIN.",
    });
  }
  return new Fault("tun", `${action}: ${text}`);
}
