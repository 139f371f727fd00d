/** Routes in netlink messages (rtnetlink(7), linux/rtnetlink.h). */

import { concatBytes, readU32Le } from "../../../lib/base/bytes.ts";
import type { Family, IpAddress, IpNetwork } from "../../../lib/base/ip.ts";
import { familyNumber, familyOf, readAddress, readNetwork } from "./ip.ts";
import {
  align,
  attribute,
  attribute32,
  MessageFlag,
  present,
  read32,
  readAttributes,
  type Request,
  u16,
} from "./message.ts";

/** Tables that every machine has. */
export const MainTable = { default: 253, main: 254, local: 255 } as const;

/** How far away the destination of a route is; with IPv6 always universe. */
export const Scope = { universe: 0, site: 200, link: 253, host: 254, nowhere: 255 } as const;

/** What becomes of a packet. */
export type RouteType =
  | "unicast"
  | "local"
  | "broadcast"
  | "anycast"
  | "multicast"
  | "blackhole"
  | "unreachable"
  | "prohibit"
  | "throw"
  | "other";

/** One of several ways of a route. */
export interface NextHop {
  /** Of the link. */
  readonly index: number;
  /** May be of the other family. */
  readonly gateway?: IpAddress;
  /** 1 to 256. */
  readonly weight: number;
  /** The link is down, or has no carrier. */
  readonly isDead: boolean;
}

/** A route to add or remove. */
export interface RouteSpec {
  /** Its family is that of the route. */
  readonly destination: IpNetwork;
  readonly table: number;
  /** Who made it (`/etc/iproute2/rt_protos`). */
  readonly protocol: number;
  /** Link that the packets leave by. */
  readonly index?: number;
  /** May be IPv6 where the route is IPv4. */
  readonly gateway?: IpAddress;
  /** Address that packets of ours are sent from. */
  readonly source?: IpAddress;
  /** The lowest wins. IPv4: 0 is none. IPv6: 1024 where none was given. */
  readonly metric?: number;
  /** A value of `Scope`. Default when adding: what ip(8) takes; when removing: any. */
  readonly scope?: number;
  /** Default "unicast". */
  readonly type?: RouteType;
}

/** A route of the machine. */
export interface Route extends RouteSpec {
  readonly family: Family;
  readonly scope: number;
  readonly type: RouteType;
  /** Only for packets from there (IPv6). */
  readonly from?: IpNetwork;
  /** Type of service. */
  readonly tos?: number;
  /** The link is down, or has no carrier. */
  readonly isDead: boolean;
  /** Largest packet in bytes, where the route has a limit of its own. */
  readonly mtu?: number;
  /** In place of `index` and `gateway`. */
  readonly nextHops?: readonly NextHop[];
  /** Object with the ways of this route (ip-nexthop(8)); the kernel tells what is in it besides. */
  readonly nextHopId?: number;
}

/** Which routes to list. */
export interface RouteFilter {
  readonly family?: Family;
  readonly table?: number;
  /** Only destinations of so many bits: 0 = default routes. */
  readonly prefix?: number;
}

/** Returns the request for the routes of one family; `table` is heeded by kernels since 4.20 only. */
export function listRoutes(family: Family, table: number | undefined): Request {
  const header = new Uint8Array(RTMSG);
  header[0] = familyNumber(family);
  const attributes = table === undefined ? [] : [attribute32(RTA_TABLE, table)];
  return { type: RTM_GETROUTE, flags: MessageFlag.dump, body: concatBytes(header, ...attributes) };
}

/** Returns the request for the way that a packet of this machine to `destination` with `mark` takes; not to be listed. */
export function findRoute(destination: IpAddress, mark: number): Request {
  const header = new Uint8Array(RTMSG);
  header[0] = familyNumber(destination.family);
  header[1] = destination.bytes.length * 8;
  const attributes = [attribute(RTA_DST, destination.bytes), attribute32(RTA_MARK, mark)];
  return { type: RTM_GETROUTE, flags: 0, body: concatBytes(header, ...attributes) };
}

/** Returns the request that adds a route; with `replace` one with its destination, table and metric goes. */
export function addRoute(route: RouteSpec, replace = false): Request {
  const flags = MessageFlag.create | (replace ? MessageFlag.replace : MessageFlag.exclusive);
  return { type: RTM_NEWROUTE, flags, body: encode(route, route.scope ?? defaultScope(route)) };
}

/** Returns the request that removes the first route that has everything that `route` names. */
export function removeRoute(route: RouteSpec): Request {
  return { type: RTM_DELROUTE, flags: 0, body: encode(route, route.scope ?? Scope.nowhere) };
}

/**
 * Returns the route in a message that `filter` lets pass, undefined if that is about something else. Routes that the
 * kernel made for one destination only count where it was asked for that.
 */
