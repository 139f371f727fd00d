/**
 * Joins consecutive packets of one TCP or UDP flow into one frame for the TUN device, which then travels the kernel's
 * stack once: generic receive offload in user space (virtio 1.2 §5.1.6.4.1). Driven by `ffi/linux/tun.ts`. The order
 * of packets within a flow is kept. A joined frame tells the kernel that its checksums are good, so they are verified
 * before; a packet that travels alone keeps its own.
 */

import { foldSum, type Summer, summerOf, swap16 } from "./internet_sum.ts";
import { GsoType, VIRTIO_HEADER_LENGTH, VirtioFlag, type VirtioHeader, writeVirtioHeader } from "./virtio.ts";

/** Takes one frame, virtio header first: `length` bytes at `offset` of the memory. */
export type FrameHandler = (offset: number, length: number) => void;

/** What a coalescer works with. */
export interface CoalescerOptions {
  readonly memory: Uint8Array;
  /** Where in `memory` the `COALESCER_MEMORY` bytes start that the coalescer has for itself; a multiple of 16. */
  readonly start: number;
  /** May replace the portable way to add up `memory`. */
  readonly sum?: Summer;
  /** Join TCP segments. */
  readonly tcp: boolean;
  /** Join UDP datagrams. */
  readonly udp: boolean;
  readonly emit: FrameHandler;
}

/** Collects packets until `flush`. */
export class Coalescer {
  readonly #bytes: Uint8Array;
  readonly #data: DataView;
  readonly #sum: Summer;
  readonly #udp: boolean;
  readonly #emit: FrameHandler;
  readonly #open: Flow[] = [];
  readonly #idle: Flow[] = [];
  /** Where the packet at hand is copied to; becomes a flow if it joins none. */
  #staging: Flow;
  #tcp: boolean;

  constructor({ memory, start, sum, tcp, udp, emit }: CoalescerOptions) {
    this.#bytes = memory;
    this.#data = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
    this.#sum = sum ?? summerOf(this.#data);
    this.#tcp = tcp;
    this.#udp = udp;
    this.#emit = emit;
    for (let slot = 0; slot <= MAX_FLOWS; slot++) this.#idle.push(new Flow(start + slot * SLOT + HEADROOM));
    this.#staging = this.#idle.pop()!;
  }

  /** Queues `packet` (copied, at most 65,535 bytes); emits what can wait no longer. */
  add(packet: Uint8Array): void {
    const staged = this.#staging;
    this.#bytes.set(packet, staged.packet);
    switch (this.#classify(staged, packet.length)) {
      case "foreign":
        this.flush();
        this.#emitAlone(staged);
        return;
      case "alone": {
        const index = this.#findFlow(staged);
        if (index >= 0) this.#emitFlow(index);
        this.#emitAlone(staged);
        return;
      }
      case "joinable":
        this.#join(staged);
    }
  }

  /** Emits everything that is queued. */
  flush(): void {
    while (this.#open.length > 0) this.#emitFlow(0);
  }

  #join(staged: Flow): void {
    const index = this.#findFlow(staged);
    if (index >= 0) {
      const flow = this.#open[index]!;
      if (this.#continues(flow, staged) && this.#verify(flow) && this.#verify(staged)) {
        const payload = staged.packet + staged.headers;
        this.#bytes.copyWithin(flow.packet + flow.length, payload, payload + staged.payload);
        flow.length += staged.payload;
        flow.nextSequence = staged.nextSequence;
        flow.count++;
        if (staged.isPush) this.#setPush(flow);
        if (staged.isPush || staged.payload < flow.payload) this.#emitFlow(index);
        return;
      }
      this.#emitFlow(index);
    }
    if (staged.isPush) {
      this.#emitAlone(staged);
      return;
    }
    if (this.#open.length === MAX_FLOWS) this.#emitFlow(0);
    this.#open.push(staged);
    this.#staging = this.#idle.pop()!;
  }

  /**
   * Fills in `flow` from the packet at its place. "joinable": plain data of a flow. "alone": belongs to a flow but
   * must stay as it is. "foreign": anything else.
   */
  #classify(flow: Flow, length: number): "joinable" | "alone" | "foreign" {
    const data = this.#data;
    const at = flow.packet;
    flow.length = length;
    if (length < IPV4_HEADER) return "foreign";
    const version = data.getUint8(at) >> 4;
    flow.isV4 = version === 4;
    if (flow.isV4) {
      const isPlain = data.getUint8(at) === 0x45 && (data.getUint16(at + 6) & 0x3fff) === 0;
      if (!isPlain || data.getUint16(at + 2) !== length) return "foreign";
    } else if (version !== 6 || length < IPV6_HEADER || data.getUint16(at + 4) !== length - IPV6_HEADER) {
      return "foreign";
    }
    flow.transport = flow.isV4 ? IPV4_HEADER : IPV6_HEADER;
    flow.protocol = data.getUint8(at + (flow.isV4 ? 9 : 6));
    flow.count = 1;
    flow.isVerified = false;
    flow.isPush = false;
    switch (flow.protocol) {
      case TCP:
        return this.#classifyTcp(flow);
      case UDP:
        return this.#classifyUdp(flow);
      default:
        return "foreign";
    }
  }

