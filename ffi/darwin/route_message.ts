/**
 * Messages of the routing socket and of the kernel's routing table (route(4), net/route.h): `rt_msghdr` and the addresses
 * behind it, each rounded up to 4 bytes. Pure bytes; what the kernel says decodes to values and never throws.
 */

import { type IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import { netmaskOf, readNetmask, readSockaddr, sockaddrOf } from "./sockaddr.ts";

/** `rtm_type`. */
const RouteMessage = {
  add: 1,
  delete: 2,
  change: 3,
  get: 4,
  newAddress: 0xc,
  deleteAddress: 0xd,
  interfaceInfo: 0xe,
  get2: 0x14,
} as const;

/** `rtm_flags`. */
export const RouteFlag = {
  up: 0x1,
  gateway: 0x2,
  host: 0x4,
  reject: 0x8,
  /** An entry of the neighbour cache. */
  linkLayer: 0x400,
  static: 0x800,
  blackhole: 0x1000,
  /** Free for a protocol's use (`route -proto1`): ours, to know our routes by. The kernel uses it for neighbours only. */
  proto1: 0x8000,
  wasCloned: 0x2_0000,
  local: 0x20_0000,
  broadcast: 0x40_0000,
  multicast: 0x80_0000,
  /** Only for packets that are bound to its interface. */
  interfaceScope: 0x100_0000,
  condemned: 0x200_0000,
} as const;

/** A change of the routing table. */
export interface RouteChange {
  readonly type: "add" | "delete";
  readonly destination: IpNetwork;
  /** The `sockaddr` of the next hop: an address (`isDirect` false) or an interface. */
  readonly gateway: Uint8Array;
  readonly isDirect: boolean;
  readonly sequence: number;
}

/** Returns the message for `change`. The route is marked as ours. */
export function encodeRouteChange(change: RouteChange): Uint8Array<ArrayBuffer> {
  const { type, destination, gateway, isDirect, sequence } = change;
  const isHost = destination.prefix === destination.address.bytes.length * 8;
  const addresses = [sockaddrOf(destination.address), gateway, ...isHost ? [] : [netmaskOf(destination)]];
  const bytes = new Uint8Array(HEADER + addresses.reduce((sum, { length }) => sum + rounded(length), 0));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, bytes.length, true);
  bytes[2] = RTM_VERSION;
  bytes[3] = RouteMessage[type];
  const flags = RouteFlag.up | RouteFlag.static | RouteFlag.proto1 |
    (isHost ? RouteFlag.host : 0) | (isDirect ? 0 : RouteFlag.gateway);
  view.setUint32(8, flags, true);
  view.setUint32(12, RTA_DST | RTA_GATEWAY | (isHost ? 0 : RTA_NETMASK), true);
  view.setUint32(20, sequence, true);
  let at = HEADER;
  for (const address of addresses) {
    bytes.set(address, at);
    at += rounded(address.length);
  }
  return bytes;
}

/** A route of the kernel's table. */
export interface RouteEntry {
  readonly destination: IpNetwork;
  /** Address of the next hop; undefined where the interface itself is. */
  readonly gateway: IpAddress | undefined;
  /** The next hop as the kernel says it, to be said back. */
  readonly gatewayBytes: Uint8Array;
  /** Interface index. */
  readonly index: number;
  readonly flags: number;
}

/** Returns the routes of a dump (sysctl(3), NET_RT_DUMP). What cannot be understood is skipped. */
export function decodeRoutes(dump: Uint8Array): RouteEntry[] {
  const routes: RouteEntry[] = [];
  for (const message of messages(dump)) {
    const type = message[3];
    if (type !== RouteMessage.get && type !== RouteMessage.get2) continue;
    const route = decodeRoute(message);
    if (route !== undefined) routes.push(route);
  }
  return routes;
}

/** Returns the types (`rtm_type`) of the messages in `bytes`, as read from a routing socket. */
export function messageTypes(bytes: Uint8Array): number[] {
  return [...messages(bytes)].map((message) => message[3]!);
}

/** Returns whether a message of `type` tells that the machine's network changed. */
export function isNetworkChange(type: number): boolean {
  switch (type) {
    case RouteMessage.add:
    case RouteMessage.delete:
    case RouteMessage.change:
    case RouteMessage.newAddress:
    case RouteMessage.deleteAddress:
    case RouteMessage.interfaceInfo:
      return true;
    default:
      return false;
  }
}

function decodeRoute(message: Uint8Array): RouteEntry | undefined {
  if (message.length < HEADER) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const parts = sockaddrs(message, view.getUint32(12, true));
  const [destinationBytes, gatewayBytes, netmask] = parts;
  const destination = destinationBytes && readSockaddr(destinationBytes);
  if (destination?.type !== "ip" || gatewayBytes === undefined) return undefined;
  const flags = view.getUint32(8, true);
  const { address } = destination;
  const prefix = prefixOf(flags, netmask, address);
  if (prefix === undefined) return undefined;
  const gateway = readSockaddr(gatewayBytes);
  const index = view.getUint16(4, true);
  return {
    destination: new IpNetwork(address, prefix),
    gateway: gateway?.type === "ip" && (flags & RouteFlag.gateway) !== 0 ? gateway.address : undefined,
    gatewayBytes: withScope(gatewayBytes, index),
    index,
    flags,
  };
}

/**
 * Returns the next hop to be said back: as it came, for the kernel knows its own form, and never without an interface
 * where it needs one.
 */
function withScope(gateway: Uint8Array, index: number): Uint8Array {
  const read = readSockaddr(gateway);
  const isComplete = read?.type !== "ip" || read.address.family === 4 || !read.address.isLinkLocal ||
    read.scopeId !== 0;
  return isComplete ? gateway.slice() : sockaddrOf(read.address, 0, index);
}

function prefixOf(flags: number, netmask: Uint8Array | undefined, address: IpAddress): number | undefined {
  if ((flags & RouteFlag.host) !== 0) return address.bytes.length * 8;
  if (netmask !== undefined) return readNetmask(netmask, address.family);
  return address.isUnspecified ? 0 : undefined;
}

/** Returns the addresses behind the header by their bit (RTAX_DST 0, RTAX_GATEWAY 1, RTAX_NETMASK 2), as far as they go. */
function sockaddrs(message: Uint8Array, bits: number): (Uint8Array | undefined)[] {
  const found: (Uint8Array | undefined)[] = [];
  let at = HEADER;
  for (let bit = 0; bit < 3; bit++) {
    if ((bits & 1 << bit) === 0) continue;
    const length = message[at];
    if (length === undefined || at + length > message.length) break;
    found[bit] = message.subarray(at, at + length);
    // An address of no length (the netmask of a default route) takes four bytes all the same.
    at += length === 0 ? 4 : rounded(length);
  }
  return found;
}

function* messages(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at + MIN_HEADER <= bytes.length;) {
    const length = bytes[at]! | bytes[at + 1]! << 8;
    if (length < MIN_HEADER || at + length > bytes.length) return;
    if (bytes[at + 2] === RTM_VERSION) yield bytes.subarray(at, at + length);
    at += length;
  }
}

function rounded(length: number): number {
  return (length + 3) & ~3;
}

/** `struct rt_msghdr` and `rt_msghdr2`: 36 bytes and 14 metrics of 4. */
const HEADER = 92;
/** Length, version, type. */
const MIN_HEADER = 4;
const RTM_VERSION = 5;
const RTA_DST = 0x1;
const RTA_GATEWAY = 0x2;
const RTA_NETMASK = 0x4;
