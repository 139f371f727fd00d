/** Undoes on macOS what a killed process noted in its journal (`lib/host/journal.ts`). */

import { IpNetwork } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import type { Change } from "../../lib/host/journal.ts";
import { removeKey, type RunTool } from "./dns.ts";
import { Errno, faultOf } from "./errno.ts";
import { readTable, removeRoute } from "./host_network.ts";
import type { RouteKernel } from "./kernel.ts";
import { isOurs } from "./routing.ts";

/**
 * Returns whether there was anything left of `change`. Changes of other systems are none here. Throws a Fault ("dns",
 * "privilege").
 */
export async function undoChange(
  change: Change,
  log: Log,
  kernel: RouteKernel,
  run?: RunTool,
): Promise<boolean> {
  switch (change.type) {
    case "scutil":
      return await removeKey(change.key, run);
    case "route":
      return undoRoute(change.destination, kernel);
    case "network":
      return false;
    case "file":
    case "resolvconf":
    case "network-manager":
    case "resolved":
    case "nrpt":
      log.warn("a change of another operating system is in the journal", { type: change.type });
      return false;
  }
}

/** Our mark is on it still if nobody has put another one there since. */
function undoRoute(destination: string, kernel: RouteKernel): boolean {
  const network = IpNetwork.parse(destination);
  const route = network &&
    readTable(kernel).find((entry) => entry.destination.equals(network) && isOurs(entry));
  if (route === undefined) return false;
  const error = removeRoute(kernel, route, 1);
  if (error === Errno.EPERM || error === Errno.EACCES) throw faultOf("Cannot remove a route", error);
  return error === 0;
}
