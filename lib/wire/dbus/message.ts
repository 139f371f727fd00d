/** Messages of D-Bus: header and body (D-Bus Specification, "Message Protocol"). */

import { concatBytes } from "../../base/bytes.ts";
import { err, ok, type Result } from "../../base/result.ts";
import { type DBusValue, decodeValues, encodeValues, MAX_BODY_LENGTH, Variant } from "./value.ts";

/** What every message has. */
interface Common {
  /** Not 0; counts the messages of one sender. */
  readonly serial: number;
  /** Who sent it, as the bus says: ":1.42". */
  readonly sender?: string | undefined;
  readonly destination?: string | undefined;
  /** Types of the values in `body`. */
  readonly signature: string;
  readonly body: readonly DBusValue[];
}

/** A message. */
export type DBusMessage =
  | (Common & {
    readonly type: "call";
    readonly path: string;
    readonly interface?: string | undefined;
    readonly member: string;
    /** Missing: a service that does not run is started for the call. True: the call fails then. */
    readonly noAutoStart?: true | undefined;
  })
  | (Common & { readonly type: "return"; readonly replySerial: number })
  | (Common & { readonly type: "error"; readonly replySerial: number; readonly errorName: string })
  | (Common & {
    readonly type: "signal";
    readonly path: string;
    readonly interface: string;
    readonly member: string;
  });

/** "Message Types", in the order of their numbers from 1. */
const TYPES = ["call", "return", "error", "signal"] as const;
/** "Header Fields". */
const Field = {
  Path: 1,
  Interface: 2,
  Member: 3,
  ErrorName: 4,
  ReplySerial: 5,
  Destination: 6,
  Sender: 7,
  Signature: 8,
} as const;
/** "Message Format", NO_AUTO_START. */
const NO_AUTO_START = 0x2;
const PROTOCOL_VERSION = 1;
const LITTLE_ENDIAN = 0x6c;
const BIG_ENDIAN = 0x42;
/** Byte order, type, flags, version, length of the body, serial, length of the fields. */
export const FIXED_LENGTH = 16;
/** Longest array of header fields that we read, in bytes. */
const MAX_FIELDS_LENGTH = 65_536;
/** Longest message that we read, in bytes. */
export const MAX_MESSAGE_LENGTH = FIXED_LENGTH + MAX_FIELDS_LENGTH + 8 + MAX_BODY_LENGTH;

/**
 * Returns the length of the message that begins with `bytes`, which are at least `FIXED_LENGTH`; or why that cannot be
 * told: then no later message can be found either.
 */
export function messageLength(bytes: Uint8Array): Result<number> {
  const frame = readFrame(bytes);
  return frame.ok ? ok(frame.value.bodyStart + frame.value.bodyLength) : frame;
}

