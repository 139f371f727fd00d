/**
 * `fz run`: a `ClientSession` on a TUN device, UDP sockets, a portal connection and the machine's DNS. Everything that
 * it changes on the machine is undone at the end.
 */

import { platform as thisPlatform } from "../ffi/mod.ts";
import type { Platform, Poller } from "../ffi/platform.ts";
import { toBase64 } from "../lib/base/bytes.ts";
import type { CryptoProvider } from "../lib/base/crypto.ts";
import { Fault } from "../lib/base/fault.ts";
import type { Log } from "../lib/base/log.ts";
import type { Instant } from "../lib/base/time.ts";
import type { ChannelTrouble } from "../lib/channel/client.ts";
import type { InterfaceConfig } from "../lib/client/event.ts";
import { ClientSession } from "../lib/client/session.ts";
import type { ClientStatus } from "../lib/client/status.ts";
import { type ClientConfig, DEFAULT_TUN_NAME } from "../lib/control/config.ts";
import type { EventSink, NetworkChange } from "../lib/control/event.ts";
import type { UpstreamQuery } from "../lib/dns/upstream.ts";
import { MARK } from "../lib/host/route_plan.ts";
import { newKeyPair } from "../lib/node/key_pair.ts";
import { reportClientEvent } from "./client_events.ts";
import type { ClientFacts, ClientUnderlay, Routing } from "./client_facts.ts";
import { ClientHost } from "./client_host.ts";
import { ClientNetwork } from "./client_network.ts";
import { ClientPortal } from "./client_portal.ts";
import { ClientSockets } from "./client_sockets.ts";
import { ClientUpstream } from "./client_upstream.ts";
import { monotonicNow, readWallClock, useSuspendAwareClock } from "./clock.ts";
import { chooseProvider } from "./crypto.ts";
import { deviceId, externalId } from "./device_id.ts";
import { takeDnsChoice } from "./dns_outlook.ts";
import { openEvents } from "./events.ts";
import { LastAnswers } from "./last_answers.ts";
import { Lifetime, type RunningRole } from "./lifetime.ts";
import { Loop, type PacketTap } from "./loop.ts";
import { oneAtATime } from "./one_at_a_time.ts";
import { bindPeerSockets } from "./peer_sockets.ts";
import type { PortalConnectionOptions } from "./portal_connection.ts";
import { portalUrl } from "./portal_url.ts";
import { Questions } from "./questions.ts";
import { systemRng } from "./rng.ts";
import { within } from "./within.ts";

export type { ClientFacts, ClientUnderlay, Routing } from "./client_facts.ts";

/** What is taken from the machine unless a test brings its own. */
export interface ClientEnvironment {
  readonly platform?: Platform;
  readonly crypto?: CryptoProvider;
  readonly events?: EventSink;
  /** Called after the portal came or went, or could not be reached once more. */
  readonly onPortal?: () => void;
  /** How to reach the portal. */
  readonly portal?: Pick<PortalConnectionOptions, "trust" | "userAgent">;
}

/** A running client. */
export interface Client extends RunningRole {
  /** Resolves when the tunnel is configured. */
  readonly ready: Promise<void>;
  /** Why the portal is away; undefined while it is there, and before the first attempt ended. */
  readonly trouble: ChannelTrouble | undefined;
  status(): ClientStatus;
  facts(): ClientFacts;
  readonly questions: Questions;
  setDisabledResources(ids: Iterable<string>): void;
  setInternetResource(active: boolean): void;
  setRouting(change: Partial<Routing>): Promise<void>;
  /** Resolves when the machine is set up as was asked for so far. Never rejects. */
  settled(): Promise<void>;
  /** Shows `tap` each packet inside the tunnel until the returned function is called. */
  addTap(tap: PacketTap): () => void;
  /** Forgets all paths and finds new ones. */
  reset(): void;
  /** What is under the tunnel. */
  underlay(): ClientUnderlay;
  /** Undoes what was changed on the machine, says goodbye to all gateways, and ends. */
  stop(): Promise<void>;
  /** After the end: why this machine's DNS is not as it was. */
  readonly leftBehind: Fault | undefined;
}

