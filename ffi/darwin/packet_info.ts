/**
 * Which of our addresses a datagram came to, or leaves from: control data of recvmsg(2) and sendmsg(2) as Darwin lays it
 * out (sys/socket.h, RFC 3542 §6.1). `struct cmsghdr` has 12 bytes, and all of it is aligned to 4. Pure bytes.
 */

import type { Family, IpAddress } from "../../lib/base/ip.ts";

/** Bytes that hold what is written here, and what is asked of the kernel. */
export const CONTROL_CAPACITY = 64;

/** `IPPROTO_IP`. */
export const LEVEL_IP = 0;
/** `IPPROTO_IPV6`. */
export const LEVEL_IPV6 = 41;
/** The option that asks for control data on IPv4, and its type. */
export const IP_PKTINFO = 26;
/** The option that asks for control data on IPv6; its type is `IPV6_PKTINFO`. */
export const IPV6_RECVPKTINFO = 61;
const IPV6_PKTINFO = 46;

/** Writes control data that sends from `source` at `at`; returns its length. */
export function writeSource(bytes: Uint8Array, at: number, source: IpAddress): number {
  const isV4 = source.family === 4;
  const length = HEADER + (isV4 ? IN_PKTINFO : IN6_PKTINFO);
  bytes.fill(0, at, at + length);
  const data = new DataView(bytes.buffer, bytes.byteOffset + at, length);
  data.setUint32(0, length, true);
  data.setUint32(4, isV4 ? LEVEL_IP : LEVEL_IPV6, true);
  data.setUint32(8, isV4 ? IP_PKTINFO : IPV6_PKTINFO, true);
  // No interface (zero): the socket is bound to one, and its number would come before the address.
  bytes.set(source.bytes, at + HEADER + (isV4 ? 4 : 0));
  return length;
}

/**
 * Returns where in `bytes` the address lies that a datagram of `family` came to; undefined if the `length` bytes of
 * control data at `at` do not say.
 */
export function findDestination(
  data: DataView,
  at: number,
  length: number,
  family: Family,
): number | undefined {
  const end = at + length;
  while (at + HEADER <= end) {
    const size = data.getUint32(at, true);
    if (size < HEADER || at + size > end) return undefined;
    const level = data.getUint32(at + 4, true);
    const type = data.getUint32(at + 8, true);
    if (family === 4 && level === LEVEL_IP && type === IP_PKTINFO && size >= HEADER + IN_PKTINFO) {
      // The kernel fills in the destination of the packet, not `ipi_spec_dst`.
      return at + HEADER + 8;
    }
    if (family === 6 && level === LEVEL_IPV6 && type === IPV6_PKTINFO && size >= HEADER + IN6_PKTINFO) {
      return at + HEADER;
    }
    at += (size + 3) & ~3;
  }
  return undefined;
}

const HEADER = 12;
/** Interface, source, destination. */
const IN_PKTINFO = 12;
/** Address, interface. */
const IN6_PKTINFO = 20;
