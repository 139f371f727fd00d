/**
 * A small cache of upstream answers, so that a page with a hundred names of one host costs one round trip. Holds
 * NOERROR answers with a lifetime of at least five seconds and hands them out with their TTLs counted down.
 */

import { readU16, writeU16, writeU32 } from "../base/bytes.ts";
import { type Instant, seconds } from "../base/time.ts";
import {
  DNS_HEADER_LENGTH,
  type DnsQuery,
  dnsRecords,
  isTruncated,
  RecordType,
  ResponseCode,
  responseCode,
} from "../wire/dns.ts";
import { decodeName } from "../wire/dns_name.ts";

interface Entry {
  readonly message: Uint8Array;
  readonly storedAt: Instant;
  readonly expiresAt: Instant;
  /** Where the TTLs are, with their values in seconds. */
  readonly ttls: readonly { readonly offset: number; readonly ttl: number }[];
}

/** Answers by server and question; the least recently used one makes room. */
export class DnsCache {
  readonly #capacity: number;
  readonly #entries = new Map<string, Entry>();
  #hits = 0;
  #misses = 0;

  constructor(capacity: number = MAX_ENTRIES) {
    this.#capacity = capacity;
  }

  get stats(): { readonly entries: number; readonly hits: number; readonly misses: number } {
    return { entries: this.#entries.size, hits: this.#hits, misses: this.#misses };
  }

  /** Keeps `answer` to `query` from `server` if it may be kept. */
  store(server: string, query: DnsQuery, answer: Uint8Array, now: Instant): void {
    if (responseCode(answer) !== ResponseCode.noError || isTruncated(answer)) return;
    if (answer.length > MAX_MESSAGE_LENGTH || query.message.length > MAX_QUERY_LENGTH) return;
    if (!echoesQuestion(answer, query)) return;
    const records = dnsRecords(answer)?.filter((record) => record.type !== RecordType.opt);
    if (records === undefined || records.length === 0) return;
    const ttl = Math.min(MAX_TTL, ...records.map((record) => record.ttl));
    if (ttl < MIN_TTL) return;
    const key = cacheKey(server, query);
    this.#entries.delete(key);
    if (this.#entries.size >= this.#capacity) this.#entries.delete(this.#entries.keys().next().value!);
    this.#entries.set(key, {
      message: answer.slice(),
      storedAt: now,
      expiresAt: now + seconds(ttl),
      ttls: records.map((record) => ({ offset: record.ttlOffset, ttl: record.ttl })),
    });
  }

  /** Returns the answer to `query` with its id and question and with TTLs as of `now`, or undefined. */
  lookup(server: string, query: DnsQuery, now: Instant): Uint8Array | undefined {
    if (query.message.length > MAX_QUERY_LENGTH) return undefined;
    const key = cacheKey(server, query);
    const entry = this.#entries.get(key);
    if (entry === undefined || now >= entry.expiresAt) {
      this.#entries.delete(key);
      this.#misses++;
      return undefined;
    }
    this.#hits++;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    const answer = entry.message.slice();
    writeU16(answer, 0, query.id);
    // The same name may be asked in another case; resolvers check that their own spelling comes back.
    answer.set(query.question, DNS_HEADER_LENGTH);
    const age = Math.floor((now - entry.storedAt) / 1000);
    for (const { offset, ttl } of entry.ttls) writeU32(answer, offset, ttl - age);
    return answer;
  }

  /** Forgets everything: resources or servers changed. */
  flush(): void {
    this.#entries.clear();
  }
}

const MAX_ENTRIES = 1024;
const MAX_MESSAGE_LENGTH = 4096;
const MAX_QUERY_LENGTH = 512;
/** Seconds. */
const MIN_TTL = 5;
/** Seconds; RFC 8767 §4 caps at a week, a session rarely lasts that long unflushed. */
const MAX_TTL = 86_400;

/** RD, CD and AD and the OPT record change what a server answers, so they are part of the key. */
function cacheKey(server: string, query: DnsQuery): string {
  const flags = (query.message[2]! << 8 | query.message[3]!) & 0x0130;
  const rest = query.message.subarray(DNS_HEADER_LENGTH + query.question.length).toHex();
  return `${server} ${query.name} ${query.type} ${query.class} ${flags} ${rest}`;
}

/** Returns whether the question of `answer` takes up the very bytes that the query's did. */
function echoesQuestion(answer: Uint8Array, query: DnsQuery): boolean {
  const name = readU16(answer, 4) === 1 ? decodeName(answer, DNS_HEADER_LENGTH) : undefined;
  return name !== undefined && name.end + 4 === DNS_HEADER_LENGTH + query.question.length &&
    name.name === query.name;
}
