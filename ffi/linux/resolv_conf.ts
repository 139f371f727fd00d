/** The text of /etc/resolv.conf (resolv.conf(5)): what we need of it, and ours. */

import { IpAddress } from "../../lib/base/ip.ts";

/** The parts of the file that count. */
export interface ResolvConf {
  readonly nameservers: readonly IpAddress[];
  readonly search: readonly string[];
  /** The arguments of all `options` lines. */
  readonly options: readonly string[];
}

/** First line of a file that we wrote. */
export const MARKER = "# Written by fz: all names are asked through the tunnel.";

/** Returns whether we wrote `text`. */
export function hasMarker(text: string): boolean {
  return text.startsWith(MARKER);
}

/** Reads `text`; lines that make no sense are skipped, as the C library does. Resolvers with a scope id are left out. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: IpAddress[] = [];
  let search: string[] = [];
  const options: string[] = [];
  for (const line of text.split("\n")) {
    if (/^\s*[#;]/.test(line)) continue;
    const [keyword, ...values] = line.trim().split(/\s+/);
    switch (keyword) {
      case "nameserver": {
        const address = IpAddress.parse(values[0] ?? "");
        if (address !== undefined) nameservers.push(address);
        break;
      }
      // The last of the two wins.
      case "domain":
      case "search":
        search = values;
        break;
      case "options":
        options.push(...values);
    }
  }
  return { nameservers, search, options };
}

/** A line of our file; what is left of it in another file shows that we were interrupted. */
export const CRASH_HINT = "# After a crash, the next start of fz puts it back.";

/** Returns our file: `sentinels` are asked, `searchDomain` comes before the host's own, options stay. */
export function renderResolvConf(
  original: ResolvConf,
  sentinels: readonly IpAddress[],
  searchDomain: string | undefined,
  backupPath: string,
): string {
  const search = [...new Set([...(searchDomain === undefined ? [] : [searchDomain]), ...original.search])];
  return [
    MARKER,
    `# The original is ${backupPath}; it is put back when fz stops.`,
    CRASH_HINT,
    // The C library asks no more than three.
    ...sentinels.slice(0, 3).map((address) => `nameserver ${address}`),
    ...(search.length > 0 ? [`search ${search.join(" ")}`] : []),
    ...(original.options.length > 0 ? [`options ${original.options.join(" ")}`] : []),
    "",
  ].join("\n");
}
