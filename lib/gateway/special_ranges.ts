/** Address ranges with a meaning of their own at a gateway. */

import { type IpAddress, IpNetwork } from "../base/ip.ts";
import type { Family } from "../base/ip.ts";
import { isProxyAddress } from "../nat/proxy_map.ts";

/** Where the tunnel addresses of clients and gateways come from. */
export const PEER_NETWORKS = {
  v4: IpNetwork.from("100.64.0.0/11"),
  v6: IpNetwork.from("fd00:2021:1111::/107"),
} as const;

/** Returns whether the address of `family` at `offset` of `bytes` is a tunnel address of some client or gateway. */
export function isPeerAddressAt(family: Family, bytes: Uint8Array, offset: number): boolean {
  return (family === 4 ? PEER_NETWORKS.v4 : PEER_NETWORKS.v6).containsBytes(bytes, offset);
}

/**
 * Returns whether the address of `family` at `offset` of `bytes` is not part of the Internet (IANA special-purpose
 * registries, RFC 6890): the Internet resource must not open the gateway's own networks.
 */
export function isSpecialAddressAt(family: Family, bytes: Uint8Array, offset: number): boolean {
  const networks = family === 4 ? SPECIAL_V4 : SPECIAL_V6;
  return networks.some((network) => network.containsBytes(bytes, offset));
}

/**
 * Returns whether a name may lead to `address`. Whoever rules the name must not lead clients to the gateway itself, to
 * other clients or into the proxy addresses.
 */
export function isServiceAddress(address: IpAddress): boolean {
  if (address.isUnspecified || address.isLoopback || address.isMulticast) return false;
  if (MAPPED_V4.contains(address) || isProxyAddress(address)) return false;
  return !isPeerAddressAt(address.family, address.bytes, 0);
}

const SPECIAL_V4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "224.0.0.0/4",
  "240.0.0.0/4",
].map((text) => IpNetwork.from(text));

/** IPv4 addresses written as IPv6 (RFC 4291 §2.5.5.2). */
const MAPPED_V4 = IpNetwork.from("::ffff:0:0/96");

/** The last are the IPv4 ones as a NAT64 on the way would reach them (RFC 6052 §2.1). */
const SPECIAL_V6 = [
  ...["::/96", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"].map((text) => IpNetwork.from(text)),
  MAPPED_V4,
  ...SPECIAL_V4.map(({ address, prefix }) => IpNetwork.from(`64:ff9b::${address}/${96 + prefix}`)),
];
