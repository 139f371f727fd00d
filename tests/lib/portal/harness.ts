/** A portal in memory with peers that speak to it in frames, on a virtual clock. */

import assert from "node:assert/strict";
import { toBase64 } from "../../../lib/base/bytes.ts";
import { IpAddress } from "../../../lib/base/ip.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import { WallClock } from "../../../lib/base/time.ts";
import { handleAdmin } from "../../../lib/portal/admin.ts";
import { Directory } from "../../../lib/portal/directory.ts";
import { readInput } from "../../../lib/portal/inputs.ts";
import { Portal } from "../../../lib/portal/portal.ts";
import { applySeed, Seed, type SeedInput } from "../../../lib/portal/seed.ts";
import { MemoryStore } from "../../../lib/portal/store.ts";

export const START = "2026-07-01T12:00:00Z";
export const START_SECONDS = Date.parse(START) / 1000;

export const SEED: SeedInput = {
  account: { slug: "acme", dns: ["10.20.0.53"], search_domain: "corp.example" },
  sites: [{ name: "Paris" }, { name: "Oslo" }],
  actors: [
    { name: "Ada", type: "account_admin_user", email: "ada@corp.example" },
    { name: "Bob" },
    { name: "ci", type: "service_account" },
  ],
  groups: [{ name: "Engineering", members: ["Ada"] }],
  resources: [
    { name: "Wiki", type: "dns", address: "*.wiki.corp.example", site: "Paris", filters: ["tcp/443"] },
    { name: "Net", type: "cidr", address: "10.1.0.0/16", site: "Paris" },
    { name: "Host", type: "ip", address: "10.2.0.1", site: "Oslo" },
  ],
  policies: [
    { group: "Everyone", resource: "Wiki" },
    { group: "Engineering", resource: "Net" },
    { group: "Engineering", resource: "Host" },
  ],
  tokens: [
    { kind: "client", actor: "Ada", token: "ada-token" },
    { kind: "client", actor: "Bob", token: "bob-token", expires_at: START_SECONDS + 3600 },
    { kind: "client", actor: "ci", token: "ci-token" },
    { kind: "gateway", site: "Paris", token: "paris-token" },
    { kind: "gateway", site: "Oslo", token: "oslo-token" },
    { kind: "relay", token: "relay-token" },
  ],
};

export interface Frame {
  readonly topic: string;
  readonly event: string;
  // deno-lint-ignore no-explicit-any -- tests look into payloads freely
  readonly payload: any;
  readonly ref: number | null;
}

export class World {
  now = 0;
  portal: Portal;
  readonly store: MemoryStore;
  readonly wallClock = new WallClock(0, Date.parse(START));
  readonly peers = new Map<number, Peer>();
  readonly rng = seededRng(7);
  #connections = 0;

  constructor(seed: SeedInput = SEED, connectInterval = 0) {
    this.store = new MemoryStore();
    this.portal = this.#makePortal(connectInterval);
    const checked = readInput(Seed, seed);
    assert(checked.ok, checked.ok ? "" : checked.reason);
    const outcome = this.portal.change(
      (it) => applySeed(it, checked.value, this.rng, START_SECONDS),
      this.now,
    );
    assert(outcome.ok, outcome.ok ? "" : outcome.reason);
  }

  /** A new process with the same records. */
  restart(): void {
    for (const peer of this.peers.values()) peer.closeCode = 1012;
    this.peers.clear();
    this.portal = this.#makePortal(0);
  }