  #classifyTcp(flow: Flow): "joinable" | "alone" | "foreign" {
    const data = this.#data;
    const segment = flow.packet + flow.transport;
    if (flow.length < flow.transport + TCP_HEADER) return "foreign";
    const headerLength = (data.getUint8(segment + 12) >> 4) * 4;
    flow.headers = flow.transport + headerLength;
    flow.payload = flow.length - flow.headers;
    const flags = data.getUint8(segment + 13);
    if (!this.#tcp || headerLength < TCP_HEADER || flow.payload <= 0) return "alone";
    if ((flags & ~TCP_PSH) !== TCP_ACK) return "alone";
    flow.isPush = (flags & TCP_PSH) !== 0;
    flow.nextSequence = (data.getUint32(segment + 4) + flow.payload) >>> 0;
    return "joinable";
  }

  #classifyUdp(flow: Flow): "joinable" | "alone" | "foreign" {
    const data = this.#data;
    const datagram = flow.packet + flow.transport;
    flow.headers = flow.transport + UDP_HEADER;
    flow.payload = flow.length - flow.headers;
    if (flow.payload < 0) return "foreign";
    if (!this.#udp || flow.payload === 0 || data.getUint16(datagram + 6) === 0) return "alone";
    if (data.getUint16(datagram + 4) !== flow.payload + UDP_HEADER) return "alone";
    flow.nextSequence = 0;
    return "joinable";
  }

  /** Returns the index of the open flow with the addresses, ports and protocol of `staged`, or -1. */
  #findFlow(staged: Flow): number {
    const data = this.#data;
    const ports = data.getInt32(staged.packet + staged.transport);
    const addresses = staged.isV4 ? 12 : 8;
    for (let index = 0; index < this.#open.length; index++) {
      const flow = this.#open[index]!;
      if (flow.protocol !== staged.protocol || flow.isV4 !== staged.isV4) continue;
      if (data.getInt32(flow.packet + flow.transport) !== ports) continue;
      if (this.#isEqual(flow, staged, addresses, staged.transport)) return index;
    }
    return -1;
  }

