/**
 * UDP sockets on the data path (winsock2.h): the local address of every datagram, source selection, one datagram a call.
 * What has to pass the tunnel by says with each datagram from which address and over which interface it leaves. All
 * sockets share one buffer, since one thread drains them in turn.
 */

import type { Datagram } from "../../lib/base/datagram.ts";
import { type Family, SocketAddress } from "../../lib/base/ip.ts";
import { AddressCache } from "../address_cache.ts";
import { arena } from "../memory.ts";
import type { DatagramHandler, UdpOptions, UdpSocket } from "../platform.ts";
import { countSendErrors, newUdpStats } from "../stats.ts";
import type { EventSource } from "./event_poller.ts";
import {
  CONTROL_CAPACITY,
  findDestination,
  IP_PKTINFO,
  IPV6_PKTINFO,
  LEVEL_IP,
  LEVEL_IPV6,
  Message,
  MSG_TRUNC,
  writeSource,
  WSABUF,
} from "./message.ts";
import { createEvent } from "./poller.ts";
import { AF_INET, AF_INET6, SOCKADDR_INET, writeSocketAddress } from "./sockaddr.ts";
import { kernel32, readU64, withMemory, ws2 } from "./symbols.ts";
import { guidBytes } from "./tunnel_name.ts";
import type { WayOut } from "./way_out.ts";
import { errorName, faultOf, Wsa } from "./win32.ts";

/** Opens a socket. Returns undefined if the machine lacks the family. Throws a Fault if the address cannot be had. */
export function bindUdp(options: UdpOptions, wayOut: WayOut): UdpSocket | undefined {
  startSockets();
  const { address, fallbackPort } = options;
  const isV4 = address.family === 4;
  const handle = ws2.WSASocketW(isV4 ? AF_INET : AF_INET6, SOCK_DGRAM, IPPROTO_UDP, 0n, 0, SOCKET_FLAGS);
  if (handle === INVALID_SOCKET) {
    const error = ws2.WSAGetLastError();
    if (error === Wsa.familyNotSupported) return undefined;
    throw faultOf("Cannot open a UDP socket", error);
  }
  if (!isV4) setOption(handle, LEVEL_IPV6, IPV6_V6ONLY, 1);
  let failure = bindTo(handle, address);
  if (isTaken(failure) && fallbackPort !== undefined) {
    failure = bindTo(handle, new SocketAddress(address.ip, fallbackPort));
  }
  if (failure !== 0) {
    ws2.closesocket(handle);
    if (failure === Wsa.addressNotAvailable && address.ip.isUnspecified) return undefined;
    throw faultOf(`Cannot listen on UDP ${address}`, isTaken(failure) ? Wsa.addressInUse : failure);
  }
  setBuffer(handle, SO_RCVBUF, options.receiveBuffer ?? RECEIVE_BUFFER);
  setBuffer(handle, SO_SNDBUF, options.sendBuffer ?? SEND_BUFFER);
  if (isV4) setOption(handle, LEVEL_IP, IP_PKTINFO, 1);
  else setOption(handle, LEVEL_IPV6, IPV6_PKTINFO, 1);
  // Otherwise an ICMP error about one remote would fail the receiving of what others send.
  for (const code of [SIO_UDP_CONNRESET, SIO_UDP_NETRESET]) turnOff(handle, code);
  let event: number | undefined;
  try {
    event = createEvent();
    if (ws2.WSAEventSelect(handle, BigInt(event), FD_READ) !== 0) {
      throw faultOf("Cannot wait for a UDP socket", ws2.WSAGetLastError());
    }
    const local = new SocketAddress(address.ip, boundPort(handle));
    return new WindowsUdpSocket(handle, event, local, options.mark === undefined ? undefined : wayOut);
  } catch (error) {
    ws2.closesocket(handle);
    if (event !== undefined) kernel32.CloseHandle(BigInt(event));
    throw error;
  }
}

class WindowsUdpSocket implements UdpSocket, EventSource {
  readonly descriptor: number;
  readonly local: SocketAddress;
  readonly stats = newUdpStats();
  isReady = false;
  readonly #handle: bigint;
  readonly #family: Family;
  readonly #wayOut: WayOut | undefined;
  readonly #receiveMessage: ReceiveMessage;
  readonly #remotes = new AddressCache();
  readonly #locals = new AddressCache();
  #isOpen = true;

  constructor(handle: bigint, event: number, local: SocketAddress, wayOut: WayOut | undefined) {
    this.#handle = handle;
    this.descriptor = event;
    this.local = local;
    this.#family = local.family;
    this.#wayOut = wayOut;
    this.#receiveMessage = receiveFunction(handle);
  }

  /** Whether it names its way past the tunnel: that does what a mark does elsewhere. */
  get marked(): boolean {
    return this.#wayOut !== undefined;
  }

