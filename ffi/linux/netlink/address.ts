/** Addresses of links in netlink messages (rtnetlink(7), linux/if_addr.h). */

import { concatBytes, readU32Le, writeU32Le } from "../../../lib/base/bytes.ts";
import type { Family, IpAddress } from "../../../lib/base/ip.ts";
import { familyNumber, familyOf, readAddress } from "./ip.ts";
import { attribute, attribute32, MessageFlag, read32, readAttributes, type Request } from "./message.ts";

/** Bits of `Address.flags`. */
export const AddressFlag = {
  /** IPv6: made up for privacy, to be replaced soon. IPv4: a second address of its network. */
  temporary: 0x1,
  /** Not tried for a duplicate. */
  noDuplicateDetection: 0x2,
  /** Somebody else has it. */
  duplicate: 0x8,
  deprecated: 0x20,
  /** Still being tried for a duplicate. */
  tentative: 0x40,
  permanent: 0x80,
} as const;

/** An address of a link. */
export interface Address {
  readonly family: Family;
  /** Of the link. */
  readonly index: number;
  readonly address: IpAddress;
  /** The other end of a link with two. */
  readonly peer?: IpAddress;
  /** Length in bits. */
  readonly prefix: number;
  /** A value of `Scope`. */
  readonly scope: number;
  readonly flags: number;
}

/** An address to add or remove. */
export interface AddressSpec {
  readonly index: number;
  readonly address: IpAddress;
  readonly prefix: number;
  readonly peer?: IpAddress;
  /** A value of `Scope`, default universe. */
  readonly scope?: number;
  /** Use it at once, without duplicate address detection; IPv6 only. */
  readonly nodad?: boolean;
}

/** Returns the request for all addresses. */
export function listAddresses(): Request {
  return { type: RTM_GETADDR, flags: MessageFlag.dump, body: new Uint8Array(IFADDRMSG) };
}

/** Returns the request that adds an address, or changes it if it is there. */
export function addAddress(spec: AddressSpec): Request {
  const flags = MessageFlag.create | MessageFlag.replace;
  return { type: RTM_NEWADDR, flags, body: encode(spec) };
}

/** Returns the request that removes an address. */
export function removeAddress(spec: AddressSpec): Request {
  return { type: RTM_DELADDR, flags: 0, body: encode(spec) };
}

/** Returns the address in a message, undefined if that is about something else. */
export function readLinkAddress(type: number, body: Uint8Array): Address | undefined {
  if (type !== RTM_NEWADDR || body.length < IFADDRMSG) return undefined;
  const family = familyOf(body[0]);
  if (family === undefined) return undefined;
  const attributes = readAttributes(body, IFADDRMSG);
  const other = readAddress(family, attributes.get(IFA_ADDRESS));
  const address = readAddress(family, attributes.get(IFA_LOCAL)) ?? other;
  if (address === undefined) return undefined;
  return {
    family,
    index: readU32Le(body, 4),
    address,
    ...(other === undefined || other.equals(address) ? {} : { peer: other }),
    prefix: body[1]!,
    scope: body[3]!,
    flags: read32(attributes.get(IFA_FLAGS)) ?? body[2]!,
  };
}

function encode({ index, address, prefix, peer, scope = 0, nodad = false }: AddressSpec): Uint8Array {
  const header = new Uint8Array(IFADDRMSG);
  header[0] = familyNumber(address.family);
  header[1] = prefix;
  header[3] = scope;
  writeU32Le(header, 4, index);
  return concatBytes(
    header,
    attribute(IFA_LOCAL, address.bytes),
    attribute(IFA_ADDRESS, (peer ?? address).bytes),
    ...(nodad && address.family === 6 ? [attribute32(IFA_FLAGS, AddressFlag.noDuplicateDetection)] : []),
  );
}

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
/** `struct ifaddrmsg`. */
const IFADDRMSG = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
