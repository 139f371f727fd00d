/** Picks how the machine is told about our resolvers. */

import type { DnsControl, SystemDns, SystemDnsOptions } from "../platform.ts";
import { runTool } from "./command.ts";
import { ResolvedDns } from "./dns_resolved.ts";
import { ResolvConfDns } from "./dns_resolv_conf.ts";

/** Returns the control asked for, with nothing changed yet. */
export function createSystemDns(options: SystemDnsOptions): SystemDns {
  switch (options.control) {
    case "systemd-resolved":
      return new ResolvedDns(options);
    case "etc-resolv-conf":
    case "disabled":
      return new ResolvConfDns(options);
  }
}

/** Returns the control that fits this machine: systemd-resolved where it runs and is asked, else the file. */
export async function detectDnsControl(resolvConfPath = "/etc/resolv.conf"): Promise<DnsControl> {
  const file = await Deno.readTextFile(resolvConfPath).catch(() => "");
  const target = await Deno.realPath(resolvConfPath).catch(() => "");
  if (!target.startsWith("/run/systemd/resolve/") && !/^nameserver\s+127\.0\.0\.53$/m.test(file)) {
    return "etc-resolv-conf";
  }
  const { code } = await runTool("resolvectl", ["status"]).catch(() => ({ code: 1 }));
  return code === 0 ? "systemd-resolved" : "etc-resolv-conf";
}
