/**
 * The functions of Windows that are called, and nothing else. Importing this opens its libraries, all of them parts of the
 * system. Addresses, handles and sockets are `u64` (x86-64 and arm64; both have one calling convention). What ends in
 * "_elsewhere" runs on another thread, and has no last error.
 */

import { assert } from "../../lib/base/assert.ts";
import { arena } from "../memory.ts";

/** Events, handles, memory. */
export const kernel32 = Deno.dlopen(
  "kernel32.dll",
  {
    CloseHandle: { parameters: ["u64"], result: "i32" },
    CreateEventW: { parameters: ["u64", "i32", "i32", "u64"], result: "u64" },
    DuplicateHandle: { parameters: ["u64", "u64", "u64", "u64", "u32", "i32", "u32"], result: "i32" },
    GetCurrentProcess: { parameters: [], result: "u64" },
    GetLastError: { parameters: [], result: "u32" },
    GetModuleHandleW: { parameters: ["u64"], result: "u64" },
    GetProcAddress: { parameters: ["u64", "u64"], result: "u64" },
    RtlMoveMemory: { parameters: ["u64", "u64", "u64"], result: "void" },
    SetEvent: { parameters: ["u64"], result: "i32" },
    SwitchToThread: { parameters: [], result: "i32" },
    WaitForMultipleObjects: { parameters: ["u32", "u64", "i32", "u32"], result: "u32" },
    WaitForMultipleObjects_elsewhere: {
      name: "WaitForMultipleObjects",
      parameters: ["u32", "u64", "i32", "u32"],
      result: "u32",
      nonblocking: true,
    },
  } as const,
).symbols;

/** Clocks; the library is an API set, which the loader knows on every Windows 10 and later. */
export const realtime = Deno.dlopen(
  "api-ms-win-core-realtime-l1-1-1.dll",
  { QueryInterruptTimePrecise: { parameters: ["u64"], result: "void" } } as const,
).symbols;

/** Addresses, routes, interfaces. */
export const iphlpapi = Deno.dlopen(
  "iphlpapi.dll",
  {
    CancelMibChangeNotify2: { parameters: ["u64"], result: "u32" },
    ConvertInterfaceLuidToIndex: { parameters: ["u64", "u64"], result: "u32" },
    CreateIpForwardEntry2: { parameters: ["u64"], result: "u32" },
    CreateUnicastIpAddressEntry: { parameters: ["u64"], result: "u32" },
    DeleteIpForwardEntry2: { parameters: ["u64"], result: "u32" },
    DeleteUnicastIpAddressEntry: { parameters: ["u64"], result: "u32" },
    FreeMibTable: { parameters: ["u64"], result: "void" },
    GetAdaptersAddresses: { parameters: ["u32", "u32", "u64", "u64", "u64"], result: "u32" },
    GetBestRoute2: { parameters: ["u64", "u32", "u64", "u64", "u32", "u64", "u64"], result: "u32" },
    GetIpForwardTable2: { parameters: ["u16", "u64"], result: "u32" },
    GetIpInterfaceEntry: { parameters: ["u64"], result: "u32" },
    NotifyIpInterfaceChange: { parameters: ["u16", "u64", "u64", "u8", "u64"], result: "u32" },
    NotifyRouteChange2: { parameters: ["u16", "u64", "u64", "u8", "u64"], result: "u32" },
    NotifyUnicastIpAddressChange: { parameters: ["u16", "u64", "u64", "u8", "u64"], result: "u32" },
    SetIpInterfaceEntry: { parameters: ["u64"], result: "u32" },
  } as const,
).symbols;

/** Sockets. */
export const ws2 = Deno.dlopen(
  "ws2_32.dll",
  {
    WSAEventSelect: { parameters: ["u64", "u64", "i32"], result: "i32" },
    WSAGetLastError: { parameters: [], result: "i32" },
    WSAIoctl: {
      parameters: ["u64", "u32", "u64", "u32", "u64", "u32", "u64", "u64", "u64"],
      result: "i32",
    },
    WSAPoll: { parameters: ["u64", "u32", "i32"], result: "i32" },
    WSASendMsg: { parameters: ["u64", "u64", "u32", "u64", "u64", "u64"], result: "i32" },
    WSASocketW: { parameters: ["i32", "i32", "i32", "u64", "u32", "u32"], result: "u64" },
    WSAStartup: { parameters: ["u16", "u64"], result: "i32" },
    bind: { parameters: ["u64", "u64", "i32"], result: "i32" },
    closesocket: { parameters: ["u64"], result: "i32" },
    getsockname: { parameters: ["u64", "u64", "u64"], result: "i32" },
    setsockopt: { parameters: ["u64", "i32", "i32", "u64", "i32"], result: "i32" },
  } as const,
).symbols;

/** The registry, and what this process may. */
export const advapi32 = Deno.dlopen(
  "advapi32.dll",
  {
    GetTokenInformation: { parameters: ["u64", "i32", "u64", "u32", "u64"], result: "i32" },
    OpenProcessToken: { parameters: ["u64", "u32", "u64"], result: "i32" },
    RegCloseKey: { parameters: ["u64"], result: "i32" },
    RegCreateKeyExW: {
      parameters: ["u64", "u64", "u32", "u64", "u32", "u32", "u64", "u64", "u64"],
      result: "i32",
    },
    RegDeleteTreeW: { parameters: ["u64", "u64"], result: "i32" },
    RegDeleteValueW: { parameters: ["u64", "u64"], result: "i32" },
    RegOpenKeyExW: { parameters: ["u64", "u64", "u32", "u32", "u64"], result: "i32" },
    RegQueryValueExW: { parameters: ["u64", "u64", "u64", "u64", "u64", "u64"], result: "i32" },
    RegSetValueExW: { parameters: ["u64", "u64", "u32", "u32", "u64", "u32"], result: "i32" },
  } as const,
).symbols;

/** Runs `use` with the address of zeroed bytes, or of a copy of `bytes`. */
export function withMemory<T>(bytes: number | Uint8Array, use: (at: number, address: bigint) => T): T {
  const length = typeof bytes === "number" ? bytes : bytes.length;
  const at = arena.allocate(length);
  try {
    if (typeof bytes !== "number") arena.bytes.set(bytes, at);
    return use(at, arena.address(at));
  } finally {
    arena.release(at, length);
  }
}

/** Returns the 64 bits at `at` of the arena: an address or a handle. */
export function readU64(at: number): bigint {
  return arena.data.getBigUint64(at, true);
}

/** Returns the address of the function `name` of a library that is loaded, for C to call. */
export function functionAddress(library: string, name: string): bigint {
  const found = withMemory(
    wide(library),
    (_, text) =>
      withMemory(
        new TextEncoder().encode(`${name}\0`),
        (_, symbol) => kernel32.GetProcAddress(kernel32.GetModuleHandleW(text), symbol),
      ),
  );
  assert(found !== 0n, "a function of the system has an address");
  return found;
}

/** Returns `text` as Windows takes it: UTF-16 with a zero at its end. */
export function wide(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length * 2 + 2);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < text.length; index++) view.setUint16(index * 2, text.charCodeAt(index), true);
  return bytes;
}
