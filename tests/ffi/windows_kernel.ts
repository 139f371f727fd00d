/**
 * A model of Windows' routing tables: takes and gives the rows of netioapi.h, byte for byte as on a 64-bit system. Its
 * offsets are typed anew here from Microsoft's headers, so that both would have to err alike.
 */

import { type Family, IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import type { AddressedBytes } from "../../ffi/windows/adapters.ts";
import type { NetworkKernel } from "../../ffi/windows/kernel.ts";

export interface ModelRoute {
  readonly destination: IpNetwork;
  /** "fe80::1%4" for a gateway that needs its interface. */
  readonly via: string | undefined;
  readonly index: number;
  readonly metric: number;
  readonly protocol: number;
  readonly isLoopback: boolean;
}

export interface ModelAdapter {
  readonly index: number;
  readonly name: string;
  readonly description: string;
  readonly guid?: string;
  readonly type?: number;
  readonly isUp?: boolean;
  readonly metric?: number;
  /** "192.168.1.5", "fe80::1%4". */
  readonly unicast?: readonly string[];
  readonly resolvers?: readonly string[];
}

/** A pointer's worth, to find out whether somebody mistakes addresses for offsets. */
const BASE = 0x7ff6_1234_5000n;

export class ModelKernel implements NetworkKernel {
  readonly routes: ModelRoute[] = [];
  readonly adapterList: ModelAdapter[] = [
    {
      index: 1,
      name: "Loopback Pseudo-Interface 1",
      description: "Software Loopback Interface 1",
      type: 24,
      metric: 75,
    },
    {
      index: 4,
      name: "Ethernet",
      description: "Intel(R) Ethernet Connection",
      metric: 25,
      unicast: ["192.168.1.5", "2001:db8:1::c:1", "2001:db8:1::dead", "fe80::c:1%4"],
      resolvers: ["192.168.1.1", "fe80::1%4"],
    },
    {
      index: 7,
      name: "Wi-Fi",
      description: "Wireless",
      metric: 50,
      unicast: ["10.9.0.7"],
      resolvers: ["10.9.0.1"],
    },
    { index: 17, name: "fz0", description: "fz Tunnel", metric: 5 },
  ];
  /** Metric, MTU and automatic metric by "family index". */
  readonly interfaces = new Map<string, { metric: number; mtu: number; isAutomatic: boolean }>();
  readonly addresses: string[] = [];
  /** Every change, in order. */
  readonly log: string[] = [];
  /** Answers instead of success, by the start of the line in the log. */
  readonly failures = new Map<string, number>();

  constructor() {
    for (const { index, metric = 25 } of this.adapterList) {
      for (const family of [4, 6]) {
        this.interfaces.set(`${family} ${index}`, { metric, mtu: 1500, isAutomatic: true });
      }
    }
  }

  add(destination: string, via: string | undefined, index: number, metric = 0, protocol = 2): void {
    const isLoopback = index === 1;
    this.routes.push({ destination: IpNetwork.from(destination), via, index, metric, protocol, isLoopback });
  }

  remove(destination: string, index: number): void {
    const at = this.routes.findIndex((route) =>
      String(route.destination) === destination && route.index === index
    );
    this.routes.splice(at, 1);
  }

  forwardTable(family: Family): Uint8Array {
    const rows = this.routes.filter(({ destination }) => destination.family === family).map(forwardRow);
    const table = new Uint8Array(8 + rows.length * 104);
    new DataView(table.buffer).setUint32(0, rows.length, true);
    for (const [index, row] of rows.entries()) table.set(row, 8 + index * 104);
    return table;
  }

  createRoute(row: Uint8Array): number {
    const route = parseForwardRow(row);
    if (route === undefined) return 87;
    const line = `add ${text(route, this)}`;
    this.log.push(line);
    const failure = this.#failure(line);
    if (failure !== 0) return failure;
    if (this.#find(route) >= 0) return 5010;
    this.routes.push(route);
    return 0;
  }

  deleteRoute(row: Uint8Array): number {
    const route = parseForwardRow(row);
    if (route === undefined) return 87;
    const line = `delete ${text(route, this)}`;
    this.log.push(line);
    const failure = this.#failure(line);
    if (failure !== 0) return failure;
    const at = this.#find(route);
    if (at < 0) return 1168;
    this.routes.splice(at, 1);
    return 0;
  }

  createAddress(row: Uint8Array): number {
    const line = `address ${addressText(row)}`;
    this.log.push(line);
    const failure = this.#failure(line);
    if (failure !== 0) return failure;
    this.addresses.push(addressText(row));
    return 0;
  }

  deleteAddress(row: Uint8Array): number {
    this.log.push(`no address ${addressText(row)}`);
    this.addresses.splice(this.addresses.indexOf(addressText(row)), 1);
    return 0;
  }

  readInterface(row: Uint8Array): number {
    const view = viewOf(row);
    const facts = this.interfaces.get(interfaceKey(row));
    const failure = this.#failure(`read ${interfaceKey(row)}`);
    if (failure !== 0) return failure;
    if (row.length !== 168 || facts === undefined) return 1168;
    row[44] = facts.isAutomatic ? 1 : 0;
    view.setUint32(52, 1, true);
    view.setUint32(56, 3, true);
    view.setUint32(144, 64, true);
    view.setUint32(148, facts.metric, true);
    view.setUint32(152, facts.mtu, true);
    row[156] = 1;
    return 0;
  }

  writeInterface(row: Uint8Array): number {
    const view = viewOf(row);
    const key = interfaceKey(row);
    this.log.push(`interface ${key}`);
    // "SitePrefixLength must be 0 for an IPv4 address" in the documentation of SetIpInterfaceEntry.
    if (key.startsWith("4") && view.getUint32(144, true) > 32) return 87;
    this.interfaces.set(key, {
      metric: view.getUint32(148, true),
      mtu: view.getUint32(152, true),
      isAutomatic: row[44] !== 0,
    });
    return 0;
  }

  adapters(): AddressedBytes {
    return adapterChain(this.adapterList, BASE);
  }

  bestSource(index: number, destination: IpAddress): IpAddress | undefined {
    const { unicast = [] } = this.adapterList.find((adapter) => adapter.index === index) ?? {};
    return unicast.map((address) => IpAddress.from(address.split("%")[0]!))
      .find(({ family, isLinkLocal }) =>
        family === destination.family && isLinkLocal === destination.isLinkLocal
      );
  }

  /** Removes an adapter with its routes, as the kernel does when Wintun's handle is closed. */
  removeAdapter(index: number): void {
    this.adapterList.splice(this.adapterList.findIndex((adapter) => adapter.index === index), 1);
    for (let at = this.routes.length - 1; at >= 0; at--) {
      if (this.routes[at]!.index === index) this.routes.splice(at, 1);
    }
  }

  /** Returns the table, one line a route. */
  text(): string[] {
    return this.routes.map((route) => text(route, this)).sort();
  }

  #find(route: ModelRoute): number {
    return this.routes.findIndex((other) =>
      other.destination.equals(route.destination) && other.index === route.index && other.via === route.via
    );
  }

  #failure(line: string): number {
    for (const [start, error] of this.failures) if (line.startsWith(start)) return error;
    return 0;
  }
}

