/**
 * Sentinels: the addresses in the tunnel that the system's resolver is pointed at, one for each upstream server.
 * A query that arrives at a sentinel either is about a resource or goes on to that sentinel's upstream.
 */

import { type AddressKey, IpAddress, IpNetwork, type SocketAddress } from "../base/ip.ts";

/** The ranges that sentinels come from; always routed into the tunnel. */
export const SENTINEL_RANGES: readonly [IpNetwork, IpNetwork] = [
  IpNetwork.from("100.100.111.0/24"),
  IpNetwork.from("fd00:2021:1111:8000:100:100:111:0/120"),
];

/** A server that answers what is not about resources. */
export type DnsServer =
  | { readonly type: "do53"; readonly address: SocketAddress }
  | { readonly type: "doh"; readonly url: string };

/** What is known of upstream servers, in falling priority. */
export interface UpstreamSources {
  readonly portalDo53: readonly SocketAddress[];
  /** URLs of DNS over HTTPS servers (RFC 8484). */
  readonly portalDoh: readonly string[];
  readonly system: readonly SocketAddress[];
}

/** One sentinel and who stands behind it. */
export interface Sentinel {
  readonly address: IpAddress;
  readonly upstream: DnsServer;
  /** Set by the portal, so that it may be reached through the tunnel; the system's own resolvers never are. */
  readonly fromPortal: boolean;
}

/** The current mapping of sentinels to upstream servers. */
export class Sentinels {
  #entries: readonly Sentinel[] = [];
  readonly #byKey = new Map<AddressKey, Sentinel>();

  /** In the order of their upstream servers. */
  get entries(): readonly Sentinel[] {
    return this.#entries;
  }

  /** Returns the sentinel at the address with this key, or undefined. */
  get(key: AddressKey): Sentinel | undefined {
    return this.#byKey.get(key);
  }

  /**
   * Takes the best non-empty source and returns whether the mapping changed. A new mapping avoids the addresses of
   * the one before, so that caches keyed by server do not mix answers of different upstreams.
   */
  update(sources: UpstreamSources): boolean {
    const { servers, fromPortal } = choose(sources);
    const unchanged = servers.length === this.#entries.length &&
      this.#entries.every((entry, index) =>
        entry.fromPortal === fromPortal && serverKey(entry.upstream) === serverKey(servers[index]!)
      );
    if (unchanged) return false;
    const free4 = this.#freeAddresses(SENTINEL_RANGES[0], 1);
    const free6 = this.#freeAddresses(SENTINEL_RANGES[1], 0);
    const entries: Sentinel[] = [];
    for (const upstream of servers) {
      const family = upstream.type === "do53" ? upstream.address.family : 4;
      const address = (family === 4 ? free4 : free6).next().value;
      if (address !== undefined) entries.push({ address, upstream, fromPortal });
    }
    this.#entries = entries;
    this.#byKey.clear();
    for (const entry of entries) this.#byKey.set(entry.address.key, entry);
    return true;
  }

  *#freeAddresses(range: IpNetwork, first: number): Generator<IpAddress, undefined> {
    const taken = new Set(this.#byKey.keys());
    for (let offset = first; offset < SENTINELS_PER_RANGE; offset++) {
      const address = range.address.plus(offset);
      if (!taken.has(address.key)) yield address;
    }
    return undefined;
  }
}

/** Returns whether `address` lies in a sentinel range, assigned or not. */
export function isSentinelAddress(address: IpAddress): boolean {
  return SENTINEL_RANGES.some((range) => range.contains(address));
}

/** More servers than this of one family are ignored; the portal allows 8. */
const MAX_SERVERS = 16;
/** Twice the servers and a few, so that an old and a new mapping fit side by side. */
const SENTINELS_PER_RANGE = 64;

function choose(sources: UpstreamSources): { servers: DnsServer[]; fromPortal: boolean } {
  const do53 = (addresses: readonly SocketAddress[]): DnsServer[] =>
    addresses.filter((address) => !isSentinelAddress(address.ip)).map((address) => ({
      type: "do53",
      address,
    }));
  const candidates: [DnsServer[], boolean][] = [
    [do53(sources.portalDo53), true],
    [sources.portalDoh.map((url) => ({ type: "doh", url })), true],
    [do53(sources.system), false],
  ];
  const [servers, fromPortal] = candidates.find(([list]) => list.length > 0) ?? [[], false];
  const unique = new Map(servers.map((server) => [serverKey(server), server]));
  return { servers: [...unique.values()].slice(0, MAX_SERVERS), fromPortal };
}

/** Returns a text that is equal for equal servers. */
export function serverKey(server: DnsServer): string {
  return server.type === "do53" ? `do53 ${server.address}` : `doh ${server.url}`;
}
