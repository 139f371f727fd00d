/**
 * UDP sockets on the data path (udp(4), ip(4), ip6(4)): the local address of every datagram, source selection, one
 * datagram a call. What has to pass the tunnel by is bound to the interface of the machine's way out (IP_BOUND_IF), and
 * bound anew when that is another. All sockets share one buffer, since one thread drains them in turn.
 */

import type { Datagram } from "../../lib/base/datagram.ts";
import { type Family, SocketAddress } from "../../lib/base/ip.ts";
import { AddressCache } from "../address_cache.ts";
import { arena } from "../memory.ts";
import type { DatagramHandler, UdpOptions, UdpSocket } from "../platform.ts";
import { countSendErrors, newUdpStats } from "../stats.ts";
import { Errno, errnoName, faultOf } from "./errno.ts";
import { FIOCLEX } from "./interface_request.ts";
import {
  CONTROL_CAPACITY,
  findDestination,
  IP_PKTINFO,
  IPV6_RECVPKTINFO,
  LEVEL_IP,
  LEVEL_IPV6,
  writeSource,
} from "./packet_info.ts";
import { AF_INET, AF_INET6, SOCKADDR_CAPACITY, writeSocketAddress } from "./sockaddr.ts";
import { errno, ioctl, libc } from "./symbols.ts";
import { WayOut } from "./way_out.ts";

