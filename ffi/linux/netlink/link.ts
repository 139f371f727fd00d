/** Links, which is network devices, in netlink messages (rtnetlink(7), linux/if_link.h). */

import { concatBytes, readU32Le, writeU32Le } from "../../../lib/base/bytes.ts";
import { AF_INET6 } from "../sockaddr.ts";
import {
  attribute,
  attribute32,
  attributeNest,
  attributeText,
  MessageFlag,
  read32,
  read8,
  readAttributes,
  readText,
  type Request,
} from "./message.ts";

/** Whether a link works (RFC 2863). Many tunnels do not know and say "unknown". */
export type OperState =
  | "unknown"
  | "not-present"
  | "down"
  | "lower-layer-down"
  | "testing"
  | "dormant"
  | "up";

/** A link. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** The administrator brought it up. */
  readonly isUp: boolean;
  /** There is a cable, or what stands for one. */
  readonly hasCarrier: boolean;
  readonly isLoopback: boolean;
  readonly operState: OperState;
  readonly mtu: number;
  readonly txQueueLength: number;
  /** What made it, for example "tun", "veth"; undefined for hardware. */
  readonly kind?: string;
}

/** What to change of a link; the rest stays. */
export interface LinkChange {
  readonly index: number;
  readonly up?: boolean;
  readonly mtu?: number;
  readonly txQueueLength?: number;
  /** The kernel shall make up no IPv6 addresses. Fails with EAFNOSUPPORT where the link has no IPv6. */
  readonly addrGenModeNone?: true;
}

/** Returns the request for all links. */
export function listLinks(): Request {
  const body = concatBytes(new Uint8Array(IFINFOMSG), attribute32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS));
  return { type: RTM_GETLINK, flags: MessageFlag.dump, body };
}

/** Returns the request for the link `name`. */
export function findLink(name: string): Request {
  const body = concatBytes(new Uint8Array(IFINFOMSG), attributeText(IFLA_IFNAME, name));
  return { type: RTM_GETLINK, flags: 0, body };
}

/** Returns the request for `change`. */
export function changeLink({ index, up, mtu, txQueueLength, addrGenModeNone }: LinkChange): Request {
  const header = new Uint8Array(IFINFOMSG);
  writeU32Le(header, 4, index);
  if (up !== undefined) {
    writeU32Le(header, 8, up ? IFF_UP : 0);
    writeU32Le(header, 12, IFF_UP);
  }
  const attributes: Uint8Array[] = [];
  if (mtu !== undefined) attributes.push(attribute32(IFLA_MTU, mtu));
  if (txQueueLength !== undefined) attributes.push(attribute32(IFLA_TXQLEN, txQueueLength));
  if (addrGenModeNone === true) {
    const mode = attribute(IFLA_INET6_ADDR_GEN_MODE, Uint8Array.of(IN6_ADDR_GEN_MODE_NONE));
    attributes.push(attributeNest(IFLA_AF_SPEC, attributeNest(AF_INET6, mode)));
  }
  return { type: RTM_NEWLINK, flags: 0, body: concatBytes(header, ...attributes) };
}

/** Returns the link in a message, undefined if that is about something else. */
export function readLink(type: number, body: Uint8Array): Link | undefined {
  if (type !== RTM_NEWLINK || body.length < IFINFOMSG) return undefined;
  const attributes = readAttributes(body, IFINFOMSG);
  const name = readText(attributes.get(IFLA_IFNAME));
  if (name === undefined) return undefined;
  const flags = readU32Le(body, 8);
  const info = attributes.get(IFLA_LINKINFO);
  const kind = info === undefined ? undefined : readText(readAttributes(info).get(IFLA_INFO_KIND));
  return {
    index: readU32Le(body, 4),
    name,
    isUp: (flags & IFF_UP) !== 0,
    hasCarrier: (flags & IFF_LOWER_UP) !== 0,
    isLoopback: (flags & IFF_LOOPBACK) !== 0,
    operState: OPER_STATES[read8(attributes.get(IFLA_OPERSTATE)) ?? 0] ?? "unknown",
    mtu: read32(attributes.get(IFLA_MTU)) ?? 0,
    txQueueLength: read32(attributes.get(IFLA_TXQLEN)) ?? 0,
    ...(kind === undefined ? {} : { kind }),
  };
}

const OPER_STATES: readonly OperState[] = [
  "unknown",
  "not-present",
  "down",
  "lower-layer-down",
  "testing",
  "dormant",
  "up",
];

const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
/** `struct ifinfomsg`. */
const IFINFOMSG = 16;
const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;
const IFF_LOWER_UP = 0x10000;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_TXQLEN = 13;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
const IFLA_AF_SPEC = 26;
const IFLA_EXT_MASK = 29;
const RTEXT_FILTER_SKIP_STATS = 8;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;
