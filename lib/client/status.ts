/** A session in facts: everything a person might ask. Identifiers and names are in here; secrets never are. */

import type { IpAddress } from "../base/ip.ts";
import type { Instant } from "../base/time.ts";
import type { PathInfo } from "../node/path.ts";
import type { Filter } from "../resource/filter.ts";
import type { Resource } from "../resource/resource.ts";
import type { Access } from "./access.ts";
import type { DnsStatus } from "./dns.ts";
import type { InterfaceConfig } from "./event.ts";
import type { ClientNode } from "./node_port.ts";
import type { GatewayPeer } from "./peers.ts";
import type { Resources } from "./resources.ts";
import type { SiteState } from "./sites.ts";

/** A resource and what is known of it. */
export interface ResourceStatus {
  readonly id: string;
  readonly type: Resource["type"];
  readonly name: string;
  /** Pattern or network; undefined for the Internet resource and static pools. */
  readonly address: string | undefined;
  readonly addressDescription: string | undefined;
  readonly ipStack: "dual" | "ipv4-only" | "ipv6-only" | undefined;
  readonly filters: readonly Filter[];
  readonly sites: readonly { readonly id: string; readonly name: string; readonly state: SiteState }[];
  readonly devices: readonly {
    readonly clientId: string;
    readonly ipv4: IpAddress;
    readonly ipv6: IpAddress;
  }[];
  /** Online: a gateway of its site is connected. Offline: the portal said so lately. Unknown: nobody tried. */
  readonly state: SiteState;
  /** False if the user disabled it, and for the Internet resource while it is switched off. */
  readonly isActive: boolean;
  readonly access: "none" | "requested" | "connecting" | "connected";
  readonly gatewayId: string | undefined;
  /** The portal's last refusal, until it grants. */
  readonly denial:
    | { readonly reason: string; readonly violatedProperties: readonly string[]; readonly agoMs: number }
    | undefined;
  /** Why it cannot be used, whatever the portal says. */
  readonly warning: string | undefined;
}

/** A gateway and the connection to it. */
export interface GatewayStatus {
  readonly id: string;
  readonly siteId: string;
  readonly ipv4: IpAddress;
  readonly ipv6: IpAddress;
  readonly resourceIds: readonly string[];
  /** "connecting", "connected", "idle", or "gone" while it is being forgotten. */
  readonly state: string;
  readonly path: PathInfo | undefined;
  readonly lastHandshakeAgoMs: number | undefined;
  readonly rxBytes: number;
  readonly txBytes: number;
}

/** Everything. */
export interface ClientStatus {
  readonly isPortalJoined: boolean;
  readonly interface: InterfaceConfig | undefined;
  readonly internet: {
    readonly isAvailable: boolean;
    readonly isWanted: boolean;
    readonly isActive: boolean;
  };
  readonly dns: DnsStatus;
  /** The Internet resource first, then by name. */
  readonly resources: readonly ResourceStatus[];
  readonly gateways: readonly GatewayStatus[];
  readonly relays: ReturnType<ClientNode["status"]>["relays"];
  /** Packets dropped, by reason. */
  readonly drops: Readonly<Record<string, number>>;
}

/** One resource and the gateway that it goes through: what a probe looks at again and again. */
export interface AccessStatus {
  readonly isPortalJoined: boolean;
  /** Whether the portal has named a relay that answers. */
  readonly hasRelay: boolean;
  readonly resource: ResourceStatus | undefined;
  readonly gateway: GatewayStatus | undefined;
}

/** What the status of one resource is drawn from. */
export interface AccessStatusContext {
  readonly isPortalJoined: boolean;
  readonly resources: Resources;
  readonly access: Access;
  readonly node: ClientNode;
  readonly isInternetActive: boolean;
  readonly now: Instant;
}

/** Returns what is known of one resource and its gateway. */
export function accessStatus(id: string, context: AccessStatusContext): AccessStatus {
  const { isPortalJoined, resources, access, node, isInternetActive, now } = context;
  const resource = resources.get(id);
  const peer = access.peers.ofResource(id);
  return {
    isPortalJoined,
    hasRelay: node.hasRelay,
    resource: resource && resourceStatus(resource, resources, access, isInternetActive, now),
    gateway: peer && gatewayStatus(
      peer,
      node.status(now).connections.find(({ peerId }) => peerId === peer.id),
      now,
    ),
  };
}

/** Returns all resources: the Internet resource first, then by name. */
export function resourceStatuses(
  resources: Resources,
  access: Access,
  isInternetActive: boolean,
  now: Instant,
): ResourceStatus[] {
  const statuses = [...resources.values()].map((resource) =>
    resourceStatus(resource, resources, access, isInternetActive, now)
  );
  const rank = (status: ResourceStatus) => status.type === "internet" ? 0 : 1;
  return statuses.sort((a, b) =>
    rank(a) - rank(b) || (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1)
  );
}

/** Returns what is known of `resource`. */
export function resourceStatus(
  resource: Resource,
  resources: Resources,
  access: Access,
  isInternetActive: boolean,
  now: Instant,
): ResourceStatus {
  const { id } = resource;
  const peer = access.peers.ofResource(id);
  const denial = access.authorizations.denial(id);
  const siteIds = resource.sites.map((site) => site.id);
  return {
    id,
    type: resource.type,
    name: resource.name,
    address: addressOf(resource),
    addressDescription: resource.addressDescription,
    ipStack: resource.type === "dns" ? resource.ipStack : undefined,
    filters: resource.filters.filters,
    sites: resource.sites.map((site) => ({ ...site, state: access.sites.state(site.id, now) })),
    devices: resource.type === "static-device-pool" ? resource.devices : [],
    state: access.sites.combined(siteIds, now),
    isActive: !resources.isDisabled(id) && (resource.type !== "internet" || isInternetActive),
    access: peer !== undefined
      ? peer.isConnected ? "connected" : "connecting"
      : access.authorizations.isPending(id)
      ? "requested"
      : "none",
    gatewayId: peer?.id,
    denial: denial && {
      reason: denial.reason,
      violatedProperties: denial.violatedProperties,
      agoMs: now - denial.at,
    },
    warning: resources.warnings.get(id),
  };
}

/** Returns all gateways with their connections. */
export function gatewayStatuses(
  access: Access,
  connections: ReturnType<ClientNode["status"]>["connections"],
  now: Instant,
): GatewayStatus[] {
  const byPeer = new Map(connections.map((connection) => [connection.peerId, connection]));
  return [...access.peers.values()].map((peer) => gatewayStatus(peer, byPeer.get(peer.id), now));
}

function gatewayStatus(
  peer: GatewayPeer,
  connection: ReturnType<ClientNode["status"]>["connections"][number] | undefined,
  now: Instant,
): GatewayStatus {
  return {
    id: peer.id,
    siteId: peer.siteId,
    ipv4: peer.ipv4,
    ipv6: peer.ipv6,
    resourceIds: [...peer.resourceIds],
    state: connection?.state ?? "gone",
    path: connection?.path,
    lastHandshakeAgoMs: connection?.lastHandshakeAt === undefined
      ? undefined
      : now - connection.lastHandshakeAt,
    rxBytes: connection?.rxBytes ?? 0,
    txBytes: connection?.txBytes ?? 0,
  };
}

function addressOf(resource: Resource): string | undefined {
  switch (resource.type) {
    case "dns":
    case "dynamic-device-pool":
      return resource.pattern;
    case "cidr":
      return resource.network.toString();
    case "internet":
    case "static-device-pool":
      return undefined;
  }
}
