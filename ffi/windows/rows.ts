/**
 * Rows of the IP Helper's tables on 64-bit Windows (netioapi.h): `MIB_IPFORWARD_ROW2`, `MIB_UNICASTIPADDRESS_ROW`,
 * `MIB_IPINTERFACE_ROW`. Little-endian; addresses are in network byte order. Pure bytes.
 */

import { type Family, type IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import { addressFamily, readAddress, writeAddress } from "./sockaddr.ts";

/** Bytes of each row. */
export const FORWARD_ROW = 104;
const ADDRESS_ROW = 80;
const INTERFACE_ROW = 168;

/** A route. */
export interface ForwardRow {
  readonly destination: IpNetwork;
  /** Undefined where the interface itself is the way. */
  readonly gateway: IpAddress | undefined;
  /** Of a gateway that needs one; else 0. */
  readonly gatewayScope: number;
  /** Interface index. */
  readonly index: number;
  /** What is added to the metric of the interface. */
  readonly metric: number;
  /** Who made it (`NL_ROUTE_PROTOCOL`). */
  readonly protocol: number;
  /** It leads back to this machine. */
  readonly isLoopback: boolean;
}

/** `MIB_IPPROTO_NETMGMT`: made by a program, as ours are. */
export const PROTOCOL_PROGRAM = 3;

/** Returns the row that `CreateIpForwardEntry2` and `DeleteIpForwardEntry2` take. It never ends by itself. */
export function encodeForwardRow(
  { destination, gateway, gatewayScope, index, metric, protocol }: Omit<ForwardRow, "isLoopback">,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FORWARD_ROW);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, index, true);
  writeAddress(bytes, 12, destination.address);
  bytes[40] = destination.prefix;
  if (gateway === undefined) view.setUint16(44, addressFamily(destination.family), true);
  else writeAddress(bytes, 44, gateway, 0, gatewayScope);
  view.setUint32(76, FOREVER, true);
  view.setUint32(80, FOREVER, true);
  view.setUint32(84, metric, true);
  view.setUint32(88, protocol, true);
  // Immortal.
  bytes[95] = 1;
  return bytes;
}

/** Returns the routes of a `MIB_IPFORWARD_TABLE2`. What cannot be understood is skipped, and so is what is cut off. */
export function decodeForwardTable(table: Uint8Array): ForwardRow[] {
  return rows(table, FORWARD_ROW).flatMap((row) => decodeForwardRow(row) ?? []);
}

/** Returns the bytes that a table takes whose first bytes are `head`: rows begin at a multiple of eight. */
export function tableLength(head: Uint8Array, row: number): number {
  return TABLE_HEADER + countOf(head) * row;
}

/** Returns what a route says; undefined if it makes no sense. */
function decodeForwardRow(row: Uint8Array): ForwardRow | undefined {
  if (row.length < FORWARD_ROW) return undefined;
  const view = new DataView(row.buffer, row.byteOffset, row.length);
  const destination = readAddress(row, 12)?.address;
  const prefix = row[40]!;
  const gateway = readAddress(row, 44);
  if (destination === undefined || prefix > destination.bytes.length * 8) return undefined;
  const isDirect = gateway === undefined || gateway.address.isUnspecified;
  return {
    destination: new IpNetwork(destination, prefix),
    gateway: isDirect ? undefined : gateway.address,
    gatewayScope: isDirect ? 0 : gateway.scopeId,
    index: view.getUint32(8, true),
    metric: view.getUint32(84, true),
    protocol: view.getUint32(88, true),
    isLoopback: row[92] !== 0,
  };
}

/** Returns the row that gives the interface `index` the address alone; nobody else on its link could have it. */
export function encodeAddressRow(index: number, address: IpAddress): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(ADDRESS_ROW);
  const view = new DataView(bytes.buffer);
  writeAddress(bytes, 0, address);
  view.setUint32(40, index, true);
  view.setUint32(44, ORIGIN_UNCHANGED, true);
  view.setUint32(48, ORIGIN_UNCHANGED, true);
  view.setUint32(52, FOREVER, true);
  view.setUint32(56, FOREVER, true);
  bytes[60] = address.bytes.length * 8;
  view.setUint32(64, DAD_PREFERRED, true);
  return bytes;
}

/** Returns the row by which `GetIpInterfaceEntry` is asked. */
export function interfaceQuery(family: Family, index: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(INTERFACE_ROW);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, addressFamily(family), true);
  view.setUint32(16, index, true);
  return bytes;
}

/** What is read of an interface in one family. */
export interface InterfaceFacts {
  readonly metric: number;
  readonly mtu: number;
  readonly isConnected: boolean;
}

/** Returns what a row that the kernel filled in says; undefined if it is too short. */
export function readInterfaceRow(row: Uint8Array): InterfaceFacts | undefined {
  if (row.length < INTERFACE_ROW) return undefined;
  const view = new DataView(row.buffer, row.byteOffset, row.length);
  return {
    metric: view.getUint32(148, true),
    mtu: view.getUint32(152, true),
    isConnected: row[156] !== 0,
  };
}

/**
 * Changes a row that the kernel filled in: size of packets, metric, no search for neighbours' like addresses or for
 * routers. With IPv4 the kernel refuses the length of the site's prefix that it gave itself ("SetIpInterfaceEntry").
 */
export function changeInterfaceRow(row: Uint8Array, { mtu, metric }: { mtu: number; metric: number }): void {
  const view = new DataView(row.buffer, row.byteOffset, row.length);
  row[44] = 0;
  view.setUint32(52, ROUTER_DISCOVERY_DISABLED, true);
  view.setUint32(56, 0, true);
  if (view.getUint16(0, true) === addressFamily(4)) view.setUint32(144, 0, true);
  view.setUint32(148, metric, true);
  view.setUint32(152, mtu, true);
}

function rows(table: Uint8Array, length: number): Uint8Array[] {
  const count = Math.min(countOf(table), Math.floor(Math.max(0, table.length - TABLE_HEADER) / length));
  return Array.from({ length: count }, (_, index) => {
    const at = TABLE_HEADER + index * length;
    return table.subarray(at, at + length);
  });
}

function countOf(table: Uint8Array): number {
  if (table.length < 4) return 0;
  return new DataView(table.buffer, table.byteOffset, table.length).getUint32(0, true);
}

/** The count takes four bytes; rows are aligned to eight, for they begin with or have 64-bit numbers in them. */
const TABLE_HEADER = 8;
const FOREVER = 0xffff_ffff;
/** `IpPrefixOriginUnchanged` and `IpSuffixOriginUnchanged`, as `InitializeUnicastIpAddressEntry` leaves them. */
const ORIGIN_UNCHANGED = 16;
const DAD_PREFERRED = 4;
const ROUTER_DISCOVERY_DISABLED = 0;
