/** Processes as the kernel tells them apart: proc(5), ps(1) where there is no /proc, or Windows' own functions. */

import process from "node:process";
import { runTool } from "../../ffi/command.ts";

/** Returns when the process `pid` started, as a text that no later process of that id has; undefined if it is gone. */
export async function processStart(pid: number): Promise<string | undefined> {
  if (Deno.build.os === "darwin") return await processStartByPs(pid);
  if (Deno.build.os === "windows") {
    const trace = await traceOnWindows(pid);
    return trace.type === "alive" ? trace.start : undefined;
  }
  let stat: string;
  try {
    stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  } catch {
    return undefined;
  }
  // The second field is the program's name, which may contain anything but ends with the last parenthesis.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  const start = fields[STARTTIME - 3];
  return start === undefined || state === "Z" || state === "X" ? undefined : start;
}

/** Does the same on any system of POSIX, to the second. */
export async function processStartByPs(pid: number): Promise<string | undefined> {
  // The same whatever the time zone of who asks.
  const { code, stdout } = await runTool("env", [
    "TZ=UTC0",
    "ps",
    "-o",
    "stat=",
    "-o",
    "lstart=",
    "-p",
    `${pid}`,
  ])
    .catch(() => ({ code: 1, stdout: "" }));
  const [, state, start] = /^\s*(\S+)\s+(.*\S)\s*$/.exec(stdout) ?? [];
  return code !== 0 || state === undefined || state.startsWith("Z") ? undefined : start;
}

/** Returns whether the process `pid` lives and is another user's where others' are hidden (hidepid in proc(5)). */
export async function isHidden(pid: number): Promise<boolean> {
  if (Deno.build.os === "windows") return (await traceOnWindows(pid)).type === "hidden";
  try {
    Deno.statSync(`/proc/${pid}`);
    return false;
  } catch {
    // It is not to be seen, or not there.
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

async function traceOnWindows(pid: number) {
  // Opens a library that is there only.
  return (await import("../../ffi/windows/process_start.ts")).traceProcess(pid);
}

/** Number of the field in proc(5); the state is field 3. */
const STARTTIME = 22;
