/** Which sources a gateway may send from (data-plane reference §6.5, §9): a gateway must not speak for others. */

import type { ProxyIps } from "../dns/proxy_ips.ts";
import { PROXY_RANGES } from "../dns/proxy_ips.ts";
import { SENTINEL_RANGES } from "../dns/sentinels.ts";
import type { IpPacket } from "../wire/ip.ts";
import type { GatewayPeer, Peers } from "./peers.ts";
import { PEER_RANGES, type Router } from "./router.ts";

/**
 * Returns whether `peer` may send `packet`: from its own tunnel address, from a proxy address of a name that goes
 * through it, or from a network authorized through it. Sentinels and other peers are never its own to speak for, not
 * even with the Internet resource.
 */
export function isAllowedSource(
  packet: IpPacket,
  peer: GatewayPeer,
  router: Router,
  proxyIps: ProxyIps,
  peers: Peers,
): boolean {
  const source = packet.sourceKey;
  if (source === peer.ipv4.key || source === peer.ipv6.key) return true;
  const { bytes, sourceOffset } = packet;
  const family = packet.family === 4 ? 0 : 1;
  if (SENTINEL_RANGES[family].containsBytes(bytes, sourceOffset)) return false;
  if (PROXY_RANGES[family].containsBytes(bytes, sourceOffset)) {
    const domain = proxyIps.nameOf(source);
    if (domain === undefined) return false;
    for (const { id } of router.resourcesOf(domain)) if (peers.ofResource(id) === peer) return true;
    return false;
  }
  if (PEER_RANGES[family].containsBytes(bytes, sourceOffset)) return false;
  return peer.servesSourceOf(packet);
}