  /** Returns whether `staged` is the next piece of `flow`, with headers that one frame can stand for. */
  #continues(flow: Flow, staged: Flow): boolean {
    const data = this.#data;
    const [a, b] = [flow.packet, staged.packet];
    if (flow.headers !== staged.headers || staged.payload > flow.payload) return false;
    if (flow.length + staged.payload > MAX_FRAME || flow.count === MAX_SEGMENTS) return false;
    if (flow.isV4) {
      const isAlike = data.getUint8(a + 1) === data.getUint8(b + 1) &&
        data.getUint8(a + 6) === data.getUint8(b + 6) &&
        data.getUint8(a + 8) === data.getUint8(b + 8);
      if (!isAlike) return false;
    } else if (data.getInt32(a) !== data.getInt32(b) || data.getUint8(a + 7) !== data.getUint8(b + 7)) {
      return false;
    }
    if (flow.protocol === UDP) return true;
    const transport = flow.transport;
    if (data.getUint32(b + transport + 4) !== flow.nextSequence) return false;
    if (data.getInt32(a + transport + 8) !== data.getInt32(b + transport + 8)) return false;
    if (data.getUint16(a + transport + 14) !== data.getUint16(b + transport + 14)) return false;
    return this.#isEqual(flow, staged, transport + TCP_HEADER, flow.headers);
  }

  /** Returns whether both packets hold the same from `start` to `end`, a multiple of 4 apart. */
  #isEqual(flow: Flow, staged: Flow, start: number, end: number): boolean {
    for (let at = start; at < end; at += 4) {
      if (this.#data.getInt32(flow.packet + at) !== this.#data.getInt32(staged.packet + at)) return false;
    }
    return true;
  }

  /** Returns whether the checksums of a flow of one packet are right; a longer one was verified when it grew. */
  #verify(flow: Flow): boolean {
    if (flow.isVerified) return true;
    const at = flow.packet;
    if (flow.isV4 && this.#sum(at, IPV4_HEADER) !== 0xffff) return false;
    const addresses = flow.isV4 ? 12 : 8;
    const covered = this.#sum(at + addresses, flow.length - addresses);
    const pseudo = swap16(flow.protocol) + swap16(flow.length - flow.transport);
    flow.isVerified = foldSum(covered + pseudo) === 0xffff;
    return flow.isVerified;
  }

  #setPush(flow: Flow): void {
    const at = flow.packet + flow.transport + 13;
    this.#data.setUint8(at, this.#data.getUint8(at) | TCP_PSH);
  }

  #emitAlone(flow: Flow): void {
    const start = flow.packet - VIRTIO_HEADER_LENGTH;
    writeVirtioHeader(this.#data, start, NO_OFFLOAD);
    this.#emit(start, flow.length + VIRTIO_HEADER_LENGTH);
  }

  #emitFlow(index: number): void {
    const flow = this.#open[index]!;
    this.#open.splice(index, 1);
    this.#idle.push(flow);
    if (flow.count === 1) {
      this.#emitAlone(flow);
      return;
    }
    const data = this.#data;
    const at = flow.packet;
    const segmentLength = flow.length - flow.transport;
    const isTcp = flow.protocol === TCP;
    const header: VirtioHeader = {
      flags: VirtioFlag.needsChecksum,
      gsoType: isTcp ? (flow.isV4 ? GsoType.tcp4 : GsoType.tcp6) : GsoType.udp,
      headerLength: flow.headers,
      gsoSize: flow.payload,
      checksumStart: flow.transport,
      checksumOffset: isTcp ? TCP_CHECKSUM : UDP_CHECKSUM,
    };
    writeVirtioHeader(data, at - VIRTIO_HEADER_LENGTH, header);
    let addresses: number;
    if (flow.isV4) {
      data.setUint16(at + 2, flow.length);
      data.setUint16(at + 10, 0);
      data.setUint16(at + 10, ~this.#sum(at, IPV4_HEADER) & 0xffff, true);
      addresses = this.#sum(at + 12, 8);
    } else {
      data.setUint16(at + 4, segmentLength);
      addresses = this.#sum(at + 8, 32);
    }
    if (!isTcp) data.setUint16(at + flow.transport + 4, segmentLength);
    const pseudo = foldSum(addresses + swap16(flow.protocol) + swap16(segmentLength));
    data.setUint16(at + flow.transport + header.checksumOffset, pseudo, true);
    this.#emit(at - VIRTIO_HEADER_LENGTH, flow.length + VIRTIO_HEADER_LENGTH);
  }
}

/** One slot of the memory: a packet, or several that became one. */
class Flow {
  /** Offset of the IP header, aligned to 16; the virtio header is right before it. */
  readonly packet: number;
  /** Bytes of the whole, headers once. */
  length = 0;
  isV4 = true;
  protocol = 0;
  transport = 0;
  headers = 0;
  /** Payload bytes of the first packet: the segment size. */
  payload = 0;
  nextSequence = 0;
  count = 0;
  isPush = false;
  isVerified = false;

  constructor(packet: number) {
    this.packet = packet;
  }
}

const MAX_FLOWS = 8;
const HEADROOM = 16;
const SLOT = HEADROOM + 65_536;
/**
 * A frame that reaches 65,536 bytes with what devices put in front is cut up in software. What the kernel itself makes
 * has up to 65,216 bytes: a frame of it that was cut up by the sender must fit in one again.
 */
const MAX_FRAME = 65_500;
const MAX_SEGMENTS = 100;

/** Bytes of memory that a `Coalescer` needs. */
export const COALESCER_MEMORY: number = (MAX_FLOWS + 1) * SLOT;

const NO_OFFLOAD: VirtioHeader = {
  flags: 0,
  gsoType: GsoType.none,
  headerLength: 0,
  gsoSize: 0,
  checksumStart: 0,
  checksumOffset: 0,
};

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const TCP_HEADER = 20;
const UDP_HEADER = 8;
const TCP = 6;
const UDP = 17;
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
const TCP_PSH = 0x08;
const TCP_ACK = 0x10;
