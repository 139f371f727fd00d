/**
 * A model of Darwin's routing table: takes messages of the routing socket and gives dumps, byte for byte as net/route.h,
 * netinet/in.h and bsd/net/rtsock.c say. Its offsets are typed anew here, so that both would have to err alike.
 */

import { type Family, IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import type { IoctlRequest } from "../../ffi/darwin/interface_request.ts";
import type { RouteKernel } from "../../ffi/darwin/kernel.ts";

export const Flag = {
  up: 0x1,
  gateway: 0x2,
  host: 0x4,
  llinfo: 0x400,
  static: 0x800,
  proto1: 0x8000,
  wasCloned: 0x20000,
  ifscope: 0x1000000,
} as const;

export interface ModelRoute {
  readonly destination: IpNetwork;
  /** An address, with a zone for a link-local one, or undefined for the interface itself. */
  readonly via: string | undefined;
  readonly index: number;
  readonly flags: number;
}

export class ModelKernel implements RouteKernel {
  readonly routes = new Map<string, ModelRoute>();
  readonly interfaces = new Map<number, string>([[1, "lo0"], [4, "en0"], [7, "en1"], [17, "utun5"]]);
  readonly requests: (IoctlRequest & { readonly family: Family })[] = [];
  /** Every change, in order. */
  readonly log: string[] = [];
  /** Answers instead of success, by the start of the line in the log. */
  readonly failures = new Map<string, number>();

  add(destination: string, via: string | undefined, index: number, flags = 0): void {
    const network = IpNetwork.from(destination);
    const isHost = network.prefix === network.address.bytes.length * 8;
    const own = Flag.up | (via === undefined ? 0 : Flag.gateway) | (isHost ? Flag.host : 0) | flags;
    const key = (flags & Flag.ifscope) !== 0 ? `${network}%${index}` : `${network}`;
    this.routes.set(key, { destination: network, via, index, flags: own });
  }

  dumpRoutes(family: Family): Uint8Array {
    const messages = [...this.routes.values()].filter(({ destination }) => destination.family === family).map(
      encode,
    );
    return join(messages);
  }

  sendRoute(message: Uint8Array): number {
    const view = new DataView(message.buffer, message.byteOffset, message.length);
    if (view.getUint16(0, true) !== message.length || message[2] !== 5) return 22;
    const type = message[3];
    const flags = view.getUint32(8, true);
    const addresses = view.getUint32(12, true);
    let at = 92;
    const next = () => {
      const length = message[at]!;
      const bytes = message.slice(at, at + length);
      at += length === 0 ? 4 : Math.ceil(length / 4) * 4;
      return bytes;
    };
    if ((addresses & 3) !== 3) return 22;
    const address = ipOf(next());
    const gateway = next();
    const bits = address.bytes.length * 8;
    const prefix = (flags & Flag.host) !== 0
      ? bits
      : [...ipOf(next()).bytes].reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0);
    if (at !== message.length) return 22;
    const destination = new IpNetwork(address, prefix);
    const isLink = gateway[1] === 18;
    const via = isLink ? undefined : ipOf(gateway).toString();
    if (isLink === ((flags & Flag.gateway) !== 0)) return 22;
    const index = isLink ? gateway[2]! | gateway[3]! << 8 : this.#towards(ipOf(gateway));
    const line = type === 1
      ? `add ${destination} ${via ?? this.interfaces.get(index)}`
      : `delete ${destination}`;
    this.log.push(line);
    for (const [start, error] of this.failures) if (line.startsWith(start)) return error;
    const key = String(destination);
    if (type === 1) {
      if (this.routes.has(key)) return 17;
      this.routes.set(key, { destination, via, index, flags });
      return 0;
    }
    return this.routes.delete(key) ? 0 : 3;
  }

  control(family: Family, request: IoctlRequest): number {
    this.requests.push({ family, ...request });
    return this.failures.get(`ioctl ${family}`) ?? 0;
  }

  interfaceIndex(name: string): number {
    return [...this.interfaces].find(([, own]) => own === name)?.[0] ?? 0;
  }

  interfaceName(index: number): string | undefined {
    return this.interfaces.get(index);
  }

  /** Removes an interface with its routes, as the kernel does. */
  removeInterface(index: number): void {
    this.interfaces.delete(index);
    for (const [key, route] of this.routes) if (route.index === index) this.routes.delete(key);
  }

  /** Returns the table, one line a route. */
  text(): string[] {
    return [...this.routes.values()].map(({ destination, via, index }) =>
      `${destination} ${via ?? "link"} ${this.interfaces.get(index)}`
    ).sort();
  }

  #towards(gateway: IpAddress): number {
    const ways = [...this.routes.values()].filter(({ via, destination }) =>
      via === undefined && destination.contains(gateway)
    );
    return ways.sort((a, b) => b.destination.prefix - a.destination.prefix)[0]?.index ?? 4;
  }
}

/** One message of NET_RT_DUMP. */
export function encode({ destination, via, index, flags }: ModelRoute): Uint8Array {
  const { address, prefix } = destination;
  const isHost = (flags & Flag.host) !== 0;
  const parts = [sockaddr(address), gatewayOf(via, index), ...isHost ? [] : [trimmedMask(destination)]];
  const body = join(parts.map(padded));
  const message = new Uint8Array(92 + body.length);
  const view = new DataView(message.buffer);
  view.setUint16(0, message.length, true);
  message[2] = 5;
  message[3] = 4;
  view.setUint16(4, index, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, isHost ? 3 : 7, true);
  message.set(body, 92);
  if (prefix > address.bytes.length * 8) throw new Error("no such prefix");
  return message;
}

function gatewayOf(via: string | undefined, index: number): Uint8Array {
  if (via === undefined) return Uint8Array.from([20, 18, index & 0xff, index >> 8, ...new Array(16).fill(0)]);
  const [text, zone] = via.split("%");
  const bytes = sockaddr(IpAddress.from(text!));
  // KAME: the index is in the address.
  if (zone !== undefined) bytes.set([0, Number(zone)], 10);
  return bytes;
}

function sockaddr(address: IpAddress): Uint8Array {
  return address.family === 4
    ? Uint8Array.from([16, 2, 0, 0, ...address.bytes, ...new Array(8).fill(0)])
    : Uint8Array.from([28, 30, 0, 0, 0, 0, 0, 0, ...address.bytes, 0, 0, 0, 0]);
}

/** As the radix tree keeps it: no zeros at the end, and a length of 0 for none at all. */
function trimmedMask({ family, prefix }: IpNetwork): Uint8Array {
  if (prefix === 0) return Uint8Array.from([0]);
  const mask: number[] = [];
  for (let left = prefix; left > 0; left -= 8) mask.push(0xff << (8 - Math.min(8, left)) & 0xff);
  const head = family === 4 ? [0, 0, 0] : [0, 30, 0, 0, 0, 0, 0];
  return Uint8Array.from([head.length + 1 + mask.length, ...head, ...mask]);
}

function ipOf(bytes: Uint8Array): IpAddress {
  return bytes[1] === 2 ? IpAddress.fromBytes(bytes, 4, 4) : IpAddress.fromBytes(bytes, 8, 16);
}

function padded(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.max(4, Math.ceil(bytes.length / 4) * 4));
  out.set(bytes);
  return out;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
