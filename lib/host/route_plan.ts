/**
 * Which rules and routes of policy routing (ip-rule(8)) a tunnel needs, as data. Order is meaning: what must pass the
 * tunnel by jumps over everything of ours; a resource beats the local network; the machine's own more specific routes,
 * its local networks among them, beat the Internet resource, and so do destinations that no router leads to and answers
 * of its TCP servers. Packets with our mark see none of it.
 */

import { type Family, type IpAddress, IpNetwork } from "../base/ip.ts";
import { covers, hostNetwork, subtractNetworks } from "./subtract.ts";

/** Routing tables. `resources` and `internet` are ours; `links` is one that upstream's client leaves behind. */
export const Table = {
  resources: 0x2021_fd00,
  links: 0x2021_fd01,
  internet: 0x2021_fd02,
  main: 254,
  /** The machine's own addresses. */
  local: 255,
} as const;

/** Priorities of our rules; the kernel looks at low ones first. */
export const Priority = {
  /** The machine's own addresses, where its rule for them comes behind ours. */
  ownAddresses: 85,
  /** Stand-ins for names and our resolvers, where an excluded network covers them. */
  names: 88,
  /** Destinations that pass the tunnel by. */
  bypass: 90,
  /** Sockets of ours, by their port. */
  localPort: 95,
  resources: 100,
  /** The machine's own routes, default routes left out. */
  local: 200,
  /** What no router passes on. */
  onLink: 210,
  /** Answers of servers on this machine: who asked them did so past the tunnel. */
  answers: 250,
  internet: 300,
  /** Matches everything and does nothing: where those jump to that pass by. */
  end: 310,
} as const;

/** SO_MARK of packets that pass the tunnel by; the same as upstream's. */
export const MARK = 0xfd00_2021;

/** `protocol` of our rules and routes: who made them. */
export const PROTOCOL = 70;

/**
 * Networks that no router passes on: link-local addresses (RFC 3927), multicast of IPv4, which is not tunnelled, and the
 * limited broadcast (RFC 919). The kernel's table `local` has those of IPv6 before any rule of ours.
 */
export const ON_LINK: readonly IpNetwork[] = ["169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32"]
  .map((text) => IpNetwork.from(text));

/**
 * Stand-ins for names of resources, which only the tunnel knows, and our resolvers (lib/dns). A network comes before those
 * inside it.
 */
const NAMES: readonly IpNetwork[] = [
  ...["100.96.0.0/11", "fd00:2021:1111:8000::/107"],
  ...["100.100.111.0/24", "fd00:2021:1111:8000:100:100:111:0/120"],
].map((text) => IpNetwork.from(text));

/** A rule. Conditions that are undefined hold for every packet. */
export interface PlannedRule {
  readonly family: Family;
  readonly priority: number;
  readonly action:
    | { readonly type: "lookup"; readonly table: number; readonly suppressPrefixLength?: number }
    | { readonly type: "goto"; readonly priority: number }
    | { readonly type: "nop" };
  /** The rule is for packets that do not carry this mark. */
  readonly notMark?: number;
  readonly destination?: IpNetwork;
  /** The rule is for UDP from this port. */
  readonly udpSourcePort?: number;
  /** The rule is for what this machine itself sends by TCP from this port. */
  readonly servedTcpPort?: number;
}

/** A route to our device. */
export interface PlannedRoute {
  readonly destination: IpNetwork;
  readonly table: number;
  /** Interface index. */
  readonly device: number;
}

/** Rules and routes. */
export interface RoutePlan {
  readonly rules: readonly PlannedRule[];
  readonly routes: readonly PlannedRoute[];
}

/** What leads into a tunnel, and what does not. */
export interface RouteWishes {
  /**
   * Families that get rules and tables of our own. The others get routes in the main table, without default routes, and
   * no mark counts: gateways, and kernels without rules.
   */
  readonly ruleFamilies: readonly Family[];
  /** Carried by packets that pass the tunnel by. */
  readonly mark: number;
  /** The tunnel's interface index. */
  readonly device: number;
  /** Those that the tunnel has; nothing is wanted for others. */
  readonly families: readonly Family[];
  /** Of resources, the tunnel's own among them; 0.0.0.0/0 and ::/0 are the Internet resource. */
  readonly routes: readonly IpNetwork[];
  /** Those that cover our resolvers or stand-ins for names leave these in the tunnel: else no name is found any more. */
  readonly excluded: readonly IpNetwork[];
  /** What becomes of the machine's own more specific routes while the Internet resource is on. */
  readonly lan: "allow" | "deny";
  /** Destinations of sockets of ours that carry no mark. */
  readonly bypass: readonly IpAddress[];
  /** Ports of UDP sockets of ours that the kernel's reverse path filter must be told of; IPv4 only. */
  readonly localPorts: readonly number[];
  /** TCP ports that programs of this machine listen on. */
  readonly servedPorts: readonly number[];
  /** Families whose rule for the machine's own addresses comes behind ours. */
  readonly lateLocal: readonly Family[];
}

/** Wishes that need nothing. */
export const NO_WISHES: RouteWishes = {
  ruleFamilies: [4, 6],
  mark: 0,
  device: 0,
  families: [],
  routes: [],
  excluded: [],
  lan: "allow",
  bypass: [],
  localPorts: [],
  servedPorts: [],
  lateLocal: [],
};

