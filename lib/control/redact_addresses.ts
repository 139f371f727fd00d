/**
 * IP addresses in free text, and what stands for them: "private-ipv4-3/24" says what kind of address it was and keeps
 * the prefix length. Addresses that everybody has (loopback, the tunnel's resolvers, whole well-known networks) stay.
 */

import { IpAddress, IpNetwork } from "../base/ip.ts";
import type { Pseudonyms } from "./redact_pseudonyms.ts";
import { type Replacement, type Rule, rule } from "./redact_rules.ts";

/** Returns the rules for addresses in all their forms. */
export function addressRules(names: Pseudonyms): Rule[] {
  const reversed = (match: RegExpExecArray) =>
    stands(match[0].split(".").filter(Boolean).reverse().join("."), names);
  return [
    rule(/(?:[0-9a-f]\.){4,32}(?=ip6\.arpa)/gi, ([text]) => `${nibbles(text, names)}.`),
    rule(
      /\d{1,3}(?:\.\d{1,3}){3}\.(?=in-addr\.arpa)/gi,
      (match) => `${reversed(match) ?? match[0].slice(0, -1)}.`,
    ),
    rule(
      /(?:[0-9a-f]{0,4}:){2,8}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4})(?:\/\d{1,3})?/gi,
      ([text]) => ipv6(text, names),
    ),
    rule(
      /(?<!\d)(\d{1,3}(?:\.\d{1,3}){3})(?!\d)(?:\/(\d{1,2})(?!\d))?/g,
      ([, text, prefix]) => stands(text!, names, prefix),
    ),
    // As in names that clouds and providers give to machines.
    rule(/(?<!\d)\d{1,3}(?:-\d{1,3}){3}(?!\d)/g, ([text]) => stands(text.replaceAll("-", "."), names)),
  ];
}

/** Returns what stands for `address`. */
export function addressPseudonym(address: IpAddress, names: Pseudonyms): string {
  if (KEPT.some((network) => network.contains(address)) || address.isUnspecified) return address.toString();
  const mapped = mappedIpv4(address);
  if (mapped !== undefined) return `::ffff:${addressPseudonym(mapped, names)}`;
  const found = CLASSES.find(([network]) => network.contains(address));
  return names.of(`ipv${address.family}`, address.toString(), found === undefined ? "" : `${found[1]}-`);
}

const networks = (...texts: string[]) => texts.map(IpNetwork.from);

/** Addresses that say nothing about anybody. */
const KEPT = networks(
  "127.0.0.0/8",
  "::1/128",
  "255.255.255.255/32",
  "224.0.0.0/24",
  "ff02::/112",
  "100.100.111.0/24",
  "fd00:2021:1111:8000:100:100:111:0/120",
);
/** Networks that stay when they are meant as such. */
const KEPT_NETWORKS: ReadonlySet<string> = new Set([
  "10.0.0.0/8",
  "100.64.0.0/10",
  "100.64.0.0/11",
  "100.96.0.0/11",
  "128.0.0.0/1",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "224.0.0.0/4",
  "8000::/1",
  "fc00::/7",
  "fd00:2021:1111::/48",
  "fd00:2021:1111::/107",
  "fd00:2021:1111:8000::/107",
  "fe80::/10",
  "fe80::/64",
  "ff00::/8",
]);
/** The first that contains an address says what it is called. */
const CLASSES = ([
  ["100.64.0.0/11", "tunnel"],
  ["100.96.0.0/11", "proxy"],
  ["10.0.0.0/8", "private"],
  ["172.16.0.0/12", "private"],
  ["192.168.0.0/16", "private"],
  ["169.254.0.0/16", "linklocal"],
  ["224.0.0.0/4", "multicast"],
  ["fd00:2021:1111::/107", "tunnel"],
  ["fd00:2021:1111:8000::/107", "proxy"],
  ["fc00::/7", "private"],
  ["fe80::/10", "linklocal"],
  ["ff00::/8", "multicast"],
] as const).map(([network, name]) => [IpNetwork.from(network), name] as const);

function stands(text: string, names: Pseudonyms, prefix?: string): string | undefined {
  // Leading zeros are decimal here, whatever some resolvers make of them.
  const address = IpAddress.parse(text.split(".").map((part) => String(Number(part))).join("."));
  return address === undefined ? undefined : withPrefix(address, names, prefix);
}

function withPrefix(address: IpAddress, names: Pseudonyms, prefix: string | undefined): string {
  if (prefix === undefined) return addressPseudonym(address, names);
  const text = `${address}/${prefix}`;
  return KEPT_NETWORKS.has(text) ? text : `${addressPseudonym(address, names)}/${prefix}`;
}

/** Finds the longest address in what looks like one: "fd00::1:" is an address and a colon. */
function ipv6(text: string, names: Pseudonyms): Replacement {
  const [body = "", prefix] = text.split("/");
  // A time of day is none, a hardware address was seen before.
  if (!body.includes("::") && body.split(":").length < 7) return undefined;
  for (let length = body.length; length >= 2; length--) {
    for (let start = 0; start + length <= body.length; start++) {
      const address = IpAddress.parse(body.slice(start, start + length));
      if (address?.family !== 6) continue;
      const end = start + length;
      const isWhole = end === body.length;
      const rest = isWhole || prefix === undefined ? body.slice(end) : `${body.slice(end)}/${prefix}`;
      return [
        { text: body.slice(0, start), isDone: false },
        { text: withPrefix(address, names, isWhole ? prefix : undefined), isDone: true },
        { text: rest, isDone: false },
      ];
    }
  }
  return undefined;
}

function mappedIpv4(address: IpAddress): IpAddress | undefined {
  if (address.family !== 6) return undefined;
  const { bytes } = address;
  const isMapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff &&
    bytes[11] === 0xff;
  return isMapped ? IpAddress.fromBytes(bytes, 12, 4) : undefined;
}

function nibbles(text: string, names: Pseudonyms): string {
  const digits = text.replaceAll(".", "").split("").reverse().join("");
  const address = IpAddress.parse(digits.padEnd(32, "0").match(/.{4}/g)!.join(":"));
  return address === undefined ? names.of("ipv6", digits) : addressPseudonym(address, names);
}
