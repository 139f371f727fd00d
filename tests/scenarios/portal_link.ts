/** The real portal on virtual time, and the WebSocket between it and each peer's real channel. */

import assert from "node:assert/strict";
import { IpAddress } from "../../lib/base/ip.ts";
import type { Instant } from "../../lib/base/time.ts";
import { type ChannelEvent, type ChannelTopic, PortalChannel } from "../../lib/channel/client.ts";
import { handleAdmin } from "../../lib/portal/admin.ts";
import { Directory } from "../../lib/portal/directory.ts";
import { readInput } from "../../lib/portal/inputs.ts";
import { Portal } from "../../lib/portal/portal.ts";
import { applySeed, Seed, type SeedInput } from "../../lib/portal/seed.ts";
import { MemoryStore } from "../../lib/portal/store.ts";
import { wallClock } from "../sim/relay.ts";
import type { Simulation } from "../sim/simulation.ts";

export class SimPortal {
  readonly simulation: Simulation;
  readonly portal: Portal;
  readonly #links = new Map<number, PortalLink>();
  #connections = 0;

  constructor(simulation: Simulation, seed: SeedInput) {
    this.simulation = simulation;
    const { now, rng } = simulation;
    this.portal = new Portal({
      directory: new Directory(new MemoryStore(), rng),
      rng,
      now,
      wallClock: wallClock(),
      connectInterval: 0,
    });
    const checked = readInput(Seed, seed);
    assert(checked.ok, checked.ok ? "" : JSON.stringify(checked.reason));
    const outcome = this.portal.change(
      (directory) => applySeed(directory, checked.value, rng, Math.floor(wallClock().unixMs(now) / 1000)),
      now,
    );
    assert(outcome.ok, outcome.ok ? "" : JSON.stringify(outcome.reason));
    this.#tick();
  }

  /** An administrator deletes something. */
  delete(path: string): void {
    const { portal, simulation: { rng, now } } = this;
    const request = { method: "DELETE", path, body: undefined };
    const answer = handleAdmin({ portal, rng, wallClock: wallClock() }, request, now);
    assert(answer.status < 300, JSON.stringify(answer));
    this.deliver();
  }

  connect(link: PortalLink, path: string, token: string, query: Record<string, string>): number | undefined {
    const connection = ++this.#connections;
    const refused = this.portal.handleConnect(connection, {
      path,
      query,
      headers: {
        "user-agent": path.startsWith("/client")
          ? "Linux/6.8 headless-client/1.5.12 (x86_64)"
          : "Linux/6.8 gateway/1.6.1 (x86_64)",
        "x-authorization": `Bearer ${token}`,
      },
      remoteIp: IpAddress.from("192.0.2.99"),
    }, this.simulation.now);
    if (refused !== undefined) return undefined;
    this.#links.set(connection, link);
    return connection;
  }

  handleText(connection: number, text: string): void {
    this.portal.handleText(connection, text, this.simulation.now);
    this.deliver();
  }

  handleClosed(connection: number): void {
    this.#links.delete(connection);
    this.portal.handleClosed(connection, this.simulation.now);
    this.deliver();
  }

  deliver(): void {
    for (let next = this.portal.pollAction(); next !== undefined; next = this.portal.pollAction()) {
      const { connection, action } = next;
      const link = this.#links.get(connection);
      if (action.type === "send") link?.receive(connection, action.text);
      else {
        link?.receiveClose(connection, action.code);
        this.handleClosed(connection);
      }
    }
  }

  #tick(): void {
    this.portal.handleTimeout(this.simulation.now);
    this.deliver();
    this.simulation.schedule(100, () => this.#tick());
  }
}

export interface PortalLinkOptions {
  readonly topic: ChannelTopic;
  readonly path: string;
  readonly token: string;
  readonly query: () => Record<string, string>;
  readonly joinPayload?: unknown;
  readonly onEvent: (event: ChannelEvent) => void;
}

export class PortalLink {
  readonly channel: PortalChannel;
  readonly #portal: SimPortal;
  readonly #options: PortalLinkOptions;
  #connection: number | undefined;
  /** While false, dialling fails and nothing arrives. */
  #isUp = true;

  constructor(portal: SimPortal, options: PortalLinkOptions) {
    this.#portal = portal;
    this.#options = options;
    const { now, rng } = portal.simulation;
    this.channel = new PortalChannel({
      topic: options.topic,
      joinPayload: options.joinPayload ?? null,
      now,
      rng,
    });
    this.#tick();
  }

  send(event: string, payload: unknown): void {
    this.channel.send(event, payload, this.#now);
    this.#pump();
  }

  /** Breaks the connection; it comes back when `isUp` is true. */
  break(isUp: boolean): void {
    this.#isUp = isUp;
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection === undefined) return;
    this.#portal.handleClosed(connection);
    this.channel.handleClosed({ type: "closed", code: 1006 }, this.#now);
    this.#pump();
  }

  /** Lets the connection come back. */
  restore(): void {
    this.#isUp = true;
  }

  redial(): void {
    this.channel.redial(this.#now);
    this.#pump();
  }

  receive(connection: number, text: string): void {
    this.#later(() => {
      if (connection !== this.#connection) return;
      this.channel.handleText(text, this.#now);
    });
  }

  receiveClose(connection: number, code: number): void {
    this.#later(() => {
      if (connection !== this.#connection) return;
      this.#connection = undefined;
      this.channel.handleClosed({ type: "closed", code }, this.#now);
    });
  }

  get #now(): Instant {
    return this.#portal.simulation.now;
  }

  #later(action: () => void, delay = LATENCY): void {
    this.#portal.simulation.schedule(delay, () => {
      action();
      this.#pump();
    });
  }

  #tick(): void {
    this.channel.handleTimeout(this.#now);
    this.#pump();
    this.#portal.simulation.schedule(100, () => this.#tick());
  }

  #pump(): void {
    for (let action = this.channel.pollAction(); action !== undefined; action = this.channel.pollAction()) {
      const connection = this.#connection;
      if (action.type === "dial") this.#later(() => this.#dial(), 3 * LATENCY);
      else if (connection === undefined) continue;
      else if (action.type === "close") {
        this.#connection = undefined;
        this.#portal.handleClosed(connection);
      } else {
        const { text } = action;
        this.#portal.simulation.schedule(LATENCY, () => {
          if (connection === this.#connection) this.#portal.handleText(connection, text);
        });
      }
    }
    for (let event = this.channel.pollEvent(); event !== undefined; event = this.channel.pollEvent()) {
      this.#options.onEvent(event);
    }
  }

  #dial(): void {
    const { path, token, query } = this.#options;
    const connection = this.#isUp ? this.#portal.connect(this, path, token, query()) : undefined;
    this.#connection = connection;
    if (connection === undefined) this.channel.handleClosed({ type: "failed", reason: "refused" }, this.#now);
    else this.channel.handleOpen(this.#now);
  }
}

/** One way, in milliseconds. */
const LATENCY = 15;
