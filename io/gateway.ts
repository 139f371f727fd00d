/**
 * `fz gateway`: a `GatewaySession` on a TUN device, UDP sockets and a portal connection, with the host as its router.
 * Everything that it changes on the host is undone at the end.
 */

import { platform as thisPlatform } from "../ffi/mod.ts";
import type { HostNetwork, Platform, Tun } from "../ffi/platform.ts";
import { toBase64 } from "../lib/base/bytes.ts";
import type { CryptoProvider } from "../lib/base/crypto.ts";
import { Fault } from "../lib/base/fault.ts";
import type { IpAddress } from "../lib/base/ip.ts";
import type { Log } from "../lib/base/log.ts";
import type { Instant } from "../lib/base/time.ts";
import type { ChannelEvent } from "../lib/channel/client.ts";
import type { GatewayConfig } from "../lib/control/config.ts";
import type { EventSink } from "../lib/control/event.ts";
import type { UpstreamQuery } from "../lib/dns/upstream.ts";
import { GatewaySession } from "../lib/gateway/session.ts";
import { PEER_NETWORKS } from "../lib/gateway/special_ranges.ts";
import type { GatewayStatus } from "../lib/gateway/status.ts";
import { newKeyPair } from "../lib/node/key_pair.ts";
import { MAX_PACKET_LENGTH } from "../lib/wire/ip.ts";
import { decodeGatewayInbound, encodeGatewayOutbound } from "../lib/wire/portal/gateway.ts";
import { monotonicNow, readWallClock } from "./clock.ts";
import { chooseProvider } from "./crypto.ts";
import { deviceId, externalId } from "./device_id.ts";
import type { Events } from "./events.ts";
import { openEvents } from "./events.ts";
import { reportGatewayEvent } from "./gateway_events.ts";
import type { HealthServer } from "./health.ts";
import { serveHealth } from "./health.ts";
import { Lifetime, type RunningRole } from "./lifetime.ts";
import { Loop } from "./loop.ts";
import type { NameResolver } from "./name_resolver.ts";
import { hostResolver } from "./name_resolver.ts";
import { bindPeerSockets } from "./peer_sockets.ts";
import type { PortalConnectionOptions } from "./portal_connection.ts";
import { PortalConnection } from "./portal_connection.ts";
import { resolverAddresses } from "./resolvers.ts";
import { systemRng } from "./rng.ts";
import { UpstreamDns } from "./upstream_dns.ts";

/** What is taken from the machine unless a test brings its own. */
export interface GatewayEnvironment {
  readonly platform?: Platform;
  readonly crypto?: CryptoProvider;
  readonly resolver?: NameResolver;
  readonly events?: EventSink;
  /** How to reach the portal. */
  readonly portal?: Pick<PortalConnectionOptions, "trust" | "lookup" | "userAgent">;
}

/** A running gateway. */
export interface Gateway extends RunningRole {
  /** Resolves when clients can be served: the portal has spoken and the device has its addresses. */
  readonly ready: Promise<void>;
  status(): GatewayStatus;
  /** Says goodbye to all clients, undoes what was changed on the host, and ends. */
  stop(): Promise<void>;
}

const DEFAULT_TUN_NAME = "tun-firezone";
const RESOLVERS_INTERVAL_MS = 60_000;

/** Starts a gateway. Throws a Fault where the machine does not allow it. */
export async function startGateway(
  config: GatewayConfig,
  log: Log,
  environment: GatewayEnvironment = {},
): Promise<Gateway> {
  const platform = environment.platform ?? await thisPlatform();
  const crypto = environment.crypto ?? await chooseProvider();
  // Before the first file is written.
  platform.checkTun();
  const id = externalId(await deviceId({ role: "gateway", configured: config.id }));
  if (config.flowLogs) log.warn("flow logs are not supported; starting without");
  const gateway = new RunningGateway(config, log, { ...environment, platform, crypto, id });
  await gateway.start();
  return gateway;
}

interface Parts extends GatewayEnvironment {
  readonly platform: Platform;
  readonly crypto: CryptoProvider;
  readonly id: string;
}

class RunningGateway implements Gateway {
  readonly #config: GatewayConfig;
  readonly #log: Log;
  readonly #platform: Platform;
  readonly #resolver: NameResolver;
  readonly #events: Events;
  readonly #session: GatewaySession;
  readonly #portal: PortalConnection;
  readonly #upstream = new UpstreamDns();
  readonly #life = new Lifetime("gateway", () => this.#shutDown());
  /** What has to be undone at the end, last thing first. */
  readonly #undo: (() => void | Promise<void>)[] = [];
  #loop: Loop | undefined;
  #tun: Tun | undefined;
  #network: HostNetwork | undefined;
  #configuring: Promise<void> = Promise.resolve();
  #isForwarding = false;

