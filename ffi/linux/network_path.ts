/**
 * How this machine reaches the Internet, as a text to compare: its default routes and the networks of their
 * interfaces, read from /proc/net (Documentation/networking/proc_net_tcp.rst and the kernel's fib code). Addresses
 * that IPv6 makes up and drops for privacy do not count, only the networks they are in.
 */

import type { NetworkInterface } from "../platform.ts";

/** The parts of the system that are read; tests bring their own. */
export interface NetworkPathSources {
  /** The text of /proc/net/route. */
  readonly route: string;
  /** The text of /proc/net/ipv6_route. */
  readonly route6: string;
  readonly interfaces: readonly NetworkInterface[];
}

/** Returns the path of this machine without `device`; empty if it has none. */
export async function readNetworkPath(device: string): Promise<string> {
  const [route, route6] = await Promise.all(
    ["/proc/net/route", "/proc/net/ipv6_route"].map((path) => Deno.readTextFile(path).catch(() => "")),
  );
  return networkPath({ route: route!, route6: route6!, interfaces: Deno.networkInterfaces() }, device);
}

/** Returns the path that `sources` tell of. */
export function networkPath({ route, route6, interfaces }: NetworkPathSources, device: string): string {
  const defaults: string[] = [];
  const devices = new Set<string>();
  for (const line of route.split("\n").slice(1)) {
    const [name, destination, gateway, flags, , , , mask] = line.split("\t");
    if (name === undefined || name === device || destination !== "00000000" || mask !== "00000000") continue;
    if ((parseInt(flags ?? "0", 16) & (RTF_UP | RTF_REJECT)) !== RTF_UP) continue;
    defaults.push(`${name} via ${gateway}`);
    devices.add(name);
  }
  for (const line of route6.split("\n")) {
    const [destination, prefix, , , gateway, , , , flags, name] = line.trim().split(/\s+/);
    if (name === undefined || name === device || name === "lo" || prefix !== "00") continue;
    if (destination !== "0".repeat(32) || (parseInt(flags!, 16) & RTF_REJECT) !== 0) continue;
    defaults.push(`${name} via ${gateway}`);
    devices.add(name);
  }
  const networks = interfaces
    .filter(({ name, address }) => devices.has(name) && !address.startsWith("fe80:"))
    .map(({ name, family, address, cidr }) =>
      `${name} in ${family === "IPv4" ? address : networkOf(address, cidr)}`
    );
  return [...new Set([...defaults.sort(), ...networks.sort()])].join("; ");
}

/** The first 64 bits of an IPv6 address, as it is written out in full. */
function networkOf(address: string, cidr: string): string {
  const [head, tail] = address.split("::") as [string, string | undefined];
  const groups = head.split(":").filter((group) => group !== "");
  const rest = tail === undefined ? [] : tail.split(":").filter((group) => group !== "");
  const all = tail === undefined
    ? groups
    : [...groups, ...Array(Math.max(0, 8 - groups.length - rest.length)).fill("0"), ...rest];
  return `${all.slice(0, 4).join(":")}${cidr.slice(cidr.indexOf("/"))}`;
}

const RTF_UP = 0x0001;
const RTF_REJECT = 0x0200;
