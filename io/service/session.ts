/** Gives a session its place on the machine: lock, session file, control API, supervisor; and takes all of it back. */

import { Fault } from "../../lib/base/fault.ts";
import type { SocketAddress } from "../../lib/base/ip.ts";
import { type Log, silentLog } from "../../lib/base/log.ts";
import type { SessionConfig } from "../../lib/control/config.ts";
import type { EventSink } from "../../lib/control/event.ts";
import { renderMetrics } from "../../lib/control/metrics.ts";
import { type Paths, pathsOf } from "../../lib/control/paths.ts";
import { checkClient, startClient } from "../client.ts";
import { serveControl } from "../control/server.ts";
import { openEvents } from "../events.ts";
import { type HealthServer, serveHealth } from "../health.ts";
import type { RunningRole } from "../lifetime.ts";
import { pathContext } from "../path_context.ts";
import { makeRuntimeFolder, runtimeFolderFault } from "../runtime_folder.ts";
import { removeDrafts, undoAll } from "./cleanup.ts";
import { removeExitFile, writeExitFile } from "./exit_file.ts";
import { healthDocument } from "./documents.ts";
import { serviceHandlers } from "./handlers.ts";
import { LAUNCHER_VARIABLE } from "./launch.ts";
import { type Lock, takeLock } from "./lock.ts";
import { describeLockHolder } from "./lock_holder.ts";
import { type Notices, openNotices, stateLine } from "./notices.ts";
import { Service } from "./service.ts";
import { readWishes, wishesFile, writeWishes } from "./wishes.ts";
import { readSessionTrace, removeSessionFile, writeSessionFile } from "./session_file.ts";

/** Somebody who only looks whether there is a session holds its lock for no longer. */
const LOCK_PATIENCE_MS = 500;

/** A session that runs. */
export interface RunningSession extends RunningRole {
  /** Forgets all paths and finds new ones. */
  reset(): void;
}

/** Starts the session of this process. Throws the Fault that keeps it from starting, with nothing left behind. */
export async function startSession(config: SessionConfig, log: Log): Promise<RunningSession> {
  const place = await takePlace(pathsOf(pathContext()), config, log);
  const notices = await openNotices(Deno.env);
  try {
    return await serve(config, log, notices, place);
  } catch (error) {
    notices.end();
    notices.failed(error);
    if (place !== undefined) {
      await writeExitFile(place.paths, error);
      await place.leave();
    }
    throw error;
  }
}

async function serve(
  config: SessionConfig,
  log: Log,
  notices: Notices,
  place: Place | undefined,
): Promise<RunningSession> {
  const events = openEvents();
  const wishes = wishesFile(pathsOf(pathContext()).state, config.profile);
  const service = new Service({
    profile: config.profile,
    config: config.client,
    disabledResources: config.disabledResources,
    wishes: readWishes(wishes, log),
    keepWishes: (changed) => writeWishes(wishes, changed, log),
    waitsForCredential: config.waitsForCredential,
    log,
    startEngine: (client, hooks) => startClient(client, log, hooks),
    checkEngine: (client) => checkClient(client, silentLog),
    events: (event) => {
      events.emit(event);
      report(event, notices);
    },
  });
  const servers: { stop(): Promise<void> }[] = [];
  const close = async () => {
    notices.end();
    for (const server of servers) await server.stop();
    events.close();
  };
  try {
    if (config.listen !== undefined) servers.push(listen(config.listen, service));
    await service.start(config.token);
    // Who can be asked has begun: what kept a session from starting is told by its end.
    if (place !== undefined) servers.push(...await openControl(place.paths, service, config, log));
  } catch (error) {
    await service.stop();
    await close();
    throw error;
  }
  service.ready.then(() => notices.ready(), () => {});
  const leave = async () => {
    await close();
    await place?.leave();
  };
  const fail = async (error: unknown) => {
    notices.failed(error);
    if (place !== undefined) await writeExitFile(place.paths, error);
    await leave();
    throw error;
  };
  let isSignalled = false;
  const done = service.done.then(async () => {
    const { leftBehind } = service;
    if (leftBehind !== undefined && isSignalled) await fail(leftBehind);
    // Whoever ended it by the control API reads it; a supervisor that saw a failure would start it again.
    if (leftBehind !== undefined && place !== undefined) await writeExitFile(place.paths, leftBehind);
    await leave();
  }, fail);
  done.catch(() => {});
  return {
    ready: service.ready,
    done,
    stop: async () => {
      isSignalled = true;
      await service.stop();
      await done.catch(() => {});
    },
    reset: () => service.reset(),
  };
}

