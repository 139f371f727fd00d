/** The little that a tunnel must know of the packets in it. */

import { readU16 } from "../base/bytes.ts";

/**
 * Returns how long the IP packet in the first `available` bytes says it is, or undefined when that is no packet or more
 * than there is. Other implementations pad with zeros; what is behind the packet is not part of it.
 */
export function innerLength(bytes: Uint8Array, available: number): number | undefined {
  let length = 0;
  let headerLength = 0;
  switch (bytes[0]! >>> 4) {
    case 4:
      headerLength = IPV4_HEADER_LENGTH;
      if (available >= headerLength) length = readU16(bytes, 2);
      break;
    case 6:
      headerLength = IPV6_HEADER_LENGTH;
      if (available >= headerLength) length = headerLength + readU16(bytes, 4);
      break;
    default:
      return undefined;
  }
  return length >= headerLength && length <= available ? length : undefined;
}

const IPV4_HEADER_LENGTH = 20;
const IPV6_HEADER_LENGTH = 40;
