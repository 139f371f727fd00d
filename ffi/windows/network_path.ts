/**
 * How this machine reaches the Internet, as a text to compare: the default routes that win, and the addresses of their
 * adapters. Addresses that IPv6 makes up and drops for privacy do not count, only the networks they are in.
 */

import { type Family, IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import { type Adapter, readAdapters } from "./adapters.ts";
import type { NetworkKernel } from "./kernel.ts";
import { wayTo } from "./routing.ts";
import { isTunnelDescription } from "./tunnel_name.ts";
import { metrics, readTable } from "./way_out.ts";

/** Returns the path without the adapter `device` and other tunnels of ours; empty if there is none. */
export function networkPath(kernel: NetworkKernel, device: string): string {
  const adapters = readAdapters(kernel.adapters());
  const tunnels = new Set(
    adapters.filter(({ name, description }) => name === device || isTunnelDescription(description))
      .map(({ index }) => index),
  );
  const table = readTable(kernel).filter(({ destination }) => destination.prefix === 0);
  const metricOf = metrics(kernel);
  const parts: string[] = [];
  for (const family of [4, 6] as const) {
    const route = wayTo(ANYWHERE[family], table, tunnels, metricOf);
    if (route === undefined) continue;
    const adapter = adapters.find(({ index }) => index === route.index);
    parts.push(`${adapter?.name ?? `#${route.index}`} via ${route.gateway ?? "link"}`);
    if (adapter !== undefined) parts.push(...addressesOf(adapter, family));
  }
  return parts.join("; ");
}

function addressesOf({ name, unicast }: Adapter, family: Family): string[] {
  const places = unicast.map(({ address }) => address)
    .filter((address) => address.family === family && !address.isLinkLocal)
    .map((address) => `${name} in ${family === 4 ? address : new IpNetwork(address, 64)}`);
  return [...new Set(places)].sort();
}

/** Any address: only default routes are looked at. */
const ANYWHERE = { 4: IpAddress.from("192.0.2.1"), 6: IpAddress.from("2001:db8::1") };
