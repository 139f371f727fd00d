/** The clients of a gateway, by id and by tunnel address. */

import type { AddressKey } from "../base/ip.ts";
import type { TunnelAddresses } from "./client_peer.ts";
import { ClientPeer } from "./client_peer.ts";

export class PeerTable {
  readonly #byId = new Map<string, ClientPeer>();
  readonly #byAddress = new Map<AddressKey, ClientPeer>();

  get size(): number {
    return this.#byId.size;
  }

  /**
   * Returns the client `id`, made if there is none. One whose tunnel addresses have changed starts over: what it was
   * allowed belongs to the old addresses.
   */
  upsert(id: string, addresses: TunnelAddresses): ClientPeer {
    const known = this.#byId.get(id);
    const isSame = known !== undefined && known.addresses.ipv4.equals(addresses.ipv4) &&
      known.addresses.ipv6.equals(addresses.ipv6);
    if (isSame) return known;
    if (known !== undefined) this.remove(known);
    const peer = new ClientPeer(id, addresses);
    this.#byId.set(id, peer);
    this.#byAddress.set(addresses.ipv4.key, peer);
    this.#byAddress.set(addresses.ipv6.key, peer);
    return peer;
  }

  get(id: string): ClientPeer | undefined {
    return this.#byId.get(id);
  }

  /** Returns the client with the tunnel address of `key`. */
  byAddress(key: AddressKey): ClientPeer | undefined {
    return this.#byAddress.get(key);
  }

  remove(peer: ClientPeer): void {
    if (this.#byId.get(peer.id) === peer) this.#byId.delete(peer.id);
    // The portal may have given the addresses to another client meanwhile.
    for (const { key } of [peer.addresses.ipv4, peer.addresses.ipv6]) {
      if (this.#byAddress.get(key) === peer) this.#byAddress.delete(key);
    }
  }

  [Symbol.iterator](): IterableIterator<ClientPeer> {
    return this.#byId.values();
  }
}
