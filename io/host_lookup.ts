/**
 * Looks up the portal's host: a literal, the hosts file, then A and AAAA at the system's resolvers, in parallel. A
 * client that owns the system's DNS hands in its own lookup instead, which asks the original resolvers.
 */

import { IpAddress } from "../lib/base/ip.ts";

/** Returns the addresses of `host`; none if it cannot be found. Never rejects. */
export type HostLookup = (host: string) => Promise<readonly IpAddress[]>;

/** Looks a name up as the system does. */
export const systemLookup: HostLookup = async (host) => {
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  const literal = IpAddress.parse(bare);
  if (literal !== undefined) return [literal];
  const listed = await hostsFileLookup(bare);
  if (listed.length > 0) return listed;
  if (bare === "localhost" || bare.endsWith(".localhost")) {
    return [IpAddress.from("127.0.0.1"), IpAddress.from("::1")];
  }
  const answers = await Promise.all([query(bare, "A"), query(bare, "AAAA")]);
  return answers.flat();
};

/** Returns the addresses that the hosts file has for exactly `host`. */
export async function hostsFileLookup(
  host: string,
  path: string = HOSTS_FILE,
): Promise<readonly IpAddress[]> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch {
    return [];
  }
  const found = new Map<unknown, IpAddress>();
  for (const line of text.split("\n")) {
    const [address, ...names] = line.split("#", 1)[0]!.trim().split(/\s+/);
    if (!names.some((name) => name.toLowerCase() === host.toLowerCase())) continue;
    const parsed = IpAddress.parse(address!);
    if (parsed !== undefined) found.set(parsed.key, parsed);
  }
  return [...found.values()];
}

async function query(host: string, type: "A" | "AAAA"): Promise<IpAddress[]> {
  try {
    const answers = await Deno.resolveDns(host, type, { signal: AbortSignal.timeout(LOOKUP_LIMIT_MS) });
    return answers.flatMap((answer) => IpAddress.parse(answer) ?? []);
  } catch {
    return [];
  }
}

const LOOKUP_LIMIT_MS = 4000;
const HOSTS_FILE = Deno.build.os === "windows" ? "C:\\Windows\\System32\\drivers\\etc\\hosts" : "/etc/hosts";
