/** Interfaces of link-local addresses: "fe80::1%eth0" (RFC 4007 §11). */

import type { Resolver } from "../platform.ts";
import type { NamedResolver } from "./resolv_conf.ts";

/** Returns `resolvers` with the indices of their interfaces; one whose interface is not there is left out. */
export function withScopes(resolvers: readonly NamedResolver[]): Resolver[] {
  return resolvers.flatMap(({ address, zone }): Resolver[] => {
    if (zone === undefined) return [{ address }];
    if (!address.isLinkLocal || address.family !== 6) return [{ address }];
    const scopeId = /^\d{1,9}$/.test(zone) ? Number(zone) : interfaceIndex(zone);
    return scopeId === undefined ? [] : [{ address, scopeId }];
  });
}

/** An interface that a link-local address is reached by has one itself. */
function interfaceIndex(zone: string): number | undefined {
  return Deno.networkInterfaces()
    .find(({ name, family, address, scopeid }) =>
      name === zone && family === "IPv6" && /^fe[89ab]/i.test(address) && (scopeid ?? 0) > 0
    )?.scopeid ?? undefined;
}
