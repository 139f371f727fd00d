/** Tunnel addresses of devices. portal-protocol §7.8. */

import { type IpAddress, IpNetwork } from "../base/ip.ts";
import { assert } from "../base/assert.ts";
import { below, type Rng } from "../base/rng.ts";

/** Each device has one address of each. */
export const TUNNEL_NETWORK_4 = IpNetwork.from("100.64.0.0/11");
/** Where devices get their IPv6 addresses from. */
export const TUNNEL_NETWORK_6 = IpNetwork.from("fd00:2021:1111::/107");

/** Networks that no resource and no resolver may lie in. */
const RESERVED_NETWORKS = [
  IpNetwork.from("100.64.0.0/10"),
  IpNetwork.from("fd00:2021:1111::/48"),
] as const;

/**
 * Returns an address of `network` that is not in `used` (texts): a random start, then the next free one. The first and
 * last address of the network are never given.
 */
export function freeAddress(network: IpNetwork, used: ReadonlySet<string>, rng: Rng): string {
  const count = 2 ** (network.address.bytes.length * 8 - network.prefix) - 2;
  assert(used.size < count, "the tunnel network has room for another device");
  const start = below(rng, count);
  for (let step = 0;; step++) {
    const candidate = network.address.plus(1 + (start + step) % count).toString();
    if (!used.has(candidate)) return candidate;
  }
}

/** Returns whether `network` overlaps a reserved one. */
export function isReserved(network: IpNetwork): boolean {
  const overlaps = (one: IpNetwork, other: IpNetwork) =>
    one.family === other.family && (one.contains(other.address) || other.contains(one.address));
  return RESERVED_NETWORKS.some((reserved) => overlaps(reserved, network));
}

/** Returns whether a resolver may have this address. */
export function isReservedAddress(address: IpAddress): boolean {
  return RESERVED_NETWORKS.some((reserved) => reserved.contains(address));
}
