/**
 * Socket addresses as Darwin lays them out (sys/socket.h, netinet/in.h, netinet6/in6.h, net/if_dl.h): the first byte is
 * the length, the second the family. Pure bytes.
 */

import { type Family, IpAddress, type IpNetwork, type SocketAddress } from "../../lib/base/ip.ts";

/** Address family of IPv4. */
export const AF_INET = 2;
/** Address family of interfaces and their hardware addresses. */
const AF_LINK = 18;
/** Address family of IPv6. */
export const AF_INET6 = 30;

/** Bytes that hold any `sockaddr_in` and `sockaddr_in6`. */
export const SOCKADDR_CAPACITY = 32;

/** Returns the number that Darwin has for `family`. */
export function addressFamily(family: Family): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/** Returns `sockaddr_in` or `sockaddr_in6` of `ip`; `port` and `scopeId` may be 0. */
export function sockaddrOf(ip: IpAddress, port = 0, scopeId = 0): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(ip.family === 4 ? SOCKADDR_IN : SOCKADDR_IN6);
  writeSockaddr(bytes, 0, ip, port, scopeId);
  return bytes;
}

/** Writes `address` at `at` of `bytes` and returns its length. */
export function writeSocketAddress(bytes: Uint8Array, at: number, address: SocketAddress): number {
  return writeSockaddr(bytes, at, address.ip, address.port, address.scopeId ?? 0);
}

function writeSockaddr(bytes: Uint8Array, at: number, ip: IpAddress, port: number, scopeId: number): number {
  const isV4 = ip.family === 4;
  const length = isV4 ? SOCKADDR_IN : SOCKADDR_IN6;
  bytes.fill(0, at, at + length);
  bytes[at] = length;
  bytes[at + 1] = isV4 ? AF_INET : AF_INET6;
  bytes[at + 2] = port >> 8;
  bytes[at + 3] = port & 0xff;
  bytes.set(ip.bytes, at + (isV4 ? IN_ADDRESS : IN6_ADDRESS));
  if (!isV4) new DataView(bytes.buffer, bytes.byteOffset).setUint32(at + IN6_SCOPE, scopeId, true);
  return length;
}

/** Returns the netmask of `network`, written out in full. */
export function netmaskOf({ family, prefix }: IpNetwork): Uint8Array<ArrayBuffer> {
  const mask = new Uint8Array(family === 4 ? 4 : 16);
  for (let index = 0; index < mask.length; index++) {
    const bits = Math.max(0, Math.min(8, prefix - index * 8));
    mask[index] = 0xff << (8 - bits) & 0xff;
  }
  return sockaddrOf(IpAddress.fromBytes(mask));
}

/** Returns `sockaddr_dl` of the interface `index`, by which the kernel finds it. */
export function linkSockaddr(index: number, name: string): Uint8Array<ArrayBuffer> {
  const encoded = new TextEncoder().encode(name);
  const bytes = new Uint8Array(Math.max(SOCKADDR_DL, SDL_DATA + encoded.length));
  bytes[0] = bytes.length;
  bytes[1] = AF_LINK;
  new DataView(bytes.buffer).setUint16(2, index, true);
  bytes[SDL_NAME_LENGTH] = encoded.length;
  bytes.set(encoded, SDL_DATA);
  return bytes;
}

/** What a `sockaddr` of a route says. */
export type RouteSockaddr =
  | { readonly type: "ip"; readonly address: IpAddress; readonly scopeId: number }
  | { readonly type: "link"; readonly index: number };

/**
 * Returns what `bytes` (one `sockaddr`) says, or undefined. The kernel leaves zeros at the end out. It also writes the
 * index of a link-local address' interface into the address (the KAME form); that comes out as the scope.
 */
export function readSockaddr(bytes: Uint8Array): RouteSockaddr | undefined {
  switch (bytes[1]) {
    case AF_INET:
      return { type: "ip", address: IpAddress.fromBytes(padded(bytes, IN_ADDRESS, 4)), scopeId: 0 };
    case AF_INET6: {
      const address = padded(bytes, IN6_ADDRESS, 16);
      const view = new DataView(address.buffer);
      const written = padded(bytes, IN6_SCOPE, 4);
      let scopeId = new DataView(written.buffer).getUint32(0, true);
      const isLinkLocal = address[0] === 0xfe && (address[1]! & 0xc0) === 0x80;
      if (isLinkLocal && view.getUint16(2) !== 0) {
        scopeId = view.getUint16(2);
        view.setUint16(2, 0);
      }
      return { type: "ip", address: IpAddress.fromBytes(address), scopeId };
    }
    case AF_LINK: {
      const index = padded(bytes, 2, 2);
      return { type: "link", index: new DataView(index.buffer).getUint16(0, true) };
    }
    default:
      return undefined;
  }
}

/**
 * Returns the prefix length that a netmask's `sockaddr` says for `family`; undefined if it has holes. The kernel leaves
 * zeros at the end out, and does not always set the family.
 */
export function readNetmask(bytes: Uint8Array, family: Family): number | undefined {
  const mask = family === 4 ? padded(bytes, IN_ADDRESS, 4) : padded(bytes, IN6_ADDRESS, 16);
  const bits = [...mask].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const prefix = bits.indexOf("0");
  if (prefix < 0) return bits.length;
  return bits.indexOf("1", prefix) < 0 ? prefix : undefined;
}

/** Returns `length` bytes at `at`, zeros where `bytes` has ended. */
function padded(bytes: Uint8Array, at: number, length: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(length);
  out.set(bytes.subarray(at, at + length));
  return out;
}

const SOCKADDR_IN = 16;
const IN_ADDRESS = 4;
const SOCKADDR_IN6 = 28;
const IN6_ADDRESS = 8;
const IN6_SCOPE = 24;
const SOCKADDR_DL = 20;
const SDL_NAME_LENGTH = 5;
const SDL_DATA = 8;
