/** What the portal of the test network contains. */

import type { SeedInput } from "../../../lib/portal/seed.ts";

type Resource = NonNullable<SeedInput["resources"]>[number];

export interface SeedOptions {
  /** Resources besides `RESOURCES`; each gets a policy of the same group. */
  readonly resources?: readonly Resource[];
  /** Names of `RESOURCES` to leave out. */
  readonly without?: readonly string[];
  /** Sites besides "site"; no gateway serves them. */
  readonly sites?: readonly string[];
  /** Resolvers that the account prescribes; the client's own otherwise. */
  readonly dns?: string[];
  readonly searchDomain?: string;
}

export const TOKENS = { client: "client-token", gateway: "gateway-token", relay: "relay-token" } as const;

/** Every kind of resource but the Internet, which tests add where they want it. */
export const RESOURCES: readonly Resource[] = [
  { name: "exact", type: "dns", address: "exact.site.test", site: "site" },
  { name: "web", type: "dns", address: "web.site.test", site: "site" },
  { name: "star", type: "dns", address: "*.wild.site.test", site: "site" },
  { name: "deep", type: "dns", address: "**.wild.site.test", site: "site" },
  { name: "lan", type: "cidr", address: "172.20.0.0/24", site: "site" },
  { name: "lan6", type: "cidr", address: "fd20::/64", site: "site" },
];

export const INTERNET: Resource = { name: "Internet", type: "internet", site: "site" };

/** Returns the seed: one account, one service account, one group that may reach every resource. */
export function seedFor(options: SeedOptions): SeedInput {
  const { resources = [], without = [], sites = [], dns, searchDomain } = options;
  const all = [...RESOURCES.filter(({ name }) => !without.includes(name)), ...resources];
  return {
    account: {
      slug: "lab",
      ...(dns === undefined ? {} : { dns }),
      ...(searchDomain === undefined ? {} : { search_domain: searchDomain }),
    },
    sites: ["site", ...sites].map((name) => ({ name })),
    actors: [{ name: "robot", type: "service_account" }],
    groups: [{ name: "robots", members: ["robot"] }],
    resources: all,
    policies: all.map(({ name }) => ({ group: "robots", resource: name, description: name })),
    tokens: [
      { kind: "client", name: "client", actor: "robot", token: TOKENS.client },
      { kind: "gateway", name: "gateway", site: "site", token: TOKENS.gateway },
      { kind: "relay", name: "relay", token: TOKENS.relay },
    ],
  };
}
