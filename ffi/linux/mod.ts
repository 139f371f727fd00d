/** Linux. */

import type { Platform } from "../platform.ts";
import { now } from "./clock.ts";
import { createSystemDns, detectDnsControl } from "./dns.ts";
import { createHostNetwork } from "./host_network.ts";
import { createPoller } from "./poller.ts";
import { openTun } from "./tun.ts";
import { bindUdp } from "./udp.ts";

export const linux: Platform = {
  now,
  openTun,
  bindUdp,
  createPoller,
  createHostNetwork,
  createSystemDns,
  detectDnsControl,
};
