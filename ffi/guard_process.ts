/**
 * A small process that outlives a killed session: it waits at a pipe, where a word ends it, and where the end without a
 * word is the end of the session. It has a session of its own (setsid(2)), so that neither the terminal nor a signal to
 * the group reaches it.
 */

import type { Log } from "../lib/base/log.ts";
import type { Guard } from "./platform.ts";

/** What runs, and where: nothing of this process's environment, and no folder that somebody wants to unmount. */
export interface GuardCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
  /** What ends it, with the end of its line. */
  readonly word: string;
  /** Windows only: the arguments are not quoted. */
  readonly isRaw?: boolean;
}

/** Starts the process; undefined where that cannot be, for a session goes on without. */
export function startGuard(
  { program, args, env, folder, word, isRaw = false }: GuardCommand,
  log: Log,
): Guard | undefined {
  try {
    const child = new Deno.Command(program, {
      args: [...args],
      windowsRawArguments: isRaw,
      clearEnv: true,
      env: { ...env },
      cwd: folder,
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn();
    child.unref();
    child.status.catch(() => {});
    return { end: () => void dismiss(child, word) };
  } catch (error) {
    log.debug("nobody watches over this machine's DNS, should this process be killed", { error });
    return undefined;
  }
}

async function dismiss(child: Deno.ChildProcess, word: string): Promise<void> {
  try {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(word));
    await writer.close();
  } catch {
    // Somebody ended it.
  }
}
