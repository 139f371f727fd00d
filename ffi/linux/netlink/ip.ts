/** IP addresses and networks in netlink messages. */

import { type Family, IpAddress, IpNetwork } from "../../../lib/base/ip.ts";
import { AF_INET, AF_INET6 } from "../sockaddr.ts";

/** Returns the kernel's number of `family`. */
export function familyNumber(family: Family): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/** Returns the family of the kernel's number, undefined for others than IP. */
export function familyOf(number: number | undefined): Family | undefined {
  return number === AF_INET ? 4 : number === AF_INET6 ? 6 : undefined;
}

/** Returns the address of `family` that an attribute holds, undefined without it or if it has another length. */
export function readAddress(family: Family, value: Uint8Array | undefined): IpAddress | undefined {
  return value?.length === (family === 4 ? 4 : 16) ? IpAddress.fromBytes(value) : undefined;
}

/**
 * Returns the network of `prefix` bits that an attribute holds; without it, everything of a prefix of 0 bits.
 * Undefined where the two do not go together.
 */
export function readNetwork(
  family: Family,
  prefix: number,
  value: Uint8Array | undefined,
): IpNetwork | undefined {
  const address = value === undefined && prefix === 0 ? UNSPECIFIED[family] : readAddress(family, value);
  return address === undefined || prefix > address.bytes.length * 8
    ? undefined
    : new IpNetwork(address, prefix);
}

const UNSPECIFIED = { 4: IpAddress.from("0.0.0.0"), 6: IpAddress.from("::") } as const;
