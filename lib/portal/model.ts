/**
 * What the portal knows and keeps: plain records, one table each, joined by ids. portal-protocol §7.1. Optional things
 * are undefined; times are unix seconds; `pskBase` and keys are base64.
 */

/** Every table and its record; `lib/portal/store.ts` keeps them. */
export interface Tables {
  readonly accounts: Account;
  readonly sites: Site;
  readonly actors: Actor;
  readonly groups: Group;
  readonly memberships: Membership;
  readonly resources: Resource;
  readonly policies: Policy;
  readonly tokens: Token;
  readonly devices: Device;
  readonly authorizations: Authorization;
}

/** The name of a table. */
export type TableName = keyof Tables;

/** The names of all tables. */
export const TABLE_NAMES: readonly TableName[] = [
  "accounts",
  "sites",
  "actors",
  "groups",
  "memberships",
  "resources",
  "policies",
  "tokens",
  "devices",
  "authorizations",
];

/** An organisation: everything else belongs to one. */
export interface Account {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly searchDomain?: string | undefined;
  /** Where clients send names that no resource matches. */
  readonly dns: AccountDns;
  /** Signs ingest tokens; base64. */
  readonly ingestKey: string;
  /** How long a sign-in with a browser lasts, in seconds; the default where undefined. */
  readonly sessionLifetime?: number | undefined;
  readonly isDisabled: boolean;
}

/** Which resolvers an account prescribes. */
export type AccountDns =
  /** The client's own resolvers. */
  | { readonly type: "system" }
  | { readonly type: "custom"; readonly servers: readonly string[] }
  | { readonly type: "secure"; readonly provider: "google" | "quad9" | "cloudflare" | "opendns" };

/** A place with gateways. */
export interface Site {
  readonly id: string;
  readonly accountId: string;
  readonly name: string;
}

/** A user or a service account. */
export interface Actor {
  readonly id: string;
  readonly accountId: string;
  readonly type: "account_user" | "account_admin_user" | "service_account";
  readonly name: string;
  readonly email?: string | undefined;
  /** What is kept of the password (`password.ts`); without one nobody signs in with a browser. */
  readonly passwordHash?: string | undefined;
  readonly isDisabled: boolean;
}

/** Actors that policies speak of together. */
export interface Group {
  readonly id: string;
  readonly accountId: string;
  readonly name: string;
  /** Contains all users and admins of the account implicitly; service accounts only by membership. */
  readonly isEveryone: boolean;
}

/** That an actor is in a group. */
export interface Membership {
  readonly id: string;
  readonly accountId: string;
  readonly groupId: string;
  readonly actorId: string;
}

/** Something that can be reached. */
export interface Resource {
  readonly id: string;
  readonly accountId: string;
  readonly type: "dns" | "cidr" | "ip" | "internet" | "static_device_pool";
  readonly name: string;
  /** Pattern, network or address; undefined for `internet` and pools. */
  readonly address?: string | undefined;
  readonly addressDescription?: string | undefined;
  readonly filters: readonly ResourceFilter[];
  readonly ipStack: "dual" | "ipv4_only" | "ipv6_only";
  /** Undefined for pools. */
  readonly siteId?: string | undefined;
  /** Members of a pool: client devices. */
  readonly deviceIds: readonly string[];
}

/** A kind of traffic that a resource allows, as on the wire. */
export type ResourceFilter =
  | { readonly protocol: "icmp" }
  | {
    readonly protocol: "tcp" | "udp";
    readonly port_range_start: number;
    readonly port_range_end: number;
  };

/** A group's members may reach a resource while all conditions hold. */
export interface Policy {
  readonly id: string;
  readonly accountId: string;
  readonly groupId: string;
  readonly resourceId: string;
  readonly description?: string | undefined;
  readonly conditions: readonly Condition[];
  /** The policy grants nothing from then on. */
  readonly expiresAt?: number | undefined;
  readonly isDisabled: boolean;
}

/** portal-protocol §7.3. */
export type Condition =
  | {
    readonly property: "remote_ip";
    readonly operator: "is_in_cidr" | "is_not_in_cidr";
    readonly values: readonly string[];
  }
  | {
    readonly property: "current_utc_datetime";
    readonly operator: "is_in_day_of_week_time_ranges";
    /** Such as "W/08:30-12:00,13:00-17:00/Europe/Berlin". */
    readonly values: readonly string[];
  }
  | {
    readonly property: "auth_provider_id" | "remote_ip_location_region";
    readonly operator: "is_in" | "is_not_in";
    readonly values: readonly string[];
  }
  | { readonly property: "client_verified"; readonly operator: "is"; readonly values: readonly string[] };

/** What a peer signs in with. */
export interface Token {
  readonly id: string;
  readonly accountId: string;
  readonly kind: "client" | "gateway" | "relay";
  readonly name: string;
  /** Salted hash of the token's text; the text itself is not kept. */
  readonly hash: string;
  /** Owner of a client token. */
  readonly actorId?: string | undefined;
  /** Owner of a gateway token. */
  readonly siteId?: string | undefined;
  /** Handed out by sign-in, not made by an administrator. */
  readonly isInteractive?: boolean | undefined;
  readonly expiresAt?: number | undefined;
}

/** A client or gateway that has connected before; keeps its id and addresses for its lifetime. */
export interface Device {
  readonly id: string;
  readonly accountId: string;
  readonly role: "client" | "gateway";
  /** The actor of a client, the site of a gateway. */
  readonly ownerId: string;
  readonly externalId: string;
  readonly name: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly pskBase: string;
  readonly isVerified: boolean;
  readonly lastSeenAt: number;
}

/** "`clientId` may reach `resourceId` through `receiverId` until `expiresAt`." */
export interface Authorization {
  readonly id: string;
  readonly accountId: string;
  readonly policyId: string;
  readonly resourceId: string;
  readonly tokenId: string;
  readonly clientId: string;
  /** The gateway, or the member of a device pool. */
  readonly receiverId: string;
  readonly expiresAt: number;
  /** What the decision rested on (`access.ts`); once it changes, the authorization is void. */
  readonly basis: string;
}
