/**
 * How this Mac reaches the Internet, as a text to compare: the default routes that ordinary packets take, and the
 * addresses of their interfaces. Addresses that IPv6 makes up and drops for privacy do not count, only the networks they
 * are in.
 */

import { IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import type { NetworkInterface } from "../platform.ts";
import { readTable } from "./host_network.ts";
import type { RouteKernel } from "./kernel.ts";
import { defaultRoute } from "./routing.ts";

/** Returns the path without `device`; empty if there is none. */
export function networkPath(
  kernel: Pick<RouteKernel, "dumpRoutes" | "interfaceIndex" | "interfaceName">,
  interfaces: readonly NetworkInterface[],
  device: string,
): string {
  const table = readTable(kernel);
  const index = device === "" ? 0 : kernel.interfaceIndex(device);
  const routes: string[] = [];
  const names = new Set<string>();
  for (const family of [4, 6] as const) {
    const route = defaultRoute(table, family, index);
    if (route === undefined) continue;
    const name = kernel.interfaceName(route.index) ?? `#${route.index}`;
    routes.push(`${name} via ${route.gateway ?? "link"}`);
    names.add(name);
  }
  const networks = interfaces.filter(({ name }) => names.has(name)).flatMap(describe).sort();
  return [...routes, ...new Set(networks)].join("; ");
}

function describe({ name, family, address, cidr }: NetworkInterface): string[] {
  const ip = IpAddress.parse(address.replace(/%.*$/, ""));
  if (ip === undefined || ip.isLinkLocal) return [];
  if (family === "IPv4") return [`${name} in ${ip}`];
  return [`${name} in ${IpNetwork.parse(cidr.replace(/%[^/]*/, "")) ?? new IpNetwork(ip, 64)}`];
}
