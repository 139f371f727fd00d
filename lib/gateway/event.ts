/** What a gateway has to tell its operator: one log line each. Identifiers only, no names, no addresses of users. */

import type { IpAddress } from "../base/ip.ts";
import type { PathInfo } from "../node/path.ts";

/** Why a client may no longer reach a resource. */
export type RevocationReason = "rejected" | "expired" | "not-listed";

/** Why a client is forgotten. */
export type ClientRemovalReason = "goodbye" | "no-resources" | "shutdown";

/** Something that happened to a gateway. */
export type GatewayEvent =
  /** The portal gave us (new) tunnel addresses: the device must have them before packets flow. */
  | { readonly type: "interface"; readonly ipv4: IpAddress; readonly ipv6: IpAddress }
  | {
    readonly type: "client-authorized";
    readonly clientId: string;
    readonly resourceId: string;
    readonly resourceType: "dns" | "cidr" | "internet";
    /** Unix time in milliseconds; undefined without end. */
    readonly expiresAtMs: number | undefined;
  }
  | {
    readonly type: "authorization-refused";
    readonly clientId: string;
    readonly reason: "full";
  }
  | {
    readonly type: "access-revoked";
    readonly clientId: string;
    readonly resourceId: string;
    readonly reason: RevocationReason;
  }
  | { readonly type: "filters-changed"; readonly resourceId: string; readonly clients: number }
  | { readonly type: "client-connected"; readonly clientId: string; readonly path: PathInfo }
  | { readonly type: "client-path-changed"; readonly clientId: string; readonly path: PathInfo }
  | { readonly type: "client-disconnected"; readonly clientId: string; readonly reason: string }
  | { readonly type: "client-removed"; readonly clientId: string; readonly reason: ClientRemovalReason }
  | {
    readonly type: "domain-mapped";
    readonly clientId: string;
    readonly resourceId: string;
    readonly status: "active" | "inactive";
  }
  /** No relay can be used: no client can connect until the portal names one. */
  | { readonly type: "no-relays" };
