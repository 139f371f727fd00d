/**
 * Socket addresses as Windows lays them out (`SOCKADDR_INET` of ws2ipdef.h): family in two bytes, no length. Pure bytes.
 */

import { type Family, IpAddress, type SocketAddress } from "../../lib/base/ip.ts";

/** Address family of IPv4. */
export const AF_INET = 2;
/** Address family of IPv6. */
export const AF_INET6 = 23;

/** Bytes of `SOCKADDR_INET`, which holds either family. */
export const SOCKADDR_INET = 28;

/** An address, and the interface of one that needs it; 0 is none. */
export interface ScopedAddress {
  readonly address: IpAddress;
  readonly scopeId: number;
}

/** Returns the number that Windows has for `family`. */
export function addressFamily(family: Family): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/** Writes `ip` as a `SOCKADDR_INET` at `at` of `bytes`, all 28 of them, and returns the length that its family has. */
export function writeAddress(bytes: Uint8Array, at: number, ip: IpAddress, port = 0, scopeId = 0): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  bytes.fill(0, at, at + SOCKADDR_INET);
  view.setUint16(at, addressFamily(ip.family), true);
  view.setUint16(at + 2, port);
  bytes.set(ip.bytes, at + (ip.family === 4 ? IN_ADDRESS : IN6_ADDRESS));
  if (ip.family === 4) return SOCKADDR_IN;
  view.setUint32(at + IN6_SCOPE, scopeId, true);
  return SOCKADDR_INET;
}

/** Writes `address` at `at` of `bytes` and returns its length. */
export function writeSocketAddress(bytes: Uint8Array, at: number, address: SocketAddress): number {
  return writeAddress(bytes, at, address.ip, address.port, address.scopeId ?? 0);
}

/** Returns the address at `at` of `bytes`; undefined if it is of another family or cut off. */
export function readAddress(bytes: Uint8Array, at: number): ScopedAddress | undefined {
  if (at < 0 || at + SOCKADDR_IN > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  switch (view.getUint16(at, true)) {
    case AF_INET:
      return { address: IpAddress.fromBytes(bytes, at + IN_ADDRESS, 4), scopeId: 0 };
    case AF_INET6:
      if (at + SOCKADDR_INET > bytes.length) return undefined;
      return {
        address: IpAddress.fromBytes(bytes, at + IN6_ADDRESS, 16),
        scopeId: view.getUint32(at + IN6_SCOPE, true),
      };
    default:
      return undefined;
  }
}

const SOCKADDR_IN = 16;
const IN_ADDRESS = 4;
const IN6_ADDRESS = 8;
const IN6_SCOPE = 24;
