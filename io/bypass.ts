/**
 * Destinations that the runtime's own TCP connections must reach past the tunnel: the portal, DNS servers. Those
 * connections cannot be marked, so each such address gets a rule of its own, only as long as it is in use and only
 * where a route would lead it into the tunnel.
 */

import type { HostNetwork } from "../ffi/platform.ts";
import type { AddressKey, IpAddress, IpNetwork } from "../lib/base/ip.ts";
import { type Instant, minutes } from "../lib/base/time.ts";
import { monotonicNow } from "./clock.ts";

export class Bypass {
  readonly #network: Pick<HostNetwork, "setBypass">;
  #portal: readonly IpAddress[] = [];
  #routes: readonly IpNetwork[] = [];
  readonly #recent = new Map<AddressKey, { readonly address: IpAddress; readonly until: Instant }>();
  #wanted: readonly IpAddress[] = [];
  #applied = "";
  /** Of the rules that were asked for last. */
  #applying: Promise<void> = Promise.resolve();

  constructor(network: Pick<HostNetwork, "setBypass">) {
    this.#network = network;
  }

  /** Those that have a rule, or are about to get one. */
  get addresses(): readonly IpAddress[] {
    return this.#wanted;
  }

  /** Replaces the portal's addresses. Resolves when the rules are in place. */
  async setPortal(addresses: readonly IpAddress[]): Promise<void> {
    this.#portal = addresses;
    await this.#apply();
  }

  /** To be called before `routes` are set, so that no connection in use is cut. */
  async setRoutes(routes: readonly IpNetwork[]): Promise<void> {
    this.#routes = routes;
    await this.#apply();
  }

  /** Lets connections to `addresses` pass for some minutes. Resolves when the rules are in place. */
  async use(addresses: readonly IpAddress[]): Promise<void> {
    const until = monotonicNow() + HOLD;
    for (const address of addresses) {
      this.#recent.delete(address.key);
      this.#recent.set(address.key, { address, until });
    }
    for (const key of this.#recent.keys()) {
      if (this.#recent.size <= MAX_RECENT) break;
      this.#recent.delete(key);
    }
    await this.#apply();
  }

  /** Forgets what was not in use for a while. */
  async expire(): Promise<void> {
    const now = monotonicNow();
    for (const [key, { until }] of this.#recent) if (until <= now) this.#recent.delete(key);
    await this.#apply();
  }

  async #apply(): Promise<void> {
    const wanted = new Map<AddressKey, IpAddress>();
    for (const address of [...this.#portal, ...[...this.#recent.values()].map((entry) => entry.address)]) {
      if (!address.isLoopback && this.#routes.some((route) => route.contains(address))) {
        wanted.set(address.key, address);
      }
    }
    this.#wanted = [...wanted.values()];
    const text = this.#wanted.map(String).sort().join(" ");
    if (text !== this.#applied) {
      this.#applied = text;
      this.#applying = this.#network.setBypass(this.#wanted).catch((error) => {
        if (this.#applied === text) this.#applied = UNKNOWN;
        throw error;
      });
    }
    // Also where somebody else has just asked for the same: no one may dial before the rules are there.
    await this.#applying;
  }
}

/** Is the text of no rules. */
const UNKNOWN = "?";
const HOLD = minutes(5);
const MAX_RECENT = 32;
