/** Looks at what manages this machine's DNS: files, mounts, the system bus, tools. Changes nothing. */

import { chooseDnsControl, type DnsChoice, type DnsObservation } from "../../lib/host/dns_choice.ts";
import { runTool } from "./command.ts";

/** Returns what was seen. `resolvConfPath` is for tests. */
export async function observeDns(resolvConfPath = "/etc/resolv.conf"): Promise<DnsObservation> {
  const target = await Deno.realPath(resolvConfPath).catch(() => undefined);
  const { code } = await runTool("resolvectl", ["status"]).catch(() => ({ code: 1 }));
  return {
    os: "linux",
    resolvConf: {
      exists: target !== undefined,
      target: target === resolvConfPath ? undefined : target,
      text: await Deno.readTextFile(resolvConfPath).catch(() => ""),
      isMount: false,
      isWritable: true,
      isDirectoryWritable: true,
    },
    busNames: undefined,
    resolved: code === 0 ? "tool" : undefined,
    networkManager: undefined,
    resolvconf: undefined,
    isContainer: false,
    isWsl: false,
  };
}

/** Returns the control that fits this machine. */
export async function chooseDns(): Promise<DnsChoice> {
  return chooseDnsControl(await observeDns());
}