  receive(handler: DatagramHandler): boolean {
    if (!this.#isOpen) return false;
    arena.setU32(RX + Message.nameLength, SOCKADDR_INET);
    arena.setU32(RX + Message.controlLength, CONTROL_CAPACITY);
    arena.setU32(RX + Message.flags, 0);
    if (this.#receiveMessage(this.#handle, RX_ADDRESS, COUNT_ADDRESS, 0n, 0n) !== 0) {
      switch (ws2.WSAGetLastError()) {
        case Wsa.messageSize:
          this.stats.dropped++;
          return true;
        // A remote refused, or cannot be reached: the next datagram may be another's.
        case Wsa.connectionReset:
        case Wsa.networkReset:
        case Wsa.interrupted:
          return true;
        default:
          this.isReady = false;
          // Receiving by this function is not among what makes the event come again: asking for it anew is.
          ws2.WSAEventSelect(this.#handle, BigInt(this.descriptor), FD_READ);
          return false;
      }
    }
    const length = arena.getU32(COUNT);
    const isCut = (arena.getU32(RX + Message.flags) & MSG_TRUNC) !== 0;
    if (isCut || arena.getU32(RX + Message.nameLength) === 0) {
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
      ? Wsa.messageSize
      : remote.family !== this.#family
      ? Wsa.familyNotSupported
      : this.#transmit(local, remote, payload);
    if (failure === 0) {
      this.stats.sentDatagrams++;
      this.stats.sentBytes += payload.length;
    } else countSendErrors(this.stats, errorName(failure));
  }

  flush(): void {}

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    ws2.closesocket(this.#handle);
    kernel32.CloseHandle(BigInt(this.descriptor));
  }

  /** Returns the error number. */
  #transmit(local: SocketAddress | undefined, remote: SocketAddress, payload: Uint8Array): number {
    const isChosen = local !== undefined && !local.ip.isUnspecified;
    const source = isChosen
      ? { address: local.ip, index: 0 }
      : this.#wayOut?.sourceFor(remote.ip, remote.scopeId);
    // Left to itself, the kernel could send it into our own tunnel.
    if (source === undefined && this.#wayOut !== undefined) return Wsa.networkUnreachable;
    arena.bytes.set(payload, TX_BUFFER);
    arena.setU32(TX + Message.nameLength, writeSocketAddress(arena.bytes, TX_NAME, remote));
    arena.setU32(TX_VECTOR, payload.length);
    arena.setU32(
      TX + Message.controlLength,
      source === undefined ? 0 : writeSource(arena.bytes, TX_CONTROL, source.address, source.index),
    );
    arena.setU64(TX + Message.control, source === undefined ? 0 : TX_CONTROL_POINTER);
    if (ws2.WSASendMsg(this.#handle, TX_ADDRESS, 0, COUNT_ADDRESS, 0n, 0n) === 0) return 0;
    const failure = ws2.WSAGetLastError();
    if (failure !== Wsa.wouldBlock && failure !== Wsa.noBuffers) return failure;
    // The send buffer is full: back-pressure for a moment rather than loss, but never for long.
    arena.data.setBigUint64(POLL, this.#handle, true);
    arena.setU32(POLL + 8, POLLWRNORM);
    ws2.WSAPoll(POLL_ADDRESS, 1, BACK_PRESSURE_MS);
    const again = ws2.WSASendMsg(this.#handle, TX_ADDRESS, 0, COUNT_ADDRESS, 0n, 0n);
    return again === 0 ? 0 : ws2.WSAGetLastError();
  }

  /** Returns the address that what was received just now came to. */
  #localHere(): SocketAddress {
    const length = Math.min(arena.getU32(RX + Message.controlLength), CONTROL_CAPACITY);
    const at = findDestination(arena.data, RX_CONTROL, length, this.#family);
    if (at === undefined) return this.local;
    const { port } = this.local;
    return this.#family === 4 ? this.#locals.ipv4(at, port) : this.#locals.ipv6(at, port);
  }
}

type ReceiveMessage = (
  socket: bigint,
  message: bigint,
  count: bigint,
  overlapped: bigint,
  completion: bigint,
) => number;

/** `WSARecvMsg` is in no library: each socket's provider tells where it has it. Throws a Fault. */
function receiveFunction(handle: bigint): ReceiveMessage {
  const address = withMemory(
    guidBytes(WSAID_WSARECVMSG),
    (_, guid) =>
      withMemory(16, (at, out) => {
        const count = arena.address(at + 8);
        const code = SIO_GET_EXTENSION_FUNCTION_POINTER;
        const result = ws2.WSAIoctl(handle, code, guid, 16, out, 8, count, 0n, 0n);
        if (result !== 0) throw faultOf("Cannot receive from a UDP socket", ws2.WSAGetLastError());
        return readU64(at);
      }),
  );
  const known = receivers.get(address);
  if (known !== undefined) return known;
  const pointer = Deno.UnsafePointer.create<typeof RECEIVE_MESSAGE>(address);
  if (pointer === null) throw faultOf("Cannot receive from a UDP socket", Wsa.operationNotSupported);
  const { call } = new Deno.UnsafeFnPointer(pointer, RECEIVE_MESSAGE);
  const receive: ReceiveMessage = (...args) => call(...args);
  receivers.set(address, receive);
  return receive;
}

const RECEIVE_MESSAGE = { parameters: ["u64", "u64", "u64", "u64", "u64"], result: "i32" } as const;
const receivers = new Map<bigint, ReceiveMessage>();
let isStarted = false;

/** The runtime has done so for itself; the library counts. */
function startSockets(): void {
  if (isStarted) return;
  const error = withMemory(WSADATA, (_, address) => ws2.WSAStartup(VERSION_2_2, address));
  if (error !== 0) throw faultOf("Cannot use sockets", error);
  isStarted = true;
}

/** Another program has it for itself alone, or Windows keeps it for one. */
function isTaken(error: number): boolean {
  return error === Wsa.addressInUse || error === Wsa.accessDenied;
}

function bindTo(handle: bigint, address: SocketAddress): number {
  const length = writeSocketAddress(arena.bytes, SCRATCH, address);
  return ws2.bind(handle, SCRATCH_ADDRESS, length) === 0 ? 0 : ws2.WSAGetLastError();
}

function boundPort(handle: bigint): number {
  arena.setU32(SCRATCH + 32, SOCKADDR_INET);
  ws2.getsockname(handle, SCRATCH_ADDRESS, arena.address(SCRATCH + 32));
  return arena.data.getUint16(SCRATCH + 2);
}

function setOption(handle: bigint, level: number, option: number, value: number): boolean {
  arena.setU32(SCRATCH, value);
  return ws2.setsockopt(handle, level, option, SCRATCH_ADDRESS, 4) === 0;
}

/** A refusal is not fatal: half of it may do. */
function setBuffer(handle: bigint, option: number, bytes: number): void {
  for (let size = bytes; size >= MIN_BUFFER; size /= 2) {
    if (setOption(handle, SOL_SOCKET, option, size)) return;
  }
}

function turnOff(handle: bigint, code: number): void {
  arena.setU32(SCRATCH, 0);
  ws2.WSAIoctl(handle, code, SCRATCH_ADDRESS, 4, 0n, 0, COUNT_ADDRESS, 0n, 0n);
}

const SOCK_DGRAM = 2;
const IPPROTO_UDP = 17;
/** WSA_FLAG_OVERLAPPED, WSA_FLAG_NO_HANDLE_INHERIT. */
const SOCKET_FLAGS = 0x1 | 0x80;
const INVALID_SOCKET = 0xffff_ffff_ffff_ffffn;
const SOL_SOCKET = 0xffff;
const SO_SNDBUF = 0x1001;
const SO_RCVBUF = 0x1002;
const IPV6_V6ONLY = 27;
const FD_READ = 1;
const POLLWRNORM = 0x10;
const BACK_PRESSURE_MS = 5;
const SIO_GET_EXTENSION_FUNCTION_POINTER = 0xc800_0006;
const SIO_UDP_CONNRESET = 0x9800_000c;
const SIO_UDP_NETRESET = 0x9800_000f;
const WSAID_WSARECVMSG = "{f689d7c8-6f1f-436b-8a53-e54fe351c322}";
const VERSION_2_2 = 0x0202;
/** More than any `WSADATA`. */
const WSADATA = 512;

/** As upstream asks for on Windows. */
const RECEIVE_BUFFER = 32 * 2 ** 20;
const SEND_BUFFER = 2 * 2 ** 20;
const MIN_BUFFER = 4096;
/** The largest UDP payload over IPv4. */
const MAX_PAYLOAD = 65_507;
const BUFFER_LENGTH = 65_536;

const SCRATCH = arena.allocate(48);
const SCRATCH_ADDRESS = arena.address(SCRATCH);
const COUNT = arena.allocate(8);
const COUNT_ADDRESS = arena.address(COUNT);
const POLL = arena.allocate(16);
const POLL_ADDRESS = arena.address(POLL);
const RX = arena.allocate(Message.length);
const RX_ADDRESS = arena.address(RX);
const RX_VECTOR = arena.allocate(WSABUF);
const RX_NAME = arena.allocate(SOCKADDR_INET);
const RX_CONTROL = arena.allocate(CONTROL_CAPACITY);
const RX_BUFFER = arena.allocate(BUFFER_LENGTH);
const TX = arena.allocate(Message.length);
const TX_ADDRESS = arena.address(TX);
const TX_VECTOR = arena.allocate(WSABUF);
const TX_NAME = arena.allocate(SOCKADDR_INET);
const TX_CONTROL = arena.allocate(CONTROL_CAPACITY);
const TX_CONTROL_POINTER = Number(arena.address(TX_CONTROL));
const TX_BUFFER = arena.allocate(BUFFER_LENGTH);

arena.setPointer(RX + Message.name, RX_NAME);
arena.setPointer(RX + Message.buffers, RX_VECTOR);
arena.setU32(RX + Message.bufferCount, 1);
arena.setPointer(RX + Message.control, RX_CONTROL);
arena.setU32(RX_VECTOR, BUFFER_LENGTH);
arena.setPointer(RX_VECTOR + 8, RX_BUFFER);
arena.setPointer(TX + Message.name, TX_NAME);
arena.setPointer(TX + Message.buffers, TX_VECTOR);
arena.setU32(TX + Message.bufferCount, 1);
arena.setPointer(TX_VECTOR + 8, TX_BUFFER);
