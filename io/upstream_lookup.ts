/**
 * Looks names up at the machine's own resolvers, past the tunnel and past its DNS settings, which lead to us while a
 * session runs: the portal and DoH servers must be found even when the tunnel is broken.
 */

import { IpAddress, type SocketAddress } from "../lib/base/ip.ts";
import { dnsRecords, encodeDnsQuery, RecordType } from "../lib/wire/dns.ts";
import { type HostLookup, hostsFileLookup } from "./host_lookup.ts";
import { systemRng } from "./rng.ts";
import type { UpstreamDns } from "./upstream_dns.ts";

/** Who is asked for the addresses of a name. */
export interface UpstreamLookupOptions {
  readonly dns: Pick<UpstreamDns, "ask">;
  /** The resolvers of the machine at the moment. */
  readonly resolvers: () => readonly SocketAddress[];
  /** Used when there are no resolvers. */
  readonly fallback: HostLookup;
}

/** Returns a lookup: literal, hosts file, then A and AAAA at all resolvers in parallel; the first answer counts. */
export function upstreamLookup({ dns, resolvers, fallback }: UpstreamLookupOptions): HostLookup {
  return async (host) => {
    const bare = host.replace(/^\[(.*)\]$/, "$1");
    const literal = IpAddress.parse(bare);
    if (literal !== undefined) return [literal];
    const listed = await hostsFileLookup(bare);
    if (listed.length > 0) return listed;
    const servers = resolvers();
    if (servers.length === 0 || bare === "localhost" || bare.endsWith(".localhost")) {
      return await fallback(host);
    }
    const answers = await Promise.all(
      [RecordType.a, RecordType.aaaa].map((type) => firstAnswer(dns, servers, bare, type)),
    );
    return answers.flat();
  };
}

/** Returns the addresses in the first non-empty answer, empty if there is none. */
async function firstAnswer(
  dns: Pick<UpstreamDns, "ask">,
  servers: readonly SocketAddress[],
  name: string,
  type: number,
): Promise<readonly IpAddress[]> {
  const attempts = servers.slice(0, MAX_SERVERS).map(async (address) => {
    const message = encodeDnsQuery(systemRng.u32() & 0xffff, name, type);
    if (message === undefined) return [];
    const server = { type: "do53", address } as const;
    const outcome = await dns.ask(server, "udp", message, LIMIT_MS);
    return outcome.type === "answer" ? addressesIn(outcome.message, type) : [];
  });
  try {
    return await Promise.any(attempts.map(async (attempt) => {
      const addresses = await attempt;
      if (addresses.length === 0) throw new Error("no address");
      return addresses;
    }));
  } catch {
    return [];
  }
}

function addressesIn(message: Uint8Array, type: number): IpAddress[] {
  const length = type === RecordType.a ? 4 : 16;
  return (dnsRecords(message) ?? [])
    .filter((record) => record.section === 0 && record.type === type && record.dataLength === length)
    .map((record) => IpAddress.fromBytes(message, record.dataOffset, length));
}

const MAX_SERVERS = 4;
const LIMIT_MS = 3000;
