/** Runs the administrator's tools: `ip`, `resolvectl`, `scutil`. */

import { Fault } from "../lib/base/fault.ts";

/** What came of a program that was run. */
export interface ToolOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `tool` and returns how it ended. Throws a Fault if it is not installed; `next` says what to do then. */
export async function runTool(
  tool: string,
  args: readonly string[],
  options: { input?: string; next?: string } = {},
): Promise<ToolOutcome> {
  const child = spawn(tool, args, options);
  if (options.input !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(options.input)).catch(() => {});
    await writer.close().catch(() => {});
  }
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

function spawn(
  tool: string,
  args: readonly string[],
  options: { input?: string; next?: string },
): Deno.ChildProcess {
  try {
    return new Deno.Command(tool, {
      args: [...args],
      // Services and ordinary users often lack the folders of the administrator's tools.
      env: { PATH: `${Deno.env.get("PATH") ?? ""}:/usr/sbin:/sbin:/usr/bin:/bin`, LC_ALL: "C" },
      stdin: options.input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (cause) {
    throw new Fault("unexpected", `Cannot run "${tool}"`, {
      cause,
      ...(options.next === undefined ? {} : { next: options.next }),
    });
  }
}
