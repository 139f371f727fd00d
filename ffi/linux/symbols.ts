/**
 * The functions of the C library that are called, and nothing else. Addresses are `u64` given as BigInt (a Number there
 * takes a path ten times slower), lengths `u32`, results `i32`. Little-endian Linux, x86-64 and arm64.
 */

import { assert } from "../../lib/base/assert.ts";

const library = Deno.dlopen(
  "libc.so.6",
  {
    open: { parameters: ["u64", "i32", "u32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
    read: { parameters: ["i32", "u64", "u32"], result: "i32" },
    write: { parameters: ["i32", "u64", "u32"], result: "i32" },
    ioctl: { parameters: ["i32", "u64", "u64"], result: "i32" },
    faccessat: { parameters: ["i32", "u64", "i32", "i32"], result: "i32" },
    mknod: { parameters: ["u64", "u32", "u64"], result: "i32" },
    poll: { parameters: ["u64", "u64", "i32"], result: "i32" },
    poll_elsewhere: { name: "poll", parameters: ["u64", "u64", "i32"], result: "i32", nonblocking: true },
    socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
    bind: { parameters: ["i32", "u64", "u32"], result: "i32" },
    getsockname: { parameters: ["i32", "u64", "u64"], result: "i32" },
    setsockopt: { parameters: ["i32", "i32", "i32", "u64", "u32"], result: "i32" },
    sendto: { parameters: ["i32", "u64", "u32", "i32", "u64", "u32"], result: "i32" },
    recvfrom: { parameters: ["i32", "u64", "u32", "i32", "u64", "u64"], result: "i32" },
    sendmsg: { parameters: ["i32", "u64", "i32"], result: "i32" },
    recvmsg: { parameters: ["i32", "u64", "i32"], result: "i32" },
    eventfd: { parameters: ["u32", "i32"], result: "i32" },
    epoll_create1: { parameters: ["i32"], result: "i32" },
    epoll_ctl: { parameters: ["i32", "i32", "i32", "u64"], result: "i32" },
    epoll_wait: { parameters: ["i32", "u64", "i32", "i32"], result: "i32" },
    epoll_wait_elsewhere: {
      name: "epoll_wait",
      parameters: ["i32", "u64", "i32", "i32"],
      result: "i32",
      nonblocking: true,
    },
    prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
    capget: { parameters: ["u64", "u64"], result: "i32" },
    capset: { parameters: ["u64", "u64"], result: "i32" },
    setgroups: { parameters: ["u64", "u64"], result: "i32" },
    getenv: { parameters: ["u64"], result: "pointer" },
    execv: { parameters: ["u64", "u64"], result: "i32" },
    clock_gettime: { parameters: ["i32", "u64"], result: "i32" },
    __errno_location: { parameters: [], result: "pointer" },
  } as const,
);

/** The C library. Blocking, except what runs `elsewhere`, on another thread, and has no `errno`. */
export const libc = library.symbols;

const errnoPointer = libc.__errno_location();
assert(errnoPointer !== null, "errno has an address");
const errnoCell = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(errnoPointer, 4));

/** Returns `errno` of this thread; to be read at once after the call that failed. */
export function errno(): number {
  return errnoCell[0]!;
}
