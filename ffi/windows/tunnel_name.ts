/** What our adapters are called, and by what they are known again. Pure. */

import { fromHex, toHex } from "../../lib/base/bytes.ts";

/** The kind of our adapters; Wintun describes them as "<kind> Tunnel". */
export const TUNNEL_TYPE = "fz";

/** Returns whether Wintun made an adapter of this description for us, or for upstream's client. */
export function isTunnelDescription(description: string): boolean {
  return /^(fz|Firezone) Tunnel( #\d+)?$/.test(description);
}

/** Returns the name of the adapter that is asked for by `name`: Windows numbers nothing by itself. */
export function adapterName(name: string): string {
  return name.replace("%d", "0").slice(0, MAX_NAME);
}

/**
 * Returns the GUID of the adapter `name`, in braces: always the same for a name, so that what Windows keeps of a network
 * (its profile in the firewall, settings in the registry) stays one.
 */
export function adapterGuid(name: string): string {
  const bytes = fromHex(BASE);
  // FNV-1a over UTF-16: it has to tell a few names apart, and nobody is kept out by it.
  let hash = 0x811c_9dc5;
  for (const unit of adapterName(name).toLowerCase()) {
    hash = Math.imul(hash ^ unit.charCodeAt(0), 0x0100_0193) >>> 0;
  }
  new DataView(bytes.buffer).setUint32(12, hash);
  const hex = toHex(bytes);
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)];
  return `{${parts.join("-").toUpperCase()}}`;
}

/** Returns `guid` as C lays it out: the first three fields are numbers in the machine's byte order. */
export function guidBytes(guid: string): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(fromHex(guid.replace(/[{}-]/g, "")));
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes;
}

/** Random once (version 4); the last four bytes are the name's. */
const BASE = "6f3a1c5e8d4b4f0792e1b7a500000000";
/** `MAX_ADAPTER_NAME` without the zero. */
const MAX_NAME = 127;
