/**
 * How this machine reaches the Internet, as a text to compare: its best default routes and the addresses of their
 * links, as netlink lists them, and where its rules lead elsewhere, for another VPN say, that way. Addresses that IPv6
 * makes up and drops for privacy do not count, only the networks they are in.
 */

import { type Family, type IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import { FAR_AWAY } from "../../lib/host/far_away.ts";
import { MARK } from "../../lib/host/route_plan.ts";
import {
  type Address,
  AddressFlag,
  type Link,
  MainTable,
  NetlinkRoute,
  type Route,
  Scope,
} from "./netlink/mod.ts";

/** The parts of the system that are looked at; tests bring their own. */
export interface NetworkPathSources {
  readonly links: readonly Link[];
  readonly addresses: readonly Address[];
  /** Those of the main table that go everywhere; others are passed over. */
  readonly routes: readonly Route[];
  /** What packets of ours take to some place in the Internet, one for each family that has a way. */
  readonly taken?: readonly Route[];
}

/** Returns the path of this machine without `device`: empty if it has none, undefined if the kernel does not tell. */
export function readNetworkPath(device: string): Promise<string | undefined> {
  try {
    using netlink = NetlinkRoute.open();
    const sources = {
      links: netlink.links(),
      addresses: netlink.addresses(),
      routes: netlink.routes({ table: MainTable.main, prefix: 0 }),
      taken: FAR_AWAY.flatMap((address) => netlink.lookUp(address, MARK) ?? []),
    };
    return Promise.resolve(networkPath(sources, device));
  } catch {
    return Promise.resolve(undefined);
  }
}

/** Returns the path that `sources` tell of. */
export function networkPath(
  { links, addresses, routes, taken = [] }: NetworkPathSources,
  device: string,
): string {
  const usable = new Map(
    links.filter((link) => isUsable(link) && link.name !== device).map((link) => [link.index, link]),
  );
  const parts = new Set<string>();
  // A cable was pulled: until somebody takes its routes away, the kernel follows them and drops everything, whatever other
  // way there is (unless told by the sysctl ignore_routes_with_linkdown). To start over before would be in vain.
  const unplugged = links.filter((link) => !isUsable(link) && !link.isLoopback && link.name !== device);
  for (const family of [4, 6] as const) {
    const leads = taken.filter((route) => route.family === family && route.type === "unicast");
    if (leads.some((lead) => unplugged.some(({ index }) => index === lead.index))) continue;
    const ways = routes
      .filter((route) => route.family === family && isDefault(route))
      .flatMap((route) => waysOf(route).map((way) => ({ ...way, metric: route.metric ?? 0 })))
      .filter(({ index }) => usable.has(index));
    const best = ways.reduce((lowest, { metric }) => Math.min(lowest, metric), Infinity);
    const chosen = ways.filter(({ metric }) => metric === best);
    for (const { index, gateway } of chosen) {
      parts.add(`${usable.get(index)!.name} via ${gateway ?? "nothing"}`);
    }
    const indices = new Set(chosen.map(({ index }) => index));
    for (const { index, gateway, source } of leads) {
      if (index === undefined || !usable.has(index)) continue;
      if (chosen.some((way) => way.index === index && way.gateway === gateway?.toString())) continue;
      parts.add(`${usable.get(index)!.name} via ${gateway ?? "nothing"} by a rule`);
      if (source !== undefined) parts.add(`${usable.get(index)!.name} in ${identity(family, source)}`);
    }
    for (const address of addresses) {
      if (address.family !== family || !indices.has(address.index) || !isInUse(address)) continue;
      parts.add(`${usable.get(address.index)!.name} in ${identity(family, address.address)}`);
    }
  }
  return [...parts].sort().join("; ");
}

/** Many links do not know whether they work. */
function isUsable({ isUp, isLoopback, hasCarrier, operState }: Link): boolean {
  return isUp && !isLoopback && hasCarrier && (operState === "up" || operState === "unknown");
}

/** What is tried for a duplicate cannot be used yet; what is deprecated is not used for anything that begins. */
function isInUse({ scope, flags }: Address): boolean {
  return scope !== Scope.link &&
    (flags & (AddressFlag.tentative | AddressFlag.duplicate | AddressFlag.deprecated)) === 0;
}

function isDefault({ destination, table, type, from }: Route): boolean {
  return destination.prefix === 0 && table === MainTable.main && type === "unicast" && from === undefined;
}

interface Way {
  readonly index: number;
  readonly gateway: string | undefined;
}

function waysOf({ index, gateway, isDead, nextHops }: Route): Way[] {
  if (nextHops !== undefined) {
    return nextHops.filter((hop) => !hop.isDead).map((hop) => ({
      index: hop.index,
      gateway: hop.gateway?.toString(),
    }));
  }
  return index === undefined || isDead ? [] : [{ index, gateway: gateway?.toString() }];
}

function identity(family: Family, address: IpAddress): string {
  return family === 4 ? String(address) : String(new IpNetwork(address, NETWORK_6));
}

/** Length of the part of an IPv6 address that the network gives (RFC 4291 §2.5.1). */
const NETWORK_6 = 64;
