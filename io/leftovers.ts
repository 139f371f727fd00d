/**
 * What a session that was killed could not take back on its machine. What it noted in its journal is undone first, then
 * what carries our mark: a journal that was lost must not keep rules, routes and resolv.conf from being put right. The
 * next client does it at its start, and `fz cleanup` when it is asked to. The TUN device ends with its process, and what
 * systemd-resolved was told ends with the device.
 */

import type { DnsControl, HostNetwork, Platform, SystemDns } from "../ffi/platform.ts";
import { Fault } from "../lib/base/fault.ts";
import type { Log } from "../lib/base/log.ts";
import { isSentinelAddress } from "../lib/dns/sentinels.ts";
import { canRemain, type Change, describeChange } from "../lib/host/journal.ts";
import { type HeldJournal, thisKernel } from "./journal.ts";

/** What was undone. */
export interface Undone {
  /** Rules and routes, in words. They name networks of the user's resources. */
  readonly network: readonly string[];
  readonly wasDnsRestored: boolean;
  /** Changes of the journal of which something was left, for a person. */
  readonly changes: readonly string[];
}

/** Who undoes. */
export interface LeftoverOptions {
  readonly network: HostNetwork;
  /** The control that the next client uses; resolv.conf is looked after whatever it is. */
  readonly dns: SystemDns;
  readonly journal: HeldJournal;
  readonly log: Log;
}

/**
 * Undoes what killed clients left behind. Throws a Fault ("dns", "privilege") if DNS cannot be restored by a client that
 * will change it itself.
 */
export async function undoLeftovers(
  platform: Platform,
  { network, dns, journal, log }: LeftoverOptions,
): Promise<Undone> {
  const replayed = await replay(platform, journal, log);
  // What only the mark tells of.
  const wasFoundRestored = await restoreFound(platform, dns, log);
  const undone = await network.undo();
  for (const { change } of journal.entries()) if (change.type === "network") journal.forget(change.id);
  if (undone.length > 0) log.info("removed leftovers of an earlier run", { count: undone.length });
  const wasDnsRestored = wasFoundRestored || replayed.undone.some(isOfDns);
  if (wasDnsRestored) log.info("restored DNS after an earlier run");
  if (replayed.failure !== undefined) {
    if (dns.control !== "systemd-resolved" && dns.control !== "network-manager") throw replayed.failure;
    log.warn("cannot undo all of an earlier run", { error: replayed.failure });
  }
  return { network: undone, wasDnsRestored, changes: replayed.undone.map(describeChange) };
}

interface Replayed {
  readonly undone: readonly Change[];
  /** The first of them. */
  readonly failure: Fault | undefined;
}

/** Undoes what the journal has, last things first. What cannot be undone stays in it. */
async function replay(platform: Platform, journal: HeldJournal, log: Log): Promise<Replayed> {
  const undone: Change[] = [];
  let failure: Fault | undefined;
  const here = thisKernel();
  for (const entry of journal.entries().toReversed()) {
    const { change } = entry;
    // Rules and routes are all found by their mark, and are told of one by one.
    if (change.type === "network") continue;
    try {
      if (canRemain(entry, here) && await platform.undoChange(change, log)) undone.push(change);
      journal.forget(change.id);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      failure ??= error;
    }
  }
  return { undone, failure };
}

/** The control whose leftovers are found without a journal: by the mark in a file, by the name of a key. */
export const FOUND_CONTROL: DnsControl = Deno.build.os === "darwin"
  ? "scutil"
  : Deno.build.os === "windows"
  ? "nrpt"
  : "etc-resolv-conf";

/** Puts back what is found by a mark of ours, for an earlier client may have used another control than this one. */
async function restoreFound(platform: Platform, dns: SystemDns, log: Log): Promise<boolean> {
  const found = dns.control === FOUND_CONTROL ? dns : platform.createSystemDns({
    control: FOUND_CONTROL,
    device: "",
    isSentinel: isSentinelAddress,
    log,
  });
  try {
    return await found.undo();
  } catch (error) {
    if (!(error instanceof Fault) || dns.control === FOUND_CONTROL) throw error;
    log.warn("cannot restore DNS after an earlier run", { error });
    return false;
  }
}

function isOfDns({ type }: Change): boolean {
  return type === "file" || type === "resolvconf" || type === "nrpt" || type === "scutil";
}
