/** What the logic of this folder needs of the kernel; `native_kernel.ts` is the real one. */

import type { Family, IpAddress } from "../../lib/base/ip.ts";
import type { AddressedBytes } from "./adapters.ts";

/** Routes, addresses and interfaces (netioapi.h). Every call answers at once; an error number of 0 is success. */
export interface NetworkKernel {
  /** Returns the `MIB_IPFORWARD_TABLE2` of one family; empty where it cannot be read. */
  forwardTable(family: Family): Uint8Array;
  /** Takes a `MIB_IPFORWARD_ROW2`; returns the error number. */
  createRoute(row: Uint8Array): number;
  /** Takes a `MIB_IPFORWARD_ROW2`; returns the error number. */
  deleteRoute(row: Uint8Array): number;
  /** Takes a `MIB_UNICASTIPADDRESS_ROW`; returns the error number. */
  createAddress(row: Uint8Array): number;
  /** Takes a `MIB_UNICASTIPADDRESS_ROW`; returns the error number. */
  deleteAddress(row: Uint8Array): number;
  /** Fills in a `MIB_IPINTERFACE_ROW`; returns the error number. */
  readInterface(row: Uint8Array): number;
  /** Takes a `MIB_IPINTERFACE_ROW` that was filled in and changed; returns the error number. */
  writeInterface(row: Uint8Array): number;
  /** Returns the chain of `IP_ADAPTER_ADDRESSES_LH`; empty where it cannot be read. */
  adapters(): AddressedBytes;
  /** Returns the address that packets to `destination` get on the interface `index`. */
  bestSource(index: number, destination: IpAddress): IpAddress | undefined;
}
