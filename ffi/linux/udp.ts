/**
 * UDP sockets on the data path (udp(7), ip(7), ipv6(7)): the local address of every datagram, source selection,
 * batches by UDP_GRO and UDP_SEGMENT. One socket has one family. All sockets share one buffer to receive in and one
 * batch to send, since one thread drains them in turn; a socket costs no memory of its own.
 */

import type { Datagram } from "../../lib/base/datagram.ts";
import { type Family, IpAddress, SocketAddress } from "../../lib/base/ip.ts";
import { AddressCache } from "../address_cache.ts";
import { Errno, faultOf } from "../errno.ts";
import { arena } from "../memory.ts";
import type { DatagramHandler, UdpOptions, UdpSocket } from "../platform.ts";
import { newUdpStats } from "../stats.ts";
import { AF_INET, AF_INET6, SOCKADDR_CAPACITY, sockaddrPort, writeSockaddr } from "./sockaddr.ts";
import { errno, libc } from "./symbols.ts";
import { UdpBatch } from "./udp_batch.ts";

/** Opens a socket. Returns undefined if the machine lacks the family. Throws a Fault if the address cannot be had. */
export function bindUdp(options: UdpOptions): UdpSocket | undefined {
  const { address, fallbackPort, mark, offload = {} } = options;
  const isV4 = address.family === 4;
  const descriptor = libc.socket(isV4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    const number = errno();
    if (number === Errno.EAFNOSUPPORT) return undefined;
    throw faultOf("Cannot open a UDP socket", number);
  }
  if (!isV4) setOption(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  const marked = mark !== undefined && setOption(descriptor, SOL_SOCKET, SO_MARK, mark);
  let failure = bindTo(descriptor, address);
  if (failure === Errno.EADDRINUSE && fallbackPort !== undefined) {
    failure = bindTo(descriptor, new SocketAddress(address.ip, fallbackPort));
  }
  if (failure !== 0) {
    libc.close(descriptor);
    if (failure === Errno.EADDRNOTAVAIL && address.ip.isUnspecified) return undefined;
    throw faultOf(`Cannot listen on UDP ${address}`, failure);
  }
  setBuffer(descriptor, SO_RCVBUFFORCE, SO_RCVBUF, options.receiveBuffer ?? RECEIVE_BUFFER);
  setBuffer(descriptor, SO_SNDBUFFORCE, SO_SNDBUF, options.sendBuffer ?? SEND_BUFFER);
  if (isV4) setOption(descriptor, IPPROTO_IP, IP_PKTINFO, 1);
  else setOption(descriptor, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  if (offload.coalesce ?? true) setOption(descriptor, SOL_UDP, UDP_GRO, 1);
  const local = new SocketAddress(address.ip, boundPort(descriptor));
  return new LinuxUdpSocket(descriptor, local, marked, offload.segment ?? true);
}

class LinuxUdpSocket implements UdpSocket {
  readonly descriptor: number;
  readonly local: SocketAddress;
  readonly marked: boolean;
  readonly stats = newUdpStats();
  /** Whether the kernel may segment for us; turned off for good when it once could not. */
  canSegment: boolean;
  readonly #family: Family;
  readonly #remotes = new AddressCache();
  readonly #locals = new AddressCache();
  #isOpen = true;
  #localHere: SocketAddress;
  #segmentSize = 0;

  constructor(descriptor: number, local: SocketAddress, marked: boolean, canSegment: boolean) {
    this.descriptor = descriptor;
    this.local = local;
    this.#localHere = local;
    this.marked = marked;
    this.canSegment = canSegment;
    this.#family = local.family;
  }

  receive(handler: DatagramHandler): boolean {
    if (!this.#isOpen) return false;
    arena.setU32(RX + MSG_NAMELEN, SOCKADDR_CAPACITY);
    arena.setU32(RX + MSG_CONTROLLEN, CONTROL_CAPACITY);
    const length = libc.recvmsg(this.descriptor, RX_ADDRESS, MSG_DONTWAIT);
    if (length < 0) return errno() === Errno.EINTR;
    const nameLength = arena.getU32(RX + MSG_NAMELEN);
    if (nameLength === 0 || (arena.getU32(RX + MSG_FLAGS) & MSG_TRUNC) !== 0) {
      this.stats.dropped++;
      return true;
    }
    this.#readControl(arena.getU32(RX + MSG_CONTROLLEN));
    const remote = this.#remotes.sockaddr(this.#family, RX_NAME);
    const local = this.#localHere;
    const segment = this.#segmentSize > 0 ? this.#segmentSize : Math.max(1, length);
    this.stats.receivedBytes += length;
    let at = 0;
    do {
      const end = Math.min(at + segment, length);
      this.stats.receivedDatagrams++;
      handler(local, remote, arena.view(RX_BUFFER + at, end - at));
      at = end;
    } while (at < length);
    return true;
  }

  send(datagram: Datagram): void {
    if (this.#isOpen) batch.add(this, datagram);
  }

  flush(): void {
    if (batch.owner === this) batch.flush();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.flush();
    this.#isOpen = false;
    libc.close(this.descriptor);
  }

  /** Sets the local address and the segment size of what was received just now. */
  #readControl(controlLength: number): void {
    this.#localHere = this.local;
    this.#segmentSize = 0;
    for (let at = 0; at + CMSG_HEADER <= controlLength;) {
      const header = RX_CONTROL + at;
      const length = arena.getU32(header);
      if (length < CMSG_HEADER) return;
      const level = arena.getU32(header + 8);
      const type = arena.getU32(header + 12);
      const value = header + CMSG_HEADER;
      if (level === SOL_UDP && type === UDP_GRO) this.#segmentSize = arena.getU32(value);
      else if (level === IPPROTO_IP && type === IP_PKTINFO) {
        this.#localHere = this.#locals.ipv4(value + 4, this.local.port);
      } else if (level === IPPROTO_IPV6 && type === IPV6_PKTINFO) {
        this.#localHere = this.#locals.ipv6(value, this.local.port);
      }
      at += (length + 7) & ~7;
    }
  }
}

function bindTo(descriptor: number, address: SocketAddress): number {
  const length = writeSockaddr(SCRATCH, address);
  return libc.bind(descriptor, SCRATCH_ADDRESS, length) === 0 ? 0 : errno();
}

function boundPort(descriptor: number): number {
  arena.setU32(SCRATCH + SOCKADDR_CAPACITY, SOCKADDR_CAPACITY);
  libc.getsockname(descriptor, SCRATCH_ADDRESS, arena.address(SCRATCH + SOCKADDR_CAPACITY));
  return sockaddrPort(SCRATCH);
}

function setOption(descriptor: number, level: number, option: number, value: number): boolean {
  arena.setU32(SCRATCH, value);
  return libc.setsockopt(descriptor, level, option, SCRATCH_ADDRESS, 4) === 0;
}

/** The forced form passes the system's limit by, and needs CAP_NET_ADMIN. */
function setBuffer(descriptor: number, forced: number, plain: number, bytes: number): void {
  if (!setOption(descriptor, SOL_SOCKET, forced, bytes)) setOption(descriptor, SOL_SOCKET, plain, bytes);
}

const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SO_MARK = 36;
const IPPROTO_IP = 0;
const IP_PKTINFO = 8;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;
const IPV6_PKTINFO = 50;
const SOL_UDP = 17;
const UDP_GRO = 104;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;

const RECEIVE_BUFFER = 16 * 2 ** 20;
const SEND_BUFFER = 2 * 2 ** 20;

/** `struct msghdr` and `struct cmsghdr`. */
const MSG_NAMELEN = 8;
const MSG_CONTROLLEN = 40;
const MSG_FLAGS = 48;
const CMSG_HEADER = 16;
const CONTROL_CAPACITY = 128;

/** One thread, one buffer: message header, I/O vector, sender, control data, payload. */
const SCRATCH = arena.allocate(64);
const SCRATCH_ADDRESS = arena.address(SCRATCH);
const RX = arena.allocate(64);
const RX_ADDRESS = arena.address(RX);
const RX_VECTOR = arena.allocate(16);
const RX_NAME = arena.allocate(SOCKADDR_CAPACITY);
const RX_CONTROL = arena.allocate(CONTROL_CAPACITY);
const RX_BUFFER_LENGTH = 65_536;
const RX_BUFFER = arena.allocate(RX_BUFFER_LENGTH);

arena.setPointer(RX, RX_NAME);
arena.setPointer(RX + 16, RX_VECTOR);
arena.setU64(RX + 24, 1);
arena.setPointer(RX + 32, RX_CONTROL);
arena.setPointer(RX_VECTOR, RX_BUFFER);
arena.setU64(RX_VECTOR + 8, RX_BUFFER_LENGTH);

const batch = new UdpBatch();

/** The unspecified address of each family, to listen on all. */
export const ANY: { readonly 4: IpAddress; readonly 6: IpAddress } = {
  4: IpAddress.from("0.0.0.0"),
  6: IpAddress.from("::"),
};
