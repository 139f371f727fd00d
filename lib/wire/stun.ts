/**
 * STUN messages (RFC 8489), the part that ICE (RFC 8445) and TURN (RFC 8656) need: attributes, XOR addresses,
 * HMAC-SHA1 integrity and fingerprint. Attributes of TURN alone are in `turn.ts`.
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha1 } from "@noble/hashes/legacy.js";
import { equalBytes, fromUtf8, readU16, readU32, utf8, writeU16, writeU32 } from "../base/bytes.ts";
import { IpAddress, SocketAddress } from "../base/ip.ts";
import { err, ok, type Result } from "../base/result.ts";

/** RFC 8489 §5: the class bits of the message type. */
export type StunClass = "request" | "indication" | "success" | "error";

/** RFC 8489 §18.2 and RFC 8656 §17: method numbers. */
export const Method = {
  Binding: 0x001,
  Allocate: 0x003,
  Refresh: 0x004,
  Send: 0x006,
  Data: 0x007,
  CreatePermission: 0x008,
  ChannelBind: 0x009,
} as const;

/** RFC 8489 §18.3, RFC 8445 §20.1, RFC 8656 §18: attribute types. */
export const Attribute = {
  MappedAddress: 0x0001,
  Username: 0x0006,
  MessageIntegrity: 0x0008,
  ErrorCode: 0x0009,
  ChannelNumber: 0x000c,
  Lifetime: 0x000d,
  XorPeerAddress: 0x0012,
  Data: 0x0013,
  Realm: 0x0014,
  Nonce: 0x0015,
  XorRelayedAddress: 0x0016,
  RequestedAddressFamily: 0x0017,
  RequestedTransport: 0x0019,
  XorMappedAddress: 0x0020,
  Priority: 0x0024,
  UseCandidate: 0x0025,
  AdditionalAddressFamily: 0x8000,
  Software: 0x8022,
  AlternateServer: 0x8023,
  Fingerprint: 0x8028,
  IceControlled: 0x8029,
  IceControlling: 0x802a,
} as const;

/** RFC 8489 §14.8: the error a response carries. */
export interface StunError {
  /** 300–699. */
  readonly code: number;
  readonly reason: string;
}

/** Length of the fixed header in bytes. */
const HEADER_LENGTH = 20;
/** Length of a transaction id in bytes. */
export const TRANSACTION_ID_LENGTH = 12;

/** Returns whether `bytes` has the outer form of a STUN message; WireGuard messages and ChannelData never do. */
export function isStun(bytes: Uint8Array): boolean {
  return bytes.length >= HEADER_LENGTH && (bytes[0]! & 0xc0) === 0 && readU32(bytes, 4) === MAGIC_COOKIE &&
    bytes.length === HEADER_LENGTH + readU16(bytes, 2);
}

/** Returns the message in `bytes`, which it keeps a view of, not a copy. Integrity is not verified here. */
export function decodeStun(bytes: Uint8Array): Result<StunMessage> {
  if (!isStun(bytes)) return err("not STUN");
  if (bytes.length % 4 !== 0) return err("length not a multiple of 4");
  const attributes: AttributeView[] = [];
  let integrityOffset: number | undefined;
  for (let offset = HEADER_LENGTH; offset < bytes.length;) {
    if (offset + 4 > bytes.length) return err("truncated attribute");
    const type = readU16(bytes, offset);
    const length = readU16(bytes, offset + 2);
    const end = offset + 4 + length;
    if (end > bytes.length) return err("truncated attribute");
    // RFC 8489 §14.5: what follows MESSAGE-INTEGRITY is not covered by it and must be ignored, FINGERPRINT excepted.
    if (integrityOffset === undefined || type === Attribute.Fingerprint) {
      attributes.push({ type, offset: offset + 4, length });
    }
    if (type === Attribute.MessageIntegrity) integrityOffset ??= offset;
    offset = end + padding(length);
  }
  return ok(new StunMessage(bytes, attributes));
}

/** A decoded message. Getters return undefined for attributes that are absent or malformed. */
export class StunMessage {
  readonly class: StunClass;
  readonly method: number;
  readonly transactionId: Uint8Array;
  readonly #bytes: Uint8Array;
  readonly #attributes: readonly AttributeView[];

