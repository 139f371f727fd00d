/** What is known of sites: online while one of their gateways is connected, offline for a while after the portal said so. */

import { type Instant, minutes } from "../base/time.ts";

/** Whether a site has a gateway. */
export type SiteState = "online" | "offline" | "unknown";

/** States by site id. */
export class Sites {
  readonly #offlineSince = new Map<string, Instant>();
  readonly #online = new Map<string, Set<string>>();

  /** A gateway of the site connected. */
  handleConnected(siteId: string, gatewayId: string): void {
    this.#offlineSince.delete(siteId);
    let gateways = this.#online.get(siteId);
    if (gateways === undefined) this.#online.set(siteId, gateways = new Set());
    gateways.add(gatewayId);
  }

  /** A gateway of the site is no longer connected. */
  handleGone(siteId: string, gatewayId: string): void {
    const gateways = this.#online.get(siteId);
    gateways?.delete(gatewayId);
    if (gateways?.size === 0) this.#online.delete(siteId);
  }

  /** The portal has no gateway of the site online. */
  handleOffline(siteId: string, now: Instant): void {
    this.#offlineSince.set(siteId, now);
  }

  state(siteId: string, now: Instant): SiteState {
    if (this.#online.has(siteId)) return "online";
    const since = this.#offlineSince.get(siteId);
    if (since === undefined) return "unknown";
    if (now - since < OFFLINE_FOR) return "offline";
    this.#offlineSince.delete(siteId);
    return "unknown";
  }

  /** Returns the state of a resource in these sites: online if one is, offline if all are. */
  combined(siteIds: readonly string[], now: Instant): SiteState {
    const states = siteIds.map((id) => this.state(id, now));
    if (states.includes("online")) return "online";
    return states.length > 0 && states.every((state) => state === "offline") ? "offline" : "unknown";
  }
}

/** The portal says so once; nobody says when it is over. */
const OFFLINE_FOR = minutes(5);
