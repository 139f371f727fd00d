/** The service of this machine under systemd, as `fz up` starts it: systemctl(1), and what the session says at its end. */

import { runTool } from "../../ffi/command.ts";
import { Fault } from "../../lib/base/fault.ts";
import type { Paths } from "../../lib/control/paths.ts";
import { readLastExit, removeExitFile } from "./exit_file.ts";

const UNIT = "fz.service";
const UNIT_FOLDERS = [
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/lib/systemd/system",
];
/** How often systemd is asked. */
const ASK_EVERY_MS = 1000;

/** Returns whether systemd runs here and has the unit. */
export async function hasUnit(): Promise<boolean> {
  const exists = (path: string) => Deno.stat(path).then(() => true, () => false);
  if (!await exists("/run/systemd/system")) return false;
  return (await Promise.all(UNIT_FOLDERS.map((folder) => exists(`${folder}/${UNIT}`)))).includes(true);
}

/** A start of the unit. */
export class Unit {
  readonly #paths: Paths;
  #askedAt = performance.now();

  private constructor(paths: Paths) {
    this.#paths = paths;
  }

  /** Returns when systemd has begun to start it. Throws a Fault ("privilege") for others than root. */
  static async start(paths: Paths): Promise<Unit> {
    if (Deno.uid() !== 0) {
      throw new Fault("privilege", "Cannot start the service of this machine: that is for root", {
        next: "Run the command with sudo.",
      });
    }
    // What is found there later is of this start.
    await removeExitFile(paths);
    await systemctl("reset-failed", UNIT);
    const { code, stderr } = await systemctl("start", "--no-block", UNIT);
    if (code === 0) return new Unit(paths);
    throw new Fault("unexpected", `Cannot start the service: ${stderr.trim()}`, { next: NEXT });
  }

  /** Returns whether its session ended; systemd may try again by itself. */
  async hasFailed(): Promise<boolean> {
    if (await readLastExit(this.#paths) !== undefined) return true;
    if (performance.now() - this.#askedAt < ASK_EVERY_MS) return false;
    this.#askedAt = performance.now();
    return await failureCode() !== undefined;
  }

  /** Returns why its session ended; undefined if it did not. */
  async whyFailed(): Promise<Fault | undefined> {
    const last = await readLastExit(this.#paths);
    if (last !== undefined) return last.fault;
    const code = await failureCode();
    if (code === undefined) return undefined;
    return new Fault("unexpected", `Cannot connect: the service ended at once with code ${code}`, {
      next: NEXT,
    });
  }
}

/** Returns the exit code of a process that ended and was not asked to; undefined if there is none. */
async function failureCode(): Promise<string | undefined> {
  const { stdout } = await systemctl("show", "--property=ActiveState,SubState,ExecMainStatus", UNIT);
  if (!/^(ActiveState=failed|SubState=auto-restart)$/m.test(stdout)) return undefined;
  return /^ExecMainStatus=(\d+)$/m.exec(stdout)?.[1] ?? "unknown";
}

const NEXT = `Run "journalctl -u ${UNIT}" to see why.`;

async function systemctl(...words: readonly string[]) {
  return await runTool("systemctl", ["--no-pager", "--no-ask-password", ...words]);
}