export function readRoute(
  type: number,
  body: Uint8Array,
  filter: RouteFilter = {},
  isAnswer = false,
): Route | undefined {
  if (type !== RTM_NEWROUTE || body.length < RTMSG) return undefined;
  const family = familyOf(body[0]);
  const flags = readU32Le(body, 8);
  if (family === undefined || (!isAnswer && (flags & RTM_F_CLONED) !== 0)) return undefined;
  if (family !== (filter.family ?? family) || body[1] !== (filter.prefix ?? body[1])) return undefined;
  const attributes = readAttributes(body, RTMSG);
  const table = read32(attributes.get(RTA_TABLE)) ?? body[4]!;
  const destination = readNetwork(family, body[1]!, attributes.get(RTA_DST));
  if (table !== (filter.table ?? table) || destination === undefined) return undefined;
  const route: Mutable<Route> = {
    family,
    destination,
    table,
    protocol: body[5]!,
    scope: body[6]!,
    type: ROUTE_TYPES[body[7]!] ?? "other",
    isDead: (flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) !== 0,
  };
  if (body[3] !== 0) route.tos = body[3]!;
  // There may be thousands: what is missing costs nothing.
  for (const [type, value] of attributes) readField(route, type, value);
  if (body[2] !== 0) set(route, "from", readNetwork(family, body[2]!, attributes.get(RTA_SRC)));
  return route;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function readField(route: Mutable<Route>, type: number, value: Uint8Array): void {
  switch (type) {
    case RTA_OIF:
      return set(route, "index", read32(value));
    case RTA_GATEWAY:
      return set(route, "gateway", readAddress(route.family, value));
    case RTA_VIA:
      return set(route, "gateway", readVia(value));
    case RTA_PREFSRC:
      return set(route, "source", readAddress(route.family, value));
    case RTA_PRIORITY:
      return set(route, "metric", read32(value));
    case RTA_METRICS:
      return set(route, "mtu", read32(readAttributes(value).get(RTAX_MTU)));
    case RTA_MULTIPATH:
      return set(route, "nextHops", readNextHops(route.family, value));
    case RTA_NH_ID:
      return set(route, "nextHopId", read32(value));
  }
}

function set<K extends keyof Route>(route: Mutable<Route>, key: K, value: Route[K] | undefined): void {
  if (value !== undefined) route[key] = value;
}

function readNextHops(family: Family, bytes: Uint8Array): NextHop[] {
  const hops: NextHop[] = [];
  for (let at = 0; at + RTNEXTHOP <= bytes.length;) {
    const length = u16(bytes, at);
    if (length < RTNEXTHOP || at + length > bytes.length) break;
    const attributes = readAttributes(bytes.subarray(at, at + length), RTNEXTHOP);
    const via = attributes.get(RTA_VIA);
    const gateway = via === undefined ? readAddress(family, attributes.get(RTA_GATEWAY)) : readVia(via);
    hops.push({
      index: readU32Le(bytes, at + 4),
      weight: bytes[at + 3]! + 1,
      isDead: (bytes[at + 2]! & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) !== 0,
      ...present("gateway", gateway),
    });
    at += align(length);
  }
  return hops;
}

/** A gateway of the other family comes as `struct rtvia`. */
function readVia(via: Uint8Array): IpAddress | undefined {
  const family = via.length < 2 ? undefined : familyOf(u16(via, 0));
  return family === undefined ? undefined : readAddress(family, via.subarray(2));
}

function encode(
  { destination, table, protocol, index, gateway, source, metric, type = "unicast" }: RouteSpec,
  scope: number,
): Uint8Array {
  const { family, prefix, address } = destination;
  const header = new Uint8Array(RTMSG);
  header[0] = familyNumber(family);
  header[1] = prefix;
  header[4] = table < 256 ? table : 0;
  header[5] = protocol;
  header[6] = scope;
  header[7] = Math.max(0, ROUTE_TYPES.indexOf(type));
  const attributes = [header, attribute32(RTA_TABLE, table)];
  if (prefix > 0) attributes.push(attribute(RTA_DST, address.bytes));
  if (index !== undefined) attributes.push(attribute32(RTA_OIF, index));
  if (gateway?.family === family) attributes.push(attribute(RTA_GATEWAY, gateway.bytes));
  else if (gateway !== undefined) {
    const via = Uint8Array.of(familyNumber(gateway.family), 0, ...gateway.bytes);
    attributes.push(attribute(RTA_VIA, via));
  }
  if (source !== undefined) attributes.push(attribute(RTA_PREFSRC, source.bytes));
  if (metric !== undefined) attributes.push(attribute32(RTA_PRIORITY, metric));
  return concatBytes(...attributes);
}

function defaultScope({ destination, gateway, type = "unicast" }: RouteSpec): number {
  if (destination.family === 6) return Scope.universe;
  if (type === "local") return Scope.host;
  const isOnLink = type === "broadcast" || type === "anycast" || type === "multicast" ||
    (type === "unicast" && gateway === undefined);
  return isOnLink ? Scope.link : Scope.universe;
}

const ROUTE_TYPES: readonly RouteType[] = [
  "other",
  "unicast",
  "local",
  "broadcast",
  "anycast",
  "multicast",
  "blackhole",
  "unreachable",
  "prohibit",
  "throw",
];

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
/** `struct rtmsg`, `struct rtnexthop`. */
const RTMSG = 12;
const RTNEXTHOP = 8;
const RTM_F_CLONED = 0x200;
const RTNH_F_DEAD = 0x1;
const RTNH_F_LINKDOWN = 0x10;
const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTAX_MTU = 2;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_MARK = 16;
const RTA_VIA = 18;
const RTA_NH_ID = 30;
