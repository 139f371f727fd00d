/** Undoes on Windows what a killed process noted in its journal (`lib/host/journal.ts`). */

import { IpNetwork } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import type { Change } from "../../lib/host/journal.ts";
import { type DnsMachine, removeRules } from "./dns.ts";
import type { NetworkKernel } from "./kernel.ts";
import { isPast } from "./routing.ts";
import { encodeForwardRow } from "./rows.ts";
import { readTable } from "./way_out.ts";
import { faultOf, Win32 } from "./win32.ts";

/**
 * Returns whether there was anything left of `change`. Changes of other systems are none here. Throws a Fault ("dns",
 * "privilege").
 */
export function undoChange(change: Change, log: Log, kernel: NetworkKernel, dns: DnsMachine): boolean {
  switch (change.type) {
    case "nrpt":
      return removeRules(change.adapter, dns);
    case "route":
      return undoRoute(change.destination, kernel);
    case "network":
      return false;
    case "file":
    case "resolvconf":
    case "network-manager":
    case "resolved":
    case "scutil":
      log.warn("a change of another operating system is in the journal", { type: change.type });
      return false;
  }
}

/** Our mark is on it still if nobody has put another one there since. */
function undoRoute(destination: string, kernel: NetworkKernel): boolean {
  const network = IpNetwork.parse(destination);
  const route = network &&
    readTable(kernel).find((entry) => entry.destination.equals(network) && isPast(entry));
  if (route === undefined) return false;
  const error = kernel.deleteRoute(encodeForwardRow(route));
  if (error === Win32.accessDenied) throw faultOf("Cannot remove a route", error);
  return error === 0;
}
