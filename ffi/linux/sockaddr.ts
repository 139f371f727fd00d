/** Socket addresses as the kernel lays them out (`sockaddr_in`, `sockaddr_in6`). */

import type { SocketAddress } from "../../lib/base/ip.ts";
import { arena } from "../memory.ts";

/** Address family of IPv4. */
export const AF_INET = 2;
/** Address family of IPv6. */
export const AF_INET6 = 10;

/** Bytes that hold any of the two. */
export const SOCKADDR_CAPACITY = 32;

/** Writes `address` at `at` of the arena and returns its length. */
export function writeSockaddr(at: number, address: SocketAddress): number {
  arena.bytes.fill(0, at, at + SOCKADDR_CAPACITY);
  arena.setU16(at, address.family === 4 ? AF_INET : AF_INET6);
  arena.data.setUint16(at + 2, address.port);
  arena.bytes.set(address.ip.bytes, at + (address.family === 4 ? 4 : 8));
  if (address.scopeId !== undefined && address.family === 6) arena.setU32(at + 24, address.scopeId);
  return address.family === 4 ? 16 : 28;
}

/** Returns the port of the address at `at`. */
export function sockaddrPort(at: number): number {
  return arena.data.getUint16(at + 2);
}
