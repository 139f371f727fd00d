/**
 * What a running role tells about itself, in words that a program can read: one JSON document a line (NDJSON), each
 * with `time` (RFC 3339) and `event` before the fields below. The stream only grows: readers skip what they do not know.
 */

import type { Problem, SessionState } from "./api.ts";

/** How two peers reach each other. Kinds are ICE's: "host", "srflx", "prflx", "relay". */
export interface EventPath {
  readonly kind: "direct" | "relayed";
  readonly local: string;
  readonly remote: string;
  readonly localKind: string;
  readonly remoteKind: string;
  readonly rttMs: number | undefined;
}

/**
 * Why a session starts over on the network. "moved": the machine reaches the Internet another way. "back": it does so
 * again after a while without. "woken": it slept. "asked": somebody asked for it.
 */
export type NetworkChange = "moved" | "back" | "woken" | "asked";

/** What `fz run` tells programs. */
export type ClientRunEvent =
  | { readonly event: "portal-connected" }
  | { readonly event: "portal-lost"; readonly reason: string }
  | {
    readonly event: "signed-in";
    readonly resources: readonly {
      readonly id: string;
      readonly name: string;
      readonly type: string;
      readonly address: string;
    }[];
  }
  | {
    readonly event: "interface";
    readonly name: string;
    readonly ipv4: string;
    readonly ipv6: string;
    readonly dns: readonly string[];
  }
  | { readonly event: "ready" }
  /** All paths are gone; new ones are looked for at once. */
  | { readonly event: "network-changed"; readonly reason: NetworkChange }
  /** Somebody overwrote this machine's DNS settings, and they were set again; `repairs` counts. */
  | { readonly event: "dns-repaired"; readonly repairs: number }
  /** Names do not reach the session, and why. */
  | { readonly event: "dns-problem"; readonly reason: string }
  /** Where the session stands now, and why it is not connected. */
  | { readonly event: "state-changed"; readonly state: SessionState; readonly problem?: Problem }
  /** What this client may reach changed, or what is known of it. */
  | { readonly event: "resources-changed" }
  | { readonly event: "access-requested"; readonly resourceId: string }
  | { readonly event: "access-granted"; readonly resourceId: string; readonly gatewayId: string }
  | { readonly event: "access-denied"; readonly resourceId: string; readonly reason: string }
  | { readonly event: "connected"; readonly gatewayId: string; readonly path: EventPath }
  | { readonly event: "path-changed"; readonly gatewayId: string; readonly path: EventPath }
  | { readonly event: "disconnected"; readonly gatewayId: string; readonly reason: string };

/** What `fz gateway` tells programs. */
export type GatewayRunEvent =
  | { readonly event: "portal-connected" }
  | { readonly event: "portal-lost"; readonly reason: string }
  | { readonly event: "interface"; readonly name: string; readonly ipv4: string; readonly ipv6: string }
  | { readonly event: "ready" }
  | { readonly event: "client-connected"; readonly clientId: string; readonly path: EventPath }
  | { readonly event: "client-removed"; readonly clientId: string; readonly reason: string };

/** What `fz relay` tells programs. */
export type RelayRunEvent =
  | { readonly event: "portal-connected" }
  | { readonly event: "portal-lost"; readonly reason: string }
  | { readonly event: "ready"; readonly listening: readonly string[] };

/** What `fz portal` tells programs. */
export type PortalRunEvent =
  | { readonly event: "ready"; readonly listening: string; readonly adminSocket: string | undefined }
  | {
    readonly event: "peer-joined";
    readonly role: "client" | "gateway" | "relay";
    readonly id: string;
    readonly name: string;
  }
  | { readonly event: "peer-left"; readonly role: "client" | "gateway" | "relay"; readonly id: string };

/** What any role tells programs. */
export type RunEvent =
  | ClientRunEvent
  | GatewayRunEvent
  | RelayRunEvent
  | PortalRunEvent
  | { readonly event: "stopping" }
  | { readonly event: "stopped" };

/** Takes events; the shell writes them where the user asked for them. */
export type EventSink = (event: RunEvent) => void;
