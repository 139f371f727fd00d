/**
 * The machine's network adapters as `GetAdaptersAddresses` tells of them: `IP_ADAPTER_ADDRESSES_LH` of 64-bit Windows
 * (iptypes.h), a chain of structures that point at each other within one buffer. Pure: pointers are followed inside the
 * buffer only, and each chain has a bound.
 */

import { readAddress, type ScopedAddress } from "./sockaddr.ts";

/** A buffer, and the address that it was filled at. */
export interface AddressedBytes {
  readonly bytes: Uint8Array;
  readonly base: bigint;
}

/** An adapter. */
export interface Adapter {
  /** For IPv4; for IPv6 where it has none of IPv4. */
  readonly index: number;
  /** Its GUID in braces. */
  readonly guid: string;
  /** What people call it: "Ethernet". */
  readonly name: string;
  /** What it is: "Intel(R) Ethernet Connection", "fz Tunnel". */
  readonly description: string;
  /** `ifType` of IANA. */
  readonly type: number;
  readonly isUp: boolean;
  readonly unicast: readonly ScopedAddress[];
  readonly resolvers: readonly ScopedAddress[];
  /** The lower one of both families. */
  readonly metric: number;
}

/** `ifType` of the loopback interface. */
export const TYPE_LOOPBACK = 24;

/** Returns the adapters in `memory`, in the order of the chain. */
export function readAdapters(memory: AddressedBytes): Adapter[] {
  const reader = new Reader(memory);
  const adapters: Adapter[] = [];
  let at: number | undefined = memory.bytes.length === 0 ? undefined : 0;
  while (at !== undefined && adapters.length < MAX_CHAIN) {
    const start: number = at;
    if (!reader.has(start, ADAPTER_LENGTH)) break;
    adapters.push({
      index: reader.u32(start + 4) || reader.u32(start + 108),
      guid: reader.ascii(reader.pointer(start + 16)),
      name: reader.wide(reader.pointer(start + 72)),
      description: reader.wide(reader.pointer(start + 64)),
      type: reader.u32(start + 100),
      isUp: reader.u32(start + 104) === OPERATIONAL_UP,
      unicast: reader.addresses(reader.pointer(start + 24)),
      resolvers: reader.addresses(reader.pointer(start + 48)),
      metric: Math.min(reader.u32(start + 216), reader.u32(start + 220)),
    });
    at = reader.pointer(start + 8);
  }
  return adapters;
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #base: bigint;

  constructor({ bytes, base }: AddressedBytes) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#base = base;
  }

  has(at: number, length: number): boolean {
    return at >= 0 && at + length <= this.#bytes.length;
  }

  u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  /** Returns where in the buffer the pointer at `at` leads; undefined if nowhere. */
  pointer(at: number): number | undefined {
    const offset = this.#view.getBigUint64(at, true) - this.#base;
    return offset >= 0n && offset < BigInt(this.#bytes.length) ? Number(offset) : undefined;
  }

  /** Returns the addresses of a chain: lengths and flags, the next one, a `SOCKET_ADDRESS`. */
  addresses(first: number | undefined): ScopedAddress[] {
    const found: ScopedAddress[] = [];
    let at = first;
    for (let count = 0; at !== undefined && count < MAX_CHAIN && this.has(at, 32); count++) {
      const place = this.pointer(at + 16);
      const address = place === undefined ? undefined : readAddress(this.#bytes, place);
      if (address !== undefined) found.push(address);
      at = this.pointer(at + 8);
    }
    return found;
  }

  ascii(at: number | undefined): string {
    if (at === undefined) return "";
    const text = this.#bytes.subarray(at, at + MAX_TEXT);
    const end = text.indexOf(0);
    return String.fromCharCode(...text.subarray(0, end < 0 ? text.length : end));
  }

  wide(at: number | undefined): string {
    let text = "";
    if (at === undefined) return text;
    for (let place = at; this.has(place, 2) && text.length < MAX_TEXT; place += 2) {
      const unit = this.#view.getUint16(place, true);
      if (unit === 0) break;
      text += String.fromCharCode(unit);
    }
    return text;
  }
}

const ADAPTER_LENGTH = 448;
/** `IfOperStatusUp`. */
const OPERATIONAL_UP = 1;
const MAX_CHAIN = 1024;
const MAX_TEXT = 512;
