/** Linux. */

import type { Platform } from "../platform.ts";
import { createPoller } from "./poller.ts";
import { openTun } from "./tun.ts";
import { bindUdp } from "./udp.ts";

export const linux: Platform = {
  openTun,
  bindUdp,
  createPoller,
};
