/** A relay, its clients and their peers in one process: virtual clock, a wire with latency, loss on demand. */

import type { AddressKey, Family } from "../../../lib/base/ip.ts";
import { SocketAddress } from "../../../lib/base/ip.ts";
import { silentLog } from "../../../lib/base/log.ts";
import { type Rng, seededRng } from "../../../lib/base/rng.ts";
import { WallClock } from "../../../lib/base/time.ts";
import { relayPassword, relayUsername } from "../../../lib/turn/auth.ts";
import type { AllocationEvent, AllocationInput } from "../../../lib/turn/allocation_event.ts";
import { Allocation, type Relay } from "../../../lib/turn/client.ts";
import { TurnServer, type TurnServerOptions } from "../../../lib/turn/server.ts";
import { decodeStun } from "../../../lib/wire/stun.ts";

export const RELAY_V4 = SocketAddress.from("203.0.113.1:3478");
export const RELAY_V6 = SocketAddress.from("[2001:db8::1]:3478");
export const SECRET = "5a".repeat(32);
/** Unix seconds of the world's beginning. */
export const EPOCH = 1_800_000_000;
export const LATENCY = 10;

export interface Packet {
  readonly at: number;
  readonly from: SocketAddress;
  readonly to: SocketAddress;
  readonly payload: Uint8Array;
}

export class Host {
  readonly allocation: Allocation;
  readonly v4: SocketAddress;
  readonly v6: SocketAddress;
  readonly events: AllocationEvent[] = [];
  readonly data: (AllocationInput & { type: "data" })[] = [];

  constructor(allocation: Allocation, number: number) {
    this.allocation = allocation;
    this.v4 = SocketAddress.from(`198.51.100.${number}:5000`);
    this.v6 = SocketAddress.from(`[2001:db8:1::${number}]:5000`);
  }
}

export class World {
  readonly rng: Rng = seededRng(7);
  readonly hosts: Host[] = [];
  readonly openPorts = new Map<number, readonly Family[]>();
  /** What reached an address that is neither the relay nor a host. */
  readonly delivered = new Map<AddressKey, Packet[]>();
  /** Everything that was sent. */
  readonly wire: Packet[] = [];
  /** Which datagrams get lost. */
  isLost: (packet: Packet) => boolean = () => false;
  /** Which ports are in use by others. */
  isTaken: (port: number) => boolean = () => false;
  now = 0;
  server: TurnServer;
  #queue: Packet[] = [];

  constructor(options: Partial<TurnServerOptions> = {}) {
    this.server = this.#makeServer(options);
  }

