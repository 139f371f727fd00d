/**
 * The TUN device (Linux Documentation/networking/tuntap.rst). Frames carry a virtio header where the kernel supports
 * it, so that one system call moves up to 64 KiB of a flow; each offload is probed and left out on its own, down to
 * one plain packet per call. Not multi-queue: a second holder of the name must fail rather than share packets.
 */

import { Fault } from "../../lib/base/fault.ts";
import { privilegeFault } from "../../lib/host/privilege.ts";
import { Coalescer, COALESCER_MEMORY } from "../../lib/wire/coalescing.ts";
import { Segmenter } from "../../lib/wire/segmentation.ts";
import { VIRTIO_HEADER_LENGTH } from "../../lib/wire/virtio.ts";
import { arenaSum } from "../arena_sum.ts";
import { Errno, faultOf } from "../errno.ts";
import { arena } from "../memory.ts";
import type { PacketHandler, Tun, TunOptions } from "../platform.ts";
import { newTunStats } from "../stats.ts";
import { checkPrivileges, makeTunDevice, readPrivileges, TUN_DEVICE_PATH } from "./privileges.ts";
import { errno, libc } from "./symbols.ts";

/** Creates the device of `options.name`. Throws a Fault: "tun" when missing or busy, "privilege" when forbidden. */
export function openTun({ name, mtu, offload = {} }: TunOptions): Tun {
  if (new TextEncoder().encode(name).length >= IFNAMSIZ) {
    throw new Fault("usage", `Cannot name a TUN device "${name}": 15 bytes are the limit`);
  }
  let descriptor = openDevice();
  const wantsHeader = offload.virtioHeader ?? true;
  let attached = attach(descriptor, name, wantsHeader);
  let virtioHeader = wantsHeader;
  if (typeof attached === "number" && attached === Errno.EINVAL && wantsHeader) {
    libc.close(descriptor);
    descriptor = openDevice();
    virtioHeader = false;
    attached = attach(descriptor, name, false);
  }
  if (typeof attached === "number") {
    libc.close(descriptor);
    throw faultOf(`Cannot open TUN device "${name}"`, attached, {
      code: "tun",
      next: attached === Errno.EBUSY
        ? "Stop the other program that holds it, or choose another name."
        : "Look whether a network device of that name exists: ip link",
    });
  }
  const granted = virtioHeader
    ? agreeOffload(descriptor, offload.tcp ?? true, offload.udp ?? true)
    : { tcp: false, udp: false };
  return new LinuxTun(descriptor, attached, mtu, { virtioHeader, ...granted });
}

/** Throws the Fault that `openTun` would throw for want of a privilege or of the device; changes nothing. */
export function checkTun(): void {
  checkPrivileges();
}

class LinuxTun implements Tun {
  readonly descriptor: number;
  readonly name: string;
  readonly offload: Tun["offload"];
  readonly stats = newTunStats();
  isGone = false;
  readonly #mtu: number;
  readonly #memory = arena.allocate(MEMORY);
  /** Where `read` puts the frame, so that the IP packet is aligned to 16 bytes. */
  readonly #frame: number;
  readonly #frameAddress: bigint;
  readonly #plainAddress: bigint;
  readonly #segmenter = new Segmenter(arena.bytes, arenaSum);
  readonly #coalescer: Coalescer | undefined;
  readonly #deliver: (offset: number, length: number) => void;
  #handler: PacketHandler = () => {};
  #isOpen = true;

