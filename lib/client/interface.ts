/** What the portal says about this client itself: tunnel addresses, resolvers, search domain; and what follows from it. */

import { IpAddress, IpNetwork, SocketAddress } from "../base/ip.ts";
import { ONE_LABEL_DOMAIN } from "../dns/one_label.ts";
import { PROXY_RANGES } from "../dns/proxy_ips.ts";
import { SENTINEL_RANGES, type UpstreamSources } from "../dns/sentinels.ts";
import type { ClientInterface } from "../wire/portal/client.ts";
import type { InterfaceConfig } from "./event.ts";
import { EVERYWHERE, type Resources } from "./resources.ts";
import { PEER_RANGES } from "./router.ts";

/** The portal's word on this client, parsed. */
export interface OwnInterface {
  readonly ipv4: IpAddress;
  readonly ipv6: IpAddress;
  readonly searchDomain: string | undefined;
  readonly upstreams: Omit<UpstreamSources, "system">;
}

/** Returns the parsed message. Resolvers that make no sense are left out. */
export function parseInterface(message: ClientInterface): OwnInterface {
  const legacy = message.upstream_do53.length === 0 && message.upstream_doh.length === 0;
  const do53 = legacy
    ? message.upstream_dns.map(({ address }) => SocketAddress.parse(address))
    : message.upstream_do53.map(({ ip }) => new SocketAddress(IpAddress.from(ip), DNS_PORT));
  return {
    ipv4: IpAddress.from(message.ipv4),
    ipv6: IpAddress.from(message.ipv6),
    searchDomain: message.search_domain === "" ? undefined : message.search_domain,
    upstreams: {
      portalDo53: do53.filter((address) => address !== undefined),
      portalDoh: message.upstream_doh.map(({ url }) => url).filter((url) => /^https:\/\/[^/]/.test(url)),
    },
  };
}

/** Returns how the device, the routes and the system's DNS must be set up; `text` is equal for equal configurations. */
export function interfaceConfig(
  own: OwnInterface,
  sentinels: readonly IpAddress[],
  resources: Resources,
  isInternetActive: boolean,
): { readonly config: InterfaceConfig; readonly text: string } {
  const ofResources = new Map<string, IpNetwork>();
  for (const { network } of resources.networks) ofResources.set(network.toString(), network);
  const texts = [...ofResources.keys()].sort();
  const { ipv4, ipv6, searchDomain } = own;
  const oneLabelDomain = resources.hasOneLabelNames ? ONE_LABEL_DOMAIN : undefined;
  return {
    config: {
      ipv4,
      ipv6,
      routes: [
        ...PEER_RANGES,
        ...PROXY_RANGES,
        ...SENTINEL_RANGES,
        ...texts.map((text) => ofResources.get(text)!),
        ...(isInternetActive ? EVERYWHERE : []),
      ],
      dns: { sentinels, searchDomain, oneLabelDomain },
    },
    text: [ipv4, ipv6, searchDomain, oneLabelDomain, sentinels, isInternetActive, texts].join(" "),
  };
}

const DNS_PORT = 53;