  #makeServer(options: Partial<TurnServerOptions>): TurnServer {
    return new TurnServer({
      publicAddress: { 4: RELAY_V4.ip, 6: RELAY_V6.ip },
      listenPort: 3478,
      lowestPort: 49152,
      highestPort: 65535,
      secret: SECRET,
      rng: this.rng,
      now: this.now,
      wallClock: new WallClock(0, EPOCH * 1000),
      log: silentLog,
      ...options,
    });
  }

  restartServer(options: Partial<TurnServerOptions> = {}): void {
    this.openPorts.clear();
    this.server = this.#makeServer(options);
  }

  addHost(relay: Partial<Relay> = {}): Host {
    const expiry = EPOCH + 86_400;
    const salt = `salt${this.hosts.length}`;
    const allocation = new Allocation({
      relay: {
        id: "relay",
        v4: RELAY_V4,
        v6: RELAY_V6,
        username: relayUsername(expiry, salt),
        password: relayPassword(expiry, SECRET, salt),
        ...relay,
      },
      rng: this.rng,
      now: this.now,
      log: silentLog,
    });
    const host = new Host(allocation, this.hosts.length + 1);
    this.hosts.push(host);
    this.drain();
    return host;
  }

  /** Sends data to `peer` through the relay; returns whether there was a channel. */
  sendData(host: Host, peer: SocketAddress, data: Uint8Array): boolean {
    const frame = new Uint8Array(4 + data.length);
    frame.set(data, 4);
    const path = host.allocation.wrapHeader(peer, data.length, frame, 0, this.now);
    if (path !== undefined) {
      this.send(path.remote.family === 4 ? host.v4 : host.v6, path.remote, frame);
    }
    this.drain();
    return path !== undefined;
  }

  send(from: SocketAddress, to: SocketAddress, payload: Uint8Array): void {
    const packet = { at: this.now + LATENCY, from, to, payload: payload.slice() };
    this.wire.push(packet);
    if (!this.isLost(packet)) this.#queue.push(packet);
  }

  run(milliseconds: number): void {
    const end = this.now + milliseconds;
    this.drain();
    for (let steps = 0;; steps++) {
      if (steps > 100_000) throw new Error("the world does not come to rest");
      const wakes = [this.server, ...this.hosts.map((host) => host.allocation)].map((machine) =>
        machine.pollTimeout()?.at ?? Infinity
      );
      const next = Math.min(...wakes, this.#queue[0]?.at ?? Infinity);
      if (next > end) break;
      this.now = Math.max(this.now, next);
      while (this.#queue[0] !== undefined && this.#queue[0].at <= this.now) {
        this.#deliver(this.#queue.shift()!);
      }
      this.server.handleTimeout(this.now);
      for (const { allocation } of this.hosts) allocation.handleTimeout(this.now);
      this.drain();
    }
    this.now = end;
  }

  /** Runs until `host` has an allocation. */
  allocate(host: Host): Host {
    this.run(10 * LATENCY);
    if (host.allocation.state !== "allocated") throw new Error(`state is ${host.allocation.state}`);
    return host;
  }

  /** What hosts asked and the relay answered, as text such as "3 request" or "3 error 401". */
  messages(between: (packet: Packet) => boolean = () => true): string[] {
    return this.wire.filter(between).flatMap(({ payload }) => {
      const decoded = decodeStun(payload);
      if (!decoded.ok) return [];
      const { method, class: kind, error } = decoded.value;
      return [error === undefined ? `${method} ${kind}` : `${method} ${kind} ${error.code}`];
    });
  }

  drain(): void {
    for (const host of this.hosts) {
      for (let event = host.allocation.pollEvent(); event; event = host.allocation.pollEvent()) {
        host.events.push(event);
      }
      for (let out = host.allocation.pollDatagram(); out; out = host.allocation.pollDatagram()) {
        this.send(out.remote.family === 4 ? host.v4 : host.v6, out.remote, out.payload);
      }
    }
    for (let event = this.server.pollEvent(); event; event = this.server.pollEvent()) {
      if (event.type === "close-port") this.openPorts.delete(event.port);
      else {
        const opened = !this.isTaken(event.port);
        if (opened) this.openPorts.set(event.port, event.families);
        this.server.handlePortOpened(event.port, opened, this.now);
      }
    }
    for (let out = this.server.pollDatagram(); out; out = this.server.pollDatagram()) {
      this.#sendFromServer(out);
    }
  }

  #sendFromServer({ local, remote, payload }: {
    local: SocketAddress | undefined;
    remote: SocketAddress;
    payload: Uint8Array;
  }): void {
    const ip = remote.family === 4 ? RELAY_V4.ip : RELAY_V6.ip;
    this.send(new SocketAddress(ip, local!.port), remote, payload);
  }

  #deliver(packet: Packet): void {
    const { from, to, payload } = packet;
    if (to.ip.equals(RELAY_V4.ip) || to.ip.equals(RELAY_V6.ip)) {
      if (to.port !== 3478 && !this.openPorts.get(to.port)?.includes(to.family)) return;
      const out = this.server.handleDatagram(to, from, payload, this.now);
      if (out !== undefined) this.#sendFromServer(out);
      this.drain();
      return;
    }
    const host = this.hosts.find(({ v4, v6 }) => v4.equals(to) || v6.equals(to));
    if (host === undefined) {
      this.delivered.set(to.key, [...this.delivered.get(to.key) ?? [], packet]);
      return;
    }
    const input = host.allocation.handleDatagram(to, from, payload, this.now);
    if (input?.type === "data") host.data.push({ ...input, payload: input.payload.slice() });
    this.drain();
  }
}
