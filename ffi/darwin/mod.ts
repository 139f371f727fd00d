/** macOS. Importing this opens the system's library, so it is loaded there only. */

import type { Platform } from "../platform.ts";
import { now } from "./clock.ts";
import { chooseDns, observeDns, ScutilDns } from "./dns.ts";
import { guardChange } from "./guardian.ts";
import { DarwinNetwork, readTable } from "./host_network.ts";
import { nativeKernel as kernel } from "./native_kernel.ts";
import { watchNetwork } from "./network_monitor.ts";
import { networkPath } from "./network_path.ts";
import { createPoller } from "./poller.ts";
import { defaultRoute } from "./routing.ts";
import { checkTun, openTun } from "./tun.ts";
import { bindUdp } from "./udp.ts";
import { undoChange } from "./undo.ts";
import { WayOut } from "./way_out.ts";

const wayOut = new WayOut(kernel);

/** The platform as macOS offers it. */
export const darwin: Platform = {
  now,
  openTun,
  checkTun,
  bindUdp: (options) => bindUdp(options, wayOut),
  createPoller,
  createHostNetwork: (options) => new DarwinNetwork(options, kernel, wayOut),
  createSystemDns: (options) =>
    new ScutilDns(options, {
      primaryInterface,
      interfaceIndex: kernel.interfaceIndex,
      isRoot: () => Deno.uid() === 0,
    }),
  chooseDns,
  observeDns,
  networkPath: (device) => Promise.resolve(networkPath(kernel, Deno.networkInterfaces(), device)),
  watchNetwork: (onChange) =>
    watchNetwork(() => {
      wayOut.follow();
      onChange();
    }),
  undoChange: (change, log) => undoChange(change, log, kernel),
  guardChange: (change, _lockPath, log) => guardChange(change, log),
};

/** Our device never has a default route: the Internet resource takes the two halves. */
function primaryInterface(): string | undefined {
  const table = readTable(kernel);
  const route = defaultRoute(table, 4, 0) ?? defaultRoute(table, 6, 0);
  return route === undefined ? undefined : kernel.interfaceName(route.index);
}
