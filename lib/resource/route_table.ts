/**
 * Finds the resource for an address: a compressed binary trie per family, several entries a network. The cost of a
 * lookup grows with the depth of nesting networks, not with their number, and it reads packet bytes without making
 * anything. The order among entries is that of data-plane reference §6.3.
 */

import type { IpAddress } from "../base/ip.ts";
import { IpNetwork } from "../base/ip.ts";
import type { IpPacket, Transport } from "../wire/ip.ts";
import type { FilterSet } from "./filter.ts";

/** One way to an address. */
export interface Route<T> {
  readonly network: IpNetwork;
  /** Identifier of the resource; unique within a network. */
  readonly id: string;
  readonly filters: FilterSet;
  readonly value: T;
}

/** The best entry for a packet, and whether its filters let the packet pass. */
export interface RouteMatch<T> {
  readonly route: Route<T>;
  readonly permitted: boolean;
}

export class RouteTable<T> {
  #v4: Node<T> | undefined;
  #v6: Node<T> | undefined;
  #size = 0;

  /** How many entries there are. */
  get size(): number {
    return this.#size;
  }

  /** Adds an entry; replaces the one of the same network and id. */
  set(route: Route<T>): void {
    const root = route.network.family === 4
      ? (this.#v4 = insert(this.#v4, route.network))
      : (this.#v6 = insert(this.#v6, route.network));
    const target = find(root, route.network)!;
    const index = target.routes.findIndex((existing) => existing.id === route.id);
    if (index >= 0) {
      target.routes[index] = route;
      return;
    }
    target.routes.push(route);
    target.routes.sort((a, b) => (a.id < b.id ? 1 : -1));
    this.#size++;
  }

  /** Removes the entry of `network` and `id`; returns whether there was one. */
  delete(network: IpNetwork, id: string): boolean {
    const root = network.family === 4 ? this.#v4 : this.#v6;
    const node = find(root, network);
    const index = node?.routes.findIndex((route) => route.id === id) ?? -1;
    if (node === undefined || index < 0) return false;
    node.routes.splice(index, 1);
    this.#size--;
    if (node.routes.length === 0) {
      const pruned = prune(root!, network);
      if (network.family === 4) this.#v4 = pruned;
      else this.#v6 = pruned;
    }
    return true;
  }

  clear(): void {
    this.#v4 = undefined;
    this.#v6 = undefined;
    this.#size = 0;
  }

  /** Returns the best entry for the destination of `packet`, filters applied to the destination port. */
  lookupDestination(packet: IpPacket): RouteMatch<T> | undefined {
    return this.#lookup(
      packet.family,
      packet.bytes,
      packet.destinationOffset,
      packet.transport,
      packet.destinationPort,
    );
  }

  /** Returns the best entry for the source of `packet`, filters applied to the source port. */
  lookupSource(packet: IpPacket): RouteMatch<T> | undefined {
    return this.#lookup(
      packet.family,
      packet.bytes,
      packet.sourceOffset,
      packet.transport,
      packet.sourcePort,
    );
  }

  /** Returns the best entry for `address` and this kind of traffic. */
  lookup(address: IpAddress, transport: Transport, port: number): RouteMatch<T> | undefined {
    return this.#lookup(address.family, address.bytes, 0, transport, port);
  }

  /** Returns all entries whose network contains `address`, longest prefix first. */
  covering(address: IpAddress): Route<T>[] {
    const found: Route<T>[] = [];
    let node = address.family === 4 ? this.#v4 : this.#v6;
    while (node !== undefined && matches(node, address.bytes, 0)) {
      found.unshift(...node.routes);
      node = child(node, address.bytes, 0);
    }
    return found;
  }

