/** Addresses of packets as interned values: the same bytes are the same object. */

import { type Family, IpAddress, SocketAddress } from "../lib/base/ip.ts";
import { arena } from "./memory.ts";

/**
 * Makes equal bytes of an address and a port the same `SocketAddress`, so that a packet costs no new object. Bounded:
 * forgets everything when full.
 */
export class AddressCache {
  readonly #known = new Map<number | string, SocketAddress>();
  #last: SocketAddress | undefined;
  #lastWords: [number, number, number, number] = [0, 0, 0, 0];

  /** Returns the address in the `sockaddr_in` or `sockaddr_in6` at `at`, which both are alike on all systems. */
  sockaddr(family: Family, at: number): SocketAddress {
    const port = arena.data.getUint16(at + 2);
    return family === 4 ? this.ipv4(at + 4, port) : this.ipv6(at + 8, port);
  }

  /** Returns the IPv4 address (4 bytes) at `at` of the arena with `port`. */
  ipv4(at: number, port: number): SocketAddress {
    const word = arena.getU32(at);
    if (this.#last?.port === port && this.#lastWords[0] === word) return this.#last;
    const key = word * 65_536 + port;
    const address = this.#known.get(key) ?? this.#learn(key, at, 4, port);
    this.#lastWords[0] = word;
    return this.#last = address;
  }

  /** Returns the IPv6 address (16 bytes) at `at` of the arena with `port`. */
  ipv6(at: number, port: number): SocketAddress {
    const a = arena.getU32(at);
    const b = arena.getU32(at + 4);
    const c = arena.getU32(at + 8);
    const d = arena.getU32(at + 12);
    const words = this.#lastWords;
    if (this.#last?.port === port && words[3] === d && words[2] === c && words[1] === b && words[0] === a) {
      return this.#last;
    }
    const key = `${a},${b},${c},${d},${port}`;
    const address = this.#known.get(key) ?? this.#learn(key, at, 16, port);
    words[0] = a;
    words[1] = b;
    words[2] = c;
    words[3] = d;
    return this.#last = address;
  }

  #learn(key: number | string, at: number, length: number, port: number): SocketAddress {
    if (this.#known.size >= CAPACITY) this.#known.clear();
    const address = new SocketAddress(IpAddress.fromBytes(arena.bytes, at, length), port);
    this.#known.set(key, address);
    return address;
  }
}

const CAPACITY = 4096;
