/** UDP inside packets of the tunnel (RFC 768): the payload of one, and a builder. */

import { readU16, writeU16 } from "../base/bytes.ts";
import type { IpHeader, IpPacket } from "./ip.ts";
import { buildPacket, MAX_SEGMENT_LENGTH, Protocol } from "./ip.ts";

/** Largest UDP payload in a packet that we build; DNS answers longer than this are truncated. */
export const MAX_UDP_PAYLOAD = MAX_SEGMENT_LENGTH - 8;

/** Returns the payload of `packet`, a view into it, or undefined if it is not UDP. */
export function udpPayload(packet: IpPacket): Uint8Array | undefined {
  if (packet.transport !== "udp") return undefined;
  const offset = packet.transportOffset;
  return packet.bytes.subarray(offset + 8, offset + readU16(packet.bytes, offset + 4));
}

/** What `buildUdp` puts into a packet. */
export interface UdpDatagram extends IpHeader {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
}

/** Returns a whole IP packet that carries the datagram. */
export function buildUdp(datagram: UdpDatagram): Uint8Array {
  const segment = new Uint8Array(8 + datagram.payload.length);
  writeU16(segment, 0, datagram.sourcePort);
  writeU16(segment, 2, datagram.destinationPort);
  writeU16(segment, 4, segment.length);
  segment.set(datagram.payload, 8);
  return buildPacket(datagram, Protocol.udp, segment);
}
