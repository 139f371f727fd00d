/** `fz cleanup`: takes back what a killed session left on the machine and in its runtime folder. */

import { platform as thisPlatform } from "../../ffi/mod.ts";
import type { HostNetwork } from "../../ffi/platform.ts";
import { Fault } from "../../lib/base/fault.ts";
import type { Log } from "../../lib/base/log.ts";
import type { CleanupReport } from "../../lib/control/config.ts";
import { type Paths, pathsOf } from "../../lib/control/paths.ts";
import { isSentinelAddress } from "../../lib/dns/sentinels.ts";
import { type HeldJournal, openJournal } from "../journal.ts";
import { FOUND_CONTROL, undoLeftovers, type Undone } from "../leftovers.ts";
import { pathContext } from "../path_context.ts";
import { runtimeFolderFault } from "../runtime_folder.ts";
import { otherClientFault } from "../tun_holder.ts";
import { takeLock } from "./lock.ts";
import { describeLockHolder } from "./lock_holder.ts";
import { readSessionTrace } from "./session_file.ts";
import { sleep } from "./sleep.ts";

/** How long a process that was killed may take to be gone. */
const KILL_PATIENCE_MS = 500;
const INTERVAL_MS = 50;
const LOCK_PATIENCE_MS = 1000;

/**
 * Undoes what is left of sessions of this user. Throws a Fault ("tun") while a session of this user runs; `otherClient`
 * of what it returns tells why nothing could be undone because of somebody else's.
 */
export async function cleanUp(log: Log): Promise<CleanupReport> {
  const paths = pathsOf(pathContext());
  const trace = await readSessionTrace(paths);
  if (trace.type === "alive") throw stillRuns(`the session (pid ${trace.record.pid}) runs`);
  // A guardian, or somebody who only looks, has it for no longer.
  const lock = await takeLock(paths.lock, LOCK_PATIENCE_MS).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "no folder" as const;
    throw runtimeFolderFault(paths.runtime, error);
  });
  if (lock === undefined) {
    const { who, next } = describeLockHolder(paths.lock);
    throw new Fault("tun", `Cannot clean up: ${who} holds "${paths.lock}"`, { next });
  }
  try {
    const undone = await undoAll(paths, log).catch((error) => {
      if (error instanceof Fault && error.code === "tun") return error;
      throw error;
    });
    if (undone instanceof Fault) {
      const nothing = { network: [], wasDnsRestored: false, changes: [], files: [], setAside: [] };
      return { session: undefined, ...nothing, otherClient: undone };
    }
    const files = lock === "no folder" ? [] : await removeFiles(paths);
    return {
      session: trace.type === "killed" ? trace.record && { pid: trace.record.pid } : undefined,
      network: undone.network,
      wasDnsRestored: undone.wasDnsRestored,
      changes: undone.changes,
      files,
      setAside: undone.setAside,
    };
  } finally {
    if (lock !== "no folder") lock.release();
  }
}

/**
 * Undoes all changes of the machine that a client of ours may have made. Throws a Fault: "tun" while another client
 * runs, "privilege" or "dns" if something cannot be undone.
 */
export async function undoAll(
  paths: Paths,
  log: Log,
): Promise<Undone & { readonly setAside: readonly string[] }> {
  const journal = openJournal(paths, log);
  try {
    return { ...await undoWith(journal, log), setAside: journal.setAside };
  } finally {
    journal.close();
  }
}

async function undoWith(journal: HeldJournal, log: Log): Promise<Undone> {
  const platform = await thisPlatform();
  const network = platform.createHostNetwork({ device: "", mtu: 0, mark: 0, routing: "policy", log });
  const present = await network.present();
  const other = await lastingDevice(network);
  if (other !== undefined) throw otherClientFault("Cannot clean up", other);
  const dns = platform.createSystemDns({
    control: FOUND_CONTROL,
    device: "",
    isSentinel: isSentinelAddress,
    log,
  });
  const undone = await undoLeftovers(platform, { network, dns, journal, log });
  if (present.length > 0 && (await network.present()).length > 0) {
    throw new Fault("privilege", "Cannot undo all rules and routes of a killed session", {
      next: "Run the command with sudo.",
    });
  }
  return undone;
}

/** Returns the device of another client. That of one that was just killed stays for a moment. */
async function lastingDevice(network: HostNetwork): Promise<string | undefined> {
  const deadline = performance.now() + KILL_PATIENCE_MS;
  for (;;) {
    const other = await network.otherDevice();
    if (other === undefined || performance.now() >= deadline) return other;
    await sleep(INTERVAL_MS);
  }
}

function stillRuns(what: string): Fault {
  return new Fault("tun", `Cannot clean up: ${what}`, { next: "Run `fz down` to end it." });
}

/**
 * Not the locks: whoever waits for one holds its file open. Not the exit file: the unit's stop hook runs before somebody
 * has read why the session failed.
 */
async function removeFiles(paths: Paths): Promise<string[]> {
  const { controlSocket, readSocket, controlFile, controlReadFile, sessionFile } = paths;
  const removed: string[] = [];
  for (const path of [controlSocket, readSocket, controlFile, controlReadFile, sessionFile]) {
    if (await isRemoved(path)) removed.push(path);
  }
  return [...removed, ...await removeDrafts(paths)];
}

/** Removes half-written files of killed sessions; returns which. Only for who has the lock: then nobody writes. */
export async function removeDrafts(paths: Paths): Promise<string[]> {
  const removed: string[] = [];
  for (const path of [...await draftsIn(paths), `${paths.state}/journal.json.new`]) {
    if (await isRemoved(path)) removed.push(path);
  }
  return removed;
}

async function isRemoved(path: string): Promise<boolean> {
  return await Deno.remove(path).then(() => true, () => false);
}

/** Returns what sessions were about to put in its place when they were killed. Only with the lock: nobody writes now. */
async function draftsIn({ runtime }: Paths): Promise<string[]> {
  const drafts: string[] = [];
  try {
    for await (const { name } of Deno.readDir(runtime)) {
      if (DRAFT.test(name)) drafts.push(`${runtime}/${name}`);
    }
  } catch {
    // Where it cannot be read, nothing can be removed either.
  }
  return drafts;
}

const DRAFT = /^(fz(-read)?\.sock|session\.json|exit\.json)\.\d+$|^(control(-read)?|journal)\.json\.new$/;
