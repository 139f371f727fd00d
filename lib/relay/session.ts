/**
 * A relay: a TURN server that a portal knows. The portal is told the secret from which it derives the credentials of
 * our users; nothing else is said (portal-protocol §5). `io/relay.ts` drives it.
 */

import { toHex } from "../base/bytes.ts";
import type { IpAddress } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import type { Rng } from "../base/rng.ts";
import type { Instant, WallClock } from "../base/time.ts";
import { TurnServer, type TurnServerOptions } from "../turn/server.ts";
import type { RelayInbound, RelayJoin } from "../wire/portal/relay.ts";

/** What a relay is made of. */
export interface RelaySessionOptions {
  /** The addresses that peers see; at least one. */
  readonly publicAddress: { readonly 4?: IpAddress | undefined; readonly 6?: IpAddress | undefined };
  readonly listenPort: number;
  readonly lowestPort: number;
  readonly highestPort: number;
  /** Shown in the portal. */
  readonly name?: string | undefined;
  /** Text; 32 random bytes in hexadecimal if absent. */
  readonly secret?: string | undefined;
  readonly limits?: TurnServerOptions["limits"];
  readonly rng: Rng;
  readonly now: Instant;
  readonly wallClock: WallClock;
  readonly log: Log;
}

/** For `fz relay`'s status and for health checks. */
export interface RelayStatus {
  readonly portal: "joining" | "joined" | "initialised" | "lost";
  readonly allocations: number;
  readonly relayedBytes: number;
  /** How often what happened, by name. */
  readonly counters: ReadonlyMap<string, number>;
}

export class RelaySession {
  /** Its owner passes datagrams and drains it. */
  readonly server: TurnServer;
  /** Kept for the life of the process, over all reconnects: a new one would invalidate every credential. */
  readonly secret: string;
  readonly #options: RelaySessionOptions;
  #portal: RelayStatus["portal"] = "joining";

  constructor(options: RelaySessionOptions) {
    const { publicAddress, listenPort, lowestPort, highestPort, rng, now, wallClock, log, limits } = options;
    this.#options = options;
    this.secret = options.secret ?? toHex(rng.bytes(SECRET_LENGTH));
    this.server = new TurnServer({
      publicAddress,
      listenPort,
      lowestPort,
      highestPort,
      secret: this.secret,
      rng,
      now,
      wallClock,
      log,
      ...(limits === undefined ? {} : { limits }),
    });
  }

  /** Whether the portal knows us now, so that it sends us users. */
  get isReady(): boolean {
    return this.#portal === "joined" || this.#portal === "initialised";
  }

  /** Query parameters of the portal's socket (portal-protocol §1.1). */
  get connectParameters(): Readonly<Record<string, string | undefined>> {
    const { publicAddress, listenPort, name } = this.#options;
    return {
      ipv4: publicAddress[4]?.toString(),
      ipv6: publicAddress[6]?.toString(),
      port: String(listenPort),
      name,
    };
  }

  /** Payload of the join (portal-protocol §5.1). */
  get joinPayload(): RelayJoin {
    return { stamp_secret: this.secret };
  }

  handlePortalJoined(): void {
    this.#portal = "joined";
    this.#options.log.info("relay joined the portal");
  }

  /** Users keep their allocations: they need the portal only to find us. */
  handlePortalLost(): void {
    if (this.isReady) this.#options.log.warn("relay lost the portal");
    this.#portal = "lost";
  }

  handlePortal(message: RelayInbound): void {
    switch (message.event) {
      case "init":
        this.#portal = "initialised";
        return;
    }
  }

  status(): RelayStatus {
    const { allocationCount, relayedBytes, counters } = this.server;
    return { portal: this.#portal, allocations: allocationCount, relayedBytes, counters };
  }
}

/** Bytes. */
const SECRET_LENGTH = 32;
