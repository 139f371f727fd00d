/**
 * The datagrams on their way out: equal-sized neighbours of one socket to one remote are collected and leave in one
 * `sendmsg` with UDP_SEGMENT (udp(7)); anything else pushes the collected ones out first, so order is kept. Driven by
 * `udp.ts`.
 */

import type { Datagram } from "../../lib/base/datagram.ts";
import type { SocketAddress } from "../../lib/base/ip.ts";
import { Errno } from "../errno.ts";
import { arena } from "../memory.ts";
import type { UdpStats } from "../platform.ts";
import { countSendErrors } from "../stats.ts";
import { SOCKADDR_CAPACITY, writeSockaddr } from "./sockaddr.ts";
import { errno, libc } from "./symbols.ts";

/** What a batch must know of its socket. */
export interface BatchOwner {
  readonly descriptor: number;
  readonly local: SocketAddress;
  readonly stats: UdpStats;
  canSegment: boolean;
}

/** The one batch of a thread. */
export class UdpBatch {
  readonly #message = arena.allocate(64);
  readonly #messageAddress = arena.address(this.#message);
  readonly #vector = arena.allocate(16);
  readonly #name = arena.allocate(SOCKADDR_CAPACITY);
  readonly #control = arena.allocate(CONTROL_CAPACITY);
  readonly #pollRequest = arena.allocate(8);
  readonly #buffer = arena.allocate(BUFFER_LENGTH);
  #owner: BatchOwner | undefined;
  #remote: SocketAddress | undefined;
  #local: SocketAddress | undefined;
  #segmentSize = 0;
  #length = 0;
  #count = 0;

