/**
 * What a client does as its machine's network changes: starts over on another path; follows what else changed, which its
 * own routes and resolvers may depend on; and calls the portal without waiting for its turn as soon as that may help.
 */

import type { Platform } from "../ffi/platform.ts";
import type { Log } from "../lib/base/log.ts";
import type { Duration, Instant } from "../lib/base/time.ts";
import type { ChannelTrouble } from "../lib/channel/client.ts";
import type { PathChange } from "../lib/host/path_watch.ts";
import type { RelayStatus } from "../lib/node/relays.ts";
import { type Clock, systemClock } from "./clock.ts";
import { NetworkWatch } from "./network_watch.ts";

/** What is watched, and who acts. */
export interface ClientNetworkOptions {
  readonly platform: Pick<Platform, "networkPath" | "watchNetwork">;
  /** The TUN device, which is no way out. */
  readonly device: string;
  /** Returns why the portal is away; undefined while it is there. */
  readonly trouble: () => ChannelTrouble | undefined;
  /** Dials the portal at once, in place of whatever there is. */
  readonly redial: () => void;
  readonly relays: () => readonly Pick<RelayStatus, "state">[];
  /** Starts over: sockets, paths, the portal. */
  readonly startOver: (change: PathChange) => void;
  /** Brings routes and resolvers up to date. Must not reject. */
  readonly follow: () => Promise<void>;
  readonly log: Log;
  /** Default: the process's one clock. */
  readonly clock?: Clock;
}

export class ClientNetwork {
  readonly #options: ClientNetworkOptions;
  readonly #watch: NetworkWatch;
  readonly #clock: Clock;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #withoutRelaySince: Instant | undefined;

  constructor(options: ClientNetworkOptions) {
    this.#options = options;
    const { platform, device, log, startOver, follow, clock = systemClock } = options;
    this.#clock = clock;
    this.#watch = new NetworkWatch({
      read: () => platform.networkPath(device),
      subscribe: (onChange) => platform.watchNetwork(onChange),
      onChange: (change) => {
        log.info("the network changed", { change });
        this.#withoutRelaySince = undefined;
        startOver(change);
      },
      onTouched: async () => {
        log.debug("something about the network changed");
        this.#hurry();
        await follow();
      },
      onBlind: (count) => log.debug("the system did not tell how it reaches the Internet", { count }),
      clock,
    });
  }

  /** Whether the machine has a way out at all. */
  get hasPath(): boolean {
    return this.#watch.hasPath;
  }

  async start(): Promise<void> {
    await this.#watch.start();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#watch.stop();
  }

  /** The client has started over by itself. */
  handleReset(): void {
    this.#withoutRelaySince = undefined;
    this.#watch.handleReset();
  }

  /** To be called every few seconds: a cable that is mended beyond the next switch is no event here, but relays answer. */
  maintain(): void {
    clearTimeout(this.#timer);
    const relays = this.#options.relays();
    const now = this.#clock.now();
    const hasRelay = relays.some(({ state }) => state === "allocated");
    if (relays.length > 0 && !hasRelay) {
      this.#withoutRelaySince ??= now;
      // Somebody may wait for the first one that answers.
      this.#timer = setTimeout(() => this.maintain(), IMPATIENCE);
      return;
    }
    // What was said on the old connection meanwhile waits for TCP's patience, which is long by then.
    if (hasRelay && now - (this.#withoutRelaySince ?? now) >= LONG_WITHOUT_RELAY) this.#options.redial();
    this.#withoutRelaySince = undefined;
  }

  get #isPortalWaiting(): boolean {
    return (this.#options.trouble()?.retryAt ?? 0) > this.#clock.now();
  }

  #hurry(): void {
    if (this.hasPath && this.#isPortalWaiting) this.#options.redial();
  }
}

const IMPATIENCE: Duration = 1000;
/** After a new start it takes a moment, too. */
const LONG_WITHOUT_RELAY: Duration = 4000;
