/**
 * IP packets as views over their bytes: admission, accessors that allocate nothing, rewriting in place with
 * incrementally corrected checksums. RFC 791, RFC 8200; what is admitted: data-plane reference §6.1. A view may be used
 * again for the next packet (`load`), so the data path needs only one.
 */

import type { AddressKey, Family } from "../base/ip.ts";
import { IpAddress, ipv4Key, ipv6Key } from "../base/ip.ts";
import { readU16, writeU16 } from "../base/bytes.ts";
import type { Result } from "../base/result.ts";
import { err, ok } from "../base/result.ts";
import { addWords, adjustChecksum, adjustChecksumForBytes, foldSum } from "./checksum.ts";

/** Largest packet that the tunnel carries, in bytes. */
export const MAX_PACKET_LENGTH = 1280;

/** Largest transport segment (header included) of a packet that we build: room for the longest IPv4 header. */
export const MAX_SEGMENT_LENGTH = MAX_PACKET_LENGTH - 60;

/** Protocol numbers (IANA) that this project understands. */
export const Protocol = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, control: 255 } as const;

/** What a packet carries. `icmp` is ICMP inside IPv4 and ICMPv6 inside IPv6; everything not understood is `other`. */
export type Transport = "tcp" | "udp" | "icmp" | "other";

/** Why bytes are not an acceptable packet. */
export type PacketFault =
  | "empty"
  | "too-long"
  | "bad-version"
  | "truncated"
  | "bad-length"
  | "fragment"
  | "source-routed"
  | "bad-transport";

/** One IP packet over bytes that it does not own. All offsets are from the start of `bytes`. */
export class IpPacket {
  #bytes: Uint8Array = NOTHING;
  #family: Family = 4;
  #protocol = 0;
  #transport: Transport = "other";
  #transportOffset = 0;
  /** Keys of IPv6 addresses are strings: worth making once a packet. */
  #sourceKey6: AddressKey | undefined;
  #destinationKey6: AddressKey | undefined;

  /**
   * Points this view at the packet at the start of `bytes` and returns undefined, or returns why it is not admitted; the
   * view must not be used then. Bytes behind the packet's own length are cut off.
   */
  load(bytes: Uint8Array): PacketFault | undefined {
    this.#sourceKey6 = undefined;
    this.#destinationKey6 = undefined;
    if (bytes.length === 0) return "empty";
    const version = bytes[0]! >>> 4;
    const fault = version === 4 ? this.#loadV4(bytes) : version === 6 ? this.#loadV6(bytes) : "bad-version";
    return fault ?? this.#checkTransport();
  }

  /** The packet, exactly its own length. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }

  get family(): Family {
    return this.#family;
  }

  /** Protocol number of what follows the IP header and any IPv6 extension headers. */
  get protocol(): number {
    return this.#protocol;
  }

  get transport(): Transport {
    return this.#transport;
  }

  /** Where the transport header starts. */
  get transportOffset(): number {
    return this.#transportOffset;
  }

  /** Where the source address starts. */
  get sourceOffset(): number {
    return this.#family === 4 ? 12 : 8;
  }

  /** Where the destination address starts. */
  get destinationOffset(): number {
    return this.#family === 4 ? 16 : 24;
  }