/** Returns `IP_ADAPTER_ADDRESSES_LH` of each adapter and what they point at, as if they lay at `base`. */
export function adapterChain(adapters: readonly ModelAdapter[], base: bigint): AddressedBytes {
  const bytes = new Uint8Array(32_768);
  const view = new DataView(bytes.buffer);
  let top = 0;
  const take = (length: number) => {
    const at = top;
    top += Math.ceil(length / 8) * 8;
    return at;
  };
  const point = (at: number, to: number) => view.setBigUint64(at, base + BigInt(to), true);
  const wide = (value: string) => {
    const at = take(value.length * 2 + 2);
    [...value].forEach((letter, index) => view.setUint16(at + index * 2, letter.charCodeAt(0), true));
    return at;
  };
  const chain = (from: number, addresses: readonly string[]) => {
    let link = from;
    for (const address of addresses) {
      const [host, zone = "0"] = address.split("%");
      const ip = IpAddress.from(host!);
      const item = take(64);
      point(link, item);
      const place = take(28);
      view.setUint32(item, 64, true);
      point(item + 16, place);
      view.setInt32(item + 24, ip.family === 4 ? 16 : 28, true);
      view.setUint16(place, ip.family === 4 ? 2 : 23, true);
      bytes.set(ip.bytes, place + (ip.family === 4 ? 4 : 8));
      if (ip.family === 6) view.setUint32(place + 24, Number(zone), true);
      link = item + 8;
    }
  };
  let link: number | undefined;
  for (const adapter of adapters) {
    const at = take(448);
    if (link !== undefined) point(link, at);
    link = at + 8;
    view.setUint32(at, 448, true);
    view.setUint32(at + 4, adapter.index, true);
    const guid = adapter.guid ??
      `{00000000-0000-0000-0000-0000000000${String(adapter.index).padStart(2, "0")}}`;
    const name = take(guid.length + 1);
    bytes.set(new TextEncoder().encode(guid), name);
    point(at + 16, name);
    point(at + 64, wide(adapter.description));
    point(at + 72, wide(adapter.name));
    view.setUint32(at + 100, adapter.type ?? 6, true);
    view.setUint32(at + 104, adapter.isUp === false ? 2 : 1, true);
    view.setUint32(at + 108, adapter.index, true);
    view.setUint32(at + 216, adapter.metric ?? 25, true);
    view.setUint32(at + 220, adapter.metric ?? 25, true);
    chain(at + 24, adapter.unicast ?? []);
    chain(at + 48, adapter.resolvers ?? []);
  }
  return { bytes: bytes.subarray(0, top), base };
}

