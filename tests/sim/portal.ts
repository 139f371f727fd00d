/** The portal in the simulation, and the WebSockets to it: in order, with latency, cut when a test wants it. */

import assert from "node:assert/strict";
import { IpAddress } from "../../lib/base/ip.ts";
import { type ChannelEvent, type ChannelTopic, PortalChannel } from "../../lib/channel/client.ts";
import { Directory } from "../../lib/portal/directory.ts";
import { readInput } from "../../lib/portal/inputs.ts";
import { Portal } from "../../lib/portal/portal.ts";
import { applySeed, Seed, type SeedInput } from "../../lib/portal/seed.ts";
import { MemoryStore } from "../../lib/portal/store.ts";
import { SimAlarm } from "./alarm.ts";
import { wallClock } from "./relay.ts";
import type { Simulation } from "./simulation.ts";

/** One way, in milliseconds. */
const LATENCY = 15;

export class SimPortal {
  readonly simulation: Simulation;
  portal: Portal;
  /** Nothing gets through, in either direction; nobody is told. */
  isCut = false;
  readonly #store = new MemoryStore();
  readonly #links = new Map<number, PortalLink>();
  readonly #alarm: SimAlarm;
  #connections = 0;

  constructor(simulation: Simulation, seed: SeedInput) {
    this.simulation = simulation;
    this.#alarm = new SimAlarm(simulation, () => this.use((portal) => portal.handleTimeout(simulation.now)));
    this.portal = this.#makePortal();
    const checked = readInput(Seed, seed);
    assert(checked.ok, checked.ok ? "" : checked.reason);
    const unixSeconds = wallClock().unixMs(simulation.now) / 1000;
    this.change((directory) => {
      const outcome = applySeed(directory, checked.value, simulation.rng, unixSeconds);
      assert(outcome.ok, outcome.ok ? "" : outcome.reason);
    });
  }

  /** A new process with the same records; all connections break. */
  restart(): void {
    const links = [...this.#links.values()];
    this.#links.clear();
    this.portal = this.#makePortal();
    for (const link of links) link.lose(1012);
  }

  /** Calls the portal at the present instant and sends what it has to say. */
  use<T>(action: (portal: Portal) => T): T {
    const result = action(this.portal);
    this.#drain();
    return result;
  }

  /** An administrator changes records. */
  change(action: (directory: Directory) => void): void {
    this.use((portal) => portal.change(action, this.simulation.now));
  }

  /** Takes the request of a link; returns the connection's number, or how it was refused. */
  connect(link: PortalLink, request: Parameters<Portal["handleConnect"]>[1]) {
    const connection = ++this.#connections;
    const refusal = this.use((portal) => portal.handleConnect(connection, request, this.simulation.now));
    if (refusal === undefined) this.#links.set(connection, link);
    return { connection, refusal };
  }

  #drain(): void {
    for (let it = this.portal.pollAction(); it !== undefined; it = this.portal.pollAction()) {
      const { connection, action } = it;
      const link = this.#links.get(connection);
      if (action.type === "send") {
        if (!this.isCut) link?.receive(connection, action.text);
        continue;
      }
      this.#links.delete(connection);
      link?.lose(action.code);
      this.portal.handleClosed(connection, this.simulation.now);
    }
    this.#alarm.set(this.portal.pollTimeout());
  }

  #makePortal(): Portal {
    return new Portal({
      directory: new Directory(this.#store, this.simulation.rng),
      rng: this.simulation.rng,
      now: this.simulation.now,
      wallClock: wallClock(),
      connectInterval: 0,
    });
  }
}

export interface PortalLinkOptions {
  readonly portal: SimPortal;
  readonly role: ChannelTopic;
  readonly token: string;
  /** Asked at each dial. */
  readonly query: () => Readonly<Record<string, string>>;
  readonly joinPayload?: unknown;
  readonly onEvent: (event: ChannelEvent) => void;
}

/** A peer's channel and its WebSocket. */
export class PortalLink {
  readonly #options: PortalLinkOptions;
  readonly #portal: SimPortal;
  readonly #simulation: Simulation;
  readonly #channel: PortalChannel;
  readonly #alarm: SimAlarm;
  #connection: number | undefined;
  /** Nothing gets through on this link, in either direction; nobody is told. */
  isCut = false;
  /** While false every attempt to connect fails. */
  #isUp = true;