/** Opens a socket. Returns undefined if the machine lacks the family. Throws a Fault if the address cannot be had. */
export function bindUdp(options: UdpOptions, wayOut: WayOut): UdpSocket | undefined {
  const { address, fallbackPort } = options;
  const isV4 = address.family === 4;
  const descriptor = libc.socket(isV4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
  if (descriptor < 0) {
    const number = errno();
    if (number === Errno.EAFNOSUPPORT) return undefined;
    throw faultOf("Cannot open a UDP socket", number);
  }
  ioctl(descriptor, FIOCLEX, 0n);
  if (!isV4) setOption(descriptor, LEVEL_IPV6, IPV6_V6ONLY, 1);
  let failure = bindTo(descriptor, address);
  if (failure === Errno.EADDRINUSE && fallbackPort !== undefined) {
    failure = bindTo(descriptor, new SocketAddress(address.ip, fallbackPort));
  }
  if (failure !== 0) {
    libc.close(descriptor);
    if (failure === Errno.EADDRNOTAVAIL && address.ip.isUnspecified) return undefined;
    throw faultOf(`Cannot listen on UDP ${address}`, failure);
  }
  setBuffer(descriptor, SO_RCVBUF, options.receiveBuffer ?? RECEIVE_BUFFER);
  setBuffer(descriptor, SO_SNDBUF, options.sendBuffer ?? SEND_BUFFER);
  if (isV4) setOption(descriptor, LEVEL_IP, IP_PKTINFO, 1);
  else setOption(descriptor, LEVEL_IPV6, IPV6_RECVPKTINFO, 1);
  const local = new SocketAddress(address.ip, boundPort(descriptor));
  const socket = new DarwinUdpSocket(descriptor, local, wayOut);
  if (options.mark !== undefined) wayOut.add(socket);
  return socket;
}

class DarwinUdpSocket implements UdpSocket {
  readonly descriptor: number;
  readonly local: SocketAddress;
  readonly stats = newUdpStats();
  readonly #family: Family;
  readonly #wayOut: WayOut;
  readonly #remotes = new AddressCache();
  readonly #locals = new AddressCache();
  #isKept = false;
  #isOpen = true;

  constructor(descriptor: number, local: SocketAddress, wayOut: WayOut) {
    this.descriptor = descriptor;
    this.local = local;
    this.#family = local.family;
    this.#wayOut = wayOut;
  }

  /** Whether it is kept on the interface of the way out, or free for want of one: that does what a mark does elsewhere. */
  get marked(): boolean {
    return this.#isKept;
  }

  get family(): Family {
    return this.#family;
  }

  /** Binds it to the interface `index`; 0 frees it. */
  bindInterface(index: number): void {
    this.#isKept = this.#family === 4
      ? setOption(this.descriptor, LEVEL_IP, IP_BOUND_IF, index)
      : setOption(this.descriptor, LEVEL_IPV6, IPV6_BOUND_IF, index);
  }

  receive(handler: DatagramHandler): boolean {
    if (!this.#isOpen) return false;
    arena.setU32(RX + MSG_NAMELEN, SOCKADDR_CAPACITY);
    arena.setU32(RX + MSG_CONTROLLEN, CONTROL_CAPACITY);
    const length = Number(libc.recvmsg(this.descriptor, RX_ADDRESS, MSG_DONTWAIT));
    if (length < 0) return errno() === Errno.EINTR;
    const nameLength = arena.getU32(RX + MSG_NAMELEN);
    if (nameLength === 0 || (arena.getU32(RX + MSG_FLAGS) & MSG_TRUNC) !== 0) {
      this.stats.dropped++;
      return true;
    }
    const remote = this.#remotes.sockaddr(this.#family, RX_NAME);
    this.stats.receivedDatagrams++;
    this.stats.receivedBytes += length;
    handler(this.#localHere(), remote, arena.view(RX_BUFFER, length));
    return true;
  }

  send({ local, remote, payload }: Datagram): void {
    if (!this.#isOpen) return;
    const failure = payload.length > MAX_PAYLOAD
      ? Errno.EMSGSIZE
      : remote.family !== this.#family
      ? Errno.EAFNOSUPPORT
      : this.#transmit(local, remote, payload);
    if (failure === 0) {
      this.stats.sentDatagrams++;
      this.stats.sentBytes += payload.length;
    } else countSendErrors(this.stats, errnoName(failure));
  }

  flush(): void {}

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#wayOut.remove(this);
    libc.close(this.descriptor);
  }

  /** Returns the error number. */
  #transmit(local: SocketAddress | undefined, remote: SocketAddress, payload: Uint8Array): number {
    arena.bytes.set(payload, TX_BUFFER);
    arena.setU32(TX + MSG_NAMELEN, writeSocketAddress(arena.bytes, TX_NAME, remote));
    arena.setU64(TX_VECTOR + 8, payload.length);
    const hasSource = local !== undefined && !local.ip.isUnspecified;
    arena.setU32(TX + MSG_CONTROLLEN, hasSource ? writeSource(arena.bytes, TX_CONTROL, local.ip) : 0);
    arena.setU64(TX + MSG_CONTROL, hasSource ? TX_CONTROL_POINTER : 0);
    if (libc.sendmsg(this.descriptor, TX_ADDRESS, MSG_DONTWAIT) >= 0n) return 0;
    const failure = errno();
    if (failure !== Errno.EAGAIN && failure !== Errno.EINTR && failure !== Errno.ENOBUFS) return failure;
    // The send buffer is full: back-pressure for a moment rather than loss, but never for long.
    arena.setU32(POLL, this.descriptor);
    arena.setU32(POLL + 4, POLLOUT);
    libc.poll(arena.address(POLL), 1, BACK_PRESSURE_MS);
    return libc.sendmsg(this.descriptor, TX_ADDRESS, MSG_DONTWAIT) >= 0n ? 0 : errno();
  }

  /** Returns the address that what was received just now came to. */
  #localHere(): SocketAddress {
    const length = Math.min(arena.getU32(RX + MSG_CONTROLLEN), CONTROL_CAPACITY);
    const at = findDestination(arena.data, RX_CONTROL, length, this.#family);
    if (at === undefined) return this.local;
    const { port } = this.local;
    return this.#family === 4 ? this.#locals.ipv4(at, port) : this.#locals.ipv6(at, port);
  }
}

function bindTo(descriptor: number, address: SocketAddress): number {
  const length = writeSocketAddress(arena.bytes, SCRATCH, address);
  return libc.bind(descriptor, SCRATCH_ADDRESS, length) === 0 ? 0 : errno();
}

function boundPort(descriptor: number): number {
  arena.setU32(SCRATCH + SOCKADDR_CAPACITY, SOCKADDR_CAPACITY);
  libc.getsockname(descriptor, SCRATCH_ADDRESS, arena.address(SCRATCH + SOCKADDR_CAPACITY));
  return arena.data.getUint16(SCRATCH + 2);
}

function setOption(descriptor: number, level: number, option: number, value: number): boolean {
  arena.setU32(SCRATCH, value);
  return libc.setsockopt(descriptor, level, option, SCRATCH_ADDRESS, 4) === 0;
}

/** The kernel refuses what is beyond kern.ipc.maxsockbuf instead of granting that. */
function setBuffer(descriptor: number, option: number, bytes: number): void {
  for (let size = bytes; size >= MIN_BUFFER; size /= 2) {
    if (setOption(descriptor, SOL_SOCKET, option, size)) return;
  }
}

const SOCK_DGRAM = 2;
const SOL_SOCKET = 0xffff;
const SO_SNDBUF = 0x1001;
const SO_RCVBUF = 0x1002;
const IPV6_V6ONLY = 27;
const IP_BOUND_IF = 25;
const IPV6_BOUND_IF = 125;
const MSG_TRUNC = 0x10;
const MSG_DONTWAIT = 0x80;
const POLLOUT = 4;
const BACK_PRESSURE_MS = 5;

/** As upstream asks for on Apple's systems. */
const RECEIVE_BUFFER = 32 * 2 ** 20;
const SEND_BUFFER = 64 * 1024;
const MIN_BUFFER = 4096;
/** The largest UDP payload over IPv4. */
const MAX_PAYLOAD = 65_507;
const BUFFER_LENGTH = 65_536;

/** `struct msghdr` of 64-bit Darwin: the lengths are of 32 bits, and flags follow at once. */
const MSG_NAMELEN = 8;
const MSG_VECTOR = 16;
const MSG_VECTOR_COUNT = 24;
const MSG_CONTROL = 32;
const MSG_CONTROLLEN = 40;
const MSG_FLAGS = 44;
const MSGHDR = 48;

const SCRATCH = arena.allocate(64);
const SCRATCH_ADDRESS = arena.address(SCRATCH);
const POLL = arena.allocate(8);
const RX = arena.allocate(MSGHDR);
const RX_ADDRESS = arena.address(RX);
const RX_VECTOR = arena.allocate(16);
const RX_NAME = arena.allocate(SOCKADDR_CAPACITY);
const RX_CONTROL = arena.allocate(CONTROL_CAPACITY);
const RX_BUFFER = arena.allocate(BUFFER_LENGTH);
const TX = arena.allocate(MSGHDR);
const TX_ADDRESS = arena.address(TX);
const TX_VECTOR = arena.allocate(16);
const TX_NAME = arena.allocate(SOCKADDR_CAPACITY);
const TX_CONTROL = arena.allocate(CONTROL_CAPACITY);
const TX_CONTROL_POINTER = Number(arena.address(TX_CONTROL));
const TX_BUFFER = arena.allocate(BUFFER_LENGTH);

arena.setPointer(RX, RX_NAME);
arena.setPointer(RX + MSG_VECTOR, RX_VECTOR);
arena.setU32(RX + MSG_VECTOR_COUNT, 1);
arena.setPointer(RX + MSG_CONTROL, RX_CONTROL);
arena.setPointer(RX_VECTOR, RX_BUFFER);
arena.setU64(RX_VECTOR + 8, BUFFER_LENGTH);
arena.setPointer(TX, TX_NAME);
arena.setPointer(TX + MSG_VECTOR, TX_VECTOR);
arena.setU32(TX + MSG_VECTOR_COUNT, 1);
arena.setPointer(TX_VECTOR, TX_BUFFER);
