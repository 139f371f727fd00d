/**
 * Messages between a gateway and the portal, both directions. Names are those of the v2 socket; names of the v1 socket
 * are translated on the way in and out.
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
  Ipv4Text,
  Ipv6Text,
  Key,
  lenientList,
  type MessageOf,
  Relay,
  RelaysPresence,
  SnownetCapabilities,
  type SocketVersion,
  UnixSeconds,
  type WireMessage,
} from "./common.ts";

/** A resource as the gateway sees it. */
export const GatewayResource = v.variant("type", [
  v.object({
    type: v.literal("dns"),
    id: Id,
    name: v.nullish(v.string(), ""),
    address: v.string(),
    filters: Filters,
  }),
  v.object({
    type: v.literal("cidr"),
    id: Id,
    name: v.nullish(v.string(), ""),
    address: CidrText,
    filters: Filters,
  }),
  v.object({ type: v.literal("internet"), id: Id }),
]);

/** The portal's first word to a gateway. */
export const GatewayInit = v.object({
  interface: v.object({ ipv4: Ipv4Text, ipv6: Ipv6Text }),
  account_slug: absent(v.string()),
  config: absent(v.object({
    ipv4_masquerade_enabled: v.nullish(v.boolean(), true),
    ipv6_masquerade_enabled: v.nullish(v.boolean(), true),
  })),
  relays: lenientList(Relay),
  /** The authorizations that still hold. Undefined (not sent by old portals) leaves everything as it is. */
  authorizations: absent(lenientList(Authorization)),
  flow_logs: absent(FlowLogs),
});

/** The client that a grant is for. `preshared_key` and keys are base64. */
const GrantedClient = v.object({
  id: Id,
  public_key: Key,
  preshared_key: Key,
  ipv4: Ipv4Text,
  ipv6: Ipv6Text,
  version: absent(v.string()),
  device_os_name: absent(v.string()),
  device_os_version: absent(v.string()),
  device_serial: absent(v.string()),
  device_uuid: absent(v.string()),
  identifier_for_vendor: absent(v.string()),
  firebase_installation_id: absent(v.string()),
});

const CreateAuthorization = v.object({
  /** Opaque; goes back byte for byte in `authorization_created`. */
  ref: v.string(),
  expires_at: v.nullable(UnixSeconds),
  use_iceless: v.nullish(v.boolean(), false),
  flow_logs_ingest_token: absent(v.string()),
  client: GrantedClient,
  resource: GatewayResource,
  client_ice_credentials: IceCredentials,
  gateway_ice_credentials: IceCredentials,
  subject: absent(v.record(v.string(), v.unknown())),
});

const Broadcast = v.object({ client_ids: lenientList(Id), candidates: Candidates });

const INBOUND = {
  init: GatewayInit,
  create_authorization: CreateAuthorization,
  reject_access: AccessReference,
  access_authorization_expiry_updated: Authorization,
  resource_updated: GatewayResource,
  ice_candidates: ClientCandidates,
  invalidate_ice_candidates: ClientCandidates,
  relays_presence: RelaysPresence,
} as const;

const OUTBOUND = {
  set_snownet_capabilities: SnownetCapabilities,
  authorization_created: v.object({ ref: v.string() }),
  broadcast_ice_candidates: Broadcast,
  broadcast_invalidated_ice_candidates: Broadcast,
  no_relays: Empty,
} as const;

export type GatewayResource = v.InferOutput<typeof GatewayResource>;
export type GatewayInit = v.InferOutput<typeof GatewayInit>;
export type CreateAuthorization = v.InferOutput<typeof CreateAuthorization>;
/** A message from the portal to a gateway. */
export type GatewayInbound = MessageOf<typeof INBOUND>;
/** A message from a gateway to the portal. */
export type GatewayOutbound = MessageOf<typeof OUTBOUND>;

/** Returns the portal's message to a gateway; `authorize_flow` reads as `create_authorization`. */
export function decodeGatewayInbound(event: string, payload: unknown): Result<GatewayInbound, DecodeReason> {
  return decodeMessage(INBOUND, INBOUND_ALIASES, event, payload);
}

/** Returns the gateway's message to the portal; `flow_authorized` reads as `authorization_created`. */
export function decodeGatewayOutbound(
  event: string,
  payload: unknown,
): Result<GatewayOutbound, DecodeReason> {
  return decodeMessage(OUTBOUND, OUTBOUND_ALIASES, event, payload);
}

/** Returns the event name and payload of a gateway's message on a socket of `version`. */
export function encodeGatewayOutbound(message: GatewayOutbound, version: SocketVersion = 2): WireMessage {
  if (version === 1 && message.event === "authorization_created") {
    return { event: "flow_authorized", payload: message.payload };
  }
  return message;
}

/** Returns the event name and payload of the portal's message to a gateway on a socket of `version`. */
export function encodeGatewayInbound(message: GatewayInbound, version: SocketVersion): WireMessage {
  if (version === 1 && message.event === "create_authorization") {
    return { event: "authorize_flow", payload: message.payload };
  }
  return message;
}

const INBOUND_ALIASES: ReadonlyMap<string, string> = new Map([["authorize_flow", "create_authorization"]]);
const OUTBOUND_ALIASES: ReadonlyMap<string, string> = new Map([["flow_authorized", "authorization_created"]]);