const MAINTENANCE_INTERVAL_MS = 5000;
/** The supervisor's patience is longer; ours is short. */
const GOODBYE_LIMIT_MS = 700;

/** Throws the Fault that would keep a client with `config` from starting; changes nothing. */
export async function checkClient(config: ClientConfig, log: Log): Promise<void> {
  portalUrl(config.apiUrl, "client", {});
  const platform = await thisPlatform();
  platform.checkTun();
  await platform.createSystemDns({
    control: (await takeDnsChoice(platform, config.dnsControl)).control,
    device: config.tunName ?? DEFAULT_TUN_NAME,
    isSentinel: () => false,
    log,
  }).check();
}

/** Starts a client. Throws a Fault where the machine does not allow it, with nothing left behind. */
export async function startClient(
  config: ClientConfig,
  log: Log,
  environment: ClientEnvironment = {},
): Promise<Client> {
  portalUrl(config.apiUrl, "client", {});
  const platform = environment.platform ?? await thisPlatform();
  useSuspendAwareClock(platform.now);
  const crypto = environment.crypto ?? await chooseProvider();
  // Before the first file is written.
  platform.checkTun();
  const id = externalId(await deviceId({ role: "client", configured: config.id }));
  if (config.flowLogs) log.warn("flow logs are not supported; starting without");
  const host = await ClientHost.open({
    platform,
    tunName: config.tunName ?? DEFAULT_TUN_NAME,
    dns: await takeDnsChoice(platform, config.dnsControl),
    mark: MARK,
    ...{ mtu: config.mtu, excluded: config.excluded, lan: config.lan },
    log: log.part("host"),
  });
  await using opened = new AsyncDisposableStack();
  opened.defer(() => host.tun.close());
  opened.defer(() => host.undo());
  const client = new RunningClient(config, log, host, { ...environment, platform, crypto, id, opened });
  // From here on they are the client's to close.
  opened.move();
  return client;
}

interface Parts extends ClientEnvironment {
  readonly platform: Platform;
  readonly crypto: CryptoProvider;
  readonly id: string;
  /** Closes what the constructor opened, where it fails. */
  readonly opened: AsyncDisposableStack;
}

class RunningClient implements Client {
  readonly questions: Questions;
  readonly #log: Log;
  readonly #name: string;
  readonly #id: string;
  readonly #wantedPort: number | undefined;
  readonly #host: ClientHost;
  readonly #emit: EventSink;
  readonly #closeEvents: () => void;
  readonly #session: ClientSession;
  readonly #portal: ClientPortal;
  readonly #upstream: ClientUpstream;
  readonly #poller: Poller;
  readonly #loop: Loop;
  readonly #running: Promise<void>;
  readonly #network: ClientNetwork;
  readonly #sockets: ClientSockets;
  readonly #maintenance: ReturnType<typeof setInterval>;
  readonly #life = new Lifetime("client", () => this.#shutDown());
  #keyPair = newKeyPair(systemRng);
  #isConfigured = false;
  #resets = 0;

