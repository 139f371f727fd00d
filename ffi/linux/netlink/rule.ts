/** Rules of policy routing in netlink messages (ip-rule(8), linux/fib_rules.h). */

import { concatBytes, readU32Le, writeU32Le } from "../../../lib/base/bytes.ts";
import type { Family, IpNetwork } from "../../../lib/base/ip.ts";
import { familyNumber, familyOf, readNetwork } from "./ip.ts";
import {
  attribute,
  attribute32,
  attributeText,
  MessageFlag,
  present,
  read32,
  read8,
  readAttributes,
  readText,
  type Request,
  u16,
} from "./message.ts";

/** What a rule does with a packet that it fits: look it up in `table`, skip to the rule `goto`, refuse it. */
export type RuleAction = "lookup" | "goto" | "nop" | "blackhole" | "unreachable" | "prohibit" | "other";

/** Ports `first` to `last`, both included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** A rule to add or remove: all of its conditions must hold. */
export interface RuleSpec {
  readonly family: Family;
  /** The lowest is first. */
  readonly priority: number;
  /** 0 where the action is not "lookup". */
  readonly table: number;
  /** Who made it (`/etc/iproute2/rt_protos`). */
  readonly protocol?: number;
  /** It fits packets for which its conditions do not hold. Default false. */
  readonly not?: boolean;
  readonly mark?: number;
  /** Which bits of the mark count; default all. */
  readonly mask?: number;
  readonly destination?: IpNetwork;
  readonly source?: IpNetwork;
  /** Name of the link that packets come by; "lo" for our own. */
  readonly inputLink?: string;
  /** Name of the link that the sender is bound to. */
  readonly outputLink?: string;
  /** For example 17 = UDP. */
  readonly ipProtocol?: number;
  readonly sourcePort?: PortRange;
  readonly destinationPort?: PortRange;
  /** Routes of at most so many bits do not count. */
  readonly suppressPrefixLength?: number;
  /** Default "lookup". */
  readonly action?: RuleAction;
  /** Priority of the rule that "goto" goes to: a later one. Without that rule the packet goes to the next. */
  readonly goto?: number;
}

/** A rule of the machine. */
export interface Rule extends RuleSpec {
  readonly protocol: number;
  readonly not: boolean;
  readonly action: RuleAction;
  /** Type of service. */
  readonly tos?: number;
  /** For the owners of sockets, both included. */
  readonly users?: { readonly first: number; readonly last: number };
  /** The table is that of the virtual router (VRF) of the packet's link. */
  readonly isVrf?: true;
}

/** Returns the request for the rules of one family. */
export function listRules(family: Family): Request {
  const body = new Uint8Array(RULE);
  body[0] = familyNumber(family);
  return { type: RTM_GETRULE, flags: MessageFlag.dump, body };
}

/** Returns the request that adds a rule. One that is there already, in every condition, is refused: EEXIST. */
export function addRule(rule: RuleSpec): Request {
  return { type: RTM_NEWRULE, flags: MessageFlag.create | MessageFlag.exclusive, body: encode(rule) };
}

/** Returns the request that removes the first rule that has everything that `rule` names; `not` is not looked at. */
export function removeRule(rule: RuleSpec): Request {
  return { type: RTM_DELRULE, flags: 0, body: encode(rule) };
}

/** Returns the rule in a message, undefined if that is about something else. */
export function readRule(type: number, body: Uint8Array): Rule | undefined {
  if (type !== RTM_NEWRULE || body.length < RULE) return undefined;
  const family = familyOf(body[0]);
  if (family === undefined) return undefined;
  const attributes = readAttributes(body, RULE);
  const mask = read32(attributes.get(FRA_FWMASK));
  const suppress = read32(attributes.get(FRA_SUPPRESS_PREFIXLEN));
  const users = attributes.get(FRA_UID_RANGE);
  return {
    family,
    priority: read32(attributes.get(FRA_PRIORITY)) ?? 0,
    table: read32(attributes.get(FRA_TABLE)) ?? body[4]!,
    protocol: read8(attributes.get(FRA_PROTOCOL)) ?? 0,
    not: (readU32Le(body, 8) & FIB_RULE_INVERT) !== 0,
    action: ACTIONS.get(body[7]!) ?? "other",
    ...present("tos", body[3] === 0 ? undefined : body[3]),
    // A mark of 0 is not told, but its mask is.
    ...present("mark", read32(attributes.get(FRA_FWMARK)) ?? (mask === undefined ? undefined : 0)),
    ...present("mask", mask === EVERY_BIT ? undefined : mask),
    ...present("destination", readSelector(family, body[1]!, attributes.get(FRA_DST))),
    ...present("source", readSelector(family, body[2]!, attributes.get(FRA_SRC))),
    ...present("inputLink", readText(attributes.get(FRA_IIFNAME))),
    ...present("outputLink", readText(attributes.get(FRA_OIFNAME))),
    ...present("ipProtocol", read8(attributes.get(FRA_IP_PROTO))),
    ...present("sourcePort", readPorts(attributes.get(FRA_SPORT_RANGE))),
    ...present("destinationPort", readPorts(attributes.get(FRA_DPORT_RANGE))),
    ...present("suppressPrefixLength", suppress === NONE ? undefined : suppress),
    ...present("goto", read32(attributes.get(FRA_GOTO))),
    ...present(
      "users",
      users === undefined || users.length < 8
        ? undefined
        : { first: readU32Le(users, 0), last: readU32Le(users, 4) },
    ),
    ...present("isVrf", read8(attributes.get(FRA_L3MDEV)) === 1 ? true as const : undefined),
  };
}

