/** TCP segments inside packets of the tunnel (RFC 9293): accessors by packet, and a builder. */

import { readU16, readU32, writeU16, writeU32 } from "../base/bytes.ts";
import type { IpHeader, IpPacket } from "./ip.ts";
import { buildPacket, Protocol } from "./ip.ts";

/** Bits of the flags byte. */
export const TcpFlag = { fin: 0x01, syn: 0x02, rst: 0x04, psh: 0x08, ack: 0x10 } as const;

/** Returns the flags byte of `packet`, which is TCP. */
export function tcpFlags(packet: IpPacket): number {
  return packet.bytes[packet.transportOffset + 13]!;
}

/** Returns the sequence number of `packet`, which is TCP. */
export function tcpSequence(packet: IpPacket): number {
  return readU32(packet.bytes, packet.transportOffset + 4);
}

/** Returns the acknowledgment number of `packet`, which is TCP. */
export function tcpAcknowledgment(packet: IpPacket): number {
  return readU32(packet.bytes, packet.transportOffset + 8);
}

/** Returns the unscaled receive window of `packet`, which is TCP. */
export function tcpWindow(packet: IpPacket): number {
  return readU16(packet.bytes, packet.transportOffset + 14);
}

/** Returns the data of `packet`, which is TCP: a view into it. */
export function tcpPayload(packet: IpPacket): Uint8Array {
  const offset = packet.transportOffset;
  return packet.bytes.subarray(offset + (packet.bytes[offset + 12]! >>> 4) * 4);
}

/** Returns the maximum segment size that the options of `packet`, which is TCP, announce, or undefined. */
export function tcpMaximumSegmentSize(packet: IpPacket): number | undefined {
  const bytes = packet.bytes;
  const end = packet.transportOffset + (bytes[packet.transportOffset + 12]! >>> 4) * 4;
  let offset = packet.transportOffset + 20;
  while (offset + 1 < end) {
    const kind = bytes[offset]!;
    if (kind === 0) return undefined;
    const length = kind === 1 ? 1 : bytes[offset + 1]!;
    if (length === 0) return undefined;
    if (kind === 2 && length === 4 && offset + 4 <= end) return readU16(bytes, offset + 2);
    offset += length;
  }
  return undefined;
}

/** What `buildTcp` puts into a packet. */
export interface TcpSegment extends IpHeader {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  /** Of `TcpFlag`. */
  readonly flags: number;
  /** Receive window, unscaled. */
  readonly window: number;
  /** Announced in an option when given. */
  readonly maximumSegmentSize?: number;
  readonly payload?: Uint8Array;
}

/** Returns a whole IP packet that carries the segment. */
export function buildTcp(segment: TcpSegment): Uint8Array {
  const headerLength = segment.maximumSegmentSize === undefined ? 20 : 24;
  const bytes = new Uint8Array(headerLength + (segment.payload?.length ?? 0));
  writeU16(bytes, 0, segment.sourcePort);
  writeU16(bytes, 2, segment.destinationPort);
  writeU32(bytes, 4, segment.sequence);
  writeU32(bytes, 8, segment.acknowledgment);
  bytes[12] = (headerLength / 4) << 4;
  bytes[13] = segment.flags;
  writeU16(bytes, 14, segment.window);
  if (segment.maximumSegmentSize !== undefined) {
    bytes[20] = 2;
    bytes[21] = 4;
    writeU16(bytes, 22, segment.maximumSegmentSize);
  }
  if (segment.payload !== undefined) bytes.set(segment.payload, headerLength);
  return buildPacket(segment, Protocol.tcp, bytes);
}
