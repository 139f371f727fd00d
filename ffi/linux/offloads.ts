/** What the kernel can do to batch packets, asked without changing anything and without privileges. */

import { arena } from "../memory.ts";
import { libc } from "./symbols.ts";

/** Returns the names of the offloads that this kernel has, as `fz version --verbose` shows them. */
export function kernelOffloads(): string[] {
  const found: string[] = [];
  const tun = openTun();
  if (tun >= 0) {
    if ((tunFeatures(tun) & IFF_VNET_HDR) !== 0) found.push("TUN virtio header");
    libc.close(tun);
  }
  const socket = libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket >= 0) {
    if (accepts(socket, UDP_SEGMENT, 1200)) found.push("UDP segmentation");
    if (accepts(socket, UDP_GRO, 1)) found.push("UDP coalescing");
    libc.close(socket);
  }
  return found;
}

function openTun(): number {
  return withMemory(PATH_CAPACITY, (path) => {
    arena.setText(path, "/dev/net/tun", PATH_CAPACITY);
    return libc.open(arena.address(path), O_RDWR | O_CLOEXEC, 0);
  });
}

function tunFeatures(descriptor: number): number {
  return withMemory(4, (flags) => {
    if (libc.ioctl(descriptor, TUNGETFEATURES, arena.address(flags)) < 0) return 0;
    return arena.getU32(flags);
  });
}

function accepts(descriptor: number, option: number, value: number): boolean {
  return withMemory(4, (memory) => {
    arena.setU32(memory, value);
    return libc.setsockopt(descriptor, SOL_UDP, option, arena.address(memory), 4) === 0;
  });
}

function withMemory<T>(length: number, body: (offset: number) => T): T {
  const offset = arena.allocate(length);
  try {
    return body(offset);
  } finally {
    arena.release(offset, length);
  }
}

const PATH_CAPACITY = 16;
const O_RDWR = 0o2;
const O_CLOEXEC = 0o2000000;
const TUNGETFEATURES = 0x800454cfn;
const IFF_VNET_HDR = 0x4000;
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;
