/**
 * What has to be in Windows' routing tables, as data. There are no policy rules: the longest prefix decides, then the
 * lowest sum of the metrics of route and interface. Into the tunnel leads metric 0 over an interface of metric 0, so it
 * wins among routes of one length, and the machine's own routes stay where they are. What passes the tunnel by gets a
 * route of its own, the way that it would take without us; its metric is our mark.
 */

import { type Family, type IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import { hostNetwork } from "../../lib/host/subtract.ts";
import { type ForwardRow, PROTOCOL_PROGRAM } from "./rows.ts";

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
  /** What becomes of the machine's own networks while the Internet resource is on. */
  readonly lan: "allow" | "deny";
}

/** A route that has to be there. */
export interface WantedRoute {
  readonly destination: IpNetwork;
  /** Past the tunnel, as this route of the machine goes; undefined: into the tunnel. */
  readonly past: ForwardRow | undefined;
}

/** Returns the metric of an interface; infinite where it cannot carry anything. */
export type MetricOf = (family: Family, index: number) => number;

/** The metric of routes past the tunnel. Nothing decides by it: they win or lose by their length. */
export const MARK_METRIC = 0x2021;

/** Returns what is wanted on a machine with the routes `table`, whose tunnels are `devices`. */
export function planRoutes(
  wishes: RouteWishes,
  table: readonly ForwardRow[],
  devices: ReadonlySet<number>,
  metricOf: MetricOf,
): WantedRoute[] {
  const { families, routes, excluded, bypass, lan } = wishes;
  const own = table.filter((route) => isMachines(route, devices));
  const into = routes.filter(({ family }) => families.includes(family));
  const withInternet = families.filter((family) =>
    into.some((network) => network.family === family && network.prefix === 0)
  );
  const local = lan === "allow" ? [] : own
    .filter((route) => withInternet.includes(route.destination.family) && isLocalNetwork(route))
    .map(({ destination }) => destination);
  const tunnel = [...into, ...local]
    .filter((network) => isRoutable(network) && !excluded.some((hole) => isWithin(network, hole)));
  const past: WantedRoute[] = [];
  for (const destination of [...excluded, ...bypass.map(hostNetwork)].filter(isRoutable)) {
    const covering = tunnel.filter((network) => isWithin(destination, network));
    if (covering.length === 0) continue;
    const way = bestWay(own.filter((route) => isWithin(destination, route.destination)), metricOf);
    // Without a way there is nothing to lose; a longer route of the machine wins as it is.
    if (way === undefined) continue;
    if (covering.every(({ prefix }) => prefix < way.destination.prefix)) continue;
    past.push({ destination, past: way });
  }
  const wanted = [...tunnel.map((destination) => ({ destination, past: undefined })), ...past];
  return [...new Map(wanted.map((route) => [String(route.destination), route])).values()];
}

/** Returns the route of the machine that packets to `destination` take without the tunnels `devices`. */
export function wayTo(
  destination: IpAddress,
  table: readonly ForwardRow[],
  devices: ReadonlySet<number>,
  metricOf: MetricOf,
): ForwardRow | undefined {
  return bestWay(
    table.filter((route) =>
      !devices.has(route.index) && !isPast(route) && route.destination.contains(destination)
    ),
    metricOf,
  );
}

/** Returns whether `route` carries the mark of our routes past the tunnel. */
export function isPast({ metric, protocol }: ForwardRow): boolean {
  return metric === MARK_METRIC && protocol === PROTOCOL_PROGRAM;
}

/** Returns whether both lead the same way. */
export function leadsAlike(one: ForwardRow, other: ForwardRow): boolean {
  return one.index === other.index && String(one.gateway) === String(other.gateway);
}

/** The longest, then the cheapest; none over an interface that carries nothing. */
function bestWay(routes: readonly ForwardRow[], metricOf: MetricOf): ForwardRow | undefined {
  let best: { route: ForwardRow; cost: number } | undefined;
  for (const route of routes) {
    const cost = route.metric + metricOf(route.destination.family, route.index);
    if (!Number.isFinite(cost)) continue;
    const lead = best === undefined ? 1 : route.destination.prefix - best.route.destination.prefix;
    if (best === undefined || lead > 0 || (lead === 0 && cost < best.cost)) best = { route, cost };
  }
  return best?.route;
}

function isMachines(route: ForwardRow, devices: ReadonlySet<number>): boolean {
  return !devices.has(route.index) && !isPast(route) && !route.isLoopback;
}

/** A network that others are in: no default route, none to one address, none that the kernel has for itself. */
function isLocalNetwork({ destination }: ForwardRow): boolean {
  const { address, prefix } = destination;
  if (prefix === 0 || prefix === address.bytes.length * 8) return false;
  return !(address.isLoopback || address.isMulticast || address.isLinkLocal);
}

/** What needs an interface to mean anything (RFC 4007), or many receivers, leads nowhere else. */
function isRoutable({ address, prefix }: IpNetwork): boolean {
  return prefix === 0 || !(address.isMulticast || (address.family === 6 && address.isLinkLocal));
}

function isWithin(inner: IpNetwork, outer: IpNetwork): boolean {
  return inner.prefix >= outer.prefix && outer.contains(inner.address);
}
