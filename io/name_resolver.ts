/** Resolves names as the host does, for a gateway: the hosts file, then A and AAAA at the host's resolvers. */

import { IpAddress } from "../lib/base/ip.ts";
import type { ResolvedAddresses } from "../lib/nat/proxy_map.ts";
import { hostsFileLookup } from "./host_lookup.ts";

/** Returns the addresses of `domain`, none if it has none; undefined if nobody told in time. Never rejects. */
export type NameResolver = (domain: string) => Promise<ResolvedAddresses | undefined>;

/** The runtime's resolver, which reads /etc/resolv.conf for each question. */
export const hostResolver: NameResolver = async (domain) => {
  const listed = await hostsFileLookup(domain);
  if (listed.length > 0) {
    return {
      ipv4: listed.filter(({ family }) => family === 4),
      ipv6: listed.filter(({ family }) => family === 6),
    };
  }
  const [ipv4, ipv6] = await Promise.all([query(domain, "A"), query(domain, "AAAA")]);
  if (ipv4 === undefined && ipv6 === undefined) return undefined;
  return { ipv4: ipv4 ?? [], ipv6: ipv6 ?? [] };
};

const LIMIT_MS = 10_000;

/** Returns undefined only for silence: an answer that is an error counts as "no records", as with upstream. */
async function query(domain: string, type: "A" | "AAAA"): Promise<IpAddress[] | undefined> {
  const signal = AbortSignal.timeout(LIMIT_MS);
  try {
    const answers = await Deno.resolveDns(domain, type, { signal });
    return answers.flatMap((answer) => IpAddress.parse(answer) ?? []);
  } catch {
    return signal.aborted ? undefined : [];
  }
}
