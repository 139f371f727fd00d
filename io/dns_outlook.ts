/** By what names would reach a session on this machine, and why. Reads only; nothing on the machine changes. */

import { platform as thisPlatform } from "../ffi/mod.ts";
import type { Platform } from "../ffi/platform.ts";
import { silentLog } from "../lib/base/log.ts";
import { DEFAULT_TUN_NAME } from "../lib/control/config.ts";
import type { DnsFacts, DoctorQuestion } from "../lib/control/doctor.ts";
import { pathsOf } from "../lib/control/paths.ts";
import { isSentinelAddress } from "../lib/dns/sentinels.ts";
import { type DnsChoice, forcedDnsChoice } from "../lib/host/dns_choice.ts";
import type { DnsControl } from "../lib/host/dns_control.ts";
import { peekJournal } from "./journal.ts";
import { pathContext } from "./path_context.ts";
import { resolverAddresses, resolverNames } from "./resolvers.ts";

/** Returns the way of DNS that a session takes: `control` where that was asked for, else what fits. */
export async function takeDnsChoice(
  platform: Pick<Platform, "chooseDns">,
  control: DnsControl | undefined,
): Promise<DnsChoice> {
  const fitting = await platform.chooseDns();
  return control === undefined ? fitting : forcedDnsChoice(control, fitting);
}

/** Returns what a session would find here. Never throws. */
export async function dnsOutlook(
  { dnsControl, tunName }: Pick<DoctorQuestion, "dnsControl" | "tunName">,
): Promise<DnsFacts> {
  const platform = await thisPlatform();
  const choice = { ...await takeDnsChoice(platform, dnsControl), isAsked: dnsControl !== undefined };
  try {
    const parts = { device: tunName ?? DEFAULT_TUN_NAME, isSentinel: isSentinelAddress, log: silentLog };
    const dns = platform.createSystemDns({ ...parts, control: choice.control });
    const failure = await lostOriginal() ??
      await dns.check().then(() => undefined, (error: Error) => error.message);
    const addresses = resolverNames(resolverAddresses(await dns.upstreams().catch(() => [])));
    return { ...choice, failure, resolvers: addresses.length, addresses };
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    return { ...choice, failure, resolvers: 0, addresses: [] };
  }
}

/** Returns what is wrong with a resolv.conf of a killed session if nothing tells what was there before. */
async function lostOriginal(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return undefined;
  const linux = await import("../ffi/linux/dns_resolv_conf.ts");
  return linux.lostOriginal((id) =>
    peekJournal(pathsOf(pathContext())).some(({ change }) => change.id === id)
  );
}
