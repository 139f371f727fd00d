/**
 * Cuts a frame of the TUN device into packets: TCP and UDP segmentation as a network card does it (virtio 1.2
 * §5.1.6.2), in place. Driven by `ffi/linux/tun.ts`. The kernel is trusted, yet a frame that makes no sense is a
 * counted drop, never an exception.
 */

import { foldSum, type Summer, summerOf, swap16 } from "./internet_sum.ts";
import { GsoType, readVirtioHeader, VIRTIO_HEADER_LENGTH, VirtioFlag, type VirtioHeader } from "./virtio.ts";

/** Takes one packet: `length` bytes at `offset` of the memory given to the segmenter, valid until it returns. */
export type SegmentHandler = (offset: number, length: number) => void;

/** Cuts frames that lie in one piece of memory. Keeps no state between frames. */
export class Segmenter {
  readonly #data: DataView;
  readonly #sum: Summer;
  readonly #template = new DataView(new ArrayBuffer(MAX_HEADERS));
  readonly #header: VirtioHeader = {
    flags: 0,
    gsoType: 0,
    headerLength: 0,
    gsoSize: 0,
    checksumStart: 0,
    checksumOffset: 0,
  };

  /** `sum` may replace the portable way to add up `memory`. */
  constructor(memory: Uint8Array, sum?: Summer) {
    this.#data = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
    this.#sum = sum ?? summerOf(this.#data);
  }

  /**
   * Gives each packet of the frame (virtio header first, `length` bytes at `offset`) to `handler`, in order, with
   * finished checksums. Each packet's header is written over the tail of the packet before. Returns false, having
   * called nobody, if the frame is malformed.
   */
  split(offset: number, length: number, handler: SegmentHandler): boolean {
    const packet = offset + VIRTIO_HEADER_LENGTH;
    const size = length - VIRTIO_HEADER_LENGTH;
    if (size < MIN_PACKET) return false;
    const header = this.#header;
    readVirtioHeader(this.#data, offset, header);
    switch (header.gsoType) {
      case GsoType.none:
        if ((header.flags & VirtioFlag.needsChecksum) !== 0 && !this.#finishChecksum(packet, size)) {
          return false;
        }
        handler(packet, size);
        return true;
      case GsoType.tcp4:
      case GsoType.tcp6:
        return this.#splitTrain(packet, size, true, handler);
      case GsoType.udp:
        return this.#splitTrain(packet, size, false, handler);
      default:
        return false;
    }
  }

  #finishChecksum(packet: number, size: number): boolean {
    const { checksumStart, checksumOffset } = this.#header;
    const field = checksumStart + checksumOffset;
    if (field + 2 > size) return false;
    const sum = ~this.#sum(packet + checksumStart, size - checksumStart) & 0xffff;
    this.#data.setUint16(packet + field, sum === 0 && checksumOffset === UDP_CHECKSUM ? 0xffff : sum, true);
    return true;
  }

  #splitTrain(packet: number, size: number, isTcp: boolean, handler: SegmentHandler): boolean {
    const data = this.#data;
    const { gsoSize, checksumStart: transport } = this.#header;
    const isV4 = data.getUint8(packet) >> 4 === 4;
    if (gsoSize === 0 || transport < (isV4 ? IPV4_HEADER : IPV6_HEADER)) return false;
    if (transport + (isTcp ? TCP_HEADER : UDP_HEADER) > size) return false;
    const transportHeader = isTcp ? (data.getUint8(packet + transport + 12) >> 4) * 4 : UDP_HEADER;
    const headers = transport + transportHeader;
    if ((isTcp && transportHeader < TCP_HEADER) || headers > size || headers > MAX_HEADERS) return false;
    this.#saveHeaders(packet, headers);

    const checksumField = transport + (isTcp ? TCP_CHECKSUM : UDP_CHECKSUM);
    const sequence = isTcp ? data.getUint32(packet + transport + 4) : 0;
    const flags = isTcp ? data.getUint8(packet + transport + 13) : 0;
    const identification = isV4 ? data.getUint16(packet + 4) : 0;
    const addresses = isV4 ? this.#sum(packet + 12, 8) : this.#sum(packet + 8, 32);
    const pseudo = addresses + swap16(isTcp ? TCP : UDP);

    for (let from = headers, index = 0; from < size || index === 0; from += gsoSize, index++) {
      const payload = Math.min(gsoSize, size - from);
      const isLast = from + payload >= size;
      const start = packet + from - headers;
      if (index > 0) this.#restoreHeaders(start, headers);
      if (isV4) this.#writeIpv4(start, transport, headers + payload, identification + index);
      else data.setUint16(start + 4, headers - IPV6_HEADER + payload);

      const segment = start + transport;
      const segmentLength = transportHeader + payload;
      if (isTcp) {
        data.setUint32(segment + 4, sequence + from - headers);
        let own = flags;
        if (!isLast) own &= ~(TCP_FIN | TCP_PSH);
        if (index > 0) own &= ~TCP_CWR;
        data.setUint8(segment + 13, own);
      } else {
        data.setUint16(segment + 4, segmentLength);
      }
      data.setUint16(start + checksumField, 0);
      const sum = ~foldSum(pseudo + swap16(segmentLength) + this.#sum(segment, segmentLength)) &
        0xffff;
      data.setUint16(start + checksumField, sum === 0 && !isTcp ? 0xffff : sum, true);
      handler(start, headers + payload);
    }
    return true;
  }

  // The handler may rewrite a packet in place, so the template is kept apart.
  #saveHeaders(from: number, length: number): void {
    for (let at = 0; at < length; at += 4) this.#template.setInt32(at, this.#data.getInt32(from + at));
  }

  #restoreHeaders(to: number, length: number): void {
    for (let at = 0; at < length; at += 4) this.#data.setInt32(to + at, this.#template.getInt32(at));
  }

  #writeIpv4(start: number, headerLength: number, totalLength: number, identification: number): void {
    const data = this.#data;
    data.setUint16(start + 2, totalLength);
    data.setUint16(start + 4, identification);
    data.setUint16(start + 10, 0);
    data.setUint16(start + 10, ~this.#sum(start, headerLength) & 0xffff, true);
  }
}

const MAX_HEADERS = 256;
const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const TCP_HEADER = 20;
const UDP_HEADER = 8;
const MIN_PACKET = IPV4_HEADER;
const TCP = 6;
const UDP = 17;
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
const TCP_FIN = 0x01;
const TCP_PSH = 0x08;
const TCP_CWR = 0x80;
