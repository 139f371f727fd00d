/**
 * What has to be in macOS's routing table, as data. There are no policy rules, so the longest prefix decides: resources
 * lead into the tunnel by their own networks, the Internet resource by the two halves of everything, which beats the
 * machine's default route and leaves it where it is, for sockets that are bound to its interface. The machine's own more
 * specific routes win by their length. What passes the tunnel by gets a route of its own, the way that it would take
 * without us.
 */

import { type Family, type IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import { hostNetwork } from "../../lib/host/subtract.ts";
import { type RouteEntry, RouteFlag } from "./route_message.ts";

/** What leads where. */
export interface RouteWishes {
  /** Those that the tunnel has. */
  readonly families: readonly Family[];
  /** Of resources; 0.0.0.0/0 and ::/0 are the Internet resource. */
  readonly routes: readonly IpNetwork[];
  /** Pass the tunnel by, resources in them too. */
  readonly excluded: readonly IpNetwork[];
  /** Single destinations that pass the tunnel by. */
  readonly bypass: readonly IpAddress[];
}

/** A route that has to be there. */
export interface WantedRoute {
  readonly destination: IpNetwork;
  /** Past the tunnel, as this route of the machine goes; undefined: into the tunnel. */
  readonly past: RouteEntry | undefined;
}

/** Returns what is wanted on a machine with the routes `table`. No destination twice. */
export function planRoutes(wishes: RouteWishes, table: readonly RouteEntry[], device: number): WantedRoute[] {
  const { families, excluded, bypass } = wishes;
  const tunnel = wishes.routes
    .filter((network) => families.includes(network.family) && isRoutable(network))
    .flatMap((network) => network.prefix === 0 ? halves(network.family) : [network])
    .filter((network) => !excluded.some((hole) => isWithin(network, hole)));
  const own = table.filter((route) => isMachines(route, device));
  const past: WantedRoute[] = [];
  for (const destination of [...excluded, ...bypass.map(hostNetwork)].filter(isRoutable)) {
    const covering = tunnel.filter((network) => isWithin(destination, network));
    if (covering.length === 0) continue;
    const way = longest(own.filter((route) => isWithin(destination, route.destination)));
    // Without a way there is nothing to lose; a longer route of the machine wins as it is.
    if (way === undefined) continue;
    if (covering.every(({ prefix }) => prefix < way.destination.prefix)) continue;
    past.push({ destination, past: way });
  }
  const wanted = [...tunnel.map((destination) => ({ destination, past: undefined })), ...past];
  return [...new Map(wanted.map((route) => [String(route.destination), route])).values()];
}

/** Returns whether `route` carries our mark. */
export function isOurs({ flags }: RouteEntry): boolean {
  const mark = RouteFlag.proto1 | RouteFlag.static;
  return (flags & mark) === mark && (flags & NOT_CONFIGURED) === 0;
}

/** Returns the machine's default route of `family` that ordinary packets take without the interface `device`. */
export function defaultRoute(
  table: readonly RouteEntry[],
  family: Family,
  device: number,
): RouteEntry | undefined {
  return table.find((route) =>
    route.destination.family === family && route.destination.prefix === 0 && isMachines(route, device)
  );
}

/** Returns whether a route of ours takes all that has no other way. */
export function hasInternetRoute(table: readonly RouteEntry[], family: Family): boolean {
  return table.some((route) =>
    route.destination.family === family && route.destination.prefix <= 1 && isOurs(route)
  );
}

/** Returns whether both lead the same way. */
export function leadsAlike(one: RouteEntry, other: RouteEntry): boolean {
  return one.index === other.index && String(one.gateway) === String(other.gateway);
}

/**
 * Addresses with a scope need an interface (RFC 4007), and a kernel of Darwin that keeps scopes apart from addresses
 * (`in6_embedded_scope` 0) takes a missing one for an error of its own and panics.
 */
function isRoutable({ family, address }: IpNetwork): boolean {
  return family === 4 || !(address.isLinkLocal || address.isMulticast);
}

/** Configured for all packets, by somebody else, and not into our tunnel. */
function isMachines(route: RouteEntry, device: number): boolean {
  return route.index !== device && !isOurs(route) &&
    (route.flags & (NOT_CONFIGURED | RouteFlag.interfaceScope)) === 0 && (route.flags & RouteFlag.up) !== 0;
}

function halves(family: Family): IpNetwork[] {
  return (family === 4 ? ["0.0.0.0/1", "128.0.0.0/1"] : ["::/1", "8000::/1"]).map(IpNetwork.from);
}

function isWithin(inner: IpNetwork, outer: IpNetwork): boolean {
  return inner.prefix >= outer.prefix && outer.contains(inner.address);
}

function longest(routes: readonly RouteEntry[]): RouteEntry | undefined {
  return routes.reduce<RouteEntry | undefined>(
    (best, route) => best === undefined || route.destination.prefix > best.destination.prefix ? route : best,
    undefined,
  );
}

/** Made by the kernel in passing, or leading nowhere. */
const NOT_CONFIGURED = RouteFlag.linkLayer | RouteFlag.wasCloned | RouteFlag.local | RouteFlag.broadcast |
  RouteFlag.multicast | RouteFlag.reject | RouteFlag.blackhole | RouteFlag.condemned;
