/**
 * The Internet checksum's sum (RFC 1071) over long stretches of a packet, in the byte order of the machine's memory
 * reads rather than of the network: the sum is the same but for its byte order, so it is stored as it was read.
 * All results are little-endian folded sums: store `~sum & 0xffff` little endian to finish a checksum.
 */

/** Sums up a stretch of some memory that it knows, as `internetSum` does. */
export type Summer = (offset: number, length: number) => number;

/** Returns the summer of `data` that runs everywhere. */
export function summerOf(data: DataView): Summer {
  return (offset, length) => internetSum(data, offset, length);
}

/**
 * Returns the one's-complement sum of the `length` bytes at `offset`, folded to 16 bits, little endian. An odd last
 * byte counts as if a zero followed.
 */
export function internetSum(data: DataView, offset: number, length: number): number {
  let low = 0;
  let high = 0;
  const end = offset + length;
  let at = offset;
  for (const stop = end - 15; at < stop; at += 16) {
    const a = data.getInt32(at, true);
    const b = data.getInt32(at + 4, true);
    const c = data.getInt32(at + 8, true);
    const d = data.getInt32(at + 12, true);
    low += (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff);
    high += (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16);
  }
  for (const stop = end - 1; at < stop; at += 2) low += data.getUint16(at, true);
  if (at < end) low += data.getUint8(at);
  return foldSum(low + high);
}

/** Returns `sum` (below 2^32) with its carries added back in: 16 bits. */
export function foldSum(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  const twice = (once & 0xffff) + (once >>> 16);
  return (twice & 0xffff) + (twice >>> 16);
}

/** Returns a 16-bit number with its bytes exchanged: a number of the network in the order of `internetSum`. */
export function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8);
}
