/**
 * DNS messages (RFC 1035), the only file that knows `dns-packet`. Queries and answers that pass through are kept as
 * bytes: the question is echoed exactly as it came, and upstream answers change in their id only.
 */

import dnsPacket from "dns-packet";
import { concatBytes, readU16, readU32, writeU16, writeU32 } from "../base/bytes.ts";
import { err, ok, type Result } from "../base/result.ts";
import { decodeName, isEncodableName } from "./dns_name.ts";

/** Record types by name (IANA "Resource Record (RR) TYPEs"). */
export const RecordType = {
  a: 1,
  ns: 2,
  cname: 5,
  soa: 6,
  ptr: 12,
  mx: 15,
  txt: 16,
  aaaa: 28,
  srv: 33,
  opt: 41,
  https: 65,
  any: 255,
} as const;

/** Response codes by name (RFC 1035 §4.1.1). */
export const ResponseCode = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
} as const;

/** Length of the fixed header in bytes. */
export const DNS_HEADER_LENGTH = 12;

/** The largest UDP answer that fits into one packet of the tunnel, in bytes. */
const MAX_UDP_ANSWER_LENGTH = 1212;

/** A query with exactly one question. */
export interface DnsQuery {
  readonly id: number;
  readonly opcode: number;
  readonly recursionDesired: boolean;
  /** Lower case, no trailing dot, odd bytes as `\DDD`; see `DecodedName`. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** The question section exactly as it was asked. */
  readonly question: Uint8Array;
  /** The whole message; owned by the query. */
  readonly message: Uint8Array;
}

/** A record to put into an answer; the owner is the name of the question. */
export type AnswerRecord =
  | { readonly type: "A" | "AAAA"; readonly ttl: number; readonly data: string }
  | { readonly type: "PTR"; readonly ttl: number; readonly data: string };

/** Returns the query in `bytes` (copied): QR = 0, exactly one question. Anything else is a reason to stay silent. */
export function decodeDnsQuery(bytes: Uint8Array): Result<DnsQuery> {
  if (bytes.length < DNS_HEADER_LENGTH) return err("truncated");
  if ((bytes[2]! & QR) !== 0) return err("not-a-query");
  if (readU16(bytes, 4) !== 1) return err("not-one-question");
  const name = decodeName(bytes, DNS_HEADER_LENGTH);
  if (name === undefined || name.end + 4 > bytes.length) return err("bad-question");
  const message = bytes.slice();
  return ok({
    id: readU16(message, 0),
    opcode: (message[2]! >>> 3) & 0x0f,
    recursionDesired: (message[2]! & RD) !== 0,
    name: name.name,
    type: readU16(message, name.end),
    class: readU16(message, name.end + 2),
    question: message.subarray(DNS_HEADER_LENGTH, name.end + 4),
    message,
  });
}

/**
 * Returns the answer to `query`: id, opcode, RD and question copied, QR = 1, AA = 0, RA = 0, no OPT. Records whose
 * name cannot be encoded are left out.
 */
export function encodeDnsAnswer(
  query: DnsQuery,
  code: number,
  records: readonly AnswerRecord[] = [],
): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const record of records) {
    if (record.type === "PTR" && !isEncodableName(record.data)) continue;
    const head = new Uint8Array(10);
    writeU16(head, 0, OWNER_IS_QUESTION);
    writeU16(head, 2, RecordType[RECORD_KEYS[record.type]]);
    writeU16(head, 4, CLASS_IN);
    writeU32(head, 6, record.ttl);
    parts.push(head, dnsPacket.record(record.type).encode(record.data) as Uint8Array);
  }
  const header = new Uint8Array(DNS_HEADER_LENGTH);
  writeU16(header, 0, query.id);
  header[2] = QR | (query.opcode << 3) | (query.recursionDesired ? RD : 0);
  header[3] = code & 0x0f;
  writeU16(header, 4, 1);
  writeU16(header, 6, parts.length / 2);
  return concatBytes(header, query.question, ...parts);
}

/** Returns `answer`, or, if it is longer than `limit` bytes, its header and question alone with TC = 1 (RFC 2181 §9). */
export function truncateDnsAnswer(answer: Uint8Array, limit: number = MAX_UDP_ANSWER_LENGTH): Uint8Array {
  if (answer.length <= limit) return answer;
  const question = readU16(answer, 4) === 1 ? decodeName(answer, DNS_HEADER_LENGTH) : undefined;
  const end = question === undefined ? DNS_HEADER_LENGTH : question.end + 4;
  const short = answer.slice(0, Math.min(end, answer.length));
  short[2] = short[2]! | TC;
  writeU16(short, 4, end > DNS_HEADER_LENGTH ? 1 : 0);
  short.fill(0, 6, DNS_HEADER_LENGTH);
  return short;
}

