/** All allocations of a TURN server, by client, by user and by port: at most one each. */

import { assert } from "../base/assert.ts";
import type { AddressKey, Family, SocketAddress } from "../base/ip.ts";
import { below, type Rng } from "../base/rng.ts";
import type { Instant } from "../base/time.ts";
import type { ServerChannels } from "./server_channels.ts";

/** An allocation as the server keeps it. */
export interface ServerAllocation {
  /** The client's socket as we see it: what identifies the allocation (RFC 8656 §3.2). */
  readonly client: SocketAddress;
  /** Our address that the client speaks to. */
  readonly local: SocketAddress;
  readonly username: string;
  readonly port: number;
  /** What peers see, of each family that was allocated. */
  readonly relayed: { readonly 4: SocketAddress | undefined; readonly 6: SocketAddress | undefined };
  /** What we send to peers from, of each family: the kernel chooses the address. */
  readonly source: { readonly 4: SocketAddress; readonly 6: SocketAddress };
  readonly channels: ServerChannels;
  /** Of the ALLOCATE request, so that its repetition gets the same answer (RFC 8656 §7.2). */
  readonly transactionKey: string;
  /** What the ALLOCATE request was granted. */
  readonly lifetimeSeconds: number;
  expiresAt: Instant;
  /** The ports are open and the client knows. */
  isOpen: boolean;
}

export class ServerAllocations {
  readonly #lowestPort: number;
  readonly #highestPort: number;
  readonly #byClient = new Map<AddressKey, ServerAllocation>();
  readonly #byUsername = new Map<string, ServerAllocation>();
  readonly #byPort = new Map<number, ServerAllocation>();

  constructor(lowestPort: number, highestPort: number) {
    this.#lowestPort = lowestPort;
    this.#highestPort = highestPort;
  }

  get size(): number {
    return this.#byPort.size;
  }

  byClient(client: SocketAddress): ServerAllocation | undefined {
    return this.#byClient.get(client.key);
  }

  byUsername(username: string): ServerAllocation | undefined {
    return this.#byUsername.get(username);
  }

  byPort(port: number): ServerAllocation | undefined {
    return this.#byPort.get(port);
  }

  add(allocation: ServerAllocation): void {
    assert(!this.#byClient.has(allocation.client.key), "one allocation a client");
    assert(!this.#byUsername.has(allocation.username), "one allocation a user");
    assert(!this.#byPort.has(allocation.port), "one allocation a port");
    this.#byClient.set(allocation.client.key, allocation);
    this.#byUsername.set(allocation.username, allocation);
    this.#byPort.set(allocation.port, allocation);
  }

  remove({ client, username, port }: ServerAllocation): void {
    this.#byClient.delete(client.key);
    this.#byUsername.delete(username);
    this.#byPort.delete(port);
  }

  values(): Iterable<ServerAllocation> {
    return this.#byPort.values();
  }

  /** Returns a port that no allocation has and `isFree`, chosen at random, or undefined. */
  freePort(rng: Rng, isFree: (port: number) => boolean): number | undefined {
    const count = this.#highestPort - this.#lowestPort + 1;
    const first = below(rng, count);
    for (let step = 0; step < count; step++) {
      const port = this.#lowestPort + (first + step) % count;
      if (!this.#byPort.has(port) && isFree(port)) return port;
    }
    return undefined;
  }
}

/** Returns the families that `allocation` has. */
export function familiesOf({ relayed }: ServerAllocation): Family[] {
  const families: Family[] = [];
  if (relayed[4] !== undefined) families.push(4);
  if (relayed[6] !== undefined) families.push(6);
  return families;
}
