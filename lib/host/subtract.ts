/** Networks beside, inside and without one another. */

import { IpAddress, IpNetwork } from "../base/ip.ts";

/** Returns the network that is `address` alone. */
export function hostNetwork(address: IpAddress): IpNetwork {
  return new IpNetwork(address, address.bytes.length * 8);
}

/**
 * Returns the fewest networks that together are `network` without `holes`, in order: at most one for each bit of each
 * hole.
 */
export function subtractNetworks(network: IpNetwork, holes: readonly IpNetwork[]): IpNetwork[] {
  const cuts = holes.filter((hole) => overlaps(network, hole));
  if (cuts.length === 0) return [network];
  if (cuts.some((hole) => covers(hole, network))) return [];
  return halves(network).flatMap((half) => subtractNetworks(half, cuts));
}

/** Returns whether some address is in both. */
export function overlaps(one: IpNetwork, other: IpNetwork): boolean {
  return covers(one, other) || covers(other, one);
}

/** Returns whether each address of `inner` is in `outer`. */
export function covers(outer: IpNetwork, inner: IpNetwork): boolean {
  return outer.prefix <= inner.prefix && outer.contains(inner.address);
}

function halves({ address, prefix }: IpNetwork): [IpNetwork, IpNetwork] {
  const upper = address.bytes.slice();
  upper[prefix >> 3]! |= 0x80 >> (prefix & 7);
  return [new IpNetwork(address, prefix + 1), new IpNetwork(IpAddress.fromBytes(upper), prefix + 1)];
}