  constructor(descriptor: number, name: string, mtu: number, offload: Tun["offload"]) {
    this.descriptor = descriptor;
    this.name = name;
    this.offload = offload;
    this.#mtu = mtu;
    const packet = this.#memory + 16;
    this.#frame = offload.virtioHeader ? packet - VIRTIO_HEADER_LENGTH : packet;
    this.#frameAddress = arena.address(this.#frame);
    const coalescerOffset = this.#memory + READ_MEMORY;
    this.#plainAddress = arena.address(coalescerOffset);
    this.#coalescer = offload.virtioHeader
      ? new Coalescer({
        memory: arena.bytes,
        start: coalescerOffset,
        sum: arenaSum,
        tcp: offload.tcp,
        udp: offload.udp,
        emit: (offset, length) => this.#write(arena.address(offset), length),
      })
      : undefined;
    this.#deliver = (offset, length) => {
      if (length > this.#mtu) {
        this.stats.dropped++;
        return;
      }
      this.stats.receivedPackets++;
      this.stats.receivedBytes += length;
      this.#handler(arena.view(offset, length));
    };
  }

  receive(handler: PacketHandler): boolean {
    if (!this.#isOpen) return false;
    const length = libc.read(this.descriptor, this.#frameAddress, FRAME_CAPACITY);
    if (length <= 0) {
      if (length < 0 && errno() === Errno.EBADFD) this.isGone = true;
      return false;
    }
    this.stats.reads++;
    this.#handler = handler;
    if (!this.offload.virtioHeader) this.#deliver(this.#frame, length);
    else if (!this.#segmenter.split(this.#frame, length, this.#deliver)) this.stats.dropped++;
    return true;
  }

  send(packet: Uint8Array): void {
    if (!this.#isOpen || packet.length === 0 || packet.length > MAX_PACKET) {
      this.stats.dropped++;
      return;
    }
    this.stats.sentPackets++;
    this.stats.sentBytes += packet.length;
    if (this.#coalescer !== undefined) {
      this.#coalescer.add(packet);
    } else {
      arena.bytes.set(packet, this.#memory + READ_MEMORY);
      this.#write(this.#plainAddress, packet.length);
    }
  }

  flush(): void {
    if (this.#isOpen) this.#coalescer?.flush();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.flush();
    this.#isOpen = false;
    libc.close(this.descriptor);
    arena.release(this.#memory, MEMORY);
  }

  #write(address: bigint, length: number): void {
    this.stats.writes++;
    if (libc.write(this.descriptor, address, length) < 0) this.stats.dropped++;
  }
}

function openDevice(): number {
  const path = arena.allocate(PATH_CAPACITY);
  try {
    arena.setText(path, TUN_DEVICE_PATH, PATH_CAPACITY);
    const flags = O_RDWR | O_NONBLOCK | O_CLOEXEC;
    const descriptor = libc.open(arena.address(path), flags, 0);
    if (descriptor >= 0) return descriptor;
    const failure = errno();
    if (failure === Errno.ENOENT && makeTunDevice()) {
      const second = libc.open(arena.address(path), flags, 0);
      if (second >= 0) return second;
    }
    const isMissing = failure === Errno.ENOENT;
    throw privilegeFault({ ...readPrivileges(), ...isMissing ? { tun: "missing" } : {} }) ??
      faultOf(`Cannot open ${TUN_DEVICE_PATH}`, failure, {
        code: "tun",
        next: "Load the kernel's module: modprobe tun",
      });
  } finally {
    arena.release(path, PATH_CAPACITY);
  }
}

/** Returns the device's name, or the error number. */
function attach(descriptor: number, name: string, virtioHeader: boolean): string | number {
  const request = arena.allocate(IFREQ_LENGTH);
  try {
    arena.setText(request, name, IFNAMSIZ);
    arena.setU16(request + IFNAMSIZ, IFF_TUN | IFF_NO_PI | (virtioHeader ? IFF_VNET_HDR : 0));
    if (libc.ioctl(descriptor, TUNSETIFF, arena.address(request)) < 0) return errno();
    return arena.getText(request, IFNAMSIZ);
  } finally {
    arena.release(request, IFREQ_LENGTH);
  }
}

/** Asks for the offloads, all first, then fewer: kernels before 6.2 know no UDP segmentation. */
function agreeOffload(descriptor: number, tcp: boolean, udp: boolean): { tcp: boolean; udp: boolean } {
  const attempts = [{ tcp, udp }, { tcp, udp: false }, { tcp: false, udp: false }];
  for (const attempt of attempts) {
    const bits = TUN_F_CSUM | (attempt.tcp ? TUN_F_TSO4 | TUN_F_TSO6 : 0) |
      (attempt.udp ? TUN_F_USO4 | TUN_F_USO6 : 0);
    if (libc.ioctl(descriptor, TUNSETOFFLOAD, BigInt(bits)) === 0) return attempt;
  }
  return { tcp: false, udp: false };
}

const PATH_CAPACITY = 16;
const O_RDWR = 0o2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;

const IFNAMSIZ = 16;
const IFREQ_LENGTH = 40;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const TUNSETIFF = 0x400454can;
const TUNSETOFFLOAD = 0x400454d0n;
const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;

const MAX_PACKET = 65_535;
const FRAME_CAPACITY = VIRTIO_HEADER_LENGTH + MAX_PACKET;
const READ_MEMORY = 16 + 65_536;
const MEMORY = READ_MEMORY + COALESCER_MEMORY;
