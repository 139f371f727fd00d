/** DNS in words. */

import type { DnsAnswerDocument, DnsDocument } from "../lib/control/api.ts";
import type { DnsFacts } from "../lib/control/doctor.ts";
import { formatCount, formatMs } from "./format.ts";
import { renderTable } from "./table.ts";

/** Returns who answers names, label by label. */
export function dnsFacts(dns: DnsDocument): readonly (readonly [label: string, value: string])[] {
  const facts: (readonly [string, string])[] = [["Names come by", CONTROLS[dns.control]], ...whyFacts(dns)];
  if (dns.problem !== undefined) facts.push(["Problem", dns.problem]);
  if ((dns.repairs ?? 0) > 0) {
    facts.push([
      "Set again",
      `${formatCount(dns.repairs!, "time")}, after somebody overwrote the settings of this machine`,
    ]);
  }
  for (const { address, upstream } of dns.sentinels) facts.push(["Server", `${address}, asks ${upstream}`]);
  if (dns.sentinels.length === 0) facts.push(["Server", "none: there is nobody to ask for other names"]);
  if (dns.systemResolvers.length > 0) facts.push(["This machine's own", ownResolvers(dns.systemResolvers)]);
  if (dns.searchDomain !== undefined) facts.push(["Search domain", dns.searchDomain]);
  for (const { pattern, resource } of dns.intercepted) {
    facts.push(["Answered here", pattern === resource ? pattern : `${pattern} (${resource})`]);
  }
  const counts = Object.entries(dns.answered).filter(([, count]) => count > 0)
    .map(([source, count]) => `${count} ${SOURCES.get(source) ?? source}`);
  facts.push(["Answered", counts.length === 0 ? "nothing yet" : counts.join(", ")]);
  facts.push(["Cached", String(dns.cacheEntries)]);
  return facts;
}

/** Returns who would answer names if a session began, label by label. */
export function dnsOutlookFacts(
  { control, reason, evidence, failure, addresses }: Omit<DnsFacts, "resolvers" | "isAsked">,
): readonly (readonly [label: string, value: string])[] {
  return [
    ["Session", "none runs"],
    ["Names would come by", CONTROLS[control]],
    ...whyFacts({ reason, evidence: [...evidence] }),
    ...(failure === undefined ? [] : [["Problem", failure] as const]),
    ["This machine's own", addresses.length === 0 ? "no resolver" : ownResolvers(addresses)],
  ];
}

/** Programs here ask no more than the first three (MAXNS of resolv.conf(5)). */
function ownResolvers(addresses: readonly string[]): string {
  const more = addresses.length - MAXNS;
  return `${addresses.slice(0, MAXNS).join(", ")}${more > 0 ? `, and ${more} more` : ""}`;
}

const MAXNS = 3;

function whyFacts({ reason, evidence = [] }: Pick<DnsDocument, "reason" | "evidence">): [string, string][] {
  return [
    ...(reason === undefined ? [] : [["Because", reason] as [string, string]]),
    ...evidence.map((seen): [string, string] => ["Seen", seen]),
  ];
}

/** Returns an answer: the records, and who gave them. */
export function answerLines(answer: Omit<DnsAnswerDocument, "schema">): string[] {
  const { answers, rcode, source, resource, ms } = answer;
  const records = renderTable(
    [{ title: "" }, { title: "", align: "right" }, { title: "" }, { title: "" }],
    answers.map(({ name, type, ttl, data }) => [name, String(ttl), type, data]),
    { isBare: true },
  );
  const head = answers.length > 0 ? records : [rcode === "NOERROR" ? "no records of that type" : rcode];
  const who = resource === undefined ? SOURCES.get(source) ?? `by ${source}` : whoAnswered(source, resource);
  return [...head, `answered ${who} in ${formatMs(ms)}`];
}

function whoAnswered(source: string, resource: string): string {
  const how = source === "site"
    ? ", asked at its site"
    : source === "device-pool"
    ? ", asked of the portal"
    : "";
  return `by resource "${resource}"${how}`;
}

const CONTROLS: Readonly<Record<DnsDocument["control"], string>> = {
  "disabled": "nothing: this machine's DNS is left alone",
  "etc-resolv-conf": "/etc/resolv.conf",
  "systemd-resolved": "systemd-resolved",
  "network-manager": "NetworkManager",
  "resolvconf": "resolvconf",
  "scutil": "the dynamic store of macOS",
  "nrpt": "the name resolution policy of Windows",
};

const SOURCES: ReadonlyMap<string, string> = new Map([
  ["resource", "for resources"],
  ["site", "at sites"],
  ["cache", "from the cache"],
  ["upstream", "by upstream servers"],
  ["device-pool", "for device pools"],
  ["nobody", "by nobody"],
]);
