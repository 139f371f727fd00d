/** Picks how the machine is told about our resolvers. */

import { Fault } from "../../lib/base/fault.ts";
import { foreignDnsControl } from "../../lib/host/dns_control.ts";
import type { SystemDns, SystemDnsOptions } from "../platform.ts";
import { NetworkManagerDns } from "./dns_network_manager.ts";
import { ResolvconfDns } from "./dns_resolvconf.ts";
import { ResolvedDns } from "./dns_resolved.ts";
import { ResolvConfDns } from "./dns_resolv_conf.ts";

/** Returns the control asked for, with nothing changed yet. Throws a Fault ("usage") for one of another system. */
export function createSystemDns(options: SystemDnsOptions): SystemDns {
  switch (options.control) {
    case "systemd-resolved":
      return new ResolvedDns(options);
    case "network-manager":
      return new NetworkManagerDns(options);
    case "resolvconf":
      return new ResolvconfDns(options);
    case "etc-resolv-conf":
    case "disabled":
      return new ResolvConfDns(options);
    case "scutil":
    case "nrpt":
      throw new Fault(
        "usage",
        `Cannot use the setting "dns-control": ${foreignDnsControl(options.control, "linux")}`,
        {
          next: "Run `fz config unset dns-control`, to use what fits this machine.",
        },
      );
  }
}
