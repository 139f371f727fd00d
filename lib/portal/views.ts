/** Records as peers see them. portal-protocol §2, §3.3, §3.4, §4.4. */

import { IpAddress } from "../base/ip.ts";
import type { ClientInterface, ClientResource } from "../wire/portal/client.ts";
import type { FlowLogs } from "../wire/portal/common.ts";
import type { GatewayResource } from "../wire/portal/gateway.ts";
import type { Directory } from "./directory.ts";
import type { Account, Device, Resource } from "./model.ts";

/** Peers insist on this part; an interval of zero switches uploads off. */
export const FLOW_LOGS: FlowLogs = {
  api_url: "https://flow-logs.invalid/",
  upload_interval_secs: 0,
  upload_batch_size: 1000,
};

/** Returns the interface of a client `device` with the resolvers that `account` prescribes. */
export function clientInterface(account: Account, device: Device): ClientInterface {
  const servers = account.dns.type === "custom" ? account.dns.servers : [];
  return {
    ipv4: device.ipv4,
    ipv6: device.ipv6,
    search_domain: account.searchDomain,
    upstream_dns: servers.map((ip) => ({
      protocol: "ip_port",
      address: ip.includes(":") ? `[${ip}]:53` : `${ip}:53`,
    })),
    upstream_do53: servers.map((ip) => ({ ip })),
    upstream_doh: account.dns.type === "secure" ? [{ url: DOH_URLS[account.dns.provider] }] : [],
  };
}

/** Returns `resource` as clients see it, or undefined if it lacks what its type needs. */
export function clientResource(directory: Directory, resource: Resource): ClientResource | undefined {
  const site = directory.get("sites", resource.siteId);
  const sites = site === undefined ? [] : [{ id: site.id, name: site.name }];
  const { id, name } = resource;
  const shared = {
    id,
    name,
    address_description: resource.addressDescription,
    filters: resource.filters.map((filter) => ({ ...filter })),
  };
  switch (resource.type) {
    case "internet":
      return { type: "internet", id, name, can_be_disabled: true, sites };
    case "static_device_pool":
      return { type: "static_device_pool", ...shared, devices: poolDevices(directory, resource) };
    case "dns":
      if (resource.address === undefined) return undefined;
      return { type: "dns", ...shared, address: resource.address, ip_stack: resource.ipStack, sites };
    case "cidr":
    case "ip":
      if (resource.address === undefined) return undefined;
      return { type: "cidr", ...shared, address: networkText(resource.address), sites };
  }
}

/** Returns `resource` as gateways see it, or undefined: pools never reach gateways. */
export function gatewayResource(resource: Resource): GatewayResource | undefined {
  const { id, name, address } = resource;
  const filters = resource.filters.map((filter) => ({ ...filter }));
  switch (resource.type) {
    case "internet":
      return { type: "internet", id };
    case "static_device_pool":
      return undefined;
    case "dns":
      return address === undefined ? undefined : { type: "dns", id, name, address, filters };
    case "cidr":
    case "ip":
      return address === undefined
        ? undefined
        : { type: "cidr", id, name, address: networkText(address), filters };
  }
}

function poolDevices(directory: Directory, resource: Resource) {
  return resource.deviceIds.flatMap((deviceId) => {
    const device = directory.get("devices", deviceId);
    return device === undefined
      ? []
      : [{ client_id: device.id, ipv4: `${device.ipv4}/32`, ipv6: `${device.ipv6}/128` }];
  });
}

/** Returns `address` with a prefix length: a single address is its own network. */
function networkText(address: string): string {
  if (address.includes("/")) return address;
  return IpAddress.from(address).family === 4 ? `${address}/32` : `${address}/128`;
}

const DOH_URLS = {
  google: "https://dns.google/dns-query",
  quad9: "https://dns.quad9.net/dns-query",
  cloudflare: "https://cloudflare-dns.com/dns-query",
  opendns: "https://doh.opendns.com/dns-query",
} as const;
