/** Two tunnels, a virtual clock and a link that the test may cut, delay or tap. */

import { nobleProvider } from "../../../lib/base/crypto.ts";
import { silentLog } from "../../../lib/base/log.ts";
import { type Rng, seededRng } from "../../../lib/base/rng.ts";
import { type Instant, WallClock } from "../../../lib/base/time.ts";
import { type MessageType, messageType } from "../../../lib/wire/wireguard.ts";
import { publicKeyOf } from "../../../lib/wireguard/noise.ts";
import { ICE_TIMERS } from "../../../lib/wireguard/timers.ts";
import { type Decapsulated, Tunnel, type TunnelEvent } from "../../../lib/wireguard/tunnel.ts";

export type Side = "a" | "b";

/** One message on the link. */
export interface Sighting {
  readonly at: Instant;
  readonly from: Side;
  /** "keepalive" is a data message with nothing in it. */
  readonly kind: keyof typeof MessageType | "keepalive";
  readonly message: Uint8Array;
}

export interface WorldOptions {
  readonly seed?: number;
  readonly presharedKey?: Uint8Array | undefined;
  readonly presharedKeyOfB?: Uint8Array | undefined;
  /** One way, in milliseconds. */
  readonly latency?: number;
}

export const LATENCY = 25;

export class World {
  now: Instant = 5_000_000.125;
  readonly a: Tunnel;
  readonly b: Tunnel;
  /** Everything that was put on the link, lost or not. */
  readonly seen: Sighting[] = [];
  readonly packets: Record<Side, Uint8Array[]> = { a: [], b: [] };
  readonly drops: Record<Side, string[]> = { a: [], b: [] };
  readonly events: Record<Side, TunnelEvent[]> = { a: [], b: [] };
  /** Returns whether the link loses a message. */
  loses: (sighting: Sighting) => boolean = () => false;
  readonly #latency: number;
  #inFlight: { readonly at: Instant; readonly to: Side; readonly message: Uint8Array }[] = [];

  constructor(options: WorldOptions = {}) {
    const rng = seededRng(options.seed ?? 1);
    this.#latency = options.latency ?? LATENCY;
    const keyOfA = rng.bytes(32);
    const keyOfB = rng.bytes(32);
    this.a = this.#tunnel(keyOfA, keyOfB, options.presharedKey, 0x0a0a0a, rng);
    this.b = this.#tunnel(
      keyOfB,
      keyOfA,
      "presharedKeyOfB" in options ? options.presharedKeyOfB : options.presharedKey,
      0xb0b0b0,
      rng,
    );
  }

  /** Lets `count` milliseconds pass, handling every timeout and delivery at its own moment. */
  run(count: number): void {
    const end = this.now + count;
    this.#drain();
    for (let steps = 0;; steps++) {
      if (steps > 10_000) throw new Error("The world does not come to rest");
      const next = Math.min(
        this.#inFlight[0]?.at ?? Infinity,
        this.a.pollTimeout()?.at ?? Infinity,
        this.b.pollTimeout()?.at ?? Infinity,
      );
      if (next > end) break;
      this.now = Math.max(this.now, next);
      const arrived = this.#inFlight.filter(({ at }) => at <= this.now);
      this.#inFlight = this.#inFlight.filter(({ at }) => at > this.now);
      for (const { to, message } of arrived) this.deliver(to, message);
      this.a.handleTimeout(this.now);
      this.b.handleTimeout(this.now);
      this.#drain();
    }
    this.now = end;
  }

  /** Sends a packet with `fill` in its payload; returns whether there was a session for it. */
  send(from: Side, fill = 0, length = 60): boolean {
    const out = new Uint8Array(1500);
    const written = this[from].encapsulate(ipv4(fill, length), out, this.now);
    if (written > 0) this.put(from, out.slice(0, written));
    this.#drain();
    return written > 0;
  }

  /** Puts a message on the link. */
  put(from: Side, message: Uint8Array): void {
    const type = messageType(message)!;
    const kind = type === "data" && message.length === 32 ? "keepalive" : type;
    const sighting: Sighting = { at: this.now, from, kind, message };
    this.seen.push(sighting);
    if (this.loses(sighting)) return;
    this.#inFlight.push({ at: this.now + this.#latency, to: from === "a" ? "b" : "a", message });
  }

  /** Hands a message to one side at once. */
  deliver(to: Side, message: Uint8Array): Decapsulated {
    const result = this[to].decapsulate(message, new Uint8Array(1500), this.now);
    if (result.type === "packet") this.packets[to].push(result.packet.slice());
    if (result.type === "dropped") this.drops[to].push(result.reason);
    this.#drain();
    return result;
  }

  /** Returns the kinds of what was put on the link since `since`, with the sender in front: "a initiation". */
  kinds(since: Instant = 0): string[] {
    return this.seen.filter(({ at }) => at >= since).map(({ from, kind }) => `${from} ${kind}`);
  }

  /** Completes a handshake begun by `side`. */
  connect(side: Side = "a"): void {
    this[side].startHandshake(this.now);
    this.run(4 * this.#latency);
  }

  #drain(): void {
    for (const side of ["a", "b"] as const) {
      for (let message; (message = this[side].pollTransmit()) !== undefined;) this.put(side, message);
      for (let event; (event = this[side].pollEvent()) !== undefined;) this.events[side].push(event);
    }
  }

  #tunnel(
    own: Uint8Array,
    theirs: Uint8Array,
    presharedKey: Uint8Array | undefined,
    index24: number,
    rng: Rng,
  ): Tunnel {
    return new Tunnel({
      staticPrivateKey: own,
      staticPublicKey: publicKeyOf(own),
      remotePublicKey: publicKeyOf(theirs),
      presharedKey,
      index24,
      crypto: nobleProvider,
      rng,
      now: this.now,
      wallClock: new WallClock(this.now, 1_790_000_000_123),
      timers: ICE_TIMERS,
      log: silentLog,
    });
  }
}

/** Returns an IPv4 packet of `length` bytes with `fill` in its payload. */
export function ipv4(fill: number, length = 60): Uint8Array {
  const packet = new Uint8Array(length).fill(fill);
  packet.set([0x45, 0, length >> 8, length & 0xff, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
  return packet;
}
