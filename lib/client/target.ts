/**
 * What people mean when they name something to reach: a resource by its name or id, a DNS name or an address, each with
 * ":PORT" at will, or a URL with a host; and how it can be found out whether that answers.
 */

import { IpAddress, IpNetwork, SocketAddress } from "../base/ip.ts";
import { nearest } from "../base/nearest.ts";
import { type Filter, FilterSet } from "../resource/filter.ts";
import type { ResourceStatus } from "./status.ts";

/** What is to be reached. */
export type Target =
  /** A resource, and what stands for it if it is only one thing. */
  & (
    | { readonly type: "resource"; readonly resourceId: string; readonly host: Host | undefined }
    | { readonly type: "host"; readonly host: Host }
  )
  & { readonly port: number | undefined };

/** One machine. */
export type Host =
  | { readonly type: "name"; readonly name: string }
  | { readonly type: "address"; readonly address: IpAddress };

/** How to find out whether something answers. */
export type ProbeMethod =
  | { readonly type: "icmp" }
  | { readonly type: "tcp"; readonly port: number }
  /** Only the gateway can be asked: `reason` tells why. */
  | { readonly type: "gateway"; readonly reason: "no-host" | "only-udp" };

/** Returns what `text` means, given the resources there are. */
export function parseTarget(text: string, resources: readonly ResourceStatus[]): Target {
  const whole = named(text, resources, undefined);
  if (whole !== undefined) return whole;
  const authority = authorityOf(text);
  if (authority !== undefined) return parseTarget(authority, resources);
  const socket = SocketAddress.parse(text);
  if (socket !== undefined) return ofAddress(socket.ip, socket.port);
  const address = IpAddress.parse(text.replace(/^\[|\]$/g, ""));
  if (address !== undefined) return ofAddress(address, undefined);
  const match = /^(.+):(\d{1,5})$/.exec(text);
  const port = match === null ? undefined : Number(match[2]);
  if (match !== null && port !== undefined && port >= 1 && port <= 65535) {
    return named(match[1]!, resources, port) ?? ofName(match[1]!, resources, port);
  }
  return ofName(text, resources, undefined);
}

/** Returns the resource that `text` names: by id, name, or name in another case; "several" if that is not clear. */
export function findResource(
  text: string,
  resources: readonly ResourceStatus[],
): ResourceStatus | "several" | undefined {
  const byId = resources.find(({ id }) => id === text);
  if (byId !== undefined) return byId;
  const exact = resources.filter(({ name }) => name === text);
  const lower = text.toLowerCase();
  const found = exact.length > 0 ? exact : resources.filter(({ name }) => name.toLowerCase() === lower);
  return found.length > 1 ? "several" : found[0];
}

/** Returns the name or address of a resource that is spelt much like `text`. */
export function nearestResource(text: string, resources: readonly ResourceStatus[]): string | undefined {
  if (text.length > MAX_SUGGESTED) return undefined;
  const words = resources.slice(0, MAX_COMPARED).flatMap(({ name, address }) =>
    [name, address ?? name].filter((word) => word.length <= MAX_SUGGESTED)
  );
  return nearest(text, words);
}

/**
 * Returns the first of `candidates` (in the order in which the router tries them) that can be probed at `port`, and how;
 * undefined if the filters of all forbid it.
 */
export function planProbe(
  candidates: readonly ResourceStatus[],
  host: Host | undefined,
  port: number | undefined,
): { readonly resource: ResourceStatus; readonly method: ProbeMethod } | undefined {
  const first = candidates[0];
  if (first === undefined) return undefined;
  if (host === undefined) return { resource: first, method: { type: "gateway", reason: "no-host" } };
  const permitting = (transport: "icmp" | "tcp", of: number) =>
    candidates.find(({ filters }) => new FilterSet(filters).permits(transport, of));
  if (port !== undefined) {
    const resource = permitting("tcp", port);
    return resource && { resource, method: { type: "tcp", port } };
  }
  const pingable = permitting("icmp", 0);
  if (pingable !== undefined) return { resource: pingable, method: { type: "icmp" } };
  for (const resource of candidates) {
    const filter = resource.filters.find(({ protocol }) => protocol === "tcp");
    if (filter?.protocol === "tcp") {
      return { resource, method: { type: "tcp", port: Math.max(1, filter.ports.first) } };
    }
  }
  return { resource: first, method: { type: "gateway", reason: "only-udp" } };
}

/** Returns filters in words: "tcp/443, udp/50000-50100, icmp"; "everything" if there are none. */
export function describeFilters(filters: readonly Filter[]): string {
  if (filters.length === 0) return "everything";
  return filters.map((filter) => {
    if (filter.protocol === "icmp") return "icmp";
    const { first, last } = filter.ports;
    return `${filter.protocol}/${first === last ? first : `${first}-${last}`}`;
  }).join(", ");
}

const MAX_SUGGESTED = 100;

/** Ports of URLs that name none. */
const PORTS: ReadonlyMap<string, number> = new Map([["http", 80], ["https", 443], ["ssh", 22]]);

/** Returns "host:443" of "https://host/path", as browsers are told where to go; undefined if `text` is no URL. */
function authorityOf(text: string): string | undefined {
  const [, scheme, host, port] =
    /^([a-z][a-z\d+.-]*):\/\/(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:]+)(:\d*)?(?:[/?#]|$)/i.exec(text) ??
      [];
  if (scheme === undefined || host === undefined) return undefined;
  const usual = PORTS.get(scheme.toLowerCase());
  if (port !== undefined && port !== ":") return `${host}${port}`;
  return usual === undefined ? host : `${host}:${usual}`;
}

const MAX_COMPARED = 2000;

function named(
  text: string,
  resources: readonly ResourceStatus[],
  port: number | undefined,
): Target | undefined {
  const resource = findResource(text, resources);
  if (resource === undefined || resource === "several") return undefined;
  return { type: "resource", resourceId: resource.id, host: onlyHost(resource), port };
}

function ofAddress(address: IpAddress, port: number | undefined): Target {
  return { type: "host", host: { type: "address", address }, port };
}

/** A name, unless it is the pattern or network of a resource that stands for many. */
function ofName(text: string, resources: readonly ResourceStatus[], port: number | undefined): Target {
  const name = text.toLowerCase().replace(/\.$/, "");
  const resource = /[*?/]/.test(name) ? resources.find(({ address }) => address === name) : undefined;
  if (resource !== undefined) {
    return { type: "resource", resourceId: resource.id, host: onlyHost(resource), port };
  }
  return { type: "host", host: { type: "name", name }, port };
}

function onlyHost({ type, address }: ResourceStatus): Host | undefined {
  if (address === undefined) return undefined;
  if (type === "dns") return /[*?]/.test(address) ? undefined : { type: "name", name: address.toLowerCase() };
  const network = type === "cidr" ? IpNetwork.parse(address) : undefined;
  const isOne = network !== undefined && network.prefix === (network.family === 4 ? 32 : 128);
  return isOne ? { type: "address", address: network.address } : undefined;
}
