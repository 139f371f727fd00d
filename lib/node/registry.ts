/** The connections of a node, by everything that what arrives may name them by. */

import { toHex } from "../base/bytes.ts";
import type { Connection } from "./connection.ts";

export class Registry {
  readonly #byPeer = new Map<string, Connection>();
  readonly #byIndex = new Map<number, Connection>();
  readonly #byUsername = new Map<string, Connection>();
  readonly #byPublicKey = new Map<string, Connection>();

  get size(): number {
    return this.#byPeer.size;
  }

  get all(): IterableIterator<Connection> {
    return this.#byPeer.values();
  }

  ofPeer(peerId: string): Connection | undefined {
    return this.#byPeer.get(peerId);
  }

  /** Returns the connection whose index is `index` (24 bits). */
  ofIndex(index: number): Connection | undefined {
    return this.#byIndex.get(index);
  }

  /** Returns the connection that checks with this USERNAME are for. */
  ofUsername(username: string): Connection | undefined {
    return this.#byUsername.get(username);
  }

  /** Returns the connection to the peer with this static key. */
  ofPublicKey(publicKey: Uint8Array): Connection | undefined {
    return this.#byPublicKey.get(toHex(publicKey));
  }

  add(connection: Connection): void {
    this.#byPeer.set(connection.peerId, connection);
    this.#byIndex.set(connection.index, connection);
    this.#byUsername.set(connection.username, connection);
    this.#byPublicKey.set(toHex(connection.parameters.remotePublicKey), connection);
  }

  remove(connection: Connection): void {
    remove(this.#byPeer, connection.peerId, connection);
    remove(this.#byIndex, connection.index, connection);
    remove(this.#byUsername, connection.username, connection);
    remove(this.#byPublicKey, toHex(connection.parameters.remotePublicKey), connection);
  }

  /** Removes and returns all. */
  takeAll(): Connection[] {
    const all = [...this.#byPeer.values()];
    for (const connection of all) this.remove(connection);
    return all;
  }
}

/** A later connection may have taken the key over. */
function remove<K>(map: Map<K, Connection>, key: K, connection: Connection): void {
  if (map.get(key) === connection) map.delete(key);
}
