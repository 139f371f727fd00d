/** The channels of one allocation at the server (RFC 8656 §12). An expired channel still blocks its number and peer. */

import type { AddressKey, SocketAddress } from "../base/ip.ts";
import { type Instant, minutes } from "../base/time.ts";

/** A channel as the server keeps it. */
export interface ServerChannel {
  readonly number: number;
  readonly peer: SocketAddress;
  /** Data flows until then. */
  readonly expiresAt: Instant;
}

/** RFC 8656 §12. */
const LIFETIME = minutes(10);
/** RFC 8656 §12: so that data still under way cannot reach the wrong peer. */
const COOL_DOWN = minutes(5);

export class ServerChannels {
  readonly #limit: number;
  readonly #byNumber = new Map<number, OwnChannel>();
  readonly #byPeer = new Map<AddressKey, OwnChannel>();

  /** `limit` counts channels in their cool-down, too. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#byNumber.size;
  }

  /** Binds `number` to `peer`, or renews that binding. "conflict": one of them belongs to another. */
  bind(number: number, peer: SocketAddress, now: Instant): "bound" | "conflict" | "full" {
    const channel = this.#byNumber.get(number);
    const holder = this.#byPeer.get(peer.key);
    if (channel !== undefined && channel === holder) {
      channel.expiresAt = now + LIFETIME;
      return "bound";
    }
    if (isBlocked(channel, now) || isBlocked(holder, now)) return "conflict";
    this.#remove(channel);
    this.#remove(holder);
    if (this.size >= this.#limit) this.sweep(now);
    if (this.size >= this.#limit) return "full";
    const added = { number, peer, expiresAt: now + LIFETIME };
    this.#byNumber.set(number, added);
    this.#byPeer.set(peer.key, added);
    return "bound";
  }

  /** Returns the live channel with this number. */
  byNumber(number: number, now: Instant): ServerChannel | undefined {
    return live(this.#byNumber.get(number), now);
  }

  /** Returns the live channel to this peer. */
  byPeer(peer: SocketAddress, now: Instant): ServerChannel | undefined {
    return live(this.#byPeer.get(peer.key), now);
  }

  /** Forgets the channels whose cool-down is over. */
  sweep(now: Instant): void {
    for (const channel of this.#byNumber.values()) if (!isBlocked(channel, now)) this.#remove(channel);
  }

  #remove(channel: OwnChannel | undefined): void {
    if (channel === undefined) return;
    this.#byNumber.delete(channel.number);
    this.#byPeer.delete(channel.peer.key);
  }
}

interface OwnChannel extends ServerChannel {
  expiresAt: Instant;
}

function live(channel: OwnChannel | undefined, now: Instant): OwnChannel | undefined {
  return channel !== undefined && now < channel.expiresAt ? channel : undefined;
}

function isBlocked(channel: OwnChannel | undefined, now: Instant): boolean {
  return channel !== undefined && now < channel.expiresAt + COOL_DOWN;
}
