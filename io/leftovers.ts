/**
 * What a client that was killed could not take back on its machine: rules and routes, and /etc/resolv.conf. The next
 * client undoes it at its start, and `fz cleanup` when it is asked to. The TUN device ends with its process, and what
 * systemd-resolved was told ends with the device.
 */

import type { HostNetwork, Platform, SystemDns } from "../ffi/platform.ts";
import { Fault } from "../lib/base/fault.ts";
import type { Log } from "../lib/base/log.ts";
import { isSentinelAddress } from "../lib/dns/sentinels.ts";

/** What was undone. */
export interface Undone {
  /** Rules and routes as `ip` takes them. They name networks of the user's resources. */
  readonly network: readonly string[];
  readonly wasDnsRestored: boolean;
}

/** Who undoes. */
export interface LeftoverOptions {
  readonly network: HostNetwork;
  /** The control that the next client uses; resolv.conf is looked after whatever it is. */
  readonly dns: SystemDns;
  readonly log: Log;
}

/**
 * Undoes what killed clients left behind. Throws a Fault ("dns", "privilege") if DNS cannot be restored by a client that
 * will change it itself.
 */
export async function undoLeftovers(
  platform: Platform,
  { network, dns, log }: LeftoverOptions,
): Promise<Undone> {
  const undone = await network.undo();
  if (undone.length > 0) log.info("removed leftovers of an earlier run", { count: undone.length });
  // An earlier client may have used another control than this one.
  const file = dns.control === "systemd-resolved"
    ? platform.createSystemDns({
      control: "etc-resolv-conf",
      device: "",
      isSentinel: isSentinelAddress,
      log,
    })
    : dns;
  try {
    const wasDnsRestored = await file.undo();
    if (wasDnsRestored) log.info("restored DNS after an earlier run");
    return { network: undone, wasDnsRestored };
  } catch (error) {
    if (!(error instanceof Fault) || dns.control === "etc-resolv-conf") throw error;
    log.warn("cannot restore DNS after an earlier run", { error });
    return { network: undone, wasDnsRestored: false };
  }
}