  /** Only `decodeStun` makes messages. */
  constructor(bytes: Uint8Array, attributes: readonly AttributeView[]) {
    const type = readU16(bytes, 0);
    this.class = CLASSES[((type >> 4) & 1) | ((type >> 7) & 2)]!;
    this.method = (type & 0x000f) | ((type & 0x00e0) >> 1) | ((type & 0x3e00) >> 2);
    this.transactionId = bytes.slice(8, HEADER_LENGTH);
    this.#bytes = bytes;
    this.#attributes = attributes;
  }

  /** The transaction id as a `Map` key: 24 hex digits. */
  get transactionKey(): string {
    return this.transactionId.toHex();
  }

  /** Returns whether an attribute of `type` is present. */
  has(type: number): boolean {
    return this.#attributes.some((attribute) => attribute.type === type);
  }

  /** Returns the value of the first attribute of `type` (RFC 8489 §14: later ones are ignored). */
  attribute(type: number): Uint8Array | undefined {
    const found = this.#attributes.find((attribute) => attribute.type === type);
    return found && this.#value(found);
  }

  /** Returns the values of all attributes of `type`, in order. */
  attributes(type: number): Uint8Array[] {
    return this.#attributes.filter((attribute) => attribute.type === type).map((found) => this.#value(found));
  }

  /** Returns the first attribute of `type` as text. */
  text(type: number): string | undefined {
    const value = this.attribute(type);
    return value && fromUtf8(value);
  }

  /** Returns the first attribute of `type` as an unsigned 32-bit number. */
  u32(type: number): number | undefined {
    const value = this.attribute(type);
    return value?.length === 4 ? readU32(value, 0) : undefined;
  }

  /** Returns the first attribute of `type` as an XOR address (RFC 8489 §14.2). */
  xorAddress(type: number): SocketAddress | undefined {
    return this.xorAddresses(type)[0];
  }

