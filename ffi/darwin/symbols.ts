/**
 * The functions of macOS' C library that are called, and nothing else. Importing this opens the library. Addresses are
 * `u64` given as BigInt, lengths `u32` or `u64`, results `i32`. Little-endian, x86-64 and arm64.
 */

import { assert } from "../../lib/base/assert.ts";

const library = Deno.dlopen(
  "libSystem.B.dylib",
  {
    close: { parameters: ["i32"], result: "i32" },
    socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
    bind: { parameters: ["i32", "u64", "u32"], result: "i32" },
    connect: { parameters: ["i32", "u64", "u32"], result: "i32" },
    shutdown: { parameters: ["i32", "i32"], result: "i32" },
    getsockname: { parameters: ["i32", "u64", "u64"], result: "i32" },
    getsockopt: { parameters: ["i32", "i32", "i32", "u64", "u64"], result: "i32" },
    setsockopt: { parameters: ["i32", "i32", "i32", "u64", "u32"], result: "i32" },
    send: { parameters: ["i32", "u64", "u64", "i32"], result: "i64" },
    recv: { parameters: ["i32", "u64", "u64", "i32"], result: "i64" },
    sendmsg: { parameters: ["i32", "u64", "i32"], result: "i64" },
    recvmsg: { parameters: ["i32", "u64", "i32"], result: "i64" },
    poll: { parameters: ["u64", "u32", "i32"], result: "i32" },
    kqueue: { parameters: [], result: "i32" },
    kevent: { parameters: ["i32", "u64", "i32", "u64", "i32", "u64"], result: "i32" },
    kevent_elsewhere: {
      name: "kevent",
      parameters: ["i32", "u64", "i32", "u64", "i32", "u64"],
      result: "i32",
      nonblocking: true,
    },
    sysctl: { parameters: ["u64", "u32", "u64", "u64", "u64", "u64"], result: "i32" },
    if_nametoindex: { parameters: ["u64"], result: "u32" },
    if_indextoname: { parameters: ["u32", "u64"], result: "u64" },
    clock_gettime: { parameters: ["i32", "u64"], result: "i32" },
    ioctl_by_registers: { name: "ioctl", parameters: ["i32", "u64", "u64"], result: "i32" },
    ioctl_by_stack: {
      name: "ioctl",
      parameters: ["i32", "u64", "u64", "u64", "u64", "u64", "u64", "u64", "u64"],
      result: "i32",
    },
    __error: { parameters: [], result: "pointer" },
  } as const,
);

/** The C library. Blocking, except what runs `elsewhere`, on another thread, and has no `errno`. */
export const libc = library.symbols;

/**
 * Calls ioctl(2), which takes its last argument by "…". On Apple's arm64 such arguments always lie on the stack, those of
 * other functions only from the ninth on: six fillers bring it there ("Writing ARM64 code for Apple platforms").
 */
export function ioctl(descriptor: number, request: number, address: bigint): number {
  const code = BigInt(request);
  return Deno.build.arch === "aarch64"
    ? libc.ioctl_by_stack(descriptor, code, 0n, 0n, 0n, 0n, 0n, 0n, address)
    : libc.ioctl_by_registers(descriptor, code, address);
}

const errnoPointer = libc.__error();
assert(errnoPointer !== null, "errno has an address");
const errnoCell = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(errnoPointer, 4));

/** Returns `errno` of this thread; to be read at once after the call that failed. */
export function errno(): number {
  return errnoCell[0]!;
}