function readSelector(family: Family, prefix: number, value: Uint8Array | undefined): IpNetwork | undefined {
  return value === undefined ? undefined : readNetwork(family, prefix, value);
}

function readPorts(value: Uint8Array | undefined): PortRange | undefined {
  return value === undefined || value.length < 4 ? undefined : { first: u16(value, 0), last: u16(value, 2) };
}

function encode(rule: RuleSpec): Uint8Array {
  const { family, priority, table, protocol, mark, mask, destination, source, ipProtocol } = rule;
  const header = new Uint8Array(RULE);
  header[0] = familyNumber(family);
  header[1] = destination?.prefix ?? 0;
  header[2] = source?.prefix ?? 0;
  header[4] = table < 256 ? table : 0;
  for (const [number, name] of ACTIONS) if (name === (rule.action ?? "lookup")) header[7] = number;
  writeU32Le(header, 8, rule.not === true ? FIB_RULE_INVERT : 0);
  const attributes = [header, attribute32(FRA_PRIORITY, priority)];
  if (table !== 0) attributes.push(attribute32(FRA_TABLE, table));
  if (protocol !== undefined) attributes.push(attribute(FRA_PROTOCOL, Uint8Array.of(protocol)));
  if (mark !== undefined) {
    attributes.push(attribute32(FRA_FWMARK, mark), attribute32(FRA_FWMASK, mask ?? EVERY_BIT));
  }
  if (destination !== undefined) attributes.push(attribute(FRA_DST, destination.address.bytes));
  if (source !== undefined) attributes.push(attribute(FRA_SRC, source.address.bytes));
  if (rule.inputLink !== undefined) attributes.push(attributeText(FRA_IIFNAME, rule.inputLink));
  if (rule.outputLink !== undefined) attributes.push(attributeText(FRA_OIFNAME, rule.outputLink));
  if (ipProtocol !== undefined) attributes.push(attribute(FRA_IP_PROTO, Uint8Array.of(ipProtocol)));
  if (rule.sourcePort !== undefined) attributes.push(attributePorts(FRA_SPORT_RANGE, rule.sourcePort));
  if (rule.destinationPort !== undefined) {
    attributes.push(attributePorts(FRA_DPORT_RANGE, rule.destinationPort));
  }
  if (rule.suppressPrefixLength !== undefined) {
    attributes.push(attribute32(FRA_SUPPRESS_PREFIXLEN, rule.suppressPrefixLength));
  }
  if (rule.goto !== undefined) attributes.push(attribute32(FRA_GOTO, rule.goto));
  return concatBytes(...attributes);
}

function attributePorts(type: number, { first, last }: PortRange): Uint8Array {
  return attribute32(type, first | last << 16);
}

const ACTIONS: ReadonlyMap<number, RuleAction> = new Map([
  [1, "lookup"],
  [2, "goto"],
  [3, "nop"],
  [6, "blackhole"],
  [7, "unreachable"],
  [8, "prohibit"],
]);

const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;
/** `struct fib_rule_hdr`. */
const RULE = 12;
const FIB_RULE_INVERT = 0x2;
const EVERY_BIT = 0xffffffff;
/** The kernel's -1. */
const NONE = 0xffffffff;
const FRA_DST = 1;
const FRA_SRC = 2;
const FRA_IIFNAME = 3;
const FRA_GOTO = 4;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_SUPPRESS_PREFIXLEN = 14;
const FRA_TABLE = 15;
const FRA_FWMASK = 16;
const FRA_OIFNAME = 17;
const FRA_L3MDEV = 19;
const FRA_UID_RANGE = 20;
const FRA_PROTOCOL = 21;
const FRA_IP_PROTO = 22;
const FRA_SPORT_RANGE = 23;
const FRA_DPORT_RANGE = 24;
