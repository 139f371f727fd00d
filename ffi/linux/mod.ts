/** Linux. */

import type { Platform } from "../platform.ts";
import { now } from "./clock.ts";
import { createSystemDns } from "./dns.ts";
import { chooseDns, observeDns } from "./dns_observe.ts";
import { guardChange } from "./guardian.ts";
import { createHostNetwork } from "./host_network.ts";
import { watchNetwork } from "./netlink/monitor.ts";
import { readNetworkPath } from "./network_path.ts";
import { createPoller } from "./poller.ts";
import { checkTun, openTun } from "./tun.ts";
import { bindUdp } from "./udp.ts";
import { undoChange } from "./undo.ts";

/** The platform as Linux offers it. */
export const linux: Platform = {
  now,
  openTun,
  checkTun,
  bindUdp,
  createPoller,
  createHostNetwork,
  createSystemDns,
  chooseDns,
  observeDns,
  networkPath: readNetworkPath,
  watchNetwork,
  undoChange,
  guardChange,
};
