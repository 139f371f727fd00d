/**
 * Requests to the kernel about interfaces, as ioctl(2) takes them (sys/ioccom.h, sys/sockio.h, net/if.h,
 * netinet6/in6_var.h, sys/kern_control.h). Pure bytes.
 */

import { assert } from "../../lib/base/assert.ts";
import { IpAddress } from "../../lib/base/ip.ts";
import { hostNetwork } from "../../lib/host/subtract.ts";
import { netmaskOf, sockaddrOf } from "./sockaddr.ts";

/** A request number and the structure that goes with it. */
export interface IoctlRequest {
  readonly request: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Returns the request for the number of the kernel control `name`; the answer is a u32 at the start. */
export function controlIdRequest(name: string): IoctlRequest {
  const bytes = new Uint8Array(4 + MAX_KCTL_NAME);
  writeText(bytes, 4, name, MAX_KCTL_NAME);
  return { request: number(IOC_IN | IOC_OUT, "N", 3, bytes.length), bytes };
}

/** Returns `sockaddr_ctl`, by which a kernel control is connected to. `unit` 0 is any; utunN is N + 1. */
export function controlAddress(id: number, unit: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(SOCKADDR_CTL);
  const view = new DataView(bytes.buffer);
  bytes[0] = SOCKADDR_CTL;
  bytes[1] = AF_SYSTEM;
  view.setUint16(2, AF_SYS_CONTROL, true);
  view.setUint32(4, id, true);
  view.setUint32(8, unit, true);
  return bytes;
}

/** Returns the request that gives the interface `device` the address alone, its other end being itself. */
export function addAddressRequest(device: string, address: IpAddress): IoctlRequest {
  const own = sockaddrOf(address);
  const mask = netmaskOf(hostNetwork(address));
  if (address.family === 4) {
    const bytes = new Uint8Array(IFALIASREQ);
    writeText(bytes, 0, device, IFNAMSIZ);
    bytes.set(own, IFNAMSIZ);
    bytes.set(own, IFNAMSIZ + own.length);
    bytes.set(mask, IFNAMSIZ + own.length * 2);
    return { request: number(IOC_IN, "i", 26, bytes.length), bytes };
  }
  const bytes = new Uint8Array(IN6_ALIASREQ);
  writeText(bytes, 0, device, IFNAMSIZ);
  bytes.set(own, IFNAMSIZ);
  bytes.set(mask, IFNAMSIZ + own.length * 2);
  const view = new DataView(bytes.buffer);
  // Nobody else is on the link who could have the same address.
  view.setUint32(100, IN6_IFF_NODAD, true);
  view.setUint32(120, INFINITE_LIFETIME, true);
  view.setUint32(124, INFINITE_LIFETIME, true);
  return { request: number(IOC_IN, "i", 26, bytes.length), bytes };
}

/** Returns the request that takes an address from the interface `device`. */
export function removeAddressRequest(device: string, address: IpAddress): IoctlRequest {
  const bytes = new Uint8Array(address.family === 4 ? IFREQ : IN6_IFREQ);
  writeText(bytes, 0, device, IFNAMSIZ);
  bytes.set(sockaddrOf(address), IFNAMSIZ);
  return { request: number(IOC_IN, "i", 25, bytes.length), bytes };
}

/** Returns the request that sets the largest packet of the interface `device`. */
export function mtuRequest(device: string, mtu: number): IoctlRequest {
  const bytes = new Uint8Array(IFREQ);
  writeText(bytes, 0, device, IFNAMSIZ);
  new DataView(bytes.buffer).setUint32(IFNAMSIZ, mtu, true);
  return { request: number(IOC_IN, "i", 52, bytes.length), bytes };
}

/** The request that keeps a descriptor from child processes; it has no structure. */
export const FIOCLEX = 0x2000_6601;

function number(direction: number, group: string, index: number, length: number): number {
  return (direction | length << 16 | group.charCodeAt(0) << 8 | index) >>> 0;
}

function writeText(bytes: Uint8Array, at: number, text: string, capacity: number): void {
  const encoded = new TextEncoder().encode(text);
  assert(encoded.length < capacity, "a name fits its field");
  bytes.set(encoded, at);
}

const IOC_OUT = 0x4000_0000;
const IOC_IN = 0x8000_0000;
const IFNAMSIZ = 16;
/** `struct ifreq`. */
const IFREQ = 32;
/** `struct ifaliasreq`: a name and three `sockaddr_in`. */
const IFALIASREQ = 64;
/** `struct in6_aliasreq`: a name, three `sockaddr_in6`, flags, and a lifetime of 24 bytes. */
const IN6_ALIASREQ = 128;
/** `struct in6_ifreq`: as large as its counters of ICMPv6. */
const IN6_IFREQ = 288;
const IN6_IFF_NODAD = 0x20;
const INFINITE_LIFETIME = 0xffff_ffff;
const MAX_KCTL_NAME = 96;
const SOCKADDR_CTL = 32;
const AF_SYSTEM = 32;
const AF_SYS_CONTROL = 2;
