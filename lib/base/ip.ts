/**
 * IP addresses, networks and socket addresses as immutable values. Each carries a `key`: a canonical value for `Map`
 * and for comparison, cheap enough to be made from a packet's bytes on the data path.
 */

import { formatAddress, parseAddress } from "./ip_text.ts";

/** The version of IP. */
export type Family = 4 | 6;

/** Canonical `Map` key of an address: IPv4 as an unsigned 32-bit number, IPv6 as eight UTF-16 code units. */
export type AddressKey = number | string;

/** Returns the key of the IPv4 address (4 bytes) at `offset`. */
export function ipv4Key(bytes: Uint8Array, offset: number): AddressKey {
  return ((bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) |
    bytes[offset + 3]!) >>> 0;
}

/** Returns the key of the IPv6 address (16 bytes) at `offset`. */
export function ipv6Key(bytes: Uint8Array, offset: number): AddressKey {
  const word = (index: number) => (bytes[offset + index]! << 8) | bytes[offset + index + 1]!;
  return String.fromCharCode(word(0), word(2), word(4), word(6), word(8), word(10), word(12), word(14));
}

/** An IPv4 or IPv6 address. */
export class IpAddress {
  readonly family: Family;
  /** Network byte order; 4 or 16 bytes. Never written to. */
  readonly bytes: Uint8Array;
  readonly key: AddressKey;

  private constructor(bytes: Uint8Array) {
    this.family = bytes.length === 4 ? 4 : 6;
    this.bytes = bytes;
    this.key = this.family === 4 ? ipv4Key(bytes, 0) : ipv6Key(bytes, 0);
  }

  /** Returns the address in the first 4 or 16 bytes at `offset`, copied. */
  static fromBytes(bytes: Uint8Array, offset = 0, length: number = bytes.length - offset): IpAddress {
    if (length !== 4 && length !== 16) throw new RangeError(`Cannot make an IP address of ${length} bytes`);
    return new IpAddress(bytes.slice(offset, offset + length));
  }

  /** Returns the address that `text` denotes, or undefined. No brackets, no prefix length, no scope. */
  static parse(text: string): IpAddress | undefined {
    const bytes = parseAddress(text);
    return bytes === undefined ? undefined : new IpAddress(bytes);
  }

  /** Returns the address that `text` denotes; for literals in code and for text that was checked before. */
  static from(text: string): IpAddress {
    const address = IpAddress.parse(text);
    if (address === undefined) throw new RangeError(`Cannot parse "${text}" as an IP address`);
    return address;
  }

  get isUnspecified(): boolean {
    return this.bytes.every((byte) => byte === 0);
  }

  get isLoopback(): boolean {
    return this.family === 4 ? this.bytes[0] === 127 : this.key === LOOPBACK_6;
  }

  get isMulticast(): boolean {
    return this.family === 4 ? (this.bytes[0]! & 0xf0) === 0xe0 : this.bytes[0] === 0xff;
  }

  get isLinkLocal(): boolean {
    return this.family === 4
      ? this.bytes[0] === 169 && this.bytes[1] === 254
      : this.bytes[0] === 0xfe && (this.bytes[1]! & 0xc0) === 0x80;
  }

  equals(other: IpAddress): boolean {
    return this.key === other.key;
  }

  /** Returns the address `count` above this one, wrapping at the end of the family's range. */
  plus(count: number): IpAddress {
    const bytes = this.bytes.slice();
    let carry = count;
    for (let index = bytes.length - 1; index >= 0 && carry > 0; index--) {
      carry += bytes[index]!;
      bytes[index] = carry % 256;
      carry = Math.floor(carry / 256);
    }
    return new IpAddress(bytes);
  }

  /** Returns the canonical text: dotted quad, or RFC 5952. */
  toString(): string {
    return formatAddress(this.bytes);
  }

  toJSON(): string {
    return this.toString();
  }
}

const LOOPBACK_6 = "\0\0\0\0\0\0\0\x01";

/** An address range in CIDR form. Host bits are zero. */
export class IpNetwork {
  readonly address: IpAddress;
  readonly prefix: number;

