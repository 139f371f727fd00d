/**
 * The words of scutil(8): commands for the dynamic store of configd, and what it and `scutil --dns` answer. What macOS
 * makes of the keys is in "SCSchemaDefinitions" of SystemConfiguration. Pure text.
 */

import { IpAddress } from "../../lib/base/ip.ts";

/** Where our resolvers are in the dynamic store. */
export const DNS_KEY = "State:/Network/Service/fz/DNS";

/**
 * Returns the commands that make macOS ask `servers` for all names, and then show what is stored. The empty match domain
 * is every name; a further one is also searched in, beside the machine's own ("SupplementalMatchDomainsNoSearch" 0).
 */
export function setCommands(servers: readonly IpAddress[], searchDomain: string | undefined): string {
  // The words come from the portal, and a line feed would begin a command.
  const isUsable = searchDomain !== undefined && /^[\w-]+(\.[\w-]+)*$/.test(searchDomain);
  const domain = isUsable ? ` ${searchDomain}` : "";
  return commands(
    "d.init",
    `d.add ServerAddresses * ${servers.join(" ")}`,
    ...isUsable ? [`d.add SearchDomains *${domain}`] : [],
    `d.add SupplementalMatchDomains * ""${domain}`,
    "d.add SupplementalMatchDomainsNoSearch # 0",
    `set ${DNS_KEY}`,
    `show ${DNS_KEY}`,
  );
}

/** Returns the commands that show what is stored at `key`. */
export function showCommands(key: string): string {
  return commands(`show ${key}`);
}

/** Returns the commands that remove `key`, and then show what is stored there. */
export function removeCommands(key: string): string {
  return commands(`remove ${key}`, `show ${key}`);
}

/** Returns whether `key` is one that we may remove: ours. */
export function isOwnKey(key: string): boolean {
  return /^State:\/Network\/Service\/fz[\w-]*\/DNS$/.test(key);
}

/** Returns the values of the array `name` in the dictionary that `shown` shows; undefined if it has none. */
export function parseArray(shown: string, name: string): string[] | undefined {
  let values: string[] | undefined;
  for (const line of shown.split("\n")) {
    const text = line.trim();
    if (values === undefined) {
      if (text === `${name} : <array> {`) values = [];
      continue;
    }
    if (text === "}") return values;
    const value = /^\d+ :(.*)$/.exec(text)?.[1];
    if (value !== undefined && values.length < MAX_VALUES) values.push(value.trim());
  }
  return undefined;
}

/** A resolver as `scutil --dns` lists it. */
export interface DnsResolver {
  /** In the list for queries that are bound to an interface. */
  readonly isScoped: boolean;
  /** Undefined: for all names. */
  readonly domain: string | undefined;
  readonly servers: readonly DnsServer[];
  readonly interface: { readonly index: number; readonly name: string } | undefined;
  /** Of somebody like us; does not stand for the machine's own. */
  readonly isSupplemental: boolean;
}

/** An address of a resolver; a link-local one has a zone: the name of an interface, or its index. */
export interface DnsServer {
  readonly address: IpAddress;
  readonly zone: string | undefined;
}

/** Returns the resolvers that `scutil --dns` printed, in order. What makes no sense is skipped. */
export function parseResolvers(printed: string): DnsResolver[] {
  const found: DnsResolver[] = [];
  let isScoped = false;
  for (const section of printed.split(/^DNS configuration/m)) {
    // Further lists are for single programs.
    if (section.startsWith(" (for service-specific")) continue;
    isScoped = section.startsWith(" (for scoped");
    for (const block of section.split(/^resolver #\d+[ \t]*$/m).slice(1)) {
      if (found.length >= MAX_VALUES) return found;
      found.push(parseResolver(block, isScoped));
    }
  }
  return found;
}

/**
 * Returns the machine's own resolvers: those for queries bound to `primary` (the interface of the default route), since
 * the list for ordinary queries has ours in it; else the first ordinary ones that are not a supplement.
 */
export function upstreamServers(
  resolvers: readonly DnsResolver[],
  primary: string | undefined,
): readonly DnsServer[] {
  const usable = resolvers.filter(({ domain, servers }) => domain === undefined && servers.length > 0);
  const scoped = usable.find((resolver) =>
    resolver.isScoped && primary !== undefined && resolver.interface?.name === primary
  );
  const ordinary = usable.find((resolver) => !resolver.isScoped && !resolver.isSupplemental);
  return (scoped ?? ordinary)?.servers ?? [];
}

function parseResolver(block: string, isScoped: boolean): DnsResolver {
  let domain: string | undefined;
  let isSupplemental = false;
  let index: { index: number; name: string } | undefined;
  const servers: DnsServer[] = [];
  for (const line of block.split("\n")) {
    const [, key, value] = /^\s+([\w ]+?)(?:\[\d+\])?\s*: (.*)$/.exec(line) ?? [];
    if (key === undefined || value === undefined) continue;
    switch (key) {
      case "domain":
        domain = value.trim();
        break;
      case "flags":
        isSupplemental = /\bSupplemental\b/.test(value);
        break;
      case "if_index": {
        const [, number, name] = /^(\d+) \((\S+)\)$/.exec(value.trim()) ?? [];
        if (name !== undefined) index = { index: Number(number), name };
        break;
      }
      case "nameserver": {
        const [text, zone] = value.trim().split("%");
        const address = IpAddress.parse(text ?? "");
        if (address !== undefined && servers.length < MAX_VALUES) servers.push({ address, zone });
      }
    }
  }
  return { isScoped, domain, servers, interface: index, isSupplemental };
}

function commands(...lines: readonly string[]): string {
  return ["open", ...lines, "quit", ""].join("\n");
}

const MAX_VALUES = 64;
