/** Packets for the tests of segmentation and coalescing, with a slow checksum of their own. */

import { concatBytes, writeU16, writeU32 } from "../../../lib/base/bytes.ts";
import { IpAddress } from "../../../lib/base/ip.ts";

export interface SegmentOptions {
  readonly family: 4 | 6;
  readonly protocol: "tcp" | "udp";
  readonly payload: Uint8Array;
  readonly sequence?: number;
  readonly flags?: number;
  readonly identification?: number;
  readonly sourcePort?: number;
  readonly options?: Uint8Array;
}

/** Returns an IP packet with right checksums: 10.0.0.1 → 10.0.0.2 or fd00::1 → fd00::2. */
export function makeSegment(options: SegmentOptions): Uint8Array {
  const { family, protocol, payload, sequence = 1, flags = 0x10, identification = 0, sourcePort = 1000 } =
    options;
  const tcpOptions = options.options ?? new Uint8Array(0);
  const transport = new Uint8Array(protocol === "tcp" ? 20 + tcpOptions.length : 8);
  writeU16(transport, 0, sourcePort);
  writeU16(transport, 2, 443);
  if (protocol === "tcp") {
    writeU32(transport, 4, sequence);
    writeU32(transport, 8, 77);
    transport[12] = (transport.length / 4) << 4;
    transport[13] = flags;
    writeU16(transport, 14, 500);
    transport.set(tcpOptions, 20);
  } else {
    writeU16(transport, 4, 8 + payload.length);
  }
  const number = protocol === "tcp" ? 6 : 17;
  const length = transport.length + payload.length;
  let ip: Uint8Array;
  if (family === 4) {
    ip = new Uint8Array(20);
    ip[0] = 0x45;
    writeU16(ip, 2, 20 + length);
    writeU16(ip, 4, identification);
    ip[6] = 0x40;
    ip[8] = 64;
    ip[9] = number;
    ip.set(IpAddress.from("10.0.0.1").bytes, 12);
    ip.set(IpAddress.from("10.0.0.2").bytes, 16);
    writeU16(ip, 10, ~slowSum(ip) & 0xffff);
  } else {
    ip = new Uint8Array(40);
    ip[0] = 0x60;
    writeU16(ip, 4, length);
    ip[6] = number;
    ip[7] = 64;
    ip.set(IpAddress.from("fd00::1").bytes, 8);
    ip.set(IpAddress.from("fd00::2").bytes, 24);
  }
  const packet = concatBytes(ip, transport, payload);
  const field = ip.length + (protocol === "tcp" ? 16 : 6);
  const checksum = ~transportSum(packet) & 0xffff;
  writeU16(packet, field, checksum === 0 && protocol === "udp" ? 0xffff : checksum);
  return packet;
}

/** Returns the sum over pseudo header and transport of `packet`: 0xffff if its checksum is right. */
export function transportSum(packet: Uint8Array): number {
  const isV4 = packet[0]! >> 4 === 4;
  const start = isV4 ? (packet[0]! & 15) * 4 : 40;
  const pseudo = new Uint8Array(4);
  pseudo[1] = packet[isV4 ? 9 : 6]!;
  writeU16(pseudo, 2, packet.length - start);
  return slowSum(concatBytes(isV4 ? packet.slice(12, 20) : packet.slice(8, 40), pseudo, packet.slice(start)));
}

/** RFC 1071 §4.1, as it is written there. */
export function slowSum(bytes: Uint8Array): number {
  let sum = 0;
  for (let index = 0; index < bytes.length; index += 2) sum += bytes[index]! * 256 + (bytes[index + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65_536);
  return sum;
}