function text({ destination, via, index, metric }: ModelRoute, kernel: ModelKernel): string {
  const name = kernel.adapterList.find((adapter) => adapter.index === index)?.name ?? `#${index}`;
  return `${destination} ${via ?? "link"} ${name} metric ${metric}`;
}

function forwardRow({ destination, via, index, metric, protocol, isLoopback }: ModelRoute): Uint8Array {
  const row = new Uint8Array(104);
  const view = new DataView(row.buffer);
  view.setBigUint64(0, 0x6008_0000_0000_00n, true);
  view.setUint32(8, index, true);
  const isV4 = destination.family === 4;
  view.setUint16(12, isV4 ? 2 : 23, true);
  row.set(destination.address.bytes, isV4 ? 16 : 20);
  row[40] = destination.prefix;
  view.setUint16(44, isV4 ? 2 : 23, true);
  if (via !== undefined) {
    const [host, zone = "0"] = via.split("%");
    row.set(IpAddress.from(host!).bytes, isV4 ? 48 : 52);
    if (!isV4) view.setUint32(68, Number(zone), true);
  }
  view.setUint32(84, metric, true);
  view.setUint32(88, protocol, true);
  row[92] = isLoopback ? 1 : 0;
  return row;
}

function parseForwardRow(row: Uint8Array): ModelRoute | undefined {
  const view = viewOf(row);
  if (row.length !== 104) return undefined;
  const family = view.getUint16(12, true);
  if ((family !== 2 && family !== 23) || view.getUint16(44, true) !== family) return undefined;
  const isV4 = family === 2;
  const ip = (at: number) => IpAddress.fromBytes(row, at + (isV4 ? 4 : 8), isV4 ? 4 : 16);
  const gateway = ip(44);
  const zone = isV4 ? 0 : view.getUint32(68, true);
  // Neither a lifetime that ends nor one that ends before it is preferred.
  if (view.getUint32(76, true) !== 0xffffffff || view.getUint32(80, true) !== 0xffffffff) return undefined;
  return {
    destination: new IpNetwork(ip(12), row[40]!),
    via: gateway.isUnspecified ? undefined : zone === 0 ? `${gateway}` : `${gateway}%${zone}`,
    index: view.getUint32(8, true),
    metric: view.getUint32(84, true),
    protocol: view.getUint32(88, true),
    isLoopback: row[92] !== 0,
  };
}

function addressText(row: Uint8Array): string {
  const view = viewOf(row);
  if (row.length !== 80) return "?";
  const isV4 = view.getUint16(0, true) === 2;
  const ip = IpAddress.fromBytes(row, isV4 ? 4 : 8, isV4 ? 4 : 16);
  return `${ip}/${row[60]} on ${view.getUint32(40, true)}`;
}

function interfaceKey(row: Uint8Array): string {
  const view = viewOf(row);
  return `${view.getUint16(0, true) === 2 ? 4 : 6} ${view.getUint32(16, true)}`;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
