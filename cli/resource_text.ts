/** Resources in words, for `fz resource` and whoever else shows them. */

import type { FilterDocument, GatewayDocument, PathDocument, ResourceDocument } from "../lib/control/api.ts";
import { formatAgo, formatMs } from "./format.ts";
import type { Style } from "./output.ts";

/** Returns where a resource stands, in a word or two, and its colour. */
export function resourceState(
  resource: ResourceDocument,
  gateway: GatewayDocument | undefined,
): { readonly text: string; readonly style: Style } {
  if (!resource.enabled) return { text: resource.type === "internet" ? "off" : "disabled", style: "dim" };
  if (resource.warning !== undefined) return { text: "unusable", style: "red" };
  switch (resource.access) {
    case "connected":
      if (gateway === undefined) return { text: "connected", style: "green" };
      // It is silent, and not given up yet.
      if (gateway.path === undefined) return { text: "no path", style: "yellow" };
      return { text: describePath(gateway.path), style: "green" };
    case "connecting":
      return { text: "connecting", style: "yellow" };
    case "requested":
    case "none":
      break;
  }
  if (resource.denial?.reason === "offline" || resource.state === "offline") {
    return { text: "offline", style: "red" };
  }
  if (resource.denial !== undefined) return { text: "denied", style: "red" };
  return resource.access === "requested"
    ? { text: "requested", style: "yellow" }
    : { text: resource.state === "online" ? "online" : "not used yet", style: "dim" };
}

/** Returns "direct 12 ms" or "relayed 31 ms". */
export function describePath({ kind, rttMs }: PathDocument): string {
  return rttMs === undefined ? kind : `${kind} ${formatMs(rttMs)}`;
}

/** Returns "tcp/443, icmp", or "everything". */
export function describeFilters(filters: readonly FilterDocument[]): string {
  if (filters.length === 0) return "everything";
  return filters.map(({ protocol, firstPort, lastPort }) => {
    if (firstPort === undefined) return protocol;
    const isRange = lastPort !== undefined && lastPort !== firstPort;
    return `${protocol}/${firstPort}${isRange ? `-${lastPort}` : ""}`;
  }).join(", ");
}

/** Returns the address of a resource, or what stands in its place. */
export function resourceAddress({ type, address }: ResourceDocument): string {
  if (address !== undefined) return address;
  return type === "internet" ? "everything else" : "devices";
}

/** Returns all there is to say about a resource, label by label. */
export function resourceFacts(
  resource: ResourceDocument,
  gateway: GatewayDocument | undefined,
): readonly (readonly [label: string, value: string])[] {
  const { denial, warning, addressDescription, sites } = resource;
  const facts: (readonly [string, string])[] = [
    ["Name", resource.name],
    ["State", resourceState(resource, gateway).text],
    ["Address", resourceAddress(resource)],
  ];
  if (addressDescription !== undefined) facts.push(["Description", addressDescription]);
  facts.push(["Allows", describeFilters(resource.filters)]);
  for (const site of sites) {
    facts.push(["Site", site.state === "unknown" ? site.name : `${site.name} (${site.state})`]);
  }
  if (gateway !== undefined) {
    facts.push(["Gateway", `${gateway.id} (${gateway.ipv4}, ${gateway.ipv6})`]);
    if (gateway.path !== undefined) {
      facts.push(["Path", `${describePath(gateway.path)}, ${gateway.path.local} to ${gateway.path.remote}`]);
    }
  }
  if (denial !== undefined) {
    const broken = denial.violatedProperties.length === 0 ? "" : `: ${denial.violatedProperties.join(", ")}`;
    facts.push(["Denied", `${denial.reason}${broken}, ${formatAgo(denial.agoMs)}`]);
  }
  if (warning !== undefined) facts.push(["Warning", warning]);
  return [...facts, ["Type", resource.type], ["Id", resource.id]];
}
