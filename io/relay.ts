/** `fz relay`: a TURN server on real sockets, known to a portal, with health checks for whoever watches it. */

import type { Platform } from "../ffi/platform.ts";
import { Fault } from "../lib/base/fault.ts";
import type { Family, IpAddress, SocketAddress } from "../lib/base/ip.ts";
import type { Log } from "../lib/base/log.ts";
import { minutes } from "../lib/base/time.ts";
import type { ChannelEvent } from "../lib/channel/client.ts";
import type { EventSink } from "../lib/control/event.ts";
import { RelaySession, type RelaySessionOptions, type RelayStatus } from "../lib/relay/session.ts";
import { decodeRelayInbound } from "../lib/wire/portal/relay.ts";
import { monotonicNow, readWallClock } from "./clock.ts";
import { type HealthServer, serveHealth } from "./health.ts";
import { Lifetime, type RunningRole } from "./lifetime.ts";
import { PortalConnection, type PortalConnectionOptions } from "./portal_connection.ts";
import { RelaySockets } from "./relay_sockets.ts";
import { systemRng } from "./rng.ts";

/** In brackets: the environment variable by which upstream's relay takes the same. */
export interface RelayOptions {
  /** What peers see; at least one [PUBLIC_IP4_ADDR, PUBLIC_IP6_ADDR]. */
  readonly publicAddress: { readonly 4?: IpAddress | undefined; readonly 6?: IpAddress | undefined };
  /** Where to bind; all addresses if absent [BIND_IP4_ADDR, BIND_IP6_ADDR]. */
  readonly bindAddress?: { readonly 4?: IpAddress | undefined; readonly 6?: IpAddress | undefined };
  /** 3478 if absent; Firezone's clients take no other for a relay [LISTEN_PORT]. */
  readonly listenPort?: number;
  /** 49152 and 65535 if absent [LOWEST_PORT, HIGHEST_PORT]. */
  readonly lowestPort?: number;
  readonly highestPort?: number;
  /** Shown in the portal [FIREZONE_NAME]. */
  readonly name?: string | undefined;
  /** Without one the relay serves whoever knows its secret [FIREZONE_API_URL, FIREZONE_TOKEN]. */
  readonly portal?: Pick<PortalConnectionOptions, "url" | "token" | "trust" | "lookup" | "userAgent">;
  /** Where to answer `GET /healthz` and `/readyz` [HEALTH_CHECK_ADDR]; nowhere if absent. Port 0: any free one. */
  readonly healthAddress?: SocketAddress | undefined;
  /** Random if absent. */
  readonly secret?: string | undefined;
  readonly limits?: RelaySessionOptions["limits"];
  readonly platform: Pick<Platform, "bindUdp" | "createPoller">;
  readonly log: Log;
  /** Told of everything but the end. */
  readonly events?: EventSink;
}

/** A running relay. */
export interface Relay extends RunningRole {
  /** What users' passwords derive from. */
  readonly secret: string;
  /** The port of the health checks, if there are any. */
  readonly healthPort: number | undefined;
  /** Resolves when peers can be sent here: the portal knows us, if there is one. */
  readonly ready: Promise<void>;
  status(): RelayStatus;
}

const DEFAULT_LISTEN_PORT = 3478;
const DEFAULT_LOWEST_PORT = 49_152;
const DEFAULT_HIGHEST_PORT = 65_535;
const MAX_PARTITION_TIME = minutes(24 * 60);

/** Starts a relay. Throws a Fault if options contradict each other or a port cannot be had. */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const {
    publicAddress,
    listenPort = DEFAULT_LISTEN_PORT,
    lowestPort = DEFAULT_LOWEST_PORT,
    highestPort = DEFAULT_HIGHEST_PORT,
    log,
  } = options;
  const families = FAMILIES.filter((family) => publicAddress[family] !== undefined);
  checkAddresses(options, families);
  checkPorts(listenPort, lowestPort, highestPort);
  const session = new RelaySession({
    publicAddress,
    listenPort,
    lowestPort,
    highestPort,
    name: options.name,
    secret: options.secret,
    limits: options.limits,
    rng: systemRng,
    now: monotonicNow(),
    wallClock: readWallClock(),
    log,
  });
  const sockets = new RelaySockets({
    server: session.server,
    platform: options.platform,
    families,
    publicAddress,
    bindAddress: options.bindAddress ?? {},
    listenPort,
    log,
  });
  try {
    return new RunningRelay(options, session, sockets);
  } catch (error) {
    await sockets.stop();
    throw error;
  }
}