/** Returns a query with RD = 1 and one question of class IN, or undefined if `name` is no name. */
export function encodeDnsQuery(id: number, name: string, type: number): Uint8Array | undefined {
  const plain = name.endsWith(".") ? name.slice(0, -1) : name;
  if (!isEncodableName(plain)) return undefined;
  const header = new Uint8Array(DNS_HEADER_LENGTH);
  writeU16(header, 0, id);
  header[2] = RD;
  writeU16(header, 4, 1);
  const tail = new Uint8Array(4);
  writeU16(tail, 0, type);
  writeU16(tail, 2, CLASS_IN);
  return concatBytes(header, dnsPacket.name.encode(plain) as Uint8Array, tail);
}

/** Returns a copy of `message` (at least a header) with another id. */
export function withDnsId(message: Uint8Array, id: number): Uint8Array {
  const copy = message.slice();
  writeU16(copy, 0, id);
  return copy;
}

/**
 * Returns whether `bytes` is a response (QR = 1) to a query with this id and this question. Without a question it may
 * only tell of an error: what it says is then nobody's answer in particular.
 */
export function isAnswerTo(bytes: Uint8Array, id: number, query: DnsQuery): boolean {
  if (bytes.length < DNS_HEADER_LENGTH || (bytes[2]! & QR) === 0 || readU16(bytes, 0) !== id) return false;
  if (readU16(bytes, 4) === 0) return responseCode(bytes) !== ResponseCode.noError && readU16(bytes, 6) === 0;
  const name = decodeName(bytes, DNS_HEADER_LENGTH);
  return name !== undefined && name.end + 4 <= bytes.length && name.name === query.name &&
    readU16(bytes, name.end) === query.type && readU16(bytes, name.end + 2) === query.class;
}

/** Returns whether the TC bit of `message` is set. */
export function isTruncated(message: Uint8Array): boolean {
  return message.length >= DNS_HEADER_LENGTH && (message[2]! & TC) !== 0;
}

/** Returns the response code in the header of `message`. */
export function responseCode(message: Uint8Array): number {
  return message.length >= DNS_HEADER_LENGTH ? message[3]! & 0x0f : ResponseCode.serverFailure;
}

/** Where one record lies in a message. */
export interface RecordSpan {
  /** Section: 0 answer, 1 authority, 2 additional. */
  readonly section: 0 | 1 | 2;
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Seconds. */
  readonly ttl: number;
  /** Offset of the four TTL bytes. */
  readonly ttlOffset: number;
  readonly dataOffset: number;
  readonly dataLength: number;
}

/** Returns all records of `message` in order, or undefined if it is malformed. */
export function dnsRecords(message: Uint8Array): RecordSpan[] | undefined {
  if (message.length < DNS_HEADER_LENGTH) return undefined;
  let offset = DNS_HEADER_LENGTH;
  for (let left = readU16(message, 4); left > 0; left--) {
    const name = decodeName(message, offset);
    if (name === undefined || name.end + 4 > message.length) return undefined;
    offset = name.end + 4;
  }
  const spans: RecordSpan[] = [];
  for (const section of [0, 1, 2] as const) {
    for (let left = readU16(message, 6 + section * 2); left > 0; left--) {
      const name = decodeName(message, offset);
      if (name === undefined || name.end + 10 > message.length) return undefined;
      const dataOffset = name.end + 10;
      const dataLength = readU16(message, name.end + 8);
      if (dataOffset + dataLength > message.length) return undefined;
      spans.push({
        section,
        name: name.name,
        type: readU16(message, name.end),
        class: readU16(message, name.end + 2),
        ttl: readU32(message, name.end + 4),
        ttlOffset: name.end + 4,
        dataOffset,
        dataLength,
      });
      offset = dataOffset + dataLength;
    }
  }
  return spans;
}

const QR = 0x80;
const TC = 0x02;
const RD = 0x01;
const CLASS_IN = 1;
const OWNER_IS_QUESTION = 0xc000 | DNS_HEADER_LENGTH;
const RECORD_KEYS = { A: "a", AAAA: "aaaa", PTR: "ptr" } as const;