/** A tunnel that cannot be asked is better than none, but not in the background. */
async function openControl(paths: Paths, service: Service, config: SessionConfig, log: Log) {
  try {
    return [await serveControl({ paths, handlers: serviceHandlers(service), log })];
  } catch (error) {
    if (config.waitsForCredential) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    log.warn("cannot be asked or steered: the control API cannot be served", { reason });
    return [];
  }
}

function listen(address: SocketAddress, service: Service): HealthServer {
  return serveHealth(address, {
    whyNotReady() {
      const { ready, state, problem } = healthDocument(service);
      return ready ? undefined : problem === undefined ? state : `${state} (${problem.message})`;
    },
    metrics: () => renderMetrics(service.status(), Date.now()),
  });
}

/** What a session holds in its runtime folder. */
interface Place {
  readonly paths: Paths;
  leave(): Promise<void>;
}

/**
 * Takes the runtime folder and undoes what a killed session left. Undefined where there cannot be such a folder: a
 * container that is read-only, a user who has none; in the background that is a Fault ("privilege"). Throws a Fault
 * ("tun") if another session has it.
 */
async function takePlace(paths: Paths, config: SessionConfig, log: Log): Promise<Place | undefined> {
  let lock: Lock | undefined;
  try {
    makeRuntimeFolder(paths.runtime);
    lock = await takeLock(paths.lock, LOCK_PATIENCE_MS);
  } catch (error) {
    const fault = runtimeFolderFault(paths.runtime, error);
    if (config.waitsForCredential) throw fault;
    log.warn("cannot be asked or steered", { reason: fault.message });
    return undefined;
  }
  if (lock === undefined) throw await anotherRuns(paths);
  try {
    checkLauncher();
    const trace = await readSessionTrace(paths);
    if (trace.type === "killed") {
      log.info("an earlier session was killed", { pid: trace.record?.pid });
      // An engine does it itself at its start.
      if (config.token === undefined) await undoAll(paths, log);
    }
    await removeDrafts(paths);
    await removeExitFile(paths);
    const { tunName, dnsControl } = config.client;
    await writeSessionFile(paths, { profile: config.profile, tunName, dnsControl }).catch((error) => {
      throw runtimeFolderFault(paths.runtime, error);
    });
  } catch (error) {
    lock.release();
    throw error;
  }
  return {
    paths,
    leave: async () => {
      await removeSessionFile(paths);
      lock.release();
    },
  };
}

/**
 * Throws a Fault if the `fz up` that started this process is gone. Looked at with the lock in hand: a `fz down` that came
 * before saw no session, so none may begin; one that comes after sees the lock.
 */
function checkLauncher(): void {
  const launcher = Deno.env.get(LAUNCHER_VARIABLE);
  Deno.env.delete(LAUNCHER_VARIABLE);
  if (launcher === undefined || launcher === "" || launcher === String(Deno.ppid)) return;
  throw new Fault("not-running", "Cannot start: the `fz up` that began it was killed");
}

async function anotherRuns(paths: Paths): Promise<Fault> {
  const trace = await readSessionTrace(paths);
  if (trace.type !== "alive") {
    const { who, next } = describeLockHolder(paths.lock);
    return new Fault("tun", `Cannot start: ${who} holds "${paths.lock}"`, { next });
  }
  return new Fault("tun", `Cannot start: another session runs (pid ${trace.record.pid})`, {
    next: "Run `fz status` to see it, or `fz down` to end it.",
  });
}

function report(event: Parameters<EventSink>[0], notices: Notices): void {
  if (event.event === "stopping") notices.stopping();
  if (event.event === "state-changed") notices.status(stateLine(event.state, event.problem?.message));
}