  #makePortal(connectInterval: number): Portal {
    return new Portal({
      directory: new Directory(this.store, this.rng),
      rng: this.rng,
      now: this.now,
      wallClock: this.wallClock,
      connectInterval,
    });
  }

  /** Tries to connect. */
  dial(
    path: string,
    token: string | undefined,
    query: Record<string, string> = {},
    headers: Record<string, string> = {},
  ) {
    const connection = ++this.#connections;
    const refused = this.portal.handleConnect(connection, {
      path,
      query,
      headers: {
        "user-agent": "Linux/6.8 headless-client/1.5.12 (x86_64)",
        ...(token === undefined ? {} : { "x-authorization": `Bearer ${token}` }),
        ...headers,
      },
      remoteIp: IpAddress.from("198.51.100.7"),
    }, this.now);
    return { connection, refused };
  }

  /** Connects and joins. `key` fills the public key. */
  join(
    path: string,
    token: string,
    options: { id?: string; key?: number; query?: Record<string, string>; join?: unknown } = {},
  ): Peer {
    const query = options.query ?? {
      external_id: options.id ?? token,
      name: options.id ?? token,
      public_key: toBase64(new Uint8Array(32).fill(options.key ?? 1)),
    };
    const { connection, refused } = this.dial(path, token, query);
    assert.equal(refused, undefined);
    const peer = new Peer(this, connection, path.split("/")[1]!);
    this.peers.set(connection, peer);
    peer.send("phx_join", options.join ?? null);
    return peer;
  }

  client(token = "ada-token", options: { id?: string; key?: number; version?: 1 | 2 } = {}): Peer {
    return this.join(options.version === 1 ? "/client/websocket" : "/client/v2/websocket", token, options);
  }

  gateway(token = "paris-token", options: { id?: string; key?: number; version?: 1 | 2 } = {}): Peer {
    const path = options.version === 1 ? "/gateway/websocket" : "/gateway/v2/websocket";
    return this.join(path, token, { key: 2, ...options });
  }

  relay(secret = "5a".repeat(32), port = 3478): Peer {
    const query = { ipv4: "203.0.113.40", ipv6: "2001:db8::40", port: String(port) };
    return this.join("/relay/websocket", "relay-token", { query, join: { stamp_secret: secret } });
  }

  /** Hands out what the portal wants to send. */
  deliver(): void {
    for (let it = this.portal.pollAction(); it !== undefined; it = this.portal.pollAction()) {
      const peer = this.peers.get(it.connection);
      if (it.action.type === "send") peer?.frames.push(JSON.parse(it.action.text));
      else {
        peer?.close(it.action.code);
        this.portal.handleClosed(it.connection, this.now);
      }
    }
  }

  /** Lets time pass, from wake to wake; peers beat every 10 s. */
  advance(ms: number): void {
    const end = this.now + ms;
    let beatAt = this.now;
    for (;;) {
      const at = Math.min(this.portal.pollTimeout()?.at ?? Infinity, beatAt + 10_000, end);
      this.now = Math.max(at, this.now);
      if (this.now === beatAt + 10_000) {
        beatAt = this.now;
        for (const peer of [...this.peers.values()]) peer.beat();
      }
      this.portal.handleTimeout(this.now);
      this.deliver();
      if (this.now >= end) return;
    }
  }

  /** Calls the admin API. */
  admin(method: string, path: string, body?: unknown) {
    const answer = handleAdmin(this, { method, path, body }, this.now);
    this.deliver();
    return answer;
  }
}

export class Peer {
  readonly frames: Frame[] = [];
  closeCode: number | undefined;
  readonly #world: World;
  readonly #connection: number;
  readonly #topic: string;
  #ref = 0;

  constructor(world: World, connection: number, topic: string) {
    this.#world = world;
    this.#connection = connection;
    this.#topic = topic;
  }

  send(event: string, payload: unknown): void {
    this.#transmit(this.#topic, event, payload);
  }

  beat(): void {
    if (this.closeCode === undefined) this.#transmit("phoenix", "heartbeat", {});
  }

  /** The peer's side of the connection breaks. */
  drop(): void {
    this.close(1006);
    this.#world.portal.handleClosed(this.#connection, this.#world.now);
    this.#world.deliver();
  }

  close(code: number): void {
    this.closeCode = code;
    this.#world.peers.delete(this.#connection);
  }

  /** Takes the pushes received since the last call, replies and heartbeats left out. */
  take(): Frame[] {
    return this.frames.splice(0).filter(({ event }) => event !== "phx_reply");
  }

  /** Takes the pushes and returns the one named `event`, which must be there. */
  expect(event: string): Frame["payload"] {
    const frames = this.take();
    const found = frames.find((frame) => frame.event === event);
    assert(found !== undefined, `no ${event} among ${frames.map((frame) => frame.event)}`);
    return found.payload;
  }

  #transmit(topic: string, event: string, payload: unknown): void {
    const text = JSON.stringify({ topic, event, payload, ref: this.#ref++ });
    this.#world.portal.handleText(this.#connection, text, this.#world.now);
    this.#world.deliver();
  }
}

/** Returns the id of the resource called `name`. */
export function resourceId(world: World, name: string): string {
  return world.portal.directory.find("resources", (it) => it.name === name)!.id;
}

/** Returns the id of the first policy about `resource`. */
export function policyId(world: World, resource: string): string {
  return world.portal.directory.find("policies", (it) => it.resourceId === resourceId(world, resource))!.id;
}

/** Returns the record of the device that calls itself `externalId`. */
export function deviceOf(world: World, externalId: string) {
  return world.portal.directory.find("devices", (it) => it.externalId === externalId)!;
}

/** Asks for `resource`, confirms at the gateway, and returns both messages. */
export function grant(world: World, client: Peer, gateway: Peer, resource: string) {
  client.take();
  gateway.take();
  client.send("request_authorization", {
    resource_id: resourceId(world, resource),
    connected_gateway_ids: [],
  });
  const request = gateway.expect("create_authorization");
  assert.deepEqual(client.take(), []);
  gateway.send("authorization_created", { ref: request.ref });
  return { request, granted: client.expect("authorization_created") };
}
