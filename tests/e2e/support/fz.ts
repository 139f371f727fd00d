/** Commands of `fz` on the client's host of a test network: what they print, and how they end. */

import type { LabProcess } from "../../../io/lab/process.ts";
import type { Network } from "./network.ts";

/** How a command ended. */
export interface FzOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Lines of standard output that are JSON objects. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
}

const MAIN = new URL("../../../main.ts", import.meta.url).pathname;

/** Runs `fz` with `args`. */
export async function fz(network: Network, ...args: string[]): Promise<FzOutcome> {
  const { code, stdout, stderr } = await network.fz(args, {});
  const lines = stdout.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  return { code, stdout, stderr, lines };
}

/** Starts `fz` with `args`. */
export function spawnFz(network: Network, ...args: string[]): LabProcess {
  const env: Record<string, string> = {};
  for (const name of ["HOME", "DENO_DIR", "XDG_CACHE_HOME"]) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  return network.client.spawn([Deno.execPath(), "run", "-A", "--quiet", MAIN, ...args], { env });
}
