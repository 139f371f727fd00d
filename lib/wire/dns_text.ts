/** DNS messages in words: names of types and codes, and record data as a person writes it. Nothing here decides. */

import { IpAddress } from "../base/ip.ts";
import { readU16, readU32, toHex } from "../base/bytes.ts";
import { dnsRecords, type RecordSpan, RecordType, responseCode } from "./dns.ts";
import { decodeName } from "./dns_name.ts";

/** A record for people: `data` as in a zone file. */
export interface DnsRecordText {
  readonly section: "answer" | "authority" | "additional";
  readonly name: string;
  readonly type: string;
  /** Seconds. */
  readonly ttl: number;
  readonly data: string;
}

/** A response for people. */
export interface DnsMessageText {
  /** "NOERROR", "NXDOMAIN", … */
  readonly code: string;
  readonly records: readonly DnsRecordText[];
}

/** Returns `message` in words, or undefined if it is malformed. OPT records are left out. */
export function describeDnsMessage(message: Uint8Array): DnsMessageText | undefined {
  const spans = dnsRecords(message);
  if (spans === undefined) return undefined;
  return {
    code: responseCodeName(responseCode(message)),
    records: spans.filter((span) => span.type !== RecordType.opt).map((span) => ({
      section: SECTIONS[span.section],
      name: span.name,
      type: recordTypeName(span.type),
      ttl: span.ttl,
      data: recordData(message, span),
    })),
  };
}

/** Returns the mnemonic of a record type, or `TYPE<number>` (RFC 3597 §5). */
function recordTypeName(type: number): string {
  for (const [name, value] of Object.entries(RecordType)) {
    if (value === type) return name.toUpperCase();
  }
  return `TYPE${type}`;
}

/** Returns the number of a record type's mnemonic in any case, or undefined. */
export function recordTypeNumber(name: string): number | undefined {
  const known = (RecordType as Readonly<Record<string, number>>)[name.toLowerCase()];
  if (known !== undefined) return known;
  const match = /^type(\d{1,5})$/i.exec(name);
  return match !== null && Number(match[1]) <= 65535 ? Number(match[1]) : undefined;
}

/** Returns the mnemonic of a response code, or `RCODE<number>`. */
function responseCodeName(code: number): string {
  return CODES[code] ?? `RCODE${code}`;
}

/** Returns the addresses of all A and AAAA records in the answer section, in order. */
export function answerAddresses(message: Uint8Array): IpAddress[] {
  const addresses: IpAddress[] = [];
  for (const span of dnsRecords(message) ?? []) {
    if (span.section !== 0) continue;
    if (isAddress(span)) addresses.push(IpAddress.fromBytes(message, span.dataOffset, span.dataLength));
  }
  return addresses;
}

const SECTIONS = ["answer", "authority", "additional"] as const;
const CODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

function isAddress(span: RecordSpan): boolean {
  return (span.type === RecordType.a && span.dataLength === 4) ||
    (span.type === RecordType.aaaa && span.dataLength === 16);
}

function recordData(message: Uint8Array, span: RecordSpan): string {
  const { dataOffset: start, dataLength: length } = span;
  const name = (offset: number) => (decodeName(message, start + offset)?.name ?? "?") + ".";
  if (isAddress(span)) return IpAddress.fromBytes(message, start, length).toString();
  switch (span.type) {
    case RecordType.cname:
    case RecordType.ns:
    case RecordType.ptr:
      return name(0);
    case RecordType.mx:
      if (length < 3) break;
      return `${readU16(message, start)} ${name(2)}`;
    case RecordType.srv:
      if (length < 7) break;
      return `${readU16(message, start)} ${readU16(message, start + 2)} ${readU16(message, start + 4)} ${
        name(6)
      }`;
    case RecordType.txt:
      return txtStrings(message.subarray(start, start + length)).join(" ");
    case RecordType.soa: {
      const primary = decodeName(message, start);
      const mailbox = primary && decodeName(message, primary.end);
      if (mailbox === undefined || mailbox.end + 20 > message.length) break;
      const numbers = [0, 4, 8, 12, 16].map((offset) => readU32(message, mailbox.end + offset));
      return `${primary!.name}. ${mailbox.name}. ${numbers.join(" ")}`;
    }
  }
  return `\\# ${length} ${toHex(message.subarray(start, start + length))}`.trimEnd();
}

function txtStrings(data: Uint8Array): string[] {
  const strings: string[] = [];
  for (let offset = 0; offset < data.length; offset += data[offset]! + 1) {
    const bytes = data.subarray(offset + 1, offset + 1 + data[offset]!);
    const text = Array.from(
      bytes,
      (byte) =>
        byte >= 0x20 && byte < 0x7f
          ? String.fromCharCode(byte).replace(/["\\]/, "\\$&")
          : `\\${String(byte).padStart(3, "0")}`,
    );
    strings.push(`"${text.join("")}"`);
  }
  return strings;
}
