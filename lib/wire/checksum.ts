/**
 * The Internet checksum (RFC 1071) and its incremental update (RFC 1624). Sums are kept unfolded in a number, so that
 * several pieces can be added before `foldSum` makes the 16-bit checksum of them.
 */

import { readU16, writeU16 } from "../base/bytes.ts";

/** Returns `sum` plus the 16-bit words of `bytes` from `start` to `end`; an odd last byte is padded with zero. */
export function addWords(sum: number, bytes: Uint8Array, start: number, end: number): number {
  const evenEnd = end - ((end - start) & 1);
  for (let offset = start; offset < evenEnd; offset += 2) {
    sum += (bytes[offset]! << 8) | bytes[offset + 1]!;
  }
  return evenEnd === end ? sum : sum + (bytes[evenEnd]! << 8);
}

/** Returns the checksum of an unfolded `sum`: folded to 16 bits and complemented. */
export function foldSum(sum: number): number {
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/**
 * Corrects the checksum at `checksumOffset` for a change of the 16-bit word `before` to `after` somewhere in the data
 * that it covers (RFC 1624, equation 3). A wrong checksum stays wrong.
 */
export function adjustChecksum(
  bytes: Uint8Array,
  checksumOffset: number,
  before: number,
  after: number,
): void {
  const sum = (~readU16(bytes, checksumOffset) & 0xffff) + (~before & 0xffff) + after;
  writeU16(bytes, checksumOffset, foldSum(sum));
}

/**
 * Corrects the checksum at `checksumOffset` for the replacement of the words of `before` at `beforeOffset` by those of
 * `after` at `afterOffset`; `length` is even.
 */
export function adjustChecksumForBytes(
  bytes: Uint8Array,
  checksumOffset: number,
  before: Uint8Array,
  beforeOffset: number,
  after: Uint8Array,
  afterOffset: number,
  length: number,
): void {
  let sum = ~readU16(bytes, checksumOffset) & 0xffff;
  for (let index = 0; index < length; index += 2) {
    sum += (~readU16(before, beforeOffset + index) & 0xffff) + readU16(after, afterOffset + index);
  }
  writeU16(bytes, checksumOffset, foldSum(sum));
}
