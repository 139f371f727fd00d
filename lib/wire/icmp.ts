/**
 * ICMP and ICMPv6 (RFC 792, RFC 4443): echo, the errors that a gateway or client answers with (data-plane reference
 * §8.2), and the packet that an error quotes, which NAT must translate as well.
 */

import type { AddressKey } from "../base/ip.ts";
import { IpAddress, ipv4Key, ipv6Key } from "../base/ip.ts";
import { readU16, writeU16 } from "../base/bytes.ts";
import { adjustChecksum, adjustChecksumForBytes } from "./checksum.ts";
import type { IpHeader, IpPacket, Transport } from "./ip.ts";
import { buildPacket, MAX_PACKET_LENGTH, Protocol } from "./ip.ts";

/** What `buildEcho` puts into a packet. */
export interface Echo extends IpHeader {
  readonly kind: "request" | "reply";
  readonly identifier: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/** Returns a whole IP packet with an echo request or reply of the addresses' family. */
export function buildEcho(echo: Echo): Uint8Array {
  const message = new Uint8Array(8 + echo.payload.length);
  const isV4 = echo.source.family === 4;
  message[0] = echo.kind === "request" ? (isV4 ? 8 : 128) : isV4 ? 0 : 129;
  writeU16(message, 4, echo.identifier);
  writeU16(message, 6, echo.sequence);
  message.set(echo.payload, 8);
  return buildPacket(echo, isV4 ? Protocol.icmp : Protocol.icmpv6, message);
}

/** Returns the fields of `packet` if it is an echo request or reply; `payload` is a view into it. */
export function parseEcho(
  packet: IpPacket,
): { kind: "request" | "reply"; identifier: number; sequence: number; payload: Uint8Array } | undefined {
  if (!packet.isEcho) return undefined;
  const { bytes, transportOffset } = packet;
  const type = bytes[transportOffset]!;
  return {
    kind: type === 8 || type === 128 ? "request" : "reply",
    identifier: readU16(bytes, transportOffset + 4),
    sequence: readU16(bytes, transportOffset + 6),
    payload: bytes.subarray(transportOffset + 8),
  };
}

/** Why a packet is not delivered: a policy forbids it, or there is no way to its destination. */
export type UnreachableKind = "prohibited" | "network";

/** Hop limit of the errors that we make and translate. */
const ERROR_HOP_LIMIT = 20;

/**
 * Returns the ICMP error that answers `packet`: from its destination, to its source. IPv4 quotes the header and 8
 * bytes, IPv6 as much as fits. Undefined for packets that must not be answered: errors, multicast, no real source
 * (RFC 1122 §3.2.2, RFC 4443 §2.4).
 */
export function buildUnreachable(packet: IpPacket, kind: UnreachableKind): Uint8Array | undefined {
  if (packet.isIcmpError || packet.isMulticast) return undefined;
  const source = packet.source;
  if (source.isMulticast || source.isUnspecified) return undefined;
  const isV4 = packet.family === 4;
  const quoted = isV4
    ? packet.bytes.subarray(0, (packet.bytes[0]! & 0x0f) * 4 + 8)
    : packet.bytes.subarray(0, MAX_PACKET_LENGTH - 48);
  const message = new Uint8Array(8 + quoted.length);
  message[0] = isV4 ? 3 : 1;
  message[1] = isV4 ? (kind === "prohibited" ? 13 : 0) : kind === "prohibited" ? 1 : 3;
  message.set(quoted, 8);
  const header = { source: packet.destination, destination: source, hopLimit: ERROR_HOP_LIMIT };
  return buildPacket(header, isV4 ? Protocol.icmp : Protocol.icmpv6, message);
}

/** The packet that an ICMP error quotes: ours, as it was when the router or host saw it. */
export interface QuotedPacket {
  readonly transport: Exclude<Transport, "other">;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly destinationKey: AddressKey;
  /** Ports, or the identifier of an echo in both. */
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** Returns the packet that the error `packet` quotes, or undefined if it is no error or quotes too little. */
export function parseQuoted(packet: IpPacket): QuotedPacket | undefined {
  const layout = quotedLayout(packet);
  if (layout === undefined) return undefined;
  const { bytes } = packet;
  const { ip, transport, transportOffset } = layout;
  const isV4 = packet.family === 4;
  const destinationOffset = ip + (isV4 ? 16 : 24);
  const size = isV4 ? 4 : 16;
  return {
    transport,
    source: IpAddress.fromBytes(bytes, ip + (isV4 ? 12 : 8), size),
    destination: IpAddress.fromBytes(bytes, destinationOffset, size),
    destinationKey: isV4 ? ipv4Key(bytes, destinationOffset) : ipv6Key(bytes, destinationOffset),
    sourcePort: readU16(bytes, transportOffset + (transport === "icmp" ? 4 : 0)),
    destinationPort: readU16(bytes, transportOffset + (transport === "icmp" ? 4 : 2)),
  };
}

/** What the quoted packet shall look like to the receiver of the error. */
export interface QuoteTranslation {
  /** New destination of the quoted packet; becomes the source of the error itself too. */
  readonly destination: IpAddress;
  /** New source port or echo identifier of the quoted packet. */
  readonly sourcePort: number;
}

/**
 * Rewrites an ICMP error that came back through NAT so that its receiver recognises its own packet. Returns false, with
 * nothing changed, if `packet` is no such error. `packet` can be answered further with the same view.
 */
export function translateQuoted(packet: IpPacket, translation: QuoteTranslation): boolean {
  const layout = quotedLayout(packet);
  if (layout === undefined) return false;
  const { bytes } = packet;
  const { ip, transport, transportOffset, checksumOffset } = layout;
  const address = translation.destination.bytes;
  const at = ip + (packet.family === 4 ? 16 : 24);
  const pseudoHeader = !(transport === "icmp" && packet.family === 4);
  if (packet.family === 4) adjustChecksumForBytes(bytes, ip + 10, bytes, at, address, 0, address.length);
  if (checksumOffset !== undefined && pseudoHeader) {
    adjustChecksumForBytes(bytes, checksumOffset, bytes, at, address, 0, address.length);
  }
  bytes.set(address, at);

  const portOffset = transportOffset + (transport === "icmp" ? 4 : 0);
  const before = readU16(bytes, portOffset);
  writeU16(bytes, portOffset, translation.sourcePort);
  if (checksumOffset !== undefined) adjustChecksum(bytes, checksumOffset, before, translation.sourcePort);

  packet.setSource(address);
  packet.setHopLimit(ERROR_HOP_LIMIT);
  packet.refreshTransportChecksum();
  return true;
}

interface QuotedLayout {
  /** Where the quoted IP header starts. */
  readonly ip: number;
  readonly transport: Exclude<Transport, "other">;
  readonly transportOffset: number;
  /** Where the quoted transport checksum is, undefined if it was cut off or never made. */
  readonly checksumOffset: number | undefined;
}

function quotedLayout(packet: IpPacket): QuotedLayout | undefined {
  if (!packet.isIcmpError) return undefined;
  const { bytes } = packet;
  const ip = packet.transportOffset + 8;
  const isV4 = packet.family === 4;
  if (ip + (isV4 ? 20 : 40) > bytes.length || bytes[ip]! >>> 4 !== packet.family) return undefined;
  const headerLength = isV4 ? (bytes[ip]! & 0x0f) * 4 : 40;
  const transportOffset = ip + headerLength;
  if (headerLength < 20 || transportOffset + 8 > bytes.length) return undefined;
  const transport = quotedTransport(bytes[ip + (isV4 ? 9 : 6)]!, isV4, bytes[transportOffset]!);
  if (transport === undefined) return undefined;
  const checksum = transportOffset + (transport === "tcp" ? 16 : transport === "udp" ? 6 : 2);
  const isMissing = checksum + 2 > bytes.length || (transport === "udp" && readU16(bytes, checksum) === 0);
  return { ip, transport, transportOffset, checksumOffset: isMissing ? undefined : checksum };
}

function quotedTransport(
  protocol: number,
  isV4: boolean,
  type: number,
): QuotedLayout["transport"] | undefined {
  if (protocol === Protocol.tcp) return "tcp";
  if (protocol === Protocol.udp) return "udp";
  if (protocol !== (isV4 ? Protocol.icmp : Protocol.icmpv6)) return undefined;
  const isEcho = isV4 ? type === 8 || type === 0 : type === 128 || type === 129;
  return isEcho ? "icmp" : undefined;
}
