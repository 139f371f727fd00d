/**
 * Messages between a client and the portal, both directions, described once. Names are those of the v2 socket; names
 * of the v1 socket and aliases are translated on the way in and out.
 */

import * as v from "valibot";
import type { Result } from "../../base/result.ts";
import {
  absent,
  AccessReference,
  Authorization,
  Candidates,
  CidrText,
  ClientCandidates,
  decodeMessage,
  type DecodeReason,
  Empty,
  Filters,
  FlowLogs,
  IceCredentials,
  Id,
  IpText,
  Ipv4Text,
  Ipv6Text,
  Key,
  LenientIpv4,
  LenientIpv6,
  lenientList,
  type MessageOf,
  Relay,
  RelaysPresence,
  SearchDomain,
  Site,
  SnownetCapabilities,
  type SocketVersion,
  UnixSeconds,
  type WireMessage,
  withAlias,
} from "./common.ts";

/** The client's own addresses (bare, no prefix length) and the resolvers that the account prescribes. */
export const ClientInterface = v.object({
  ipv4: Ipv4Text,
  ipv6: Ipv6Text,
  /** Legacy; only read when `upstream_do53` and `upstream_doh` are empty. */
  upstream_dns: lenientList(v.object({ protocol: v.literal("ip_port"), address: v.string() })),
  upstream_do53: lenientList(v.object({ ip: IpText })),
  upstream_doh: lenientList(v.object({ url: v.string() })),
  search_domain: SearchDomain,
});

const common = {
  id: Id,
  name: v.string(),
  address_description: absent(v.string()),
  filters: Filters,
};

const DnsResource = v.object({
  type: v.literal("dns"),
  ...common,
  address: v.string(),
  ip_stack: v.nullish(v.picklist(["dual", "ipv4_only", "ipv6_only"]), "dual"),
  sites: v.array(Site),
});

const CidrResource = v.object({
  type: v.literal("cidr"),
  ...common,
  address: CidrText,
  sites: v.array(Site),
});

const InternetResource = v.object({
  type: v.literal("internet"),
  id: Id,
  name: v.nullish(v.string(), "Internet Resource"),
  can_be_disabled: v.nullish(v.boolean(), false),
  sites: v.array(Site),
});

/** A member of a static device pool; addresses are networks of one address. */
export const PoolDevice = withAlias(
  "client_id",
  "id",
  v.object({ client_id: Id, ipv4: CidrText, ipv6: CidrText }),
);

const StaticDevicePool = v.object({
  type: v.literal("static_device_pool"),
  ...common,
  devices: lenientList(PoolDevice),
});

const DynamicDevicePool = v.object({
  type: v.literal("dynamic_device_pool"),
  ...common,
  address: v.string(),
});

/** A resource as the client sees it. Types that are not listed make it unreadable, hence skipped. */
export const ClientResource = withAlias(
  "sites",
  "gateway_groups",
  v.variant("type", [DnsResource, CidrResource, InternetResource, StaticDevicePool, DynamicDevicePool]),
);

/** The portal's first word to a client. */
export const ClientInit = v.object({
  interface: ClientInterface,
  resources: lenientList(ClientResource),
  relays: lenientList(Relay),
  /** Inbound client-to-client grants of this device. */
  authorizations: lenientList(Authorization),
  flow_logs: absent(FlowLogs),
  /** Who the client is signed in as; portals before autumn 2026 do not say. */
  account_slug: absent(v.string()),
  actor_name: absent(v.string()),
});

const Granted = withAlias(
  "site_id",
  "gateway_group_id",
  v.object({
    resource_id: Id,
    gateway_id: Id,
    site_id: Id,
    gateway_public_key: Key,
    gateway_ipv4: Ipv4Text,
    gateway_ipv6: Ipv6Text,
    preshared_key: Key,
    client_ice_credentials: IceCredentials,
    gateway_ice_credentials: IceCredentials,
    use_iceless: v.nullish(v.boolean(), false),
    flow_logs_ingest_token: absent(v.string()),
  }),
);

/** `reason`: not_found, offline, forbidden, version_mismatch, disabled, … ; new ones may appear. */
const GrantFailed = v.object({
  resource_id: Id,
  reason: v.string(),
  violated_properties: lenientList(v.string()),
});

const DeviceAccessAuthorized = v.object({
  client_id: Id,
  client_name: absent(v.string()),
  client_public_key: Key,
  client_ipv4: LenientIpv4,
  client_ipv6: LenientIpv6,
  preshared_key: Key,
  local_ice_credentials: IceCredentials,
  remote_ice_credentials: IceCredentials,
  ice_role: v.picklist(["controlling", "controlled"]),
  use_iceless: v.nullish(v.boolean(), false),
  flow_logs_ingest_token: absent(v.string()),
  /** The pool that was asked for; present at the initiator only. */
  resource_id: absent(Id),
  /** The three below are present at the target (controlled) only. */
  resource: absent(v.object({ id: Id, filters: Filters })),
  expires_at: absent(UnixSeconds),
  subject: absent(v.record(v.string(), v.unknown())),
});

const DeviceAccessDenied = v.object({
  client_id: absent(Id),
  resource_id: absent(Id),
  ipv4: absent(LenientIpv4),
  ipv6: absent(LenientIpv6),
  reason: v.string(),
});

