/** Routes, addresses and interfaces of the real kernel, by the IP Helper (iphlpapi.dll). */

import type { Family, IpAddress } from "../../lib/base/ip.ts";
import { arena } from "../memory.ts";
import type { AddressedBytes } from "./adapters.ts";
import type { NetworkKernel } from "./kernel.ts";
import { FORWARD_ROW, tableLength } from "./rows.ts";
import { addressFamily, readAddress, SOCKADDR_INET, writeAddress } from "./sockaddr.ts";
import { iphlpapi, readU64, withMemory } from "./symbols.ts";
import { Win32 } from "./win32.ts";

/** The kernel. */
export const nativeKernel: NetworkKernel = {
  forwardTable,
  createRoute: (row) => withMemory(row, (_, address) => iphlpapi.CreateIpForwardEntry2(address)),
  deleteRoute: (row) => withMemory(row, (_, address) => iphlpapi.DeleteIpForwardEntry2(address)),
  createAddress: (row) => withMemory(row, (_, address) => iphlpapi.CreateUnicastIpAddressEntry(address)),
  deleteAddress: (row) => withMemory(row, (_, address) => iphlpapi.DeleteUnicastIpAddressEntry(address)),
  readInterface: (row) =>
    withMemory(row, (at, address) => {
      const error = iphlpapi.GetIpInterfaceEntry(address);
      if (error === 0) row.set(arena.bytes.subarray(at, at + row.length));
      return error;
    }),
  writeInterface: (row) => withMemory(row, (_, address) => iphlpapi.SetIpInterfaceEntry(address)),
  adapters,
  bestSource,
};

/** The kernel makes the table, and has it back. */
function forwardTable(family: Family): Uint8Array {
  return withMemory(8, (at, address) => {
    if (iphlpapi.GetIpForwardTable2(addressFamily(family), address) !== 0) return new Uint8Array();
    const table = readU64(at);
    try {
      const head = copyOf(table, HEAD);
      return copyOf(table, Math.min(tableLength(head, FORWARD_ROW), MAX_TABLE));
    } finally {
      iphlpapi.FreeMibTable(table);
    }
  });
}

function adapters(): AddressedBytes {
  return withMemory(8, (size, sizeAddress) => {
    // The list may grow between being measured and being read.
    let capacity = FIRST_CAPACITY;
    for (let attempt = 0; attempt < MAX_ATTEMPTS && capacity <= MAX_TABLE; attempt++) {
      const at = arena.allocate(capacity);
      try {
        arena.setU32(size, capacity);
        const base = arena.address(at);
        const error = iphlpapi.GetAdaptersAddresses(AF_UNSPEC, FLAGS, 0n, base, sizeAddress);
        if (error === 0) return { bytes: arena.bytes.slice(at, at + capacity), base };
        if (error !== Win32.bufferOverflow) break;
      } finally {
        arena.release(at, capacity);
      }
      // Few sizes, for the arena makes blocks of the same size only of what is given back.
      capacity = 2 ** Math.ceil(Math.log2(arena.getU32(size) + 1));
    }
    return { bytes: new Uint8Array(), base: 0n };
  });
}

function bestSource(index: number, destination: IpAddress): IpAddress | undefined {
  return withMemory(SOCKADDR_INET * 2 + FORWARD_ROW, (at) => {
    // The row first, for it is aligned to eight bytes.
    const [to, from] = [at + FORWARD_ROW, at + FORWARD_ROW + SOCKADDR_INET];
    writeAddress(arena.bytes, to, destination, 0, destination.isLinkLocal ? index : 0);
    const error = iphlpapi.GetBestRoute2(
      0n,
      index,
      0n,
      arena.address(to),
      0,
      arena.address(at),
      arena.address(from),
    );
    const found = error === 0 ? readAddress(arena.bytes, from)?.address : undefined;
    return found?.isUnspecified === true ? undefined : found;
  });
}

function copyOf(address: bigint, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const pointer = Deno.UnsafePointer.create(address);
  if (pointer !== null) Deno.UnsafePointerView.copyInto(pointer, bytes);
  return bytes;
}

const AF_UNSPEC = 0;
/** Neither anycast nor multicast addresses. */
const FLAGS = 0x2 | 0x4;
const HEAD = 8;
/** As Microsoft advises for a first try. */
const FIRST_CAPACITY = 16_384;
const MAX_ATTEMPTS = 4;
const MAX_TABLE = 4 * 2 ** 20;
