/** Windows. Importing this opens the system's libraries, so it is loaded there only. */

import type { Platform } from "../platform.ts";
import { now } from "./clock.ts";
import { chooseDns, NrptDns, observeDns } from "./dns.ts";
import { guardChange } from "./guardian.ts";
import { WindowsNetwork } from "./host_network.ts";
import { nativeDnsMachine as dnsMachine } from "./native_dns.ts";
import { nativeKernel as kernel } from "./native_kernel.ts";
import { watchNetwork } from "./network_monitor.ts";
import { networkPath } from "./network_path.ts";
import { createPoller } from "./poller.ts";
import { checkTun, openTun } from "./tun.ts";
import { bindUdp } from "./udp.ts";
import { undoChange } from "./undo.ts";
import { WayOut } from "./way_out.ts";

const wayOut = new WayOut(kernel);

/** The platform as Windows offers it. */
export const windows: Platform = {
  now,
  openTun: (options) => openTun(options, wayOut),
  checkTun,
  bindUdp: (options) => bindUdp(options, wayOut),
  createPoller,
  createHostNetwork: (options) => new WindowsNetwork(options, kernel, wayOut, sleep),
  createSystemDns: (options) => new NrptDns(options, dnsMachine),
  chooseDns,
  observeDns,
  networkPath: (device) => Promise.resolve(networkPath(kernel, device)),
  watchNetwork: (onChange) =>
    watchNetwork(() => {
      wayOut.forget();
      onChange();
    }),
  undoChange: (change, log) => Promise.try(() => undoChange(change, log, kernel, dnsMachine)),
  guardChange: (change, _lockPath, log) => guardChange(change, log),
};

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
