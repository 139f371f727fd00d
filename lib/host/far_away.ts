/** Places to ask the kernel the way to. */

import { IpAddress } from "../base/ip.ts";

/** Root name servers a and k: in no network of anybody's own, and no range that careful hosts refuse. Nobody is asked. */
export const FAR_AWAY: readonly IpAddress[] = ["198.41.0.4", "2001:7fd::1"].map(IpAddress.from);