  constructor(options: PortalLinkOptions) {
    this.#options = options;
    this.#portal = options.portal;
    this.#simulation = options.portal.simulation;
    this.#alarm = new SimAlarm(
      this.#simulation,
      () => this.#use(() => this.#channel.handleTimeout(this.#now)),
    );
    this.#channel = new PortalChannel({
      topic: options.role,
      joinPayload: options.joinPayload ?? null,
      now: this.#now,
      rng: this.#simulation.rng,
      wallClock: wallClock(),
    });
  }

  start(): void {
    this.#use(() => {});
  }

  get isJoined(): boolean {
    return this.#channel.isJoined;
  }

  send(event: string, payload: unknown): void {
    this.#use(() => this.#channel.send(event, payload, this.#now));
  }

  /** Gives the socket up for a new one, as after a change of networks. */
  redial(): void {
    this.#use(() => this.#channel.redial(this.#now));
  }

  /** Breaks the socket; both sides notice at once. */
  break(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#connection = undefined;
    this.#portal.use((portal) => portal.handleClosed(connection, this.#now));
    this.#use(() => this.#channel.handleClosed({ type: "closed", code: 1006 }, this.#now));
  }

  /** Breaks the socket, and lets nobody connect until `plug`. */
  unplug(): void {
    this.#isUp = false;
    this.break();
  }

  plug(): void {
    this.#isUp = true;
  }

  /** The portal sent a frame. */
  receive(connection: number, text: string): void {
    this.#later(() => {
      if (connection !== this.#connection || this.isCut) return;
      this.#use(() => this.#channel.handleText(text, this.#now));
    });
  }

  /** The portal closed the socket. */
  lose(code: number): void {
    const lost = this.#connection;
    this.#later(() => {
      if (lost === undefined || lost !== this.#connection || this.isCut) return;
      this.#connection = undefined;
      this.#use(() => this.#channel.handleClosed({ type: "closed", code }, this.#now));
    });
  }

  get #now(): number {
    return this.#simulation.now;
  }

  get #isCut(): boolean {
    return this.isCut || this.#portal.isCut;
  }

  #later(action: () => void): void {
    this.#simulation.schedule(LATENCY, action);
  }

  #use(action: () => void): void {
    action();
    for (let it = this.#channel.pollAction(); it !== undefined; it = this.#channel.pollAction()) {
      switch (it.type) {
        case "dial":
          this.#later(() => this.#dial());
          break;
        case "send":
          this.#transmit(it.text);
          break;
        case "close":
          this.#hangUp();
          break;
      }
    }
    for (let event = this.#channel.pollEvent(); event !== undefined; event = this.#channel.pollEvent()) {
      this.#options.onEvent(event);
    }
    this.#alarm.set(this.#channel.pollTimeout());
  }

  #dial(): void {
    if (this.#isCut) return;
    if (!this.#isUp) {
      return this.#use(() => this.#channel.handleClosed({ type: "failed", reason: "refused" }, this.#now));
    }
    const { role, token, query } = this.#options;
    const component = role === "gateway" ? "gateway/1.6.1" : "headless-client/1.5.12";
    const { connection, refusal } = this.#portal.connect(this, {
      path: role === "relay" ? "/relay/websocket" : `/${role}/v2/websocket`,
      query: query(),
      headers: {
        "user-agent": role === "relay" ? "relay/0.1.0" : `Linux/6.8 ${component} (x86_64)`,
        "x-authorization": `Bearer ${token}`,
      },
      remoteIp: IpAddress.from("198.51.100.7"),
    });
    this.#later(() => {
      if (refusal !== undefined) {
        return this.#use(() => this.#channel.handleClosed({ ...refusal, type: "refused" }, this.#now));
      }
      this.#connection = connection;
      this.#use(() => this.#channel.handleOpen(this.#now));
    });
  }

  #transmit(text: string): void {
    const connection = this.#connection;
    this.#later(() => {
      if (connection === undefined || this.#isCut) return;
      this.#portal.use((portal) => portal.handleText(connection, text, this.#now));
    });
  }

  #hangUp(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#later(() => {
      if (connection === undefined || this.#isCut) return;
      this.#portal.use((portal) => portal.handleClosed(connection, this.#now));
    });
  }
}