  /** Host bits of `address` are cleared. */
  constructor(address: IpAddress, prefix: number) {
    const { bytes } = address;
    const bits = bytes.length * 8;
    if (!Number.isInteger(prefix) || prefix < 0 || prefix > bits) {
      throw new RangeError(`Cannot use prefix length ${prefix}: IPv${address.family} has ${bits} bits`);
    }
    let isClear = true;
    for (let index = prefix >> 3; index < bytes.length; index++) {
      if ((bytes[index]! & ~maskByte(prefix, index)) !== 0) isClear = false;
    }
    this.address = isClear
      ? address
      : IpAddress.fromBytes(bytes.map((byte, index) => byte & maskByte(prefix, index)));
    this.prefix = prefix;
  }

  /** Returns the network that `text` denotes ("10.0.0.0/8"; a bare address is its own /32 or /128), or undefined. */
  static parse(text: string): IpNetwork | undefined {
    const slash = text.indexOf("/");
    const address = IpAddress.parse(slash < 0 ? text : text.slice(0, slash));
    if (address === undefined) return undefined;
    const bits = address.bytes.length * 8;
    if (slash < 0) return new IpNetwork(address, bits);
    const suffix = text.slice(slash + 1);
    if (!/^\d{1,3}$/.test(suffix) || Number(suffix) > bits) return undefined;
    return new IpNetwork(address, Number(suffix));
  }

  /** Returns the network that `text` denotes; for literals in code and for text that was checked before. */
  static from(text: string): IpNetwork {
    const network = IpNetwork.parse(text);
    if (network === undefined) throw new RangeError(`Cannot parse "${text}" as an IP network`);
    return network;
  }

  get family(): Family {
    return this.address.family;
  }

  /** Returns whether `address` lies in this network. */
  contains(address: IpAddress): boolean {
    return address.family === this.family && this.containsBytes(address.bytes, 0);
  }

  /** Returns whether the address of this network's family at `offset` of `bytes` lies in it. */
  containsBytes(bytes: Uint8Array, offset: number): boolean {
    const own = this.address.bytes;
    for (let index = 0; index * 8 < this.prefix; index++) {
      if (((bytes[offset + index]! ^ own[index]!) & maskByte(this.prefix, index)) !== 0) return false;
    }
    return true;
  }

  equals(other: IpNetwork): boolean {
    return this.prefix === other.prefix && this.address.equals(other.address);
  }

  toString(): string {
    return `${this.address}/${this.prefix}`;
  }

  toJSON(): string {
    return this.toString();
  }
}

/** An IP address and a port. */
export class SocketAddress {
  readonly ip: IpAddress;
  readonly port: number;
  /** Index of the interface that a link-local address is on (RFC 4007 §6). Not part of the key. */
  readonly scopeId: number | undefined;
  /** Canonical `Map` key; numbers for IPv4, strings for IPv6. */
  readonly key: AddressKey;

  constructor(ip: IpAddress, port: number, scopeId?: number) {
    this.ip = ip;
    this.port = port;
    this.scopeId = scopeId;
    this.key = typeof ip.key === "number" ? ip.key * 65536 + port : ip.key + String.fromCharCode(port);
  }

  /** Returns the address that `text` denotes ("192.0.2.1:53", "[2001:db8::1]:53"), or undefined. */
  static parse(text: string): SocketAddress | undefined {
    const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
    if (match === null || Number(match[3]) > 65535) return undefined;
    const ip = IpAddress.parse(match[1] ?? match[2]!);
    if (ip === undefined || (ip.family === 6) !== (match[1] !== undefined)) return undefined;
    return new SocketAddress(ip, Number(match[3]));
  }

  /** Returns the address that `text` denotes; for literals in code and for text that was checked before. */
  static from(text: string): SocketAddress {
    const address = SocketAddress.parse(text);
    if (address === undefined) throw new RangeError(`Cannot parse "${text}" as a socket address`);
    return address;
  }

  get family(): Family {
    return this.ip.family;
  }

  equals(other: SocketAddress): boolean {
    return this.key === other.key;
  }

  toString(): string {
    if (this.family === 4) return `${this.ip}:${this.port}`;
    return this.scopeId === undefined
      ? `[${this.ip}]:${this.port}`
      : `[${this.ip}%${this.scopeId}]:${this.port}`;
  }

  toJSON(): string {
    return this.toString();
  }
}

function maskByte(prefix: number, index: number): number {
  const bits = prefix - index * 8;
  return bits >= 8 ? 0xff : bits <= 0 ? 0 : (0xff << (8 - bits)) & 0xff;
}