  constructor(config: GatewayConfig, log: Log, parts: Parts) {
    this.#config = config;
    this.#log = log;
    this.#platform = parts.platform;
    this.#resolver = parts.resolver ?? hostResolver;
    this.#events = parts.events === undefined ? openEvents() : { emit: parts.events, close() {} };
    const keyPair = newKeyPair(systemRng);
    this.#session = new GatewaySession({
      keyPair,
      crypto: parts.crypto,
      rng: systemRng,
      now: monotonicNow(),
      wallClock: readWallClock(),
      log,
    });
    this.#portal = new PortalConnection({
      ...parts.portal,
      role: "gateway",
      url: config.apiUrl,
      token: config.token,
      parameters: () => ({
        external_id: parts.id,
        name: config.name ?? Deno.hostname(),
        public_key: toBase64(keyPair.publicKey),
      }),
      onEvent: (event) => this.#handlePortalEvent(event),
      ...(config.maxPartitionTime === undefined ? {} : { maxPartitionTime: config.maxPartitionTime }),
      log: log.part("portal"),
    });
  }

  /** Takes what is needed from the machine, then dials the portal. Throws a Fault with nothing left behind. */
  async start(): Promise<void> {
    try {
      if (this.#config.increaseBuffers) await this.#raiseBuffers();
      this.#open();
      await this.#refreshResolvers();
    } catch (error) {
      await this.#undoAll();
      this.#events.close();
      throw error;
    }
    this.#loop!.run().catch((cause) =>
      this.#life.end(new Fault("unexpected", "Cannot go on serving", { cause }))
    );
    this.#portal.start();
  }

  get ready(): Promise<void> {
    return this.#life.ready;
  }

  get done(): Promise<void> {
    return this.#life.done;
  }

  status(): GatewayStatus {
    return this.#session.status(monotonicNow());
  }

  async stop(): Promise<void> {
    await this.#life.end();
  }

  #open(): void {
    const { healthAddress, tunName = DEFAULT_TUN_NAME } = this.#config;
    const tun = this.#platform.openTun({ name: tunName, mtu: MAX_PACKET_LENGTH });
    this.#tun = tun;
    this.#undo.push(() => tun.close());
    const network = this.#platform.createHostNetwork({
      device: tun.name,
      mtu: MAX_PACKET_LENGTH,
      mark: 0,
      routing: "main",
      log: this.#log.part("host"),
    });
    this.#network = network;
    this.#undo.push(async () => void await network.undo());
    const poller = this.#platform.createPoller();
    this.#undo.push(() => poller.close());
    const sockets = bindPeerSockets(this.#platform);
    for (const socket of sockets) this.#undo.push(() => socket.close());
    this.#loop = new Loop({
      machine: this.#session,
      poller,
      log: this.#log.part("loop"),
      onTurn: (now) => this.#handleTurn(now),
      onTunGone: () => {
        const next = "Do not remove the device while the gateway runs.";
        void this.#life.end(new Fault("tun", `TUN device "${tun.name}" is gone`, { next }));
      },
    });
    this.#loop.setTun(tun);
    this.#loop.setSockets(sockets);
    if (healthAddress !== undefined) {
      const health: HealthServer = serveHealth(healthAddress, {
        whyNotReady: () => this.#portal.isJoined ? undefined : "the portal is not connected",
      });
      this.#undo.push(() => health.stop());
    }
    const timer = setInterval(() => void this.#refreshResolvers(), RESOLVERS_INTERVAL_MS);
    this.#undo.push(() => clearInterval(timer));
  }

  async #raiseBuffers(): Promise<void> {
    if (Deno.build.os !== "linux") return;
    const { raiseSocketBuffers } = await import("../ffi/linux/socket_buffers.ts");
    this.#undo.push(await raiseSocketBuffers("/run/fz/gateway-buffers.json", this.#log));
  }

  async #refreshResolvers(): Promise<void> {
    const dns = this.#platform.createSystemDns({
      control: "disabled",
      device: this.#tun!.name,
      isSentinel: () => false,
      log: this.#log,
    });
    this.#session.handleSystemResolvers(resolverAddresses(await dns.upstreams()));
  }

  #handlePortalEvent(event: ChannelEvent): void {
    const now = monotonicNow();
    switch (event.type) {
      case "joined":
        this.#log.info("connected to the portal");
        this.#events.emit({ event: "portal-connected" });
        this.#session.handlePortalJoined(now);
        break;
      case "hiccup":
        this.#log.warn("portal cannot be reached; serving on", { reason: event.reason });
        if (event.wasJoined) this.#events.emit({ event: "portal-lost", reason: event.reason });
        this.#session.handlePortalLost(now);
        break;
      case "message": {
        const message = decodeGatewayInbound(event.event, event.payload);
        if (message.ok) this.#session.handlePortal(message.value, now);
        else this.#log.debug("portal message not understood", { event: event.event, reason: message.reason });
        break;
      }
      case "fatal":
        void this.#life.end(event.fault);
        return;
    }
    this.#loop?.poke();
  }

  /** Moves what the session has for others than sockets and device. */
  #handleTurn(now: Instant): void {
    const session = this.#session;
    for (let message = session.pollPortal(); message !== undefined; message = session.pollPortal()) {
      const { event, payload } = encodeGatewayOutbound(message);
      this.#portal.send(event, payload);
    }
    for (let request = session.pollResolve(); request !== undefined; request = session.pollResolve()) {
      void this.#resolve(request.id, request.domain);
    }
    for (let query = session.pollDnsQuery(); query !== undefined; query = session.pollDnsQuery()) {
      void this.#ask(query, now);
    }
    for (let event = session.pollEvent(); event !== undefined; event = session.pollEvent()) {
      reportGatewayEvent(event, this.#log, this.#events.emit);
      if (event.type === "interface") this.#configure(event.ipv4, event.ipv6);
    }
  }

  async #resolve(id: number, domain: string): Promise<void> {
    const resolved = await this.#resolver(domain);
    this.#session.handleResolved(id, resolved, monotonicNow());
    this.#loop?.poke();
  }

  async #ask(query: UpstreamQuery, now: Instant): Promise<void> {
    const { server, transport, message, deadline } = query;
    const outcome = await this.#upstream.ask(server, transport, message, deadline - now);
    this.#session.handleDnsAnswer(query.id, outcome, monotonicNow());
    this.#loop?.poke();
  }

  /** Gives the device its addresses, one change after the other. */
  #configure(ipv4: IpAddress, ipv6: IpAddress): void {
    this.#configuring = this.#configuring.then(async () => {
      if (this.#life.isEnding) return;
      await this.#network!.configure({ ipv4, ipv6 });
      await this.#network!.setRoutes([PEER_NETWORKS.v4, PEER_NETWORKS.v6]);
      await this.#enableForwarding();
      this.#events.emit({ event: "interface", name: this.#tun!.name, ipv4: `${ipv4}`, ipv6: `${ipv6}` });
      this.#events.emit({ event: "ready" });
      this.#log.info("ready", { device: this.#tun!.name });
      this.#life.becomeReady();
    }).catch((cause) => {
      const fault = cause instanceof Fault
        ? cause
        : new Fault("unexpected", "Cannot configure the TUN device", { cause });
      void this.#life.end(fault);
    });
  }

  async #enableForwarding(): Promise<void> {
    if (this.#isForwarding || Deno.build.os !== "linux") return;
    this.#isForwarding = true;
    const { Forwarding } = await import("../ffi/linux/forwarding.ts");
    const forwarding = new Forwarding({
      device: this.#tun!.name,
      masqueraded: this.#config.masquerade ? [PEER_NETWORKS.v4, PEER_NETWORKS.v6] : [],
      log: this.#log,
    });
    this.#undo.push(() => forwarding.undo());
    await forwarding.enable();
  }

  async #shutDown(): Promise<void> {
    this.#events.emit({ event: "stopping" });
    this.#session.shutdown(monotonicNow());
    // Sends the goodbyes.
    this.#loop?.poke();
    this.#loop?.stop();
    this.#upstream.close();
    await this.#portal.stop();
    await this.#configuring;
    await this.#undoAll();
    this.#events.emit({ event: "stopped" });
    this.#events.close();
  }

  async #undoAll(): Promise<void> {
    for (let action = this.#undo.pop(); action !== undefined; action = this.#undo.pop()) {
      try {
        await action();
      } catch (error) {
        this.#log.warn("cannot clean up", { error });
      }
    }
  }
}
