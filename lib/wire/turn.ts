/**
 * What TURN (RFC 8656) adds to STUN on the wire: its attributes, and ChannelData, the 4-byte frame that carries relayed
 * data. Over UDP the frame is neither padded nor checked: a peer of ours may insist on the exact length.
 */

import { readU16, writeU16, writeU32 } from "../base/bytes.ts";
import type { Family } from "../base/ip.ts";
import { Attribute, type StunMessage, type StunWriter } from "./stun.ts";

/** RFC 8656 §12: lowest number a channel can have. */
export const MIN_CHANNEL = 0x4000;
/** RFC 8656 §12: highest number a channel can have; RFC 5766 went up to 0x7FFF, and servers still accept that. */
export const MAX_CHANNEL = 0x4fff;
/** RFC 5766 §11: highest number of the older specification. */
export const MAX_CHANNEL_RFC5766 = 0x7fff;
/** Length of the ChannelData header in bytes: channel number, length of the data. */
export const CHANNEL_HEADER_LENGTH = 4;
/** REQUESTED-TRANSPORT: the protocol number of UDP. */
export const TRANSPORT_UDP = 17;

/** Returns whether `bytes` starts like ChannelData (first two bits 01); STUN starts with 00. */
export function isChannelData(bytes: Uint8Array): boolean {
  return bytes.length >= CHANNEL_HEADER_LENGTH && (bytes[0]! & 0xc0) === 0x40;
}

/** Returns the channel number of a ChannelData frame. */
export function channelOf(frame: Uint8Array): number {
  return readU16(frame, 0);
}

/**
 * Returns the data of a ChannelData frame, a view of `frame`, or undefined if the length field does not fit. `trailing`
 * tells whether bytes after the data are ignored (a server must, RFC 8656 §12.5) or make the frame invalid.
 */
export function channelPayload(frame: Uint8Array, trailing: "ignored" | "invalid"): Uint8Array | undefined {
  const end = CHANNEL_HEADER_LENGTH + readU16(frame, 2);
  if (trailing === "ignored" ? end > frame.length : end !== frame.length) return undefined;
  return frame.subarray(CHANNEL_HEADER_LENGTH, end);
}

/** Writes the header of a ChannelData frame with `length` bytes of data to `out` at `offset`. */
export function writeChannelHeader(out: Uint8Array, offset: number, channel: number, length: number): void {
  writeU16(out, offset, channel);
  writeU16(out, offset + 2, length);
}

/** Returns the value of CHANNEL-NUMBER (RFC 8656 §18.1). */
export function channelNumber(message: StunMessage): number | undefined {
  const value = message.attribute(Attribute.ChannelNumber);
  return value?.length === 4 ? readU16(value, 0) : undefined;
}

/** Returns the value of LIFETIME in seconds (RFC 8656 §18.2). */
export function lifetimeSeconds(message: StunMessage): number | undefined {
  return message.u32(Attribute.Lifetime);
}

/** Returns the protocol number in REQUESTED-TRANSPORT (RFC 8656 §18.7). */
export function requestedTransport(message: StunMessage): number | undefined {
  const value = message.attribute(Attribute.RequestedTransport);
  return value?.length === 4 ? value[0] : undefined;
}

/**
 * Returns the family in REQUESTED-ADDRESS-FAMILY or ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §18.6, §18.11): undefined if
 * the attribute is absent, "unknown" if it is malformed or names no family.
 */
export function addressFamily(
  message: StunMessage,
  type: typeof Attribute.RequestedAddressFamily | typeof Attribute.AdditionalAddressFamily,
): Family | "unknown" | undefined {
  const value = message.attribute(type);
  if (value === undefined) return undefined;
  if (value.length !== 4) return "unknown";
  return value[0] === 1 ? 4 : value[0] === 2 ? 6 : "unknown";
}

/** Adds CHANNEL-NUMBER. */
export function addChannelNumber(writer: StunWriter, channel: number): StunWriter {
  const value = new Uint8Array(4);
  writeU16(value, 0, channel);
  return writer.add(Attribute.ChannelNumber, value);
}

/** Adds REQUESTED-TRANSPORT for UDP, the only transport we relay. */
export function addRequestedTransport(writer: StunWriter): StunWriter {
  return writer.add(Attribute.RequestedTransport, Uint8Array.of(TRANSPORT_UDP, 0, 0, 0));
}

/** Adds ADDITIONAL-ADDRESS-FAMILY; IPv6 is the only family it may ask for. */
export function addAdditionalIpv6(writer: StunWriter): StunWriter {
  const value = new Uint8Array(4);
  writeU32(value, 0, 0x02000000);
  return writer.add(Attribute.AdditionalAddressFamily, value);
}
