/** Packets for tests: arbitraries, and a slow checksum that shares no code with the one under test. */

import * as fc from "fast-check";
import { IpAddress } from "../../../lib/base/ip.ts";
import { buildEcho } from "../../../lib/wire/icmp.ts";
import { buildTcp } from "../../../lib/wire/tcp.ts";
import { buildUdp } from "../../../lib/wire/udp.ts";

/** Any IPv4 address. */
export const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => IpAddress.fromBytes(bytes));

/** Any IPv6 address. */
export const ipv6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) =>
  IpAddress.fromBytes(bytes)
);

/** Two addresses of one family. */
export const addressPair = fc.oneof(fc.tuple(ipv4, ipv4), fc.tuple(ipv6, ipv6));

/** Any port. */
export const port = fc.integer({ min: 0, max: 65535 });

/** A valid TCP, UDP or echo packet. */
export const packetBytes = fc.tuple(
  addressPair,
  port,
  port,
  fc.uint8Array({ maxLength: 200 }),
  fc.constantFrom("udp", "tcp", "request", "reply"),
).map(([[source, destination], sourcePort, destinationPort, payload, kind]) => {
  switch (kind) {
    case "udp":
      return buildUdp({ source, destination, sourcePort, destinationPort, payload });
    case "tcp":
      return buildTcp({
        source,
        destination,
        sourcePort,
        destinationPort,
        sequence: 1,
        acknowledgment: 2,
        flags: 0x10,
        window: 1000,
        payload,
      });
    case "request":
    case "reply":
      return buildEcho({
        source,
        destination,
        kind,
        identifier: sourcePort,
        sequence: destinationPort,
        payload,
      });
  }
});

/** Returns whether all checksums of a packet without options or extension headers hold, straight from the RFCs. */
export function checksumsHold(bytes: Uint8Array): boolean {
  const isV4 = bytes[0]! >> 4 === 4;
  const headerLength = isV4 ? (bytes[0]! & 15) * 4 : 40;
  if (isV4 && slowSum([...bytes.subarray(0, headerLength)]) !== 0xffff) return false;
  const protocol = isV4 ? bytes[9]! : bytes[6]!;
  const segment = [...bytes.subarray(headerLength)];
  if (protocol === 17 && segment[6] === 0 && segment[7] === 0) return true;
  const pseudo = isV4
    ? [...bytes.subarray(12, 20), 0, protocol, segment.length >> 8, segment.length & 255]
    : [...bytes.subarray(8, 40), 0, 0, segment.length >> 8, segment.length & 255, 0, 0, 0, protocol];
  return slowSum(isV4 && protocol === 1 ? segment : [...pseudo, ...segment]) === 0xffff;
}

function slowSum(bytes: number[]): number {
  let sum = 0n;
  for (let index = 0; index < bytes.length; index += 2) {
    sum += BigInt(bytes[index]! * 256 + (bytes[index + 1] ?? 0));
  }
  while (sum > 0xffffn) sum = (sum & 0xffffn) + (sum >> 16n);
  return Number(sum);
}
