/**
 * The TUN device of macOS: a utun interface, which a socket of the kernel's control "com.apple.net.utun_control" makes and
 * which lives as long as the socket (sys/kern_control.h, net/if_utun.h). One packet a call; the kernel offers nothing else
 * to programs like this one. Packets are read without blocking by MSG_DONTWAIT.
 */

import { arena } from "../memory.ts";
import type { PacketHandler, Tun, TunOptions } from "../platform.ts";
import { newTunStats } from "../stats.ts";
import { Errno, faultOf } from "./errno.ts";
import { controlAddress, controlIdRequest, FIOCLEX } from "./interface_request.ts";
import { errno, ioctl, libc } from "./symbols.ts";
import { UTUN_HEADER_LENGTH, utunUnit, writeUtunHeader } from "./utun.ts";

/**
 * Creates an interface. `name` counts if it is "utunN"; else it is the next free one. Throws a Fault: "tun" when it is
 * taken, "privilege" when forbidden.
 */
export function openTun({ name, mtu }: TunOptions): Tun {
  const { descriptor, control } = openControl();
  const failure = withBytes(
    controlAddress(control, utunUnit(name)),
    (at, length) => libc.connect(descriptor, arena.address(at), length) === 0 ? 0 : errno(),
  );
  if (failure !== 0) {
    libc.close(descriptor);
    const next = "Stop the other program that holds it, or choose another name.";
    throw faultOf(`Cannot open TUN device "${name}"`, failure, {
      code: "tun",
      ...(failure === Errno.EBUSY ? { next } : {}),
    });
  }
  setBuffer(descriptor, SO_RCVBUF);
  setBuffer(descriptor, SO_SNDBUF);
  return new DarwinTun(descriptor, interfaceNameOf(descriptor), mtu);
}

/** Throws the Fault that `openTun` would throw for want of a privilege; changes nothing. */
export function checkTun(): void {
  if (Deno.uid() !== 0) throw faultOf("Cannot make a TUN device", Errno.EPERM);
  libc.close(openControl().descriptor);
}

class DarwinTun implements Tun {
  readonly descriptor: number;
  readonly name: string;
  readonly offload = { virtioHeader: false, tcp: false, udp: false };
  readonly stats = newTunStats();
  isGone = false;
  readonly #mtu: number;
  readonly #memory = arena.allocate(FRAME_CAPACITY * 2);
  /** Where a frame is read to, so that the IP packet is aligned to 16 bytes. */
  readonly #frame = this.#memory + 16 - UTUN_HEADER_LENGTH;
  readonly #outgoing = this.#memory + FRAME_CAPACITY;
  #isOpen = true;

  constructor(descriptor: number, name: string, mtu: number) {
    this.descriptor = descriptor;
    this.name = name;
    this.#mtu = mtu;
  }

  receive(handler: PacketHandler): boolean {
    if (!this.#isOpen) return false;
    const capacity = BigInt(UTUN_HEADER_LENGTH + MAX_PACKET);
    const length = Number(libc.recv(this.descriptor, arena.address(this.#frame), capacity, MSG_DONTWAIT));
    if (length <= 0) {
      const failure = length < 0 ? errno() : 0;
      if (failure === Errno.EINTR) return true;
      this.isGone = failure !== Errno.EAGAIN;
      return false;
    }
    this.stats.reads++;
    const packetLength = length - UTUN_HEADER_LENGTH;
    if (packetLength <= 0 || packetLength > this.#mtu) {
      this.stats.dropped++;
      return true;
    }
    this.stats.receivedPackets++;
    this.stats.receivedBytes += packetLength;
    handler(arena.view(this.#frame + UTUN_HEADER_LENGTH, packetLength));
    return true;
  }

  send(packet: Uint8Array): void {
    const isSendable = this.#isOpen && packet.length <= MAX_PACKET;
    if (!isSendable || !writeUtunHeader(arena.data, this.#outgoing, packet)) {
      this.stats.dropped++;
      return;
    }
    arena.bytes.set(packet, this.#outgoing + UTUN_HEADER_LENGTH);
    this.stats.sentPackets++;
    this.stats.sentBytes += packet.length;
    this.stats.writes++;
    const length = BigInt(UTUN_HEADER_LENGTH + packet.length);
    const sent = libc.send(this.descriptor, arena.address(this.#outgoing), length, MSG_DONTWAIT);
    if (sent < 0n) this.stats.dropped++;
  }

  flush(): void {}

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    libc.close(this.descriptor);
    arena.release(this.#memory, FRAME_CAPACITY * 2);
  }
}

/** Returns a socket for kernel controls, and the number of utun's. */
function openControl(): { descriptor: number; control: number } {
  const descriptor = libc.socket(PF_SYSTEM, SOCK_DGRAM, SYSPROTO_CONTROL);
  if (descriptor < 0) throw faultOf("Cannot open a kernel control", errno(), { code: "tun" });
  ioctl(descriptor, FIOCLEX, 0n);
  const { request, bytes } = controlIdRequest("com.apple.net.utun_control");
  const control = withBytes(
    bytes,
    (at) => ioctl(descriptor, request, arena.address(at)) < 0 ? -errno() : arena.getU32(at),
  );
  if (control > 0) return { descriptor, control };
  libc.close(descriptor);
  throw faultOf("Cannot find the kernel's control of TUN devices", -control, { code: "tun" });
}

function interfaceNameOf(descriptor: number): string {
  return withBytes(new Uint8Array(8 + IFNAMSIZ), (at) => {
    arena.setU32(at, IFNAMSIZ);
    const name = arena.address(at + 8);
    libc.getsockopt(descriptor, SYSPROTO_CONTROL, UTUN_OPT_IFNAME, name, arena.address(at));
    return arena.getText(at + 8, IFNAMSIZ);
  });
}

/** Asks for more than the kernel's half MiB; what it refuses stays as it is. */
function setBuffer(descriptor: number, option: number): void {
  const value = new Uint8Array(4);
  new DataView(value.buffer).setUint32(0, BUFFER, true);
  withBytes(value, (at) => libc.setsockopt(descriptor, SOL_SOCKET, option, arena.address(at), 4));
}

function withBytes<T>(bytes: Uint8Array, use: (at: number, length: number) => T): T {
  const at = arena.allocate(bytes.length);
  try {
    arena.bytes.set(bytes, at);
    return use(at, bytes.length);
  } finally {
    arena.release(at, bytes.length);
  }
}

const PF_SYSTEM = 32;
const SOCK_DGRAM = 2;
const SYSPROTO_CONTROL = 2;
const UTUN_OPT_IFNAME = 2;
const IFNAMSIZ = 16;
const SOL_SOCKET = 0xffff;
const SO_SNDBUF = 0x1001;
const SO_RCVBUF = 0x1002;
const BUFFER = 2 * 2 ** 20;
const MSG_DONTWAIT = 0x80;
const MAX_PACKET = 65_535;
const FRAME_CAPACITY = 65_536 + 32;
