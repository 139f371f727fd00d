/** Resources: what policy lets a client reach. Made from the portal's views (portal-protocol reference §3.4, §4.4). */

import { IpAddress, IpNetwork } from "../base/ip.ts";
import type { ClientResource } from "../wire/portal/client.ts";
import type { GatewayResource } from "../wire/portal/gateway.ts";
import { filterFromWire, FilterSet, PERMIT_ALL } from "./filter.ts";

/** Something that can be reached, as clients know it. */
export type Resource = DnsResource | CidrResource | InternetResource | StaticDevicePool | DynamicDevicePool;

/** Where a resource is: the group of gateways that serve it. */
export interface Site {
  readonly id: string;
  readonly name: string;
}

/** Address families that a DNS resource is offered over. */
export type IpStack = "dual" | "ipv4-only" | "ipv6-only";

interface Common {
  readonly id: string;
  readonly name: string;
  /** Free text of the administrator, often a URL. */
  readonly addressDescription: string | undefined;
  readonly filters: FilterSet;
  /** Empty in a gateway's view. */
  readonly sites: readonly Site[];
}

/** Names that match a pattern (data-plane reference §7.4). */
export interface DnsResource extends Common {
  readonly type: "dns";
  readonly pattern: string;
  readonly ipStack: IpStack;
}

/** A network. */
export interface CidrResource extends Common {
  readonly type: "cidr";
  readonly network: IpNetwork;
}

/** Everything that no other resource covers. */
export interface InternetResource extends Common {
  readonly type: "internet";
  readonly canBeDisabled: boolean;
}

/** Named devices that are reached directly, client to client. */
export interface StaticDevicePool extends Common {
  readonly type: "static-device-pool";
  readonly devices: readonly PoolDevice[];
}

/** A device of another user. */
export interface PoolDevice {
  readonly clientId: string;
  readonly ipv4: IpAddress;
  readonly ipv6: IpAddress;
}

/** Devices that the portal finds by name. */
export interface DynamicDevicePool extends Common {
  readonly type: "dynamic-device-pool";
  readonly pattern: string;
}

/** Returns the resource that a client was told of. */
export function resourceFromClientView(view: ClientResource): Resource {
  const sites = "sites" in view ? view.sites : [];
  if (view.type === "internet") {
    return { ...internet(view.id, view.name, sites), canBeDisabled: view.can_be_disabled };
  }
  const common: Common = {
    id: view.id,
    name: view.name,
    addressDescription: view.address_description,
    filters: new FilterSet(view.filters.map(filterFromWire)),
    sites,
  };
  switch (view.type) {
    case "dns":
      return { type: "dns", ...common, pattern: view.address, ipStack: IP_STACKS[view.ip_stack] };
    case "cidr":
      return { type: "cidr", ...common, network: IpNetwork.from(view.address) };
    case "static_device_pool":
      return { type: "static-device-pool", ...common, devices: view.devices.map(poolDevice) };
    case "dynamic_device_pool":
      return { type: "dynamic-device-pool", ...common, pattern: view.address };
  }
}

/** The kinds of resources that a gateway serves. */
export type GatewayServed = DnsResource | CidrResource | InternetResource;

/** Returns the resource that a gateway was told of. */
export function resourceFromGatewayView(view: GatewayResource): GatewayServed {
  if (view.type === "internet") return internet(view.id, "Internet Resource", []);
  const common: Common = {
    id: view.id,
    name: view.name,
    addressDescription: undefined,
    filters: new FilterSet(view.filters.map(filterFromWire)),
    sites: [],
  };
  return view.type === "dns"
    ? { type: "dns", ...common, pattern: view.address, ipStack: "dual" }
    : { type: "cidr", ...common, network: IpNetwork.from(view.address) };
}

const IP_STACKS = { dual: "dual", ipv4_only: "ipv4-only", ipv6_only: "ipv6-only" } as const;

function internet(id: string, name: string, sites: readonly Site[]): InternetResource {
  return {
    type: "internet",
    id,
    name,
    addressDescription: undefined,
    filters: PERMIT_ALL,
    sites,
    canBeDisabled: false,
  };
}

/** Pool addresses are networks of one address on the wire. */
function poolDevice(
  device: { readonly client_id: string; readonly ipv4: string; readonly ipv6: string },
): PoolDevice {
  return {
    clientId: device.client_id,
    ipv4: IpNetwork.from(device.ipv4).address,
    ipv6: IpNetwork.from(device.ipv6).address,
  };
}
