/** Domain names in free text: each label has a pseudonym of its own, so that what lies below what stays visible. */

import type { Pseudonyms } from "./redact_pseudonyms.ts";
import { type Rule, rule } from "./redact_rules.ts";

/** Returns the rule for what looks like a domain name. */
export function domainRule(names: Pseudonyms): Rule {
  return rule(
    /[\p{L}\p{N}_*?-]{1,63}(?:\.[\p{L}\p{N}_-]{1,63})+/gu,
    ([text]) => isDomain(text) ? domainPseudonym(text, names) : undefined,
  );
}

/** Returns what stands for `domain`: "*.git.example.com" becomes "*.label-1.label-2.com". */
export function domainPseudonym(domain: string, names: Pseudonyms): string {
  const labels = domain.toLowerCase().split(".");
  return labels.map((label, index) => {
    if (label === "" || /^[*?]+$/.test(label)) return label;
    const isTop = index === labels.length - 1 && index > 0;
    return isTop && TOP_LABELS.has(label) ? label : names.of("label", label);
  }).join(".");
}

/** Services that everybody who uses this program uses. */
const KEPT_DOMAINS: ReadonlySet<string> = new Set([
  "api.firezone.dev",
  "app.firezone.dev",
  "firezone.dev",
  "www.firezone.dev",
  "dev.firezone.client",
  "in-addr.arpa",
  "ip6.arpa",
  "use-application-dns.net",
]);
/** Top labels that say nothing about anybody. */
const TOP_LABELS: ReadonlySet<string> = new Set(
  "arpa com corp dev edu gov home internal intranet invalid io lan local localdomain net org private test example"
    .split(" "),
);
/** Endings of files and units. None of them is a top-level domain. */
const FILE_ENDINGS: ReadonlySet<string> = new Set(
  `bak cfg conf config crt csv deb dll exe gz html ini ipv4 ipv6 js json kmod ko local-fs lock log mjs mount ndjson pcap
   pcapng pem pid plist rpm scope service sh-session slice sock socket tar target timer tmp toml token ts txt wasm xml
   yaml yml`.split(/\s+/),
);
const SYSCTL = /^(?:net\.(?:ipv4|ipv6|core|netfilter|unix)|kernel|vm|fs)\./;

function isDomain(text: string): boolean {
  const name = text.toLowerCase();
  if (KEPT_DOMAINS.has(name) || SYSCTL.test(name) || /^lib[\w+-]+\.so$/.test(name)) return false;
  const last = name.slice(name.lastIndexOf(".") + 1);
  return /^(?:\p{L}{2,}|xn--[a-z0-9-]+)$/u.test(last) && !FILE_ENDINGS.has(last);
}