const GatewayCandidates = v.object({ gateway_id: Id, candidates: Candidates });

const INBOUND = {
  init: ClientInit,
  config_changed: v.object({ interface: ClientInterface }),
  resource_created_or_updated: ClientResource,
  resource_deleted: Id,
  authorization_created: Granted,
  authorization_creation_failed: GrantFailed,
  ice_candidates: GatewayCandidates,
  invalidate_ice_candidates: GatewayCandidates,
  relays_presence: RelaysPresence,
  client_device_access_authorized: DeviceAccessAuthorized,
  client_device_access_denied: DeviceAccessDenied,
  client_ice_candidates: ClientCandidates,
  invalidate_client_ice_candidates: ClientCandidates,
  client_ice_candidate_error: v.object({ client_id: Id, reason: v.string() }),
  resource_filters_updated: v.object({ id: Id, filters: Filters }),
  reject_access: AccessReference,
  device_pool_domain_resolved: v.object({
    resource_id: Id,
    domain: v.string(),
    ipv4: absent(LenientIpv4),
    ipv6: absent(LenientIpv6),
  }),
  device_pool_domain_resolution_failed: v.object({ resource_id: Id, domain: v.string(), reason: v.string() }),
  access_authorization_expiry_updated: Authorization,
} as const;

const OUTBOUND = {
  set_snownet_capabilities: SnownetCapabilities,
  request_authorization: v.object({
    resource_id: Id,
    connected_gateway_ids: lenientList(Id),
    ipv4: absent(Ipv4Text),
    ipv6: absent(Ipv6Text),
  }),
  broadcast_ice_candidates: v.object({ gateway_ids: lenientList(Id), candidates: Candidates }),
  broadcast_invalidated_ice_candidates: v.object({ gateway_ids: lenientList(Id), candidates: Candidates }),
  new_gateway_ice_candidates: GatewayCandidates,
  invalidate_gateway_ice_candidates: GatewayCandidates,
  new_client_ice_candidates: ClientCandidates,
  invalidate_client_ice_candidates: ClientCandidates,
  resolve_device_pool_domain: v.object({ resource_id: Id, domain: v.string() }),
  no_relays: Empty,
} as const;

export type ClientInterface = v.InferOutput<typeof ClientInterface>;
export type ClientResource = v.InferOutput<typeof ClientResource>;
export type PoolDevice = v.InferOutput<typeof PoolDevice>;
export type ClientInit = v.InferOutput<typeof ClientInit>;
/** A message from the portal to a client. */
export type ClientInbound = MessageOf<typeof INBOUND>;
/** A message from a client to the portal. */
export type ClientOutbound = MessageOf<typeof OUTBOUND>;
/** The payload of the client's inbound message named `E`. */
export type ClientInboundPayload<E extends ClientInbound["event"]> = Extract<
  ClientInbound,
  { event: E }
>["payload"];

/** Returns the portal's message to a client. Accepts the names of both sockets and both spellings of sites. */
export function decodeClientInbound(event: string, payload: unknown): Result<ClientInbound, DecodeReason> {
  return decodeMessage(INBOUND, INBOUND_ALIASES, event, payload);
}

/** Returns the client's message to the portal; `create_flow` reads as `request_authorization`. */
export function decodeClientOutbound(event: string, payload: unknown): Result<ClientOutbound, DecodeReason> {
  return decodeMessage(OUTBOUND, OUTBOUND_ALIASES, event, payload);
}

/** Returns the event name and payload of a client's message on a socket of `version`. */
export function encodeClientOutbound(message: ClientOutbound, version: SocketVersion = 2): WireMessage {
  if (version === 1 && message.event === "request_authorization") {
    return { event: "create_flow", payload: message.payload };
  }
  return message;
}

/**
 * Returns the event name and payload of the portal's message to a client on a socket of `version`. Sites are always
 * spelled the old way (`gateway_groups`, `gateway_group_id`), which every client reads; never both.
 */
export function encodeClientInbound(message: ClientInbound, version: SocketVersion): WireMessage {
  switch (message.event) {
    case "init":
      return {
        event: message.event,
        payload: { ...message.payload, resources: message.payload.resources.map(encodeResource) },
      };
    case "resource_created_or_updated":
      return { event: message.event, payload: encodeResource(message.payload) };
    case "authorization_created": {
      const { site_id, ...rest } = message.payload;
      return {
        event: version === 1 ? "flow_created" : message.event,
        payload: { ...rest, gateway_group_id: site_id },
      };
    }
    case "authorization_creation_failed":
      return { event: version === 1 ? "flow_creation_failed" : message.event, payload: message.payload };
    default:
      return message;
  }
}

function encodeResource(resource: ClientResource): unknown {
  if (!("sites" in resource)) return resource;
  const { sites, ...rest } = resource;
  return { ...rest, gateway_groups: sites };
}

const INBOUND_ALIASES: ReadonlyMap<string, string> = new Map([
  ["flow_created", "authorization_created"],
  ["flow_creation_failed", "authorization_creation_failed"],
  ["gateway_ice_candidates", "ice_candidates"],
  ["invalidate_gateway_ice_candidates", "invalidate_ice_candidates"],
]);

const OUTBOUND_ALIASES: ReadonlyMap<string, string> = new Map([
  ["create_flow", "request_authorization"],
]);
