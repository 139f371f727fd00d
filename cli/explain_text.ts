/** The facts behind an explanation, in words. */

import type { ExplainDocument } from "../lib/control/api.ts";
import { describeFilters, describePath, resourceState } from "./resource_text.ts";

/** Returns what an explanation rests on, label by label. */
export function explanationFacts(
  { kind, domain, addresses, matches, gateway }: Omit<ExplainDocument, "schema">,
): readonly (readonly [label: string, value: string])[] {
  const facts: (readonly [string, string])[] = [];
  if (kind === "address" && domain !== undefined) facts.push(["Stands for", domain]);
  if (addresses.length > 0) facts.push(["Seen as", addresses.join(", ")]);
  for (const { resource, permitted, mapping } of matches) {
    const owned = gateway?.id === resource.gatewayId ? gateway : undefined;
    const parts = [
      ...(resource.address === undefined || resource.address === resource.name ? [] : [resource.address]),
      resourceState(resource, owned).text,
      `allows ${describeFilters(resource.filters)}`,
    ];
    if (permitted === false) parts.push("not this");
    if (mapping !== undefined) parts.push(MAPPINGS[mapping]);
    facts.push(["Resource", `${resource.name}: ${parts.join(", ")}`]);
  }
  if (gateway !== undefined) {
    const site = gateway.siteName === undefined ? "" : ` at site ${gateway.siteName}`;
    const path = gateway.path === undefined ? gateway.state : describePath(gateway.path);
    facts.push(["Gateway", `${gateway.id}${site}, ${path}`]);
  }
  return facts;
}

const MAPPINGS = {
  pending: "the gateway is looking the name up",
  confirmed: "the gateway knows the name",
  failed: "the gateway finds no address for the name",
} as const;