  /** Returns all attributes of `type` that are XOR addresses, in order. */
  xorAddresses(type: number): SocketAddress[] {
    return this.attributes(type).flatMap((value) => decodeXorAddress(value, this.#bytes) ?? []);
  }

  get username(): string | undefined {
    return this.text(Attribute.Username);
  }

  get priority(): number | undefined {
    return this.u32(Attribute.Priority);
  }

  get useCandidate(): boolean {
    return this.has(Attribute.UseCandidate);
  }

  get mappedAddress(): SocketAddress | undefined {
    return this.xorAddress(Attribute.XorMappedAddress);
  }

  get error(): StunError | undefined {
    const value = this.attribute(Attribute.ErrorCode);
    if (value === undefined || value.length < 4) return undefined;
    const hundreds = value[2]! & 0x07;
    if (hundreds < 3 || hundreds > 6 || value[3]! > 99) return undefined;
    return { code: hundreds * 100 + value[3]!, reason: fromUtf8(value.subarray(4)) ?? "" };
  }

  /** Returns whether MESSAGE-INTEGRITY is present and was made with `key` (RFC 8489 §14.5). */
  verifyIntegrity(key: Uint8Array): boolean {
    const found = this.#attributes.find((attribute) => attribute.type === Attribute.MessageIntegrity);
    if (found === undefined || found.length !== INTEGRITY_LENGTH) return false;
    return equalBytes(this.#value(found), integrity(this.#bytes.subarray(0, found.offset - 4), key));
  }

  /** Returns whether FINGERPRINT is the last attribute and correct (RFC 8489 §14.7). */
  verifyFingerprint(): boolean {
    const found = this.#attributes.at(-1);
    if (found?.type !== Attribute.Fingerprint || found.length !== 4) return false;
    if (found.offset + 4 !== this.#bytes.length) return false;
    return readU32(this.#bytes, found.offset) === fingerprint(this.#bytes.subarray(0, found.offset - 4));
  }

  #value(view: AttributeView): Uint8Array {
    return this.#bytes.subarray(view.offset, view.offset + view.length);
  }
}

/** Builds one message, attribute by attribute in the order of the calls. */
export class StunWriter {
  #bytes = new Uint8Array(256);
  #length = HEADER_LENGTH;

  constructor(method: number, messageClass: StunClass, transactionId: Uint8Array) {
    const classBits = CLASSES.indexOf(messageClass);
    const type = (method & 0x00f) | ((method & 0x070) << 1) | ((method & 0xf80) << 2) |
      ((classBits & 1) << 4) | ((classBits & 2) << 7);
    writeU16(this.#bytes, 0, type);
    writeU32(this.#bytes, 4, MAGIC_COOKIE);
    this.#bytes.set(transactionId.subarray(0, TRANSACTION_ID_LENGTH), 8);
  }

  /** Adds an attribute, padded with zeros to a multiple of 4. */
  add(type: number, value: Uint8Array = EMPTY): this {
    const offset = this.#length;
    this.#reserve(offset + 4 + value.length + padding(value.length));
    writeU16(this.#bytes, offset, type);
    writeU16(this.#bytes, offset + 2, value.length);
    this.#bytes.set(value, offset + 4);
    return this;
  }

  addText(type: number, text: string): this {
    return this.add(type, utf8(text));
  }

  addU32(type: number, value: number): this {
    const bytes = new Uint8Array(4);
    writeU32(bytes, 0, value);
    return this.add(type, bytes);
  }

  /** Adds an XOR address (RFC 8489 §14.2). */
  addXorAddress(type: number, address: SocketAddress): this {
    const { bytes: ip, family } = address.ip;
    const value = new Uint8Array(4 + ip.length);
    value[1] = family === 4 ? 1 : 2;
    writeU16(value, 2, address.port ^ (MAGIC_COOKIE >>> 16));
    for (let index = 0; index < ip.length; index++) value[4 + index] = ip[index]! ^ this.#bytes[4 + index]!;
    return this.add(type, value);
  }

  /** Adds ERROR-CODE (RFC 8489 §14.8). */
  addError(code: number, reason: string): this {
    const text = utf8(reason);
    const value = new Uint8Array(4 + text.length);
    value[2] = Math.floor(code / 100);
    value[3] = code % 100;
    value.set(text, 4);
    return this.add(Attribute.ErrorCode, value);
  }

  /** Adds MESSAGE-INTEGRITY over everything added so far. Only FINGERPRINT may follow. */
  addIntegrity(key: Uint8Array): this {
    return this.add(Attribute.MessageIntegrity, integrity(this.#bytes.subarray(0, this.#length), key));
  }

  /** Adds FINGERPRINT; nothing may follow. */
  addFingerprint(): this {
    return this.addU32(Attribute.Fingerprint, fingerprint(this.#bytes.subarray(0, this.#length)));
  }

  /** Returns the message. */
  finish(): Uint8Array {
    writeU16(this.#bytes, 2, this.#length - HEADER_LENGTH);
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(length: number): void {
    if (length > this.#bytes.length) {
      const grown = new Uint8Array(length * 2);
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#length = length;
  }
}

interface AttributeView {
  readonly type: number;
  /** Of the value, from the start of the message. */
  readonly offset: number;
  readonly length: number;
}

const MAGIC_COOKIE = 0x2112a442;
const FINGERPRINT_XOR = 0x5354554e;
const INTEGRITY_LENGTH = 20;
const EMPTY = new Uint8Array(0);
const CLASSES: readonly StunClass[] = ["request", "indication", "success", "error"];

function padding(length: number): number {
  return -length & 3;
}

function decodeXorAddress(value: Uint8Array, message: Uint8Array): SocketAddress | undefined {
  const ipLength = value[1] === 1 ? 4 : value[1] === 2 ? 16 : undefined;
  if (ipLength === undefined || value.length !== 4 + ipLength) return undefined;
  const ip = value.slice(4);
  for (let index = 0; index < ip.length; index++) ip[index]! ^= message[4 + index]!;
  return new SocketAddress(IpAddress.fromBytes(ip), readU16(value, 2) ^ (MAGIC_COOKIE >>> 16));
}

/** The HMAC is over the message up to the attribute, its header's length reaching to the attribute's end. */
function integrity(covered: Uint8Array, key: Uint8Array): Uint8Array {
  const bytes = covered.slice();
  writeU16(bytes, 2, bytes.length + 4 + INTEGRITY_LENGTH - HEADER_LENGTH);
  return hmac(sha1, key, bytes);
}

function fingerprint(covered: Uint8Array): number {
  const bytes = covered.slice();
  writeU16(bytes, 2, bytes.length + 8 - HEADER_LENGTH);
  return (crc32(bytes) ^ FINGERPRINT_XOR) >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ 0xedb88320;
  return value >>> 0;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 0xff]!;
  return (crc ^ 0xffffffff) >>> 0;
}