class RunningRelay implements Relay {
  readonly healthPort: number | undefined;
  readonly #session: RelaySession;
  readonly #sockets: RelaySockets;
  readonly #portal: PortalConnection | undefined;
  readonly #health: HealthServer | undefined;
  readonly #life = new Lifetime("relay", () => this.#shutDown());
  readonly #emit: EventSink;
  readonly #log: Log;

  constructor(options: RelayOptions, session: RelaySession, sockets: RelaySockets) {
    this.#session = session;
    this.#sockets = sockets;
    this.#log = options.log;
    this.#emit = options.events ?? (() => {});
    if (options.portal !== undefined) {
      this.#portal = new PortalConnection({
        ...options.portal,
        role: "relay",
        parameters: () => session.connectParameters,
        joinPayload: session.joinPayload,
        onEvent: (event) => this.#handlePortalEvent(event),
        maxPartitionTime: MAX_PARTITION_TIME,
        log: options.log,
      });
    }
    if (options.healthAddress !== undefined) {
      const isReady = () => this.#portal === undefined || session.isReady;
      this.#health = serveHealth(options.healthAddress, {
        whyNotReady: () => isReady() ? undefined : "the portal is not connected",
      });
      this.healthPort = this.#health.port;
    }
    if (this.#portal === undefined) this.#life.becomeReady();
    this.#portal?.start();
    sockets.run().catch((cause) =>
      this.#life.end(new Fault("unexpected", "Cannot go on relaying", { cause }))
    );
  }

  get ready(): Promise<void> {
    return this.#life.ready;
  }

  get done(): Promise<void> {
    return this.#life.done;
  }

  get secret(): string {
    return this.#session.secret;
  }

  status(): RelayStatus {
    return this.#session.status();
  }

  async stop(): Promise<void> {
    await this.#life.end();
  }

  async #shutDown(): Promise<void> {
    this.#emit({ event: "stopping" });
    // First of all nobody shall be sent to us any more.
    await this.#portal?.stop();
    await this.#sockets.stop();
    await this.#health?.stop();
  }

  #handlePortalEvent(event: ChannelEvent): void {
    switch (event.type) {
      case "joined":
        this.#emit({ event: "portal-connected" });
        this.#life.becomeReady();
        return this.#session.handlePortalJoined();
      case "hiccup":
        this.#log.debug("portal cannot be reached", { reason: event.reason });
        if (event.wasJoined) this.#emit({ event: "portal-lost", reason: event.reason });
        return this.#session.handlePortalLost();
      case "message": {
        const message = decodeRelayInbound(event.event, event.payload);
        if (message.ok) this.#session.handlePortal(message.value);
        else this.#log.debug("portal message not understood", { event: event.event, reason: message.reason });
        return;
      }
      case "fatal":
        void this.#life.end(event.fault);
        return;
    }
  }
}

const FAMILIES: readonly Family[] = [4, 6];

function checkAddresses(
  { publicAddress, bindAddress = {} }: RelayOptions,
  families: readonly Family[],
): void {
  if (families.length === 0) {
    throw new Fault("usage", "Cannot start a relay without a public IPv4 or IPv6 address");
  }
  for (const family of FAMILIES) {
    for (const ip of [publicAddress[family], bindAddress[family]]) {
      if (ip !== undefined && ip.family !== family) {
        throw new Fault("usage", `Cannot use ${ip} as an IPv${family} address`);
      }
    }
    if (publicAddress[family]?.isUnspecified || publicAddress[family]?.isMulticast) {
      throw new Fault(
        "usage",
        `Cannot use ${publicAddress[family]} as a public address: nobody can send to it`,
      );
    }
  }
}

function checkPorts(listenPort: number, lowestPort: number, highestPort: number): void {
  for (const port of [listenPort, lowestPort, highestPort]) {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new Fault("usage", `Cannot use ${port} as a port`);
    }
  }
  if (lowestPort > highestPort) {
    throw new Fault(
      "usage",
      `Cannot allocate ports from ${lowestPort} to ${highestPort}: the range is empty`,
    );
  }
}
