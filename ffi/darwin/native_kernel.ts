/** Routes and interfaces of the real kernel: sysctl(3), the routing socket (route(4)), ioctl(2). */

import type { Family } from "../../lib/base/ip.ts";
import { arena } from "../memory.ts";
import { Errno } from "./errno.ts";
import { FIOCLEX, type IoctlRequest } from "./interface_request.ts";
import type { RouteKernel } from "./kernel.ts";
import { addressFamily } from "./sockaddr.ts";
import { errno, ioctl, libc } from "./symbols.ts";

/** The kernel. Sockets are opened for each call: changes are rare. */
export const nativeKernel: RouteKernel = {
  dumpRoutes,
  sendRoute,
  control,
  interfaceIndex(name) {
    return withBytes(IFNAMSIZ, (at) => {
      arena.setText(at, name.slice(0, IFNAMSIZ - 1), IFNAMSIZ);
      return libc.if_nametoindex(arena.address(at));
    });
  },
  interfaceName(index) {
    return withBytes(IFNAMSIZ, (at) => {
      const found = libc.if_indextoname(index, arena.address(at));
      return found === 0n ? undefined : arena.getText(at, IFNAMSIZ);
    });
  },
};

/** Opens a routing socket that child processes do not inherit; negative if it cannot. */
export function openRoutingSocket(): number {
  const descriptor = libc.socket(PF_ROUTE, SOCK_RAW, 0);
  if (descriptor >= 0) ioctl(descriptor, FIOCLEX, 0n);
  return descriptor;
}

function dumpRoutes(family: Family): Uint8Array {
  return withBytes(QUERY, (query) => {
    for (const [index, word] of [CTL_NET, PF_ROUTE, 0, addressFamily(family), NET_RT_DUMP, 0].entries()) {
      arena.setU32(query + index * 4, word);
    }
    // The table may grow between being measured and being read.
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (readTable(query, 0n, 0) !== 0) break;
      // Few sizes, for the arena makes blocks of the same size only of what is given back.
      const capacity = 2 ** Math.ceil(Math.log2(arena.getU32(query + LENGTH) + MIN_TABLE));
      if (capacity > MAX_TABLE) break;
      const table = arena.allocate(capacity);
      try {
        const error = readTable(query, arena.address(table), capacity);
        if (error === 0) return arena.bytes.slice(table, table + arena.getU32(query + LENGTH));
        if (error !== Errno.ENOMEM) break;
      } finally {
        arena.release(table, capacity);
      }
    }
    return new Uint8Array();
  });
}

/** Returns the error number; the length is behind the query. */
function readTable(query: number, address: bigint, capacity: number): number {
  arena.setU64(query + LENGTH, capacity);
  const length = arena.address(query + LENGTH);
  return libc.sysctl(arena.address(query), 6, address, length, 0n, 0n) === 0 ? 0 : errno();
}

function sendRoute(message: Uint8Array): number {
  const descriptor = openRoutingSocket();
  if (descriptor < 0) return errno();
  // Nobody reads the kernel's answers; its error number is enough.
  libc.shutdown(descriptor, SHUT_RD);
  try {
    return withBytes(message.length, (at) => {
      arena.bytes.set(message, at);
      const sent = libc.send(descriptor, arena.address(at), BigInt(message.length), 0);
      return sent < 0n ? errno() : 0;
    });
  } finally {
    libc.close(descriptor);
  }
}

function control(family: Family, { request, bytes }: IoctlRequest): number {
  const descriptor = libc.socket(addressFamily(family), SOCK_DGRAM, 0);
  if (descriptor < 0) return errno();
  try {
    return withBytes(bytes.length, (at) => {
      arena.bytes.set(bytes, at);
      return ioctl(descriptor, request, arena.address(at)) < 0 ? errno() : 0;
    });
  } finally {
    libc.close(descriptor);
  }
}

function withBytes<T>(length: number, use: (at: number) => T): T {
  const at = arena.allocate(length);
  try {
    return use(at);
  } finally {
    arena.release(at, length);
  }
}

const PF_ROUTE = 17;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SHUT_RD = 0;
const CTL_NET = 4;
const NET_RT_DUMP = 1;
const IFNAMSIZ = 16;
/** Six words of name, and the length of the answer. */
const QUERY = 32;
const LENGTH = 24;
const MAX_ATTEMPTS = 3;
const MIN_TABLE = 16_384;
const MAX_TABLE = 2 * 2 ** 20;
