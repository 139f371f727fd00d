/**
 * `fz up` without a session: finds one, or starts one that outlives the terminal. One at a time in a runtime folder, so
 * that many at once come by the same session.
 */

import { Fault } from "../../lib/base/fault.ts";
import type { Duration } from "../../lib/base/time.ts";
import type { LaunchConfig, Launched } from "../../lib/control/config.ts";
import { DEFAULT_PROFILE, type Paths, pathsOf } from "../../lib/control/paths.ts";
import { findEndpoint } from "../control/endpoint.ts";
import { pathContext } from "../path_context.ts";
import { selfCommand } from "../self_command.ts";
import { makeRuntimeFolder, runtimeFolderFault } from "../runtime_folder.ts";
import { readExitFile } from "./exit_file.ts";
import { takeLock } from "./lock.ts";
import { describeLockHolder } from "./lock_holder.ts";
import { processStart } from "./process.ts";
import { readSessionTrace } from "./session_file.ts";
import { sleep } from "./sleep.ts";
import { hasUnit, Unit } from "./unit.ts";
import { whyNotRunning } from "./why_not_running.ts";

/** How long another `fz up` may look for its session, and a session take until it answers, if the user has the time. */
const LOCK_PATIENCE_MS = 30_000;
const ANSWER_PATIENCE_MS = 20_000;
/** Of our own, which is seen to live: a machine that is busy may take long to start a program. */
const OWN_PATIENCE_MS = 60_000;
const LOOK_PATIENCE_MS = 2000;
const INTERVAL_MS = 50;
/** Tells a session who waits for it. */
export const LAUNCHER_VARIABLE = "FZ_LAUNCHER";

/** Returns when a session answers: one that is there, the service of this machine, or a new one of this user. */
export async function launch(config: LaunchConfig): Promise<Launched> {
  const context = pathContext();
  const paths = pathsOf(context);
  const deadline = performance.now() + config.patience;
  const lock = await prepare(paths, config.patience);
  try {
    if (await isOccupied(paths)) {
      const left = () => Math.max(deadline - performance.now(), 0);
      const patience = Math.min(ANSWER_PATIENCE_MS, left());
      await untilItAnswers(paths, () => isOccupied(paths), patience).catch(async (error) => {
        throw await whyOccupied(paths, Math.min(LOOK_PATIENCE_MS, left()), error) ?? error;
      });
      return { how: "found", pid: undefined };
    }
    const isUsual = context.env("FZ_RUNTIME_DIR") === undefined && config.profile === DEFAULT_PROFILE;
    if (isUsual && config.token === undefined && await hasUnit()) {
      const unit = await Unit.start(paths);
      await untilItAnswers(paths, async () => !await unit.hasFailed()).catch(async (error) => {
        throw await unit.whyFailed() ?? error;
      });
      return { how: "service", pid: undefined };
    }
    return { how: "started", pid: await startDetached(config, paths) };
  } finally {
    lock.release();
  }
}

/** Returns why the session of process `pid` ended; undefined if it ended as it was asked to. */
export async function whyEnded(pid: number): Promise<Fault | undefined> {
  return await readExitFile(pathsOf(pathContext()), pid);
}

/** Resolves with true when the process `pid` and its lock are gone, with false if they are not after `limitMs`. */
export async function untilGone(pid: number, limitMs: number): Promise<boolean> {
  const { lock } = pathsOf(pathContext());
  const start = await processStart(pid);
  const deadline = performance.now() + limitMs;
  while (start !== undefined && await processStart(pid) === start) {
    if (performance.now() >= deadline) return false;
    await sleep(INTERVAL_MS);
  }
  // Where the process cannot be seen, its lock tells.
  try {
    const held = await takeLock(lock, Math.max(deadline - performance.now(), 0));
    held?.release();
    return held !== undefined;
  } catch {
    return true;
  }
}

async function prepare(paths: Paths, patience: Duration) {
  try {
    makeRuntimeFolder(paths.runtime);
    const lock = await takeLock(paths.upLock, Math.min(LOCK_PATIENCE_MS, patience));
    if (lock !== undefined) return lock;
  } catch (cause) {
    throw runtimeFolderFault(paths.runtime, cause);
  }
  const { who, next } = describeLockHolder(paths.upLock);
  const message = `Cannot start a session: another \`fz up\` (${who}) is starting one and does not end`;
  throw new Fault("timeout", message, { next });
}

/** Whether a session holds the folder, or is about to. */
async function isOccupied(paths: Paths): Promise<boolean> {
  if ((await readSessionTrace(paths)).type === "alive") return true;
  const lock = await takeLock(paths.lock);
  lock?.release();
  return lock === undefined;
}

/** Returns the Fault for a lock that somebody holds, and keeps, in place of `error`, which does not tell who. */
async function whyOccupied(paths: Paths, patience: Duration, error: unknown): Promise<Fault | undefined> {
  // Who only looks whether there is a session holds it for a moment, too.
  const lock = await takeLock(paths.lock, patience);
  lock?.release();
  if (lock !== undefined) return undefined;
  const { who, next } = describeLockHolder(paths.lock);
  if ((await readSessionTrace(paths)).type === "alive") {
    const isSilent = error instanceof Fault && error.code === "not-running";
    return isSilent ? new Fault(error.code, error.message, { next }) : undefined;
  }
  return new Fault("timeout", `Cannot start a session: ${who} holds "${paths.lock}"`, { next });
}

async function startDetached({ args, profile, token }: LaunchConfig, paths: Paths): Promise<number> {
  const [program, ...before] = selfCommand();
  const handover = token === undefined ? [] : ["--token-stdin"];
  const child = new Deno.Command(program!, {
    args: [
      ...[...before, "run", "--service", "--profile", profile, "--log-dir", paths.logFolder],
      ...[...handover, ...args],
    ],
    // The terminal may close, and the folder may go away.
    cwd: "/",
    detached: true,
    clearEnv: true,
    env: childEnvironment(),
    stdin: token === undefined ? "null" : "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  child.unref();
  if (token !== undefined) await handOver(child, token);
  let code: number | undefined;
  const ended = child.status.then((status) => code = status.code);
  try {
    await untilItAnswers(paths, () => Promise.resolve(code === undefined), OWN_PATIENCE_MS);
    return child.pid;
  } catch (error) {
    if (code === undefined) throw error;
    await ended;
    throw await readExitFile(paths, child.pid) ??
      new Fault("unexpected", `Cannot connect: the session ended at once with code ${code}`, {
        next: `See ${paths.logFolder}/fz.log.`,
      });
  }
}

/** By a pipe: what is in the environment of a process stays to be read there until it ends. */
async function handOver({ stdin }: Deno.ChildProcess, token: string): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(`${token}\n`));
    await writer.close();
  } catch {
    // It has ended already, and says why elsewhere.
  }
}

/** Ours, without what speaks for this process alone. */
function childEnvironment(): Record<string, string> {
  const env = Deno.env.toObject();
  for (const name of ["FIREZONE_TOKEN", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete env[name];
  return { ...env, [LAUNCHER_VARIABLE]: String(Deno.pid) };
}

/** Throws why it does not if `isAlive` says so or patience ends. */
async function untilItAnswers(
  paths: Paths,
  isAlive: () => Promise<boolean>,
  patienceMs = ANSWER_PATIENCE_MS,
): Promise<void> {
  const context = pathContext();
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      await findEndpoint(context, "read", () => whyNotRunning([paths]));
      return;
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== "not-running") throw error;
      if (!await isAlive() || performance.now() >= deadline) throw error;
    }
    await sleep(INTERVAL_MS);
  }
}
