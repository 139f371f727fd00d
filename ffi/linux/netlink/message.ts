/**
 * Netlink messages as bytes (netlink(7), linux/netlink.h): a header, a fixed structure of the message's type, then
 * attributes. In the machine's byte order, little endian, everything aligned to 4. What was received is cut off where
 * it stops to make sense; nothing throws.
 */

import { concatBytes, fromUtf8, readU32Le, utf8, writeU32Le } from "../../../lib/base/bytes.ts";

/** A message that was received. `body` is a view of the bytes that were read. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** What follows the header: a structure, then attributes. */
  readonly body: Uint8Array;
}

/** What is asked of the kernel. */
export interface Request {
  readonly type: number;
  readonly flags: number;
  readonly body: Uint8Array;
}

/** The kernel's refusal. */
export interface NetlinkError {
  /** A number of `Errno`; positive. */
  readonly errno: number;
  /** What the kernel said about it, or else what the number means. Names devices at most. */
  readonly text: string;
}

/** The end of a request: an acknowledgement, a refusal, or the last part of a listing. */
export interface Verdict {
  /** 0 = done as asked. */
  readonly errno: number;
  /** The kernel's own words, where it has any. */
  readonly text: string | undefined;
}

/** Attributes by type; of several with one type the last. The values are views. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

/** Types of messages that belong to no family of requests. */
export const MessageType = { noop: 1, error: 2, done: 3, overrun: 4 } as const;

/** Flags of requests and answers. */
export const MessageFlag = {
  request: 0x1,
  acknowledge: 0x4,
  /** A listing changed while it was read. */
  dumpInterrupted: 0x10,
  dump: 0x300,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  append: 0x800,
  /** The request is not repeated in its refusal. */
  capped: 0x100,
  /** Attributes follow the verdict. */
  explained: 0x200,
} as const;

/** Returns the bytes of `request`. */
export function encodeMessage({ type, flags, body }: Request, sequence: number): Uint8Array {
  const bytes = new Uint8Array(HEADER + align(body.length));
  writeU32Le(bytes, 0, HEADER + body.length);
  writeU32Le(bytes, 4, type | flags << 16);
  writeU32Le(bytes, 8, sequence);
  bytes.set(body, HEADER);
  return bytes;
}

/** Returns the messages in `bytes`, as far as they are whole. */
export function readMessages(bytes: Uint8Array): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at + HEADER <= bytes.length;) {
    const length = readU32Le(bytes, at);
    if (length < HEADER || at + length > bytes.length) break;
    messages.push({
      type: u16(bytes, at + 4),
      flags: u16(bytes, at + 6),
      sequence: readU32Le(bytes, at + 8),
      body: bytes.subarray(at + HEADER, at + length),
    });
    at += align(length);
  }
  return messages;
}

/** Returns the verdict in an "error" or "done" message; undefined if it is neither, or too short. */
export function readVerdict({ type, flags, body }: Message): Verdict | undefined {
  if (type !== MessageType.error && type !== MessageType.done) return undefined;
  if (body.length < 4) return type === MessageType.done ? { errno: 0, text: undefined } : undefined;
  const errno = -(readU32Le(body, 0) | 0);
  let attributes = 4;
  if (type === MessageType.error) {
    if (body.length < 4 + HEADER) return { errno: Math.max(0, errno), text: undefined };
    attributes += (flags & MessageFlag.capped) !== 0 ? HEADER : Math.max(HEADER, align(readU32Le(body, 4)));
  }
  const text = (flags & MessageFlag.explained) === 0
    ? undefined
    : readText(readAttributes(body, attributes).get(NLMSGERR_ATTR_MSG));
  return { errno: Math.max(0, errno), text };
}

/** Returns the attributes from `offset` on, as far as they are whole. */
export function readAttributes(bytes: Uint8Array, offset = 0): Attributes {
  const attributes = new Map<number, Uint8Array>();
  for (let at = offset; at + ATTRIBUTE <= bytes.length;) {
    const length = u16(bytes, at);
    if (length < ATTRIBUTE || at + length > bytes.length) break;
    attributes.set(u16(bytes, at + 2) & TYPE_MASK, bytes.subarray(at + ATTRIBUTE, at + length));
    at += align(length);
  }
  return attributes;
}

/** Returns the bytes of an attribute. */
export function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(align(ATTRIBUTE + value.length));
  writeU32Le(bytes, 0, ATTRIBUTE + value.length | type << 16);
  bytes.set(value, ATTRIBUTE);
  return bytes;
}

/** Returns the bytes of an attribute that holds a 32-bit number. */
export function attribute32(type: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeU32Le(bytes, 0, value);
  return attribute(type, bytes);
}

/** Returns the bytes of an attribute that holds a C string. */
export function attributeText(type: number, text: string): Uint8Array {
  return attribute(type, concatBytes(utf8(text), new Uint8Array(1)));
}

/** Returns the bytes of an attribute that holds attributes. */
export function attributeNest(type: number, ...attributes: Uint8Array[]): Uint8Array {
  return attribute(type | NLA_F_NESTED, concatBytes(...attributes));
}

/** Returns the 8-bit number that an attribute holds, undefined without it. */
export function read8(value: Uint8Array | undefined): number | undefined {
  return value?.[0];
}

/** Returns the 32-bit number that an attribute holds, undefined without it. */
export function read32(value: Uint8Array | undefined): number | undefined {
  return value === undefined || value.length < 4 ? undefined : readU32Le(value, 0);
}

/** Returns the C string that an attribute holds, undefined without it or where it is not UTF-8. */
export function readText(value: Uint8Array | undefined): string | undefined {
  if (value === undefined) return undefined;
  const end = value.indexOf(0);
  return fromUtf8(value.slice(0, end < 0 ? value.length : end));
}

/** Returns the 16-bit number at `offset`. */
export function u16(bytes: Uint8Array, offset: number): number {
  return bytes[offset]! | bytes[offset + 1]! << 8;
}

/** Returns `length` rounded up to where the next thing begins. */
export function align(length: number): number {
  return Math.ceil(length / 4) * 4;
}

/** Returns an object with `key`, empty where there is no value: a field that may be missing. */
export function present<K extends string, V>(key: K, value: V | undefined): { readonly [key in K]?: V } {
  return value === undefined ? {} : { [key]: value } as { [key in K]?: V };
}

/** `struct nlmsghdr`, `struct nlattr`. */
const HEADER = 16;
const ATTRIBUTE = 4;
const NLA_F_NESTED = 0x8000;
/** Without the flags for "nested" and "network byte order". */
const TYPE_MASK = 0x3fff;
const NLMSGERR_ATTR_MSG = 1;
