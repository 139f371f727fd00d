/**
 * Captures of raw IP packets as pcapng, written and taken apart block by block. draft-ietf-opsawg-pcapng: sections 4.1
 * (SHB), 4.2 (IDB), 4.3 (EPB), 4.6 (ISB). All blocks are little endian; times are microseconds since 1970.
 */

import { readU32Le, utf8, writeU32Le } from "../base/bytes.ts";

/** Types of blocks. */
export const BlockType = {
  sectionHeader: 0x0a0d0d0a,
  interfaceDescription: 1,
  interfaceStatistics: 5,
  enhancedPacket: 6,
} as const;

/** Longest packet that a capture keeps whole unless told otherwise. */
export const MAX_SNAP_LENGTH = 65535;

/** Returns the block that opens a section. */
export function sectionHeader({ os, application }: { os: string; application: string }): Uint8Array {
  const fixed = new Uint8Array(16);
  writeU32Le(fixed, 0, BYTE_ORDER_MAGIC);
  writeU16Le(fixed, 4, 1);
  // The length of the section is not known in advance: -1.
  fixed.fill(0xff, 8, 16);
  return block(BlockType.sectionHeader, fixed, [[SHB_OS, utf8(os)], [SHB_APPLICATION, utf8(application)]]);
}

/** Returns the block that describes the next interface; the first one has number 0. */
export function interfaceDescription(
  { name, snapLength }: { name: string; snapLength: number },
): Uint8Array {
  const fixed = new Uint8Array(8);
  writeU16Le(fixed, 0, LINKTYPE_RAW);
  writeU32Le(fixed, 4, snapLength);
  return block(BlockType.interfaceDescription, fixed, [
    [IF_NAME, utf8(name)],
    [IF_RESOLUTION, Uint8Array.of(6)],
  ]);
}

/** A packet on its way into a capture. */
export interface CapturedPacket {
  readonly interfaceId: number;
  readonly timeUs: number;
  /** Copied, at most `snapLength` bytes of it. */
  readonly packet: Uint8Array;
  readonly snapLength: number;
  readonly direction: "in" | "out";
}

/** Returns the block of a packet. */
export function enhancedPacket(captured: CapturedPacket): Uint8Array {
  const { interfaceId, timeUs, packet, snapLength, direction } = captured;
  const kept = Math.min(packet.length, snapLength);
  const length = 12 + 20 + padded(kept) + PACKET_OPTIONS_LENGTH;
  const bytes = new Uint8Array(length);
  open(bytes, BlockType.enhancedPacket);
  writeU32Le(bytes, 8, interfaceId);
  writeTime(bytes, 12, timeUs);
  writeU32Le(bytes, 20, kept);
  writeU32Le(bytes, 24, packet.length);
  bytes.set(kept === packet.length ? packet : packet.subarray(0, kept), 28);
  const options = 28 + padded(kept);
  writeU16Le(bytes, options, EPB_FLAGS);
  writeU16Le(bytes, options + 2, 4);
  writeU32Le(bytes, options + 4, direction === "in" ? 1 : 2);
  return bytes;
}

/** What became of an interface's packets until a moment. */
export interface InterfaceStatistics {
  readonly interfaceId: number;
  readonly timeUs: number;
  /** Packets that the filter wanted. */
  readonly received: number;
  /** Packets that were wanted and lost for want of room. */
  readonly dropped: number;
}

/** Returns the block of statistics. Later ones replace earlier ones. */
export function interfaceStatistics(statistics: InterfaceStatistics): Uint8Array {
  const { interfaceId, timeUs, received, dropped } = statistics;
  const fixed = new Uint8Array(12);
  writeU32Le(fixed, 0, interfaceId);
  writeTime(fixed, 4, timeUs);
  return block(BlockType.interfaceStatistics, fixed, [
    [ISB_RECEIVED, u64(received)],
    [ISB_DROPPED, u64(dropped)],
  ]);
}

/** Returns how many packets a block of statistics says were lost; undefined for other blocks. */
export function droppedOf(bytes: Uint8Array): number | undefined {
  if (readU32Le(bytes, 0) !== BlockType.interfaceStatistics) return undefined;
  for (let at = 20; at + 4 <= bytes.length - 4;) {
    const code = readU16Le(bytes, at);
    const length = readU16Le(bytes, at + 2);
    if (code === ISB_DROPPED && length === 8 && at + 12 <= bytes.length - 4) {
      return readU32Le(bytes, at + 4) + readU32Le(bytes, at + 8) * 2 ** 32;
    }
    if (code === 0) return undefined;
    at += 4 + padded(length);
  }
  return undefined;
}

/** Cuts a stream of pcapng into whole blocks, so that a file that ends early is still a capture. */
export class BlockSplitter {
  #rest: Uint8Array = new Uint8Array(0);

  /** Returns the blocks that `chunk` completes; undefined if this is no pcapng of ours. Copies nothing it can return. */
  push(chunk: Uint8Array): Uint8Array[] | undefined {
    let bytes = chunk;
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + chunk.length);
      bytes.set(this.#rest);
      bytes.set(chunk, this.#rest.length);
    }
    const blocks: Uint8Array[] = [];
    let at = 0;
    while (bytes.length - at >= 8) {
      const length = readU32Le(bytes, at + 4);
      if (length < 12 || length % 4 !== 0 || length > MAX_BLOCK_LENGTH) return undefined;
      if (bytes.length - at < length) break;
      blocks.push(bytes.subarray(at, at + length));
      at += length;
    }
    this.#rest = bytes.slice(at);
    return blocks;
  }
}

const LINKTYPE_RAW = 101;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const SHB_OS = 3;
const SHB_APPLICATION = 4;
const IF_NAME = 2;
const IF_RESOLUTION = 9;
const EPB_FLAGS = 2;
const ISB_RECEIVED = 4;
const ISB_DROPPED = 5;
/** The flags, and the end of the options. */
const PACKET_OPTIONS_LENGTH = 8 + 4;
const MAX_BLOCK_LENGTH = 2 ** 20;

function block(
  type: number,
  fixed: Uint8Array,
  options: readonly (readonly [code: number, value: Uint8Array])[],
): Uint8Array {
  const optionsLength = options.reduce((sum, [, value]) => sum + 4 + padded(value.length), 4);
  const bytes = new Uint8Array(12 + fixed.length + optionsLength);
  open(bytes, type);
  bytes.set(fixed, 8);
  let at = 8 + fixed.length;
  for (const [code, value] of options) {
    writeU16Le(bytes, at, code);
    writeU16Le(bytes, at + 2, value.length);
    bytes.set(value, at + 4);
    at += 4 + padded(value.length);
  }
  return bytes;
}

/** Writes the type and, at both ends, the length. */
function open(bytes: Uint8Array, type: number): void {
  writeU32Le(bytes, 0, type);
  writeU32Le(bytes, 4, bytes.length);
  writeU32Le(bytes, bytes.length - 4, bytes.length);
}

/** The high word comes first, whatever the byte order. */
function writeTime(bytes: Uint8Array, at: number, timeUs: number): void {
  writeU32Le(bytes, at, Math.floor(timeUs / 2 ** 32));
  writeU32Le(bytes, at + 4, timeUs % 2 ** 32);
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  writeU32Le(bytes, 0, value % 2 ** 32);
  writeU32Le(bytes, 4, Math.floor(value / 2 ** 32));
  return bytes;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

function writeU16Le(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}

function readU16Le(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}
