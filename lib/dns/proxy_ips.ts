/**
 * Proxy addresses: what the client answers for the name of a DNS resource, instead of the real address that only the
 * gateway can find out. Four of each family a name, handed out upwards and kept for the life of the process, so that
 * answers in applications' caches stay valid.
 */

import { assert } from "../base/assert.ts";
import { readU32 } from "../base/bytes.ts";
import { type AddressKey, IpAddress, IpNetwork, ipv4Key } from "../base/ip.ts";

/** The ranges that proxy addresses come from. */
export const PROXY_RANGES: readonly [IpNetwork, IpNetwork] = [
  IpNetwork.from("100.96.0.0/11"),
  IpNetwork.from("fd00:2021:1111:8000::/107"),
];

/** Proxy addresses of one name. */
export interface ProxyAddresses {
  readonly ipv4: readonly IpAddress[];
  readonly ipv6: readonly IpAddress[];
}

/** How many addresses of each family a name gets. */
const ADDRESSES_PER_NAME = 4;

/** Names with their proxy addresses. Slot `i` owns the addresses `4i … 4i + 3` above the first of each range. */
export class ProxyIps {
  readonly #capacity: number;
  /** Name of each slot. */
  readonly #names: string[] = [];
  /** Slot of each name, least recently used first. */
  readonly #slots = new Map<string, number>();

  /** `capacity` bounds the names held; beyond it the one unused for longest gives its addresses away. */
  constructor(capacity: number = MAX_NAMES) {
    assert(
      capacity > 0 && capacity <= MAX_NAMES,
      "proxy addresses stay below the sentinels inside their range",
    );
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#slots.size;
  }

  /** Returns the addresses of `name` (lower case, no trailing dot), assigned now if it has none yet. */
  assign(name: string): ProxyAddresses {
    let slot = this.#slots.get(name);
    if (slot !== undefined) {
      this.#slots.delete(name);
    } else if (this.#names.length < this.#capacity) {
      slot = this.#names.length;
    } else {
      const [oldest, oldestSlot] = this.#slots.entries().next().value!;
      this.#slots.delete(oldest);
      slot = oldestSlot;
    }
    this.#names[slot] = name;
    this.#slots.set(name, slot);
    return addressesOf(slot);
  }

  /** Returns the addresses of `name`, or undefined if it has none. */
  addresses(name: string): ProxyAddresses | undefined {
    const slot = this.#slots.get(name);
    return slot === undefined ? undefined : addressesOf(slot);
  }

  /** Returns the name that the address with this key was handed out for, or undefined. Makes no garbage. */
  nameOf(key: AddressKey): string | undefined {
    const offset = typeof key === "number" ? offset4(key) : offset6(key);
    return offset < 0 ? undefined : this.#names[offset >>> 2];
  }

  /** Returns all names that have addresses. */
  names(): Iterable<string> {
    return this.#slots.keys();
  }
}

/** 4 × 65536 addresses end below 100.100.111.0/24 and below the sentinels of IPv6, which lie in the same ranges. */
const MAX_NAMES = 65_536;

/** The network address of IPv4 is skipped; IPv6 starts at the very first. */
const FIRST_4 = PROXY_RANGES[0].address.plus(1);
const FIRST_6 = PROXY_RANGES[1].address;
const FIRST_4_KEY = ipv4Key(FIRST_4.bytes, 0);
const PREFIX_6 = (FIRST_6.key as string).slice(0, 6);
const FIRST_6_LOW = readU32(FIRST_6.bytes, 12);

function addressesOf(slot: number): ProxyAddresses {
  const all = (first: IpAddress) =>
    Array.from({ length: ADDRESSES_PER_NAME }, (_, index) => first.plus(slot * ADDRESSES_PER_NAME + index));
  return { ipv4: all(FIRST_4), ipv6: all(FIRST_6) };
}

function offset4(key: number): number {
  const offset = key - (FIRST_4_KEY as number);
  return offset < MAX_NAMES * ADDRESSES_PER_NAME ? offset : -1;
}

function offset6(key: string): number {
  for (let index = 0; index < PREFIX_6.length; index++) {
    if (key.charCodeAt(index) !== PREFIX_6.charCodeAt(index)) return -1;
  }
  const offset = key.charCodeAt(6) * 65536 + key.charCodeAt(7) - FIRST_6_LOW;
  return offset < MAX_NAMES * ADDRESSES_PER_NAME ? offset : -1;
}
