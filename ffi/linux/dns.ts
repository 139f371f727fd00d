/** Picks how the machine is told about our resolvers. */

import type { SystemDns, SystemDnsOptions } from "../platform.ts";
import { ResolvedDns } from "./dns_resolved.ts";
import { ResolvConfDns } from "./dns_resolv_conf.ts";

/** Returns the control asked for, with nothing changed yet. */
export function createSystemDns(options: SystemDnsOptions): SystemDns {
  switch (options.control) {
    case "systemd-resolved":
      return new ResolvedDns(options);
    default:
      return new ResolvConfDns(options);
  }
}
