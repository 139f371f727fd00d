/** The text of /etc/resolv.conf (resolv.conf(5)): what we need of it, and ours. */

import { IpAddress } from "../../lib/base/ip.ts";
import { OUR_MARK } from "../../lib/host/resolv_conf_owner.ts";

/** A resolver as the file names it. */
export interface NamedResolver {
  readonly address: IpAddress;
  /** Name or index of the interface behind "%". */
  readonly zone?: string;
}

/** The parts of the file that count. */
export interface ResolvConf {
  readonly nameservers: readonly NamedResolver[];
  readonly search: readonly string[];
  /** The arguments of all `options` lines. */
  readonly options: readonly string[];
  /** Lines with other keywords, `sortlist` for instance. */
  readonly others: readonly string[];
}

/** First line of a file that we wrote. */
export const MARKER = `${OUR_MARK} all names are asked through the tunnel.`;
/** A line of our file: there was none before. */
const NO_ORIGINAL = "# There was no such file; it goes when fz stops.";
/** A line of our file; what is left of it in another file shows that we were interrupted. */
export const CRASH_HINT = "# After a crash, the next start of fz puts it back.";

/** Returns where the file at `path` is kept while ours is in its place. */
export function backupOf(path: string): string {
  return `${path}.before-fz`;
}

/** Returns whether we wrote `text`. */
export function hasMarker(text: string): boolean {
  return text.startsWith(MARKER);
}

/** Returns whether our `text` says that there was no file before. */
export function hadNoOriginal(text: string): boolean {
  return hasMarker(text) && text.includes(NO_ORIGINAL);
}

/** Reads `text`; lines that make no sense are skipped, as the C library does. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: NamedResolver[] = [];
  let search: string[] = [];
  const options: string[] = [];
  const others: string[] = [];
  for (const line of text.split("\n").slice(0, MAX_LINES)) {
    if (/^\s*[#;]/.test(line)) continue;
    const [keyword, ...values] = line.trim().split(/\s+/);
    switch (keyword) {
      case "":
        break;
      case "nameserver": {
        const [literal, zone] = (values[0] ?? "").split("%", 2) as [string, string?];
        const address = IpAddress.parse(literal);
        if (address !== undefined) nameservers.push({ address, ...(zone === undefined ? {} : { zone }) });
        break;
      }
      // The last of the two wins.
      case "domain":
      case "search":
        search = values;
        break;
      case "options":
        options.push(...values);
        break;
      default:
        if (/^[a-z]+$/.test(keyword!)) others.push([keyword, ...values].join(" "));
    }
  }
  return { nameservers, search, options, others };
}

/** What our file is made of. */
export interface OurResolvConf {
  readonly original: ResolvConf;
  readonly sentinels: readonly IpAddress[];
  /** Comes before the host's own. */
  readonly searchDomain: string | undefined;
  /** Where the original is to be found: the path of a copy, "none" where there was none, undefined where nobody sees it. */
  readonly kept: string | "none" | undefined;
}

/** Returns our file: the sentinels are asked, all else stays. */
export function renderResolvConf({ original, sentinels, searchDomain, kept }: OurResolvConf): string {
  const search = searchList(original.search, searchDomain);
  return [
    MARKER,
    ...(kept === "none"
      ? [NO_ORIGINAL]
      : kept === undefined
      ? ["# What was here is put back when fz stops."]
      : [`# The original is ${kept}; it is put back when fz stops.`]),
    CRASH_HINT,
    // The C library asks no more than three.
    ...sentinels.slice(0, MAX_NAMESERVERS).map((address) => `nameserver ${address}`),
    ...(search.length > 0 ? [`search ${search.join(" ")}`] : []),
    ...(original.options.length > 0 ? [`options ${original.options.join(" ")}`] : []),
    ...original.others,
    "",
  ].join("\n");
}

/**
 * Returns the host's search list behind `own`. Old C libraries take six domains of 256 characters together, and some
 * skip a longer line as a whole; a host whose own list is longer has a library that takes it.
 */
export function searchList(host: readonly string[], own: string | undefined): string[] {
  const all = [...new Set([...(own === undefined ? [] : [own]), ...host])];
  if (!fitsOldLibraries(host)) return all;
  while (!fitsOldLibraries(all)) all.pop();
  return all;
}

function fitsOldLibraries(search: readonly string[]): boolean {
  return search.length <= MAX_SEARCH_DOMAINS && `search ${search.join(" ")}\n`.length < MAX_SEARCH_LENGTH;
}

const MAX_LINES = 4096;
const MAX_NAMESERVERS = 3;
const MAX_SEARCH_DOMAINS = 6;
const MAX_SEARCH_LENGTH = 256;