  /** All entries, in no particular order. */
  *[Symbol.iterator](): IterableIterator<Route<T>> {
    const pending = [this.#v4, this.#v6];
    while (pending.length > 0) {
      const node = pending.pop();
      if (node === undefined) continue;
      yield* node.routes;
      pending.push(node.zero, node.one);
    }
  }

  #lookup(
    family: 4 | 6,
    bytes: Uint8Array,
    offset: number,
    transport: Transport,
    port: number,
  ): RouteMatch<T> | undefined {
    let permitting: Route<T> | undefined;
    let other: Route<T> | undefined;
    let node = family === 4 ? this.#v4 : this.#v6;
    while (node !== undefined) {
      // Branching points need no look: what is below them is compared in full.
      if (node.routes.length > 0) {
        if (!matches(node, bytes, offset)) break;
        other = node.routes[0];
        // Deeper nodes have longer prefixes, so the last one that permits wins.
        for (const route of node.routes) {
          if (!route.filters.permits(transport, port)) continue;
          permitting = route;
          break;
        }
      }
      node = child(node, bytes, offset);
    }
    const route = permitting ?? other;
    return route === undefined ? undefined : { route, permitted: permitting !== undefined };
  }
}

interface Node<T> {
  readonly network: IpNetwork;
  /** Greatest id first. Empty at branching points. */
  readonly routes: Route<T>[];
  zero: Node<T> | undefined;
  one: Node<T> | undefined;
}

function newNode<T>(network: IpNetwork): Node<T> {
  return { network, routes: [], zero: undefined, one: undefined };
}

function matches<T>(node: Node<T>, bytes: Uint8Array, offset: number): boolean {
  return node.network.containsBytes(bytes, offset);
}

function child<T>(node: Node<T>, bytes: Uint8Array, offset: number): Node<T> | undefined {
  const { prefix } = node.network;
  if (prefix === node.network.address.bytes.length * 8) return undefined;
  return bit(bytes, offset, prefix) === 0 ? node.zero : node.one;
}

function bit(bytes: Uint8Array, offset: number, index: number): number {
  return (bytes[offset + (index >>> 3)]! >>> (7 - (index & 7))) & 1;
}

/** Returns the root after making sure that there is a node for `network`. */
function insert<T>(root: Node<T> | undefined, network: IpNetwork): Node<T> {
  if (root === undefined) return newNode(network);
  const shared = sharedPrefix(root.network, network);
  if (shared === root.network.prefix) {
    if (shared === network.prefix) return root;
    if (bit(network.address.bytes, 0, shared) === 0) root.zero = insert(root.zero, network);
    else root.one = insert(root.one, network);
    return root;
  }
  const parent = newNode<T>(new IpNetwork(root.network.address, shared));
  attach(parent, root);
  if (shared !== network.prefix) attach(parent, newNode(network));
  return parent;
}

function attach<T>(parent: Node<T>, node: Node<T>): void {
  if (bit(node.network.address.bytes, 0, parent.network.prefix) === 0) parent.zero = node;
  else parent.one = node;
}

function find<T>(root: Node<T> | undefined, network: IpNetwork): Node<T> | undefined {
  let node = root;
  while (node !== undefined && node.network.prefix < network.prefix) {
    node = child(node, network.address.bytes, 0);
  }
  return node?.network.equals(network) === true ? node : undefined;
}

/** Returns the root after removing the node of `network` and branching points that are no longer any. */
function prune<T>(root: Node<T>, network: IpNetwork): Node<T> | undefined {
  if (root.network.prefix < network.prefix) {
    const next = child(root, network.address.bytes, 0);
    if (next !== undefined) {
      const pruned = prune(next, network);
      if (bit(network.address.bytes, 0, root.network.prefix) === 0) root.zero = pruned;
      else root.one = pruned;
    }
  }
  if (root.routes.length > 0 || (root.zero !== undefined && root.one !== undefined)) return root;
  return root.zero ?? root.one;
}

function sharedPrefix(a: IpNetwork, b: IpNetwork): number {
  const limit = Math.min(a.prefix, b.prefix);
  for (let index = 0; index < limit; index += 8) {
    const difference = a.address.bytes[index >>> 3]! ^ b.address.bytes[index >>> 3]!;
    if (difference !== 0) return Math.min(limit, index + Math.clz32(difference) - 24);
  }
  return limit;
}