  constructor() {
    arena.setPointer(this.#message, this.#name);
    arena.setPointer(this.#message + 16, this.#vector);
    arena.setU64(this.#message + 24, 1);
    arena.setPointer(this.#message + 32, this.#control);
  }

  /** The socket whose datagrams wait here, or undefined. */
  get owner(): BatchOwner | undefined {
    return this.#owner;
  }

  /** Queues a datagram of `owner` (copied). */
  add(owner: BatchOwner, { local, remote, payload }: Datagram): void {
    const length = payload.length;
    if (length > MAX_PAYLOAD || remote.family !== owner.local.family) {
      countSendErrors(owner.stats, length > MAX_PAYLOAD ? "EMSGSIZE" : "EAFNOSUPPORT");
      return;
    }
    if (this.#owner !== undefined && !this.#continues(owner, local, remote, length)) this.flush();
    if (this.#owner === undefined) {
      this.#owner = owner;
      this.#local = local;
      this.#remote = remote;
      this.#segmentSize = length;
    }
    arena.bytes.set(payload, this.#buffer + this.#length);
    this.#length += length;
    this.#count++;
    if (!owner.canSegment || length < this.#segmentSize || length === 0) this.flush();
  }

  /** Sends what is queued. */
  flush(): void {
    const owner = this.#owner;
    if (owner === undefined) return;
    arena.setU32(this.#message + MSG_NAMELEN, writeSockaddr(this.#name, this.#remote!));
    const failure = this.#transmit(owner, 0, this.#length, this.#count > 1 ? this.#segmentSize : 0);
    if (failure === 0) {
      owner.stats.sentDatagrams += this.#count;
      owner.stats.sentBytes += this.#length;
    } else if (this.#count > 1 && NOT_SEGMENTABLE.has(failure)) {
      this.#transmitSingly(owner);
    } else {
      countSendErrors(owner.stats, errnoName(failure), this.#count);
    }
    this.#owner = undefined;
    this.#length = 0;
    this.#count = 0;
  }

  #continues(
    owner: BatchOwner,
    local: SocketAddress | undefined,
    remote: SocketAddress,
    length: number,
  ): boolean {
    // An empty datagram would vanish in a batch.
    return owner === this.#owner && length > 0 && length <= this.#segmentSize && this.#count < MAX_SEGMENTS &&
      this.#length + length <= MAX_PAYLOAD && (remote === this.#remote || remote.key === this.#remote!.key) &&
      (local === this.#local || local?.key === this.#local?.key);
  }

  /** Segmentation failed: the device cannot, or the path is too narrow for it. */
  #transmitSingly(owner: BatchOwner): void {
    for (let at = 0; at < this.#length; at += this.#segmentSize) {
      const length = Math.min(this.#segmentSize, this.#length - at);
      const failure = this.#transmit(owner, at, length, 0);
      if (failure !== 0) {
        countSendErrors(owner.stats, errnoName(failure));
        continue;
      }
      owner.canSegment = false;
      owner.stats.sentDatagrams++;
      owner.stats.sentBytes += length;
    }
  }

  /** Returns 0 or the error number. `segmentSize` 0 sends one datagram. */
  #transmit(owner: BatchOwner, at: number, length: number, segmentSize: number): number {
    arena.setPointer(this.#vector, this.#buffer + at);
    arena.setU64(this.#vector + 8, length);
    arena.setU64(this.#message + MSG_CONTROLLEN, this.#writeControl(segmentSize));
    if (libc.sendmsg(owner.descriptor, this.#messageAddress, MSG_DONTWAIT) >= 0) return 0;
    const failure = errno();
    if (failure !== Errno.EAGAIN && failure !== Errno.EINTR && failure !== Errno.ENOBUFS) return failure;
    // The send buffer is full: back-pressure for a moment rather than loss, but never for long.
    arena.setU32(this.#pollRequest, owner.descriptor);
    arena.setU32(this.#pollRequest + 4, POLLOUT);
    libc.poll(arena.address(this.#pollRequest), 1n, BACK_PRESSURE_MS);
    return libc.sendmsg(owner.descriptor, this.#messageAddress, MSG_DONTWAIT) >= 0 ? 0 : errno();
  }

  /** Writes source address and segment size as needed; returns the length of the control data. */
  #writeControl(segmentSize: number): number {
    let at = this.#control;
    const source = this.#local?.ip;
    if (source !== undefined && !source.isUnspecified) {
      const isV4 = source.family === 4;
      const length = CMSG_HEADER + (isV4 ? 12 : 20);
      arena.bytes.fill(0, at, at + CMSG_HEADER + 24);
      arena.setU64(at, length);
      arena.setU32(at + 8, isV4 ? IPPROTO_IP : IPPROTO_IPV6);
      arena.setU32(at + 12, isV4 ? IP_PKTINFO : IPV6_PKTINFO);
      arena.bytes.set(source.bytes, at + CMSG_HEADER + (isV4 ? 4 : 0));
      at += (length + 7) & ~7;
    }
    if (segmentSize > 0) {
      arena.setU64(at, CMSG_HEADER + 2);
      arena.setU32(at + 8, SOL_UDP);
      arena.setU32(at + 12, UDP_SEGMENT);
      arena.setU64(at + CMSG_HEADER, segmentSize);
      at += CMSG_HEADER + 8;
    }
    return at - this.#control;
  }
}

function errnoName(number: number): string {
  for (const [name, value] of Object.entries(Errno)) if (value === number) return name;
  return `E${number}`;
}

/** Errors by which a kernel, a device or a path refuses segmentation. */
const NOT_SEGMENTABLE: ReadonlySet<number> = new Set([
  Errno.EINVAL,
  Errno.EIO,
  Errno.EMSGSIZE,
  Errno.EOPNOTSUPP,
  Errno.ENOPROTOOPT,
]);

const MAX_SEGMENTS = 64;
/** The largest UDP payload over IPv4. */
const MAX_PAYLOAD = 65_507;
const BUFFER_LENGTH = 65_536;
const CONTROL_CAPACITY = 96;
const BACK_PRESSURE_MS = 5;

const MSG_NAMELEN = 8;
const MSG_CONTROLLEN = 40;
const MSG_DONTWAIT = 0x40;
const CMSG_HEADER = 16;
const POLLOUT = 4;
const IPPROTO_IP = 0;
const IP_PKTINFO = 8;
const IPPROTO_IPV6 = 41;
const IPV6_PKTINFO = 50;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
