/** The peers that want a channel while there is no allocation: each once, the oldest forgotten first. */

import { assert } from "../base/assert.ts";
import type { AddressKey, SocketAddress } from "../base/ip.ts";

export class PeerQueue {
  readonly #capacity: number;
  readonly #peers = new Map<AddressKey, SocketAddress>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Adds `peer` as the newest. */
  push(peer: SocketAddress): void {
    this.#peers.delete(peer.key);
    this.#peers.set(peer.key, peer);
    if (this.#peers.size <= this.#capacity) return;
    const oldest = this.#peers.keys().next();
    assert(!oldest.done, "a queue over its capacity is not empty");
    this.#peers.delete(oldest.value);
  }

  /** Returns all peers, oldest first, and leaves the queue empty. */
  takeAll(): SocketAddress[] {
    const peers = [...this.#peers.values()];
    this.#peers.clear();
    return peers;
  }
}
