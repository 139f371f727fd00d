/**
 * What becomes of a DNS question that an application asked: answered here with proxy addresses, asked inside a site,
 * asked from the portal (device pools), or handed to an upstream server. Decides only; whoever asks it does the rest.
 */

import { IpAddress } from "../base/ip.ts";
import { type AnswerRecord, type DnsQuery, encodeDnsAnswer, RecordType, ResponseCode } from "../wire/dns.ts";
import { isForOneLabel, oneLabelOf } from "./one_label.ts";
import type { Pattern } from "./pattern.ts";
import { PatternMap, type PatternMatch } from "./pattern_map.ts";
import type { ProxyIps } from "./proxy_ips.ts";

/** A resource that is known by names. */
export interface NamedResource {
  readonly id: string;
  readonly type: "dns" | "dynamic-pool";
  /** Which families answers may carry. Pools are always "dual". */
  readonly ipStack: "dual" | "ipv4-only" | "ipv6-only";
}

/** What to do with a question. */
export type DnsDecision =
  | {
    readonly type: "answer";
    readonly message: Uint8Array;
    /** Set when the answer carries (or could carry) proxy addresses: the name and the resources it belongs to. */
    readonly resolved?: { readonly name: string; readonly resourceIds: readonly string[] };
  }
  /** Ask the gateway's DNS server (SRV, TXT); the first resource is the one to go through. */
  | { readonly type: "site"; readonly resourceIds: readonly string[] }
  /** Ask the portal for the address of a device. */
  | { readonly type: "device-pool"; readonly resourceId: string; readonly name: string }
  | { readonly type: "recurse" };

/** Lifetime of answers made here, in seconds: short, because each new query makes the gateway resolve anew. */
const STUB_TTL = 1;

/** The decision table with the names it knows. */
export class StubResolver {
  readonly #proxyIps: ProxyIps;
  readonly #resources = new PatternMap<NamedResource>();
  readonly #forOneLabel = new Set<string>();

  constructor(proxyIps: ProxyIps) {
    this.#proxyIps = proxyIps;
  }

  /** Adds or replaces a resource. */
  set(resource: NamedResource, pattern: Pattern): void {
    this.delete(resource.id);
    this.#resources.set(resource.id, pattern, resource);
    if (isForOneLabel(pattern)) this.#forOneLabel.add(resource.id);
  }

  delete(id: string): void {
    this.#resources.delete(id);
    this.#forOneLabel.delete(id);
  }

  /** Whether a resource is known by names of one label. */
  get hasOneLabelNames(): boolean {
    return this.#forOneLabel.size > 0;
  }

  /** Returns the resources whose pattern matches `name`, the most specific first. */
  match(name: string): readonly PatternMatch<NamedResource>[] {
    return this.#resources.match(name);
  }

  /** Returns what to do with `query`. Assigns proxy addresses on the way. */
  decide(query: DnsQuery): DnsDecision {
    const label = oneLabelOf(query.name);
    const isOrdinary = query.opcode === OPCODE_QUERY && query.class === CLASS_IN;
    if (label !== undefined) return this.#oneLabel(query, isOrdinary ? label : "");
    if (!isOrdinary) return RECURSE;
    if (query.name === CANARY) return answer(query, ResponseCode.nameError);
    if (query.type === RecordType.ptr) return this.#reverse(query);
    const matches = this.match(query.name);
    const best = matches[0]?.value;
    if (best === undefined) return RECURSE;
    switch (query.type) {
      case RecordType.a:
      case RecordType.aaaa:
        return this.#addresses(query, query.name, matches);
      case RecordType.srv:
      case RecordType.txt:
        return best.type === "dns" ? { type: "site", resourceIds: dnsResourceIds(matches) } : RECURSE;
      case RecordType.https:
        return answer(query, ResponseCode.noError);
      default:
        return RECURSE;
    }
  }

  /** Only addresses are asked so: of a name without a search domain resolvers ask the rest of us. */
  #oneLabel(query: DnsQuery, label: string): DnsDecision {
    const matches = this.match(label);
    if (!matches.some(({ pattern }) => isForOneLabel(pattern))) return answer(query, ResponseCode.nameError);
    if (query.type !== RecordType.a && query.type !== RecordType.aaaa) {
      return answer(query, ResponseCode.noError);
    }
    return this.#addresses(query, label, matches);
  }

  /** Answers with the addresses of `name`, which `query` asks for; there is a match. */
  #addresses(query: DnsQuery, name: string, matches: readonly PatternMatch<NamedResource>[]): DnsDecision {
    const best = matches[0]!.value;
    if (best.type === "dynamic-pool") return { type: "device-pool", resourceId: best.id, name };
    const addresses = this.#proxyIps.assign(name);
    const records = query.type === RecordType.a
      ? best.ipStack === "ipv6-only" ? [] : addressRecords("A", addresses.ipv4)
      : best.ipStack === "ipv4-only"
      ? []
      : addressRecords("AAAA", addresses.ipv6);
    return {
      type: "answer",
      message: encodeDnsAnswer(query, ResponseCode.noError, records),
      resolved: { name, resourceIds: dnsResourceIds(matches) },
    };
  }

  #reverse(query: DnsQuery): DnsDecision {
    const address = parseReverseName(query.name);
    const name = address && this.#proxyIps.nameOf(address.key);
    if (name === undefined) return RECURSE;
    return answer(query, ResponseCode.noError, [{ type: "PTR", ttl: STUB_TTL, data: name }]);
  }
}

/** Returns A or AAAA records for `addresses` with the lifetime of answers made here. */
export function addressRecords(type: "A" | "AAAA", addresses: readonly IpAddress[]): AnswerRecord[] {
  return addresses.map((address) => ({ type, ttl: STUB_TTL, data: address.toString() }));
}

/** Returns the address that a name below `in-addr.arpa` or `ip6.arpa` stands for, or undefined (RFC 3596 §2.5). */
export function parseReverseName(name: string): IpAddress | undefined {
  const four = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name);
  if (four !== null) return IpAddress.parse(`${four[4]}.${four[3]}.${four[2]}.${four[1]}`);
  const six = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name);
  if (six === null) return undefined;
  const digits = six[1]!.split(".").slice(0, 32).reverse().join("");
  return IpAddress.fromBytes(Uint8Array.fromHex(digits));
}

/** The name browsers ask to learn whether they may use DNS over HTTPS of their own; NXDOMAIN means no. */
const CANARY = "use-application-dns.net";
const OPCODE_QUERY = 0;
const CLASS_IN = 1;
const RECURSE: DnsDecision = { type: "recurse" };

function answer(query: DnsQuery, code: number, records: readonly AnswerRecord[] = []): DnsDecision {
  return { type: "answer", message: encodeDnsAnswer(query, code, records) };
}

function dnsResourceIds(matches: readonly PatternMatch<NamedResource>[]): string[] {
  return matches.filter(({ value }) => value.type === "dns").map(({ value }) => value.id);
}
