/**
 * What goes with a datagram in `WSASendMsg` and `WSARecvMsg` on 64-bit Windows (ws2def.h, ws2ipdef.h, mswsock.h): `WSAMSG`,
 * and `IN_PKTINFO` or `IN6_PKTINFO` as control data behind a `WSACMSGHDR`, aligned to eight bytes. Pure bytes.
 */

import type { Family, IpAddress } from "../../lib/base/ip.ts";

/** Levels and options of sockets; the control data of IP_PKTINFO and IPV6_PKTINFO has their numbers too. */
export const LEVEL_IP = 0;
export const LEVEL_IPV6 = 41;
export const IP_PKTINFO = 19;
export const IPV6_PKTINFO = 19;

/** Offsets in `WSAMSG`, and its length. */
export const Message = {
  name: 0,
  nameLength: 8,
  buffers: 16,
  bufferCount: 24,
  controlLength: 32,
  control: 40,
  flags: 48,
  length: 56,
} as const;

/** `WSABUF`: a length and an address. */
export const WSABUF = 16;

/** Bytes that hold all control data that is asked for. */
export const CONTROL_CAPACITY = 64;

/** Bit of `WSAMSG.dwFlags`: the datagram did not fit. */
export const MSG_TRUNC = 0x100;

/** Writes control data at `at`: send from `address`, over the interface `index` (0: any). Returns its length. */
export function writeSource(bytes: Uint8Array, at: number, address: IpAddress, index: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const isV4 = address.family === 4;
  const data = at + HEADER;
  const length = isV4 ? IN_PKTINFO : IN6_PKTINFO;
  view.setBigUint64(at, BigInt(HEADER + length), true);
  view.setInt32(at + 8, isV4 ? LEVEL_IP : LEVEL_IPV6, true);
  view.setInt32(at + 12, isV4 ? IP_PKTINFO : IPV6_PKTINFO, true);
  bytes.set(address.bytes, data);
  view.setUint32(data + address.bytes.length, index, true);
  return HEADER + aligned(length);
}

/** Returns where in control data (`length` bytes at `at`) the address is that a datagram came to; undefined if nowhere. */
export function findDestination(
  data: DataView,
  at: number,
  length: number,
  family: Family,
): number | undefined {
  const [level, type, needed] = family === 4
    ? [LEVEL_IP, IP_PKTINFO, IN_PKTINFO]
    : [LEVEL_IPV6, IPV6_PKTINFO, IN6_PKTINFO];
  const end = Math.min(at + length, data.byteLength);
  for (let place = at; place + HEADER <= end;) {
    const size = Number(data.getBigUint64(place, true));
    if (size < HEADER || place + size > end) return undefined;
    const isIt = data.getInt32(place + 8, true) === level && data.getInt32(place + 12, true) === type;
    if (isIt && size >= HEADER + needed) return place + HEADER;
    place += aligned(size);
  }
  return undefined;
}

function aligned(length: number): number {
  return (length + 7) & ~7;
}

/** `WSACMSGHDR`: a length of 64 bits, level, type. */
const HEADER = 16;
const IN_PKTINFO = 8;
const IN6_PKTINFO = 20;
