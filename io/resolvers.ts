/** The machine's resolvers as addresses to send to, and as a person reads them. */

import type { Resolver } from "../ffi/platform.ts";
import { SocketAddress } from "../lib/base/ip.ts";

/** Returns where `resolvers` are asked: at port 53, each once, a link-local one on its interface. */
export function resolverAddresses(resolvers: readonly Resolver[]): SocketAddress[] {
  const addresses = resolvers.map(({ address, scopeId }) => new SocketAddress(address, DNS_PORT, scopeId));
  return [...new Map(addresses.map((address) => [String(address), address])).values()];
}

/** Returns `resolvers` in words: "192.0.2.53", "fe80::1%eth0". */
export function resolverNames(resolvers: readonly SocketAddress[]): string[] {
  return resolvers.map(({ ip, scopeId }) =>
    scopeId === undefined ? `${ip}` : `${ip}%${interfaceName(scopeId)}`
  );
}

function interfaceName(index: number): string {
  try {
    const found = Deno.networkInterfaces().find(({ family, scopeid }) =>
      family === "IPv6" && scopeid === index
    );
    return found?.name ?? String(index);
  } catch {
    return String(index);
  }
}

const DNS_PORT = 53;