/** Returns the message that `bytes` are, or what is wrong with it. Types of later protocols are "unknown type". */
export function decodeMessage(bytes: Uint8Array): Result<DBusMessage> {
  const frame = readFrame(bytes);
  if (!frame.ok) return frame;
  const { isLittleEndian, fieldsLength, bodyStart, bodyLength, serial } = frame.value;
  if (bytes.length !== bodyStart + bodyLength) return err("length");
  if (serial === 0) return err("serial");
  for (let offset = FIXED_LENGTH + fieldsLength; offset < bodyStart; offset++) {
    if (bytes[offset] !== 0) return err("padding");
  }
  const header = decodeValues(bytes.subarray(0, FIXED_LENGTH + fieldsLength), "yyyyuua(yv)", isLittleEndian);
  if (!header.ok) return header;
  const fields = new Map(
    (header.value[6] as readonly (readonly [number, Variant])[]).map(([code, variant]) => [code, variant]),
  );
  const text = (code: number, signature = "s"): string | undefined => {
    const variant = fields.get(code);
    return variant?.signature === signature ? variant.value as string : undefined;
  };
  const signature = text(Field.Signature, "g") ?? "";
  const body = decodeValues(bytes.subarray(bodyStart), signature, isLittleEndian);
  if (!body.ok) return body;
  const common = {
    serial,
    sender: text(Field.Sender),
    destination: text(Field.Destination),
    signature,
    body: body.value,
  };
  const path = text(Field.Path, "o");
  const iface = text(Field.Interface);
  const member = text(Field.Member);
  const reply = fields.get(Field.ReplySerial);
  const replySerial = reply?.signature === "u" ? reply.value as number : undefined;
  switch (TYPES[bytes[1]! - 1]) {
    case "call":
      if (path === undefined || member === undefined) return err("missing field");
      return ok({
        ...{ type: "call", ...common, path, interface: iface, member },
        ...((bytes[2]! & NO_AUTO_START) === 0 ? {} : { noAutoStart: true }),
      });
    case "return":
      if (replySerial === undefined) return err("missing field");
      return ok({ type: "return", ...common, replySerial });
    case "error": {
      const errorName = text(Field.ErrorName);
      if (replySerial === undefined || errorName === undefined) return err("missing field");
      return ok({ type: "error", ...common, replySerial, errorName });
    }
    case "signal":
      if (path === undefined || iface === undefined || member === undefined) return err("missing field");
      return ok({ type: "signal", ...common, path, interface: iface, member });
    default:
      return err("unknown type");
  }
}

/** Returns the bytes of `message`. Values that do not fit its signature break an invariant. */
export function encodeMessage(message: DBusMessage): Uint8Array {
  const fields: DBusValue[] = [];
  const add = (code: number, signature: string, value: DBusValue | undefined) => {
    if (value !== undefined) fields.push([code, new Variant(signature, value)]);
  };
  if (message.type === "call" || message.type === "signal") {
    add(Field.Path, "o", message.path);
    add(Field.Interface, "s", message.interface);
    add(Field.Member, "s", message.member);
  } else {
    add(Field.ReplySerial, "u", message.replySerial);
    if (message.type === "error") add(Field.ErrorName, "s", message.errorName);
  }
  add(Field.Destination, "s", message.destination);
  add(Field.Sender, "s", message.sender);
  if (message.signature !== "") add(Field.Signature, "g", message.signature);
  const body = encodeValues(message.signature, message.body);
  const flags = message.type === "call" && message.noAutoStart === true ? NO_AUTO_START : 0;
  const header = encodeValues("yyyyuua(yv)", [
    ...[LITTLE_ENDIAN, 1 + TYPES.indexOf(message.type), flags, PROTOCOL_VERSION],
    ...[body.length, message.serial],
    fields,
  ]);
  return concatBytes(header, new Uint8Array(paddedTo8(header.length) - header.length), body);
}

interface Frame {
  readonly isLittleEndian: boolean;
  readonly serial: number;
  readonly fieldsLength: number;
  readonly bodyStart: number;
  readonly bodyLength: number;
}

function readFrame(bytes: Uint8Array): Result<Frame> {
  if (bytes.length < FIXED_LENGTH) return err("truncated");
  if (bytes[0] !== LITTLE_ENDIAN && bytes[0] !== BIG_ENDIAN) return err("byte order");
  if (bytes[3] !== PROTOCOL_VERSION) return err("version");
  const isLittleEndian = bytes[0] === LITTLE_ENDIAN;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bodyLength = view.getUint32(4, isLittleEndian);
  const fieldsLength = view.getUint32(12, isLittleEndian);
  if (bodyLength > MAX_BODY_LENGTH || fieldsLength > MAX_FIELDS_LENGTH) return err("too long");
  return ok({
    isLittleEndian,
    serial: view.getUint32(8, isLittleEndian),
    fieldsLength,
    bodyStart: paddedTo8(FIXED_LENGTH + fieldsLength),
    bodyLength,
  });
}

function paddedTo8(length: number): number {
  return (length + 7) & ~7;
}
