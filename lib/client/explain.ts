/** Why traffic for a name or address goes where it goes: for `fz explain` and for people who ask "why not?". */

import { IpAddress } from "../base/ip.ts";
import type { Instant } from "../base/time.ts";
import type { ProxyIps } from "../dns/proxy_ips.ts";
import { isSentinelAddress, type Sentinel } from "../dns/sentinels.ts";
import type { Access } from "./access.ts";
import type { Resources } from "./resources.ts";
import { PEER_RANGES } from "./router.ts";
import { type ResourceStatus, resourceStatus } from "./status.ts";

/** What is known about a target. */
export interface Explanation {
  readonly target: string;
  readonly kind: "name" | "address";
  /** The name behind a proxy address. */
  readonly domain: string | undefined;
  /** The addresses that applications see for the name, if it was asked for already. */
  readonly proxyIps: readonly IpAddress[];
  /** Which part of the tunnel's own ranges the address is in. */
  readonly role: "sentinel" | "proxy" | "gateway" | "device" | "peer" | undefined;
  /** The gateway whose tunnel address it is. */
  readonly gatewayId: string | undefined;
  /** The upstream server of a sentinel. */
  readonly sentinel: Sentinel | undefined;
  /** Resources that match, in the order in which they are tried; the first that permits the packet carries it. */
  readonly resources: readonly ResourceStatus[];
  /** Resources that would match if the user had not disabled them. */
  readonly disabled: readonly ResourceStatus[];
  /** What happens to traffic that no filter forbids. */
  readonly verdict: "resource" | "gateway" | "dns" | "refused" | "not-tunnelled";
  /** State of the mapping of the name at the gateway of each resource, by resource id. */
  readonly mappings: Readonly<Record<string, "pending" | "confirmed" | "failed">>;
}

/** What an explanation is drawn from. */
export interface ExplainContext {
  readonly resources: Resources;
  readonly access: Access;
  readonly proxyIps: ProxyIps;
  readonly sentinels: readonly Sentinel[];
  readonly isInternetActive: boolean;
  readonly now: Instant;
}

/** Returns what is known about `target`, a name or an address. */
export function explain(target: string, context: ExplainContext): Explanation {
  const address = IpAddress.parse(target.replace(/^\[|\]$/g, ""));
  return address === undefined
    ? explainName(target, target.toLowerCase().replace(/\.$/, ""), context)
    : explainAddress(target, address, context);
}

function explainName(target: string, domain: string, context: ExplainContext): Explanation {
  const addresses = context.proxyIps.addresses(domain);
  const matching = context.resources.matching(domain);
  return {
    target,
    kind: "name",
    domain,
    proxyIps: addresses === undefined ? [] : [...addresses.ipv4, ...addresses.ipv6],
    role: undefined,
    gatewayId: undefined,
    sentinel: undefined,
    resources: matching.map((resource) => statusOf(resource.id, context)),
    disabled: context.resources.disabledFor(domain).map(({ id }) => statusOf(id, context)),
    verdict: matching.length > 0 ? "resource" : "not-tunnelled",
    mappings: mappingsOf(domain, matching.map(({ id }) => id), context),
  };
}

function explainAddress(target: string, address: IpAddress, context: ExplainContext): Explanation {
  const { resources, access, proxyIps, sentinels } = context;
  const plain = {
    target,
    kind: "address",
    domain: undefined,
    proxyIps: [],
    role: undefined,
    gatewayId: undefined,
    sentinel: undefined,
    resources: [],
    disabled: resources.disabledFor(address).map(({ id }) => statusOf(id, context)),
    mappings: {},
  } as const;
  if (isSentinelAddress(address)) {
    const sentinel = sentinels.find((each) => each.address.equals(address));
    return { ...plain, role: "sentinel", sentinel, verdict: sentinel === undefined ? "refused" : "dns" };
  }
  const domain = proxyIps.nameOf(address.key);
  if (domain !== undefined) {
    return { ...explainName(target, domain, context), kind: "address", role: "proxy" };
  }
  const gateway = access.peers.byAddress(address.key);
  if (gateway !== undefined) {
    return { ...plain, role: "gateway", gatewayId: gateway.id, verdict: "gateway" };
  }
  const poolId = resources.poolOf(address.key);
  if (poolId !== undefined) {
    return { ...plain, role: "device", resources: [statusOf(poolId, context)], verdict: "refused" };
  }
  const isPeer = PEER_RANGES.some((range) => range.contains(address));
  const ids = resources.networks.covering(address).map(({ id }) => id);
  const { internet } = resources;
  if (ids.length === 0 && context.isInternetActive && internet !== undefined && !isPeer) {
    ids.push(internet.id);
  }
  return {
    ...plain,
    role: isPeer ? "peer" : undefined,
    resources: ids.map((id) => statusOf(id, context)),
    verdict: ids.length > 0 ? "resource" : isPeer ? "refused" : "not-tunnelled",
  };
}

function statusOf(id: string, context: ExplainContext): ResourceStatus {
  const { resources, access, isInternetActive, now } = context;
  return resourceStatus(resources.get(id)!, resources, access, isInternetActive, now);
}

function mappingsOf(
  domain: string,
  resourceIds: readonly string[],
  context: ExplainContext,
): Explanation["mappings"] {
  const mappings: Record<string, "pending" | "confirmed" | "failed"> = {};
  for (const id of resourceIds) {
    const peer = context.access.peers.ofResource(id);
    const state = peer && context.access.nat.state(peer.id, id, domain);
    if (state !== undefined) mappings[id] = state;
  }
  return mappings;
}
