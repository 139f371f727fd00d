/**
 * The channels of one allocation as its client sees them (RFC 8656 §12): numbers for peers, and when a binding must be
 * renewed. The owner sends the CHANNEL-BIND requests.
 */

import type { AddressKey, SocketAddress } from "../base/ip.ts";
import { minutes, seconds } from "../base/time.ts";
import type { Instant, Wake } from "../base/time.ts";
import { MAX_CHANNEL, MIN_CHANNEL } from "../wire/turn.ts";

/** A number for a peer at one allocation. */
export interface Channel {
  readonly number: number;
  readonly peer: SocketAddress;
  /** When the CHANNEL-BIND that the server confirmed last was sent. */
  readonly boundAt: Instant | undefined;
}

/** RFC 8656 §12: how long the server keeps a binding. */
const LIFETIME = minutes(10);
/** RFC 8656 §12: how long after its end neither number nor peer may be bound to another. */
const COOL_DOWN = minutes(5);
/** A binding in use is renewed at half of its life. */
const RENEWAL_AGE = minutes(5);
const RETRY_FULL_AFTER = seconds(1);
const NUMBERS = MAX_CHANNEL - MIN_CHANNEL + 1;

export class Channels {
  readonly #byNumber = new Map<number, OwnChannel>();
  readonly #byPeer = new Map<AddressKey, OwnChannel>();
  #nextNumber = MIN_CHANNEL;
  /** All numbers were taken a moment ago: no use in looking at each of them for every packet. */
  #isFullUntil = -Infinity;
  /** Never later than the first renewal; found anew in `takeRenewals`. */
  #renewalAt = Infinity;

  get size(): number {
    return this.#byNumber.size;
  }

  /**
   * Returns the channel to send a CHANNEL-BIND for, so that `peer` can be reached: undefined if it has a live channel
   * or a request in flight already, or all numbers are taken.
   */
  open(peer: SocketAddress, now: Instant): Channel | undefined {
    const known = this.#byPeer.get(peer.key);
    if (known !== undefined) {
      if (known.requestedAt !== undefined || isLive(known, now)) return undefined;
      known.requestedAt = now;
      known.usedAt = undefined;
      return known;
    }
    const number = this.#takeNumber(now);
    if (number === undefined) return undefined;
    const channel: OwnChannel = { number, peer, boundAt: undefined, requestedAt: now, usedAt: undefined };
    this.#byNumber.set(number, channel);
    this.#byPeer.set(peer.key, channel);
    return channel;
  }

  /** Returns the number to send to `peer` on: bound, or about to be, since the relay drops what comes too early. */
  numberFor(peer: SocketAddress, now: Instant): number | undefined {
    const channel = this.#byPeer.get(peer.key);
    return channel !== undefined && (channel.requestedAt !== undefined || isLive(channel, now))
      ? channel.number
      : undefined;
  }

  /** Returns the peer of a confirmed channel on which data arrived, and notes that it is in use. */
  handleData(number: number, now: Instant): SocketAddress | undefined {
    const channel = this.#byNumber.get(number);
    if (channel === undefined || !isLive(channel, now)) return undefined;
    channel.usedAt = now;
    if (channel.requestedAt === undefined) this.#renewalAt = Math.min(this.#renewalAt, renewalAt(channel));
    return channel.peer;
  }

  /** Notes that the server confirmed the request sent at `sentAt`. */
  handleBound(channel: Channel, sentAt: Instant): void {
    const own = this.#byNumber.get(channel.number);
    if (own === undefined || own !== channel) return;
    own.boundAt = sentAt;
    own.requestedAt = undefined;
    own.usedAt = undefined;
  }

  /** Forgets a channel whose request was refused. */
  forget(channel: Channel): void {
    if (this.#byNumber.get(channel.number) !== channel) return;
    this.#isFullUntil = -Infinity;
    this.#byNumber.delete(channel.number);
    this.#byPeer.delete(channel.peer.key);
  }

  /** Returns the channels to renew: half of their life is over and the peer's data came since they were bound. */
  takeRenewals(now: Instant): Channel[] {
    if (now < this.#renewalAt) return [];
    const due: Channel[] = [];
    this.#renewalAt = Infinity;
    for (const channel of this.#byNumber.values()) {
      if (channel.usedAt === undefined || channel.requestedAt !== undefined || !isLive(channel, now)) {
        continue;
      }
      if (now >= renewalAt(channel)) {
        channel.requestedAt = now;
        due.push(channel);
      } else {
        this.#renewalAt = Math.min(this.#renewalAt, renewalAt(channel));
      }
    }
    return due;
  }

  pollTimeout(): Wake | undefined {
    return this.#renewalAt === Infinity ? undefined : { at: this.#renewalAt, reason: "TURN channel renewal" };
  }

  /** Forgets all channels; returns the peers of those that were alive or asked for. Numbers go on where they were. */
  clear(now: Instant): SocketAddress[] {
    const peers = [...this.#byNumber.values()]
      .filter((channel) => channel.requestedAt !== undefined || isLive(channel, now))
      .map((channel) => channel.peer);
    this.#byNumber.clear();
    this.#byPeer.clear();
    this.#isFullUntil = -Infinity;
    this.#renewalAt = Infinity;
    return peers;
  }

  #takeNumber(now: Instant): number | undefined {
    if (now < this.#isFullUntil) return undefined;
    for (let tries = 0; tries < NUMBERS; tries++) {
      const number = this.#nextNumber;
      this.#nextNumber = number === MAX_CHANNEL ? MIN_CHANNEL : number + 1;
      const holder = this.#byNumber.get(number);
      if (holder === undefined) return number;
      if (isReusable(holder, now)) {
        this.forget(holder);
        return number;
      }
    }
    this.#isFullUntil = now + RETRY_FULL_AFTER;
    return undefined;
  }
}

interface OwnChannel extends Channel {
  boundAt: Instant | undefined;
  /** When the request in flight was first sent. */
  requestedAt: Instant | undefined;
  /** When the peer's data last came, since the channel was bound. */
  usedAt: Instant | undefined;
}

function isLive({ boundAt }: OwnChannel, now: Instant): boolean {
  return boundAt !== undefined && now < boundAt + LIFETIME;
}

function isReusable({ boundAt, requestedAt }: OwnChannel, now: Instant): boolean {
  return requestedAt === undefined && (boundAt === undefined || now >= boundAt + LIFETIME + COOL_DOWN);
}

function renewalAt({ boundAt }: OwnChannel): Instant {
  return boundAt === undefined ? Infinity : boundAt + RENEWAL_AGE;
}
