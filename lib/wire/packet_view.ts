/**
 * A lenient look at any IP packet, for captures: unlike `IpPacket` it turns nothing down that has an IP header. Ports
 * are undefined where there are none, or where a fragment does not tell.
 */

import { readU16 } from "../base/bytes.ts";
import { type Family, IpAddress } from "../base/ip.ts";

/** What a packet's headers say. */
export interface PacketView {
  readonly bytes: Uint8Array;
  readonly family: Family;
  readonly protocol: number;
  readonly sourceOffset: number;
  readonly destinationOffset: number;
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;
  readonly source: IpAddress;
  readonly destination: IpAddress;
}

/** Returns what the packet at the start of `bytes` says; undefined if it is no IP packet. */
export function viewPacket(bytes: Uint8Array): PacketView | undefined {
  const version = (bytes[0] ?? 0) >>> 4;
  if (version === 4 && bytes.length >= 20) return viewV4(bytes);
  if (version === 6 && bytes.length >= 40) return viewV6(bytes);
  return undefined;
}

const HAS_PORTS: ReadonlySet<number> = new Set([6, 17, 132]);
/** Hop-by-hop options, routing, destination options. */
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 60]);
const FRAGMENT = 44;
const MAX_EXTENSIONS = 8;

class View implements PacketView {
  readonly bytes: Uint8Array;
  readonly family: Family;
  readonly protocol: number;
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;

  constructor(bytes: Uint8Array, family: Family, protocol: number, transportOffset: number | undefined) {
    this.bytes = bytes;
    this.family = family;
    this.protocol = protocol;
    const at = transportOffset !== undefined && HAS_PORTS.has(protocol) ? transportOffset : Infinity;
    this.sourcePort = at + 4 <= bytes.length ? readU16(bytes, at) : undefined;
    this.destinationPort = at + 4 <= bytes.length ? readU16(bytes, at + 2) : undefined;
  }

  get sourceOffset(): number {
    return this.family === 4 ? 12 : 8;
  }

  get destinationOffset(): number {
    return this.family === 4 ? 16 : 24;
  }

  get source(): IpAddress {
    return IpAddress.fromBytes(this.bytes, this.sourceOffset, this.family === 4 ? 4 : 16);
  }

  get destination(): IpAddress {
    return IpAddress.fromBytes(this.bytes, this.destinationOffset, this.family === 4 ? 4 : 16);
  }
}

function viewV4(bytes: Uint8Array): PacketView {
  const isLaterFragment = (readU16(bytes, 6) & 0x1fff) !== 0;
  return new View(bytes, 4, bytes[9]!, isLaterFragment ? undefined : (bytes[0]! & 0x0f) * 4);
}

function viewV6(bytes: Uint8Array): PacketView {
  let protocol = bytes[6]!;
  let offset = 40;
  let isLaterFragment = false;
  for (let count = 0; count < MAX_EXTENSIONS && offset + 8 <= bytes.length; count++) {
    if (EXTENSIONS.has(protocol)) {
      protocol = bytes[offset]!;
      offset += (bytes[offset + 1]! + 1) * 8;
    } else if (protocol === FRAGMENT) {
      isLaterFragment ||= (readU16(bytes, offset + 2) & 0xfff8) !== 0;
      protocol = bytes[offset]!;
      offset += 8;
    } else break;
  }
  return new View(bytes, 6, protocol, isLaterFragment ? undefined : offset);
}