  constructor(config: ClientConfig, log: Log, host: ClientHost, parts: Parts) {
    this.#log = log;
    this.#name = config.name ?? Deno.hostname();
    this.#id = parts.id;
    this.#wantedPort = config.port;
    this.#host = host;
    const events = parts.events === undefined ? openEvents() : { emit: parts.events, close() {} };
    this.#emit = events.emit;
    this.#closeEvents = () => events.close();
    parts.opened.defer(this.#closeEvents);
    this.#session = new ClientSession({
      keyPair: this.#keyPair,
      crypto: parts.crypto,
      rng: systemRng,
      now: monotonicNow(),
      wallClock: readWallClock(),
      log,
      internetResourceActive: config.internetResource,
      systemResolvers: this.#host.servers,
    });
    this.#poller = parts.platform.createPoller();
    parts.opened.defer(() => this.#poller.close());
    this.#loop = new Loop({
      machine: this.#session,
      poller: this.#poller,
      log: log.part("loop"),
      onTurn: (now) => this.#handleTurn(now),
      onTunGone: () => {
        const next = "Do not remove the device while the client runs.";
        void this.#life.end(new Fault("tun", `TUN device "${host.tun.name}" is gone`, { next }));
      },
    });
    this.#sockets = new ClientSockets({
      bind: () => bindPeerSockets(parts.platform, { mark: MARK, port: config.port, log }),
      use: (sockets) => {
        this.#loop.setSockets(sockets);
        void host.localPorts.setPeers(sockets.map(({ local }) => local));
      },
      log,
    });
    this.#sockets.open();
    parts.opened.defer(() => this.#sockets.close());
    this.questions = new Questions(this.#session, () => this.#loop.poke());
    this.#upstream = new ClientUpstream({ platform: parts.platform, host, loop: this.#loop, mark: MARK });
    this.#portal = new ClientPortal({
      connection: {
        ...parts.portal,
        parameters: () => ({
          external_id: parts.id,
          name: this.#name,
          public_key: toBase64(this.#keyPair.publicKey),
        }),
        lookup: this.#upstream.lookup,
        onAddresses: (addresses) => this.#host.bypass.setPortal(addresses),
      },
      config,
      session: this.#session,
      emit: this.#emit,
      onChange: parts.onPortal ?? (() => {}),
      onTold: () => this.#loop.poke(),
      onFatal: (fault) => void this.#life.end(fault),
      isEnding: () => this.#life.isEnding,
      log,
    });
    this.#network = new ClientNetwork({
      platform: parts.platform,
      device: host.tun.name,
      trouble: () => this.#portal.trouble,
      redial: () => this.#portal.redial(),
      relays: () => this.status().relays,
      startOver: (change) => this.#startOver(change),
      follow: () => this.#follow(),
      log: log.part("network"),
    });
    this.#loop.setTun(host.tun);
    const maintain = oneAtATime(() => this.#maintain(), () => this.#life.isEnding);
    this.#maintenance = setInterval(maintain, MAINTENANCE_INTERVAL_MS);
    host.watchDns(maintain, this.#emit);
    void this.#network.start();
    this.#running = this.#loop.run().catch((cause) =>
      void this.#life.end(new Fault("unexpected", "Cannot go on: the client failed", { cause }))
    );
    this.#portal.start();
  }

  get ready(): Promise<void> {
    return this.#life.ready;
  }

  get done(): Promise<void> {
    return this.#life.done;
  }

  get trouble(): ChannelTrouble | undefined {
    return this.#portal.trouble;
  }

  get leftBehind(): Fault | undefined {
    return this.#host.leftBehind;
  }

  facts(): ClientFacts {
    return { deviceName: this.#name, deviceId: this.#id, ...this.#host.facts() };
  }

  status(): ClientStatus {
    return this.#session.status(monotonicNow());
  }

  setDisabledResources(ids: Iterable<string>): void {
    this.#session.setDisabledResources(ids, monotonicNow());
    this.#loop.poke();
  }

  setInternetResource(active: boolean): void {
    this.#session.setInternetResource(active, monotonicNow());
    this.#loop.poke();
  }

  setRouting(change: Partial<Routing>): Promise<void> {
    return this.#host.setRouting(change);
  }

  settled(): Promise<void> {
    return this.#host.settled();
  }

  addTap(tap: PacketTap): () => void {
    return this.#loop.addTap(tap);
  }

  reset(): void {
    this.#startOver("asked");
    this.#network.handleReset();
  }

  underlay(): ClientUnderlay {
    return {
      hasPath: this.#network.hasPath,
      sockets: this.#sockets.all.map(({ local }) => local),
      wantedPort: this.#wantedPort,
      sendErrors: this.#sockets.sendErrors,
      resets: this.#resets,
    };
  }

  async stop(): Promise<void> {
    await this.#life.end();
  }

  /**
   * Begins anew on another network. Gateways keep to the best path that was ever nominated for as long as it may live: only
   * a connection under another key makes them forget it (data-plane reference §4.4).
   */
  #startOver(reason: NetworkChange): void {
    if (this.#life.isEnding) return;
    this.#resets++;
    this.#emit({ event: "network-changed", reason });
    this.#keyPair = newKeyPair(systemRng);
    this.#sockets.replace();
    this.#session.reset(this.#keyPair, monotonicNow());
    this.#portal.redial();
    this.#loop.poke();
    void this.#follow();
  }

  /** Brings what depends on the machine's network up to date. */
  async #follow(): Promise<void> {
    if (this.#life.isEnding) return;
    if (this.#sockets.retry()) return this.#startOver("back");
    await this.#host.handleNetworkChanged().catch((error) =>
      this.#log.warn("cannot follow the network", { error })
    );
    await this.#refreshResolvers();
  }

  async #refreshResolvers(): Promise<void> {
    try {
      if (!await this.#host.refreshResolvers() || this.#life.isEnding) return;
    } catch (error) {
      return this.#log.warn("cannot read this machine's resolvers", { error });
    }
    this.#session.handleSystemResolvers(this.#host.servers, monotonicNow());
    // Those of before may have been asked for its address, to no avail.
    if (!this.#portal.isJoined) this.#portal.redial();
    this.#loop.poke();
  }

  /** Moves what the session has for others than sockets and device. */
  #handleTurn(now: Instant): void {
    const session = this.#session;
    this.#portal.flush();
    for (let query = session.pollDnsQuery(); query !== undefined; query = session.pollDnsQuery()) {
      void this.#ask(query, now);
    }
    for (let event = session.pollEvent(); event !== undefined; event = session.pollEvent()) {
      reportClientEvent(event, this.#log, this.#emit);
      if (event.type === "interface") void this.#configure(event.config);
      else if (event.type === "resources-changed" && this.#isConfigured) void this.#flushDns();
    }
    this.questions.handleTurn();
  }

  async #ask(query: UpstreamQuery, now: Instant): Promise<void> {
    const { server, transport, message, deadline } = query;
    const outcome = await this.#upstream.ask(server, transport, message, deadline - now);
    this.#session.handleDnsAnswer(query.id, outcome, monotonicNow());
    this.#loop.poke();
  }

  async #configure(config: InterfaceConfig): Promise<void> {
    try {
      await this.#host.apply(config);
    } catch (cause) {
      // Later, a tunnel with a flaw is better than none.
      if (this.#isConfigured) {
        return this.#log.error("cannot follow a change of the configuration", { error: cause });
      }
      const unexpected = () => new Fault("unexpected", "Cannot configure the tunnel", { cause });
      return void this.#life.end(cause instanceof Fault ? cause : unexpected());
    }
    if (this.#life.isEnding) return;
    this.#emit({
      event: "interface",
      name: this.#host.tun.name,
      ipv4: `${config.ipv4}`,
      ipv6: `${config.ipv6}`,
      dns: config.dns.sentinels.map(String),
    });
    if (this.#isConfigured) return;
    this.#isConfigured = true;
    this.#log.info("ready", { device: this.#host.tun.name });
    this.#emit({ event: "ready" });
    this.#life.becomeReady();
  }

  async #flushDns(): Promise<void> {
    await this.#host.flushDns().catch((error) => this.#log.debug("cannot flush the DNS cache", { error }));
  }

  async #maintain(): Promise<void> {
    try {
      await this.#host.maintain();
      await this.#refreshResolvers();
      this.#network.maintain();
    } catch (error) {
      this.#log.warn("cannot look after this machine's DNS", { error });
    }
  }

  async #shutDown(): Promise<void> {
    // Whoever ends us may still be in the middle of a turn.
    await Promise.resolve();
    this.#emit({ event: "stopping" });
    clearInterval(this.#maintenance);
    this.#network.stop();
    const lastAnswers = new LastAnswers((tap) => this.addTap(tap));
    await this.#host.undo(() => lastAnswers.given());
    lastAnswers.close();
    this.#session.shutdown(monotonicNow());
    // Sends the goodbyes.
    this.#loop.poke();
    this.#upstream.close();
    this.questions.close();
    await within(GOODBYE_LIMIT_MS, this.#portal.stop());
    this.#loop.stop();
    await this.#running;
    await this.#poller.close();
    this.#sockets.close();
    this.#host.tun.close();
    this.#emit({ event: "stopped" });
    this.#closeEvents();
  }
}
