/** Why a session failed, for those who did not see it end: `<runtime>/exit.json`. */

import * as v from "valibot";
import type { Fault } from "../../lib/base/fault.ts";
import { Problem } from "../../lib/control/api.ts";
import type { Paths } from "../../lib/control/paths.ts";
import { faultOf, problemOf } from "../control/problem.ts";
import { writeDraft } from "../draft.ts";

const ExitRecord = v.object({ schema: v.literal(1), pid: v.number(), time: v.string(), problem: Problem });

const MAX_BYTES = 65_536;

/** Writes that this process failed with `error`. A folder that cannot be written to is no second failure. */
export async function writeExitFile({ exitFile }: Pick<Paths, "exitFile">, error: unknown): Promise<void> {
  const record: v.InferOutput<typeof ExitRecord> = {
    schema: 1,
    pid: Deno.pid,
    time: new Date().toISOString(),
    problem: problemOf(error),
  };
  const draft = `${exitFile}.${Deno.pid}`;
  try {
    writeDraft(draft, JSON.stringify(record) + "\n", 0o644);
    await Deno.rename(draft, exitFile);
  } catch {
    // The process's own last words are in its log.
  }
}

/** Returns why the process `pid` failed, undefined if it did not say. */
export async function readExitFile(
  paths: Pick<Paths, "exitFile">,
  pid: number,
): Promise<Fault | undefined> {
  const last = await readLastExit(paths);
  return last?.pid === pid ? last.fault : undefined;
}

/** Returns which session failed last, and why; undefined if none did since the last one began, or the machine. */
export async function readLastExit(
  { exitFile }: Pick<Paths, "exitFile">,
): Promise<{ readonly pid: number; readonly fault: Fault } | undefined> {
  try {
    const { isFile, size } = await Deno.stat(exitFile);
    if (!isFile || size > MAX_BYTES) return undefined;
    const result = v.safeParse(ExitRecord, JSON.parse(await Deno.readTextFile(exitFile)));
    return result.success ? { pid: result.output.pid, fault: faultOf(result.output.problem) } : undefined;
  } catch {
    return undefined;
  }
}

/** Forgets why an earlier session failed. */
export async function removeExitFile({ exitFile }: Pick<Paths, "exitFile">): Promise<void> {
  await Deno.remove(exitFile).catch(() => {});
}
