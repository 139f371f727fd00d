/**
 * The header that a TUN device opened with `IFF_VNET_HDR` puts before every frame (`struct virtio_net_hdr`, virtio 1.2
 * §5.1.6, legacy layout, little endian). It lets one frame stand for a train of segments.
 */

/** Length in bytes. */
export const VIRTIO_HEADER_LENGTH = 10;

/** Bits of the first byte. */
export const VirtioFlag = {
  /** The transport checksum holds only the pseudo header's sum; the receiver of the frame must finish it. */
  needsChecksum: 1,
} as const;

/** The second byte: how the payload is to be cut up. */
export const GsoType = { none: 0, tcp4: 1, tcp6: 4, udp: 5 } as const;

/** Added to `GsoType` when the train carries ECN's CWR bit. */
const GSO_ECN = 0x80;

/** One header; a reused, mutable value on the data path. */
export interface VirtioHeader {
  flags: number;
  /** A `GsoType`, without `GSO_ECN`. */
  gsoType: number;
  /** Length of all headers up to the payload. As the kernel writes it, only a hint. */
  headerLength: number;
  /** Payload bytes of each segment but the last. */
  gsoSize: number;
  /** Where the transport header starts, from the first byte of the packet. */
  checksumStart: number;
  /** Where the checksum field is, from `checksumStart`. */
  checksumOffset: number;
}

/** Reads the header at `offset` into `header`. */
export function readVirtioHeader(data: DataView, offset: number, header: VirtioHeader): void {
  header.flags = data.getUint8(offset);
  header.gsoType = data.getUint8(offset + 1) & ~GSO_ECN;
  header.headerLength = data.getUint16(offset + 2, true);
  header.gsoSize = data.getUint16(offset + 4, true);
  header.checksumStart = data.getUint16(offset + 6, true);
  header.checksumOffset = data.getUint16(offset + 8, true);
}

/** Writes `header` at `offset`. */
export function writeVirtioHeader(data: DataView, offset: number, header: Readonly<VirtioHeader>): void {
  data.setUint8(offset, header.flags);
  data.setUint8(offset + 1, header.gsoType);
  data.setUint16(offset + 2, header.headerLength, true);
  data.setUint16(offset + 4, header.gsoSize, true);
  data.setUint16(offset + 6, header.checksumStart, true);
  data.setUint16(offset + 8, header.checksumOffset, true);
}
