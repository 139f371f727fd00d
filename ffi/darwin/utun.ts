/**
 * What a utun of macOS is called, and the four bytes before each of its packets: the address family in network byte order
 * (net/if_utun.h; the kernel's utun_ctl_send swaps them). Pure.
 */

import { AF_INET, AF_INET6 } from "./sockaddr.ts";

/** Bytes before a packet. */
export const UTUN_HEADER_LENGTH = 4;

/** Returns the unit by which the interface `name` is asked for: utunN is N + 1; 0, the next free one, for other names. */
export function utunUnit(name: string): number {
  const digits = /^utun(\d{1,4})$/.exec(name)?.[1];
  return digits === undefined ? 0 : Number(digits) + 1;
}

/** Writes the header of `packet` at `at`. Returns false if it is no IP packet. */
export function writeUtunHeader(data: DataView, at: number, packet: Uint8Array): boolean {
  const version = (packet[0] ?? 0) >> 4;
  if (version !== 4 && version !== 6) return false;
  data.setUint32(at, version === 4 ? AF_INET : AF_INET6);
  return true;
}
