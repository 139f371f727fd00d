/**
 * Records as people write them, in seed files and to the admin API: snake_case, references by name or id, filters in
 * short form. docs/portal-seed.md describes the fields; `upsert.ts` makes records of them.
 */

import * as v from "valibot";
import { err, ok, type Result } from "../base/result.ts";
import { PASSWORD_LENGTH } from "./password.ts";

const Name = v.pipe(v.string(), v.trim(), v.minLength(1), v.maxLength(255));
const Uuid = v.pipe(v.string(), v.uuid(), v.toLowerCase());
const Seconds = v.pipe(v.number(), v.integer(), v.minValue(0));

/** First segments of paths that are no accounts. */
const RESERVED_SLUGS: readonly string[] = ["v1", "healthz"];

/** An account; `slug` names it. */
export const AccountInput = v.strictObject({
  slug: v.pipe(
    v.string(),
    v.regex(/^[a-z0-9_-]{1,64}$/, "must be lower-case letters, digits, _ and -"),
    v.check((slug) => !RESERVED_SLUGS.includes(slug), "is a path of the portal itself"),
  ),
  name: v.optional(Name),
  search_domain: v.optional(v.pipe(v.string(), v.maxLength(253))),
  /** "system", "secure:<provider>", or up to 8 addresses of resolvers. */
  dns: v.optional(v.union([
    v.picklist(["system", "secure:google", "secure:quad9", "secure:cloudflare", "secure:opendns"]),
    v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(8)),
  ])),
  /** How long a sign-in lasts, in seconds: an hour to 90 days. */
  client_session_lifetime: v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(3600), v.maxValue(90 * 24 * 3600)),
  ),
  disabled: v.optional(v.boolean()),
});

/** A site. */
export const SiteInput = v.strictObject({ id: v.optional(Uuid), name: v.pipe(Name, v.maxLength(64)) });

/** A user or a service account. */
export const ActorInput = v.strictObject({
  id: v.optional(Uuid),
  name: Name,
  type: v.optional(v.picklist(["account_user", "account_admin_user", "service_account"])),
  email: v.optional(v.pipe(v.string(), v.trim(), v.maxLength(320))),
  /** For sign-in with a browser; needs an e-mail address. Only a hash is kept. */
  password: v.optional(v.pipe(
    v.string(),
    v.minLength(PASSWORD_LENGTH.min),
    v.maxLength(PASSWORD_LENGTH.max),
  )),
  disabled: v.optional(v.boolean()),
});

/** A group and who is in it. */
export const GroupInput = v.strictObject({
  id: v.optional(Uuid),
  name: Name,
  /** Actors. Left out: the members stay as they are. */
  members: v.optional(v.array(Name)),
});

const Port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535));
const FilterInput = v.union([
  v.pipe(
    v.string(),
    v.regex(/^(icmp|(tcp|udp)(\/\d{1,5}(-\d{1,5})?)?)$/, 'must look like "tcp/80-443" or "icmp"'),
  ),
  v.strictObject({ protocol: v.literal("icmp") }),
  v.strictObject({
    protocol: v.picklist(["tcp", "udp"]),
    port_range_start: v.optional(Port),
    port_range_end: v.optional(Port),
  }),
]);

/** A resource. */
export const ResourceInput = v.strictObject({
  id: v.optional(Uuid),
  name: Name,
  type: v.picklist(["dns", "cidr", "ip", "internet", "static_device_pool"]),
  address: v.optional(v.pipe(v.string(), v.trim(), v.maxLength(253))),
  address_description: v.optional(v.pipe(v.string(), v.maxLength(512))),
  ip_stack: v.optional(v.picklist(["dual", "ipv4_only", "ipv6_only"])),
  site: v.optional(Name),
  filters: v.optional(v.array(FilterInput)),
  /** Members of a pool: ids or names of client devices. */
  devices: v.optional(v.array(Name)),
});

const values = v.array(v.string());
const ConditionInput = v.variant("property", [
  v.strictObject({
    property: v.literal("remote_ip"),
    operator: v.picklist(["is_in_cidr", "is_not_in_cidr"]),
    values,
  }),
  v.strictObject({
    property: v.literal("current_utc_datetime"),
    operator: v.literal("is_in_day_of_week_time_ranges"),
    values,
  }),
  v.strictObject({
    property: v.picklist(["auth_provider_id", "remote_ip_location_region"]),
    operator: v.picklist(["is_in", "is_not_in"]),
    values,
  }),
  v.strictObject({ property: v.literal("client_verified"), operator: v.literal("is"), values }),
]);

/** A policy: a group may use a resource, under conditions. */
export const PolicyInput = v.strictObject({
  id: v.optional(Uuid),
  group: Name,
  resource: Name,
  description: v.optional(v.string()),
  conditions: v.optional(v.array(ConditionInput)),
  /** Unix seconds. */
  expires_at: v.optional(Seconds),
  disabled: v.optional(v.boolean()),
});

/** A token of a client, a gateway or a relay. */
export const TokenInput = v.strictObject({
  kind: v.picklist(["client", "gateway", "relay"]),
  name: v.optional(Name),
  /** Owner of a client token. */
  actor: v.optional(Name),
  /** Owner of a gateway token. */
  site: v.optional(Name),
  /** The token itself; left out, one is made up. */
  token: v.optional(v.pipe(v.string(), v.regex(/^\S{1,1024}$/))),
  /** False: never takes the place of another token; without a name of its own it gets a free one. */
  replace: v.optional(v.boolean()),
  /** File that gets the token (io decides). */
  write_to: v.optional(v.string()),
  /** Unix seconds. */
  expires_at: v.optional(Seconds),
  /** Seconds from now; only looked at when the token is made. */
  expires_in: v.optional(Seconds),
});

export type AccountInput = v.InferOutput<typeof AccountInput>;
export type SiteInput = v.InferOutput<typeof SiteInput>;
export type ActorInput = v.InferOutput<typeof ActorInput>;
export type GroupInput = v.InferOutput<typeof GroupInput>;
export type ResourceInput = v.InferOutput<typeof ResourceInput>;
export type PolicyInput = v.InferOutput<typeof PolicyInput>;
export type TokenInput = v.InferOutput<typeof TokenInput>;

const PASSWORD_COMPLAINT = `must be ${PASSWORD_LENGTH.min} to ${PASSWORD_LENGTH.max} characters`;
const TOKEN_COMPLAINT = "must be 1 to 1024 characters without white space";

/** Why something could not be written: a sentence for a person. */
export type Complaint = string;

/** Returns `value` as `schema` has it, or the first complaint with its path. */
export function readInput<T extends v.GenericSchema>(
  schema: T,
  value: unknown,
): Result<v.InferOutput<T>, Complaint> {
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return ok(parsed.output);
  const issue = parsed.issues[0];
  const path = v.getDotPath(issue);
  const message = complain(issue, path);
  return err(`${path === null ? "" : `${path}: `}${message}`);
}

function complain(issue: v.BaseIssue<unknown>, path: string | null): string {
  if (issue.type === "strict_object" && issue.expected === "never") return "there is no such field";
  // The library quotes what it got, and these are secrets.
  if (path !== null && /(?:^|\.)token$/.test(path)) return TOKEN_COMPLAINT;
  if (path !== null && /(?:^|\.)password$/.test(path)) return PASSWORD_COMPLAINT;
  return issue.message;
}