  /** The source address as a `Map` key. */
  get sourceKey(): AddressKey {
    if (this.#family === 4) return ipv4Key(this.#bytes, 12);
    return (this.#sourceKey6 ??= ipv6Key(this.#bytes, 8));
  }

  /** The destination address as a `Map` key. */
  get destinationKey(): AddressKey {
    if (this.#family === 4) return ipv4Key(this.#bytes, 16);
    return (this.#destinationKey6 ??= ipv6Key(this.#bytes, 24));
  }

  /** The source address as a value of its own; allocates, so not for the data path. */
  get source(): IpAddress {
    return IpAddress.fromBytes(this.#bytes, this.sourceOffset, this.#family === 4 ? 4 : 16);
  }

  /** The destination address as a value of its own; allocates, so not for the data path. */
  get destination(): IpAddress {
    return IpAddress.fromBytes(this.#bytes, this.destinationOffset, this.#family === 4 ? 4 : 16);
  }

  /** Time to live or hop limit. */
  get hopLimit(): number {
    return this.#bytes[this.#family === 4 ? 8 : 7]!;
  }

  get isMulticast(): boolean {
    return this.#family === 4 ? (this.#bytes[16]! & 0xf0) === 0xe0 : this.#bytes[24] === 0xff;
  }

  /** Whether this is a p2p control packet: `::` to `::`, protocol 255 (data-plane reference §5.1). */
  get isControl(): boolean {
    if (this.#family !== 6 || this.#bytes[6] !== Protocol.control) return false;
    for (let offset = 8; offset < 40; offset++) if (this.#bytes[offset] !== 0) return false;
    return true;
  }

  /** TCP or UDP source port; the identifier of an ICMP echo; 0 for anything else. */
  get sourcePort(): number {
    if (this.#transport === "tcp" || this.#transport === "udp") {
      return readU16(this.#bytes, this.#transportOffset);
    }
    return this.isEcho ? readU16(this.#bytes, this.#transportOffset + 4) : 0;
  }

  /** TCP or UDP destination port; the identifier of an ICMP echo; 0 for anything else. */
  get destinationPort(): number {
    if (this.#transport === "tcp" || this.#transport === "udp") {
      return readU16(this.#bytes, this.#transportOffset + 2);
    }
    return this.isEcho ? readU16(this.#bytes, this.#transportOffset + 4) : 0;
  }

  /** Whether this is an ICMP echo request or reply of the packet's family. */
  get isEcho(): boolean {
    if (this.#transport !== "icmp") return false;
    const type = this.#bytes[this.#transportOffset]!;
    return this.#family === 4 ? type === 8 || type === 0 : type === 128 || type === 129;
  }

  /** Whether this is an ICMP error message (RFC 792, RFC 4443): it quotes the packet that caused it. */
  get isIcmpError(): boolean {
    if (this.#transport !== "icmp") return false;
    const type = this.#bytes[this.#transportOffset]!;
    return this.#family === 6
      ? type < 128
      : type === 3 || type === 4 || type === 5 || type === 11 || type === 12;
  }

  /** Writes a new source address of the packet's family (its bytes at `offset` of `address`). */
  setSource(address: Uint8Array, offset = 0): void {
    this.#sourceKey6 = undefined;
    this.#setAddress(this.sourceOffset, address, offset);
  }

  /** Writes a new destination address of the packet's family (its bytes at `offset` of `address`). */
  setDestination(address: Uint8Array, offset = 0): void {
    this.#destinationKey6 = undefined;
    this.#setAddress(this.destinationOffset, address, offset);
  }

  /** Writes a new TCP or UDP source port, or the identifier of an ICMP echo. */
  setSourcePort(port: number): void {
    this.#setPort(this.#transport === "icmp" ? 4 : 0, port);
  }

  /** Writes a new TCP or UDP destination port, or the identifier of an ICMP echo. */
  setDestinationPort(port: number): void {
    this.#setPort(this.#transport === "icmp" ? 4 : 2, port);
  }

  /** Writes a new time to live or hop limit. */
  setHopLimit(limit: number): void {
    if (this.#family === 6) {
      this.#bytes[7] = limit;
      return;
    }
    const before = readU16(this.#bytes, 8);
    this.#bytes[8] = limit;
    adjustChecksum(this.#bytes, 10, before, readU16(this.#bytes, 8));
  }

  /** Computes the transport checksum anew, for senders that changed more than addresses and ports. */
  refreshTransportChecksum(): void {
    const offset = this.#checksumOffset();
    if (offset < 0) return;
    writeU16(this.#bytes, offset, 0);
    const withPseudoHeader = this.#protocol !== Protocol.icmp;
    const sum = withPseudoHeader ? this.#pseudoHeaderSum() : 0;
    const checksum = foldSum(addWords(sum, this.#bytes, this.#transportOffset, this.#segmentEnd()));
    writeU16(this.#bytes, offset, checksum === 0 && this.#transport === "udp" ? 0xffff : checksum);
  }

  #loadV4(bytes: Uint8Array): PacketFault | undefined {
    if (bytes.length < 20) return "truncated";
    const headerLength = (bytes[0]! & 0x0f) * 4;
    const length = readU16(bytes, 2);
    if (headerLength < 20 || length < headerLength) return "bad-length";
    if (length > bytes.length) return "truncated";
    if (length > MAX_PACKET_LENGTH) return "too-long";
    if ((readU16(bytes, 6) & 0x3fff) !== 0) return "fragment";
    if (headerLength > 20 && hasSourceRoute(bytes, headerLength)) return "source-routed";
    this.#bytes = length === bytes.length ? bytes : bytes.subarray(0, length);
    this.#family = 4;
    this.#protocol = bytes[9]!;
    this.#transportOffset = headerLength;
    return undefined;
  }

  #loadV6(bytes: Uint8Array): PacketFault | undefined {
    if (bytes.length < 40) return "truncated";
    const length = 40 + readU16(bytes, 4);
    if (length > bytes.length) return "truncated";
    if (length > MAX_PACKET_LENGTH) return "too-long";
    let protocol = bytes[6]!;
    let offset = 40;
    while (protocol === HOP_BY_HOP || protocol === DESTINATION_OPTIONS) {
      if (offset + 8 > length) return "truncated";
      protocol = bytes[offset]!;
      offset += (bytes[offset + 1]! + 1) * 8;
      if (offset > length) return "truncated";
    }
    if (protocol === FRAGMENT) return "fragment";
    if (protocol === ROUTING) return "source-routed";
    this.#bytes = length === bytes.length ? bytes : bytes.subarray(0, length);
    this.#family = 6;
    this.#protocol = protocol;
    this.#transportOffset = offset;
    return undefined;
  }

  #checkTransport(): PacketFault | undefined {
    const available = this.#bytes.length - this.#transportOffset;
    this.#transport = "other";
    switch (this.#protocol) {
      case Protocol.tcp: {
        if (available < 20) return "bad-transport";
        const headerLength = (this.#bytes[this.#transportOffset + 12]! >>> 4) * 4;
        if (headerLength < 20 || headerLength > available) return "bad-transport";
        this.#transport = "tcp";
        return undefined;
      }
      case Protocol.udp: {
        if (available < 8) return "bad-transport";
        const length = readU16(this.#bytes, this.#transportOffset + 4);
        if (length < 8 || length > available) return "bad-transport";
        this.#transport = "udp";
        return undefined;
      }
      case Protocol.icmp:
      case Protocol.icmpv6:
        if ((this.#protocol === Protocol.icmp) !== (this.#family === 4)) return undefined;
        if (available < 8) return "bad-transport";
        this.#transport = "icmp";
        return undefined;
      default:
        return undefined;
    }
  }

  /** Where the transport checksum that covers addresses or ports is; -1 when there is none to keep right. */
  #checksumOffset(): number {
    switch (this.#transport) {
      case "tcp":
        return this.#transportOffset + 16;
      case "udp":
        return this.#transportOffset + 6;
      case "icmp":
        return this.#transportOffset + 2;
      case "other":
        return -1;
    }
  }

  #setAddress(at: number, address: Uint8Array, offset: number): void {
    const length = this.#family === 4 ? 4 : 16;
    if (this.#family === 4) adjustChecksumForBytes(this.#bytes, 10, this.#bytes, at, address, offset, length);
    const checksum = this.#transport === "icmp" && this.#family === 4 ? -1 : this.#checksumOffset();
    if (checksum >= 0 && !this.#isUnsummedUdp(checksum)) {
      adjustChecksumForBytes(this.#bytes, checksum, this.#bytes, at, address, offset, length);
      this.#avoidZeroUdp(checksum);
    }
    for (let index = 0; index < length; index++) this.#bytes[at + index] = address[offset + index]!;
  }

  #setPort(relativeOffset: number, port: number): void {
    const checksum = this.#checksumOffset();
    if (checksum < 0) return;
    const at = this.#transportOffset + relativeOffset;
    const before = readU16(this.#bytes, at);
    writeU16(this.#bytes, at, port);
    if (this.#isUnsummedUdp(checksum)) return;
    adjustChecksum(this.#bytes, checksum, before, port);
    this.#avoidZeroUdp(checksum);
  }

  /** A UDP checksum of zero means that the sender made none (RFC 768); it must stay zero. */
  #isUnsummedUdp(checksum: number): boolean {
    return this.#transport === "udp" && readU16(this.#bytes, checksum) === 0;
  }

  #avoidZeroUdp(checksum: number): void {
    if (this.#isUnsummedUdp(checksum)) writeU16(this.#bytes, checksum, 0xffff);
  }

  #segmentEnd(): number {
    if (this.#transport !== "udp") return this.#bytes.length;
    return this.#transportOffset + readU16(this.#bytes, this.#transportOffset + 4);
  }

  #pseudoHeaderSum(): number {
    const addresses = this.sourceOffset;
    const length = this.#segmentEnd() - this.#transportOffset;
    return addWords(
      this.#protocol + length,
      this.#bytes,
      addresses,
      addresses + (this.#family === 4 ? 8 : 32),
    );
  }
}

/** Returns the packet at the start of `bytes`; the view keeps `bytes`, nothing is copied. */
export function parsePacket(bytes: Uint8Array): Result<IpPacket, PacketFault> {
  const packet = new IpPacket();
  const fault = packet.load(bytes);
  return fault === undefined ? ok(packet) : err(fault);
}

/** What the builders need for the IP header. Both addresses are of one family. */
export interface IpHeader {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** 64 unless given. */
  readonly hopLimit?: number;
}

/** Returns the length in bytes of the IP header that `writeIpHeader` writes. */
export function ipHeaderLength(family: Family): number {
  return family === 4 ? 20 : 40;
}

/** Writes an IP header without options to the start of `bytes`, which is exactly as long as the packet. */
export function writeIpHeader(bytes: Uint8Array, header: IpHeader, protocol: number): void {
  const hopLimit = header.hopLimit ?? 64;
  if (header.source.family === 4) {
    bytes[0] = 0x45;
    writeU16(bytes, 2, bytes.length);
    bytes[8] = hopLimit;
    bytes[9] = protocol;
    bytes.set(header.source.bytes, 12);
    bytes.set(header.destination.bytes, 16);
    writeU16(bytes, 10, foldSum(addWords(0, bytes, 0, 20)));
  } else {
    bytes[0] = 0x60;
    writeU16(bytes, 4, bytes.length - 40);
    bytes[6] = protocol;
    bytes[7] = hopLimit;
    bytes.set(header.source.bytes, 8);
    bytes.set(header.destination.bytes, 24);
  }
}

/**
 * Returns a packet with `segment` (a transport header with payload, its checksum still zero) behind an IP header, all
 * checksums made.
 */
export function buildPacket(header: IpHeader, protocol: number, segment: Uint8Array): Uint8Array {
  const headerLength = ipHeaderLength(header.source.family);
  const bytes = new Uint8Array(headerLength + segment.length);
  writeIpHeader(bytes, header, protocol);
  bytes.set(segment, headerLength);
  const packet = new IpPacket();
  if (packet.load(bytes) === undefined) packet.refreshTransportChecksum();
  return bytes;
}

const NOTHING = new Uint8Array(0);
const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const DESTINATION_OPTIONS = 60;
const LOOSE_SOURCE_ROUTE = 131;
const STRICT_SOURCE_ROUTE = 137;

/** Source routes would carry a packet past the filter that its destination address passed. */
function hasSourceRoute(bytes: Uint8Array, headerLength: number): boolean {
  let offset = 20;
  while (offset < headerLength) {
    const option = bytes[offset]!;
    if (option === 0) return false;
    if (option === LOOSE_SOURCE_ROUTE || option === STRICT_SOURCE_ROUTE) return true;
    const length = option === 1 ? 1 : offset + 1 < headerLength ? bytes[offset + 1]! : 0;
    if (length === 0) return false;
    offset += length;
  }
  return false;
}