/**
 * Returns which of `excluded` leads `address` past the tunnel; undefined where none does. Stand-ins for names and our
 * resolvers are in the tunnel even if a network is excluded that covers all of them.
 */
export function excludedBy(excluded: readonly IpNetwork[], address: IpAddress): IpNetwork | undefined {
  const kept = NAMES.filter((network) => network.contains(address));
  const isKept = kept.some((names) => excluded.some((outer) => covers(outer, names)));
  return isKept ? undefined : excluded.find((network) => network.contains(address));
}

/** Returns what `wishes` need. No two rules or routes of it are the same. */
export function planRoutes(wishes: RouteWishes): RoutePlan {
  const { families, ruleFamilies, device } = wishes;
  const routes = distinct(wishes.routes.filter(({ family }) => families.includes(family)));
  const [steered, plain] = [true, false].map((hasRules) =>
    routes.filter(({ family }) => ruleFamilies.includes(family) === hasRules)
  ) as [IpNetwork[], IpNetwork[]];
  return {
    rules: planRules(wishes),
    routes: [
      ...steered.map((destination) => ({
        destination,
        table: destination.prefix === 0 ? Table.internet : Table.resources,
        device,
      })),
      ...mainRoutes(wishes, plain),
    ],
  };
}

/** Returns the rules alone: there are few of them, however many routes there are. */
export function planRules(wishes: RouteWishes): PlannedRule[] {
  return wishes.ruleFamilies.filter((family) => wishes.families.includes(family))
    .flatMap((family) => policyRules(wishes, family));
}

function policyRules(wishes: RouteWishes, family: Family): PlannedRule[] {
  const { mark: notMark, excluded, lan, bypass, localPorts, servedPorts, lateLocal } = wishes;
  const out = { type: "goto", priority: Priority.end } as const;
  // Not a look-up of its own: "not" inverts all conditions of a rule together, so that a mark and a destination do not mix.
  const kept = { type: "goto", priority: Priority.resources } as const;
  const passing: PlannedRule[] = distinct([...excluded, ...bypass.map(hostNetwork)])
    .filter((destination) => destination.family === family)
    .map((destination) => ({ family, priority: Priority.bypass, action: out, destination }));
  if (family === 4) {
    for (const udpSourcePort of new Set(localPorts)) {
      passing.push({ family, priority: Priority.localPort, action: out, udpSourcePort });
    }
  }
  const lookUp = (priority: number, table: number, suppressPrefixLength?: number): PlannedRule => {
    const suppress = suppressPrefixLength === undefined ? {} : { suppressPrefixLength };
    return { family, priority, notMark, action: { type: "lookup", table, ...suppress } };
  };
  const hasInternet = wishes.routes.some((route) => route.family === family && route.prefix === 0);
  const isAround = hasInternet && lan === "allow";
  const answers: PlannedRule[] = (isAround ? [...new Set(servedPorts)] : [])
    .map((servedTcpPort) => ({ family, priority: Priority.answers, action: out, servedTcpPort }));
  const onLink: PlannedRule[] = (isAround ? ON_LINK : [])
    .filter((destination) => destination.family === family)
    .map((destination) => ({ family, priority: Priority.onLink, action: out, destination }));
  const hasJumps = passing.length > 0 || answers.length > 0 || onLink.length > 0;
  return [
    ...(lateLocal.includes(family) ? [lookUp(Priority.ownAddresses, Table.local)] : []),
    ...coveredNames(wishes, family).map((destination): PlannedRule => {
      return { family, priority: Priority.names, action: kept, destination };
    }),
    ...passing,
    lookUp(Priority.resources, Table.resources),
    ...(isAround ? [lookUp(Priority.local, Table.main, 0)] : []),
    ...onLink,
    ...answers,
    lookUp(Priority.internet, Table.internet),
    ...(hasJumps ? [{ family, priority: Priority.end, action: { type: "nop" } } as const] : []),
  ];
}

/** The networks of `NAMES` that have a route and that excluded ones cover; those inside another one need no mention. */
function coveredNames({ routes, excluded }: RouteWishes, family: Family): IpNetwork[] {
  const found: IpNetwork[] = [];
  for (const network of NAMES) {
    const isIn = (outer: IpNetwork) => covers(outer, network);
    const isRouted = network.family === family && routes.some((route) => String(route) === String(network));
    if (isRouted && excluded.some(isIn) && !found.some(isIn)) found.push(network);
  }
  return found;
}

/** Nothing can be skipped in the main table: what passes by is cut out of the routes. */
function mainRoutes({ device, excluded, bypass }: RouteWishes, routes: readonly IpNetwork[]): PlannedRoute[] {
  const holes = [...excluded, ...bypass.map(hostNetwork)];
  const pieces = routes.filter(({ prefix }) => prefix > 0).flatMap((route) => subtractNetworks(route, holes));
  return distinct(pieces).map((destination) => ({ destination, table: Table.main, device }));
}

function distinct(networks: readonly IpNetwork[]): IpNetwork[] {
  return [...new Map(networks.map((network) => [String(network), network])).values()];
}
