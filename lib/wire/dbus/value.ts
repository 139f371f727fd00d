/**
 * Values of D-Bus and their bytes (D-Bus Specification, "Marshalling (Wire Format)"). Both byte orders are read; little
 * endian is written. The types come from a signature, never from the bytes alone.
 */

import { assert } from "../../base/assert.ts";
import { fromUtf8, utf8 } from "../../base/bytes.ts";
import { err, ok, type Result } from "../../base/result.ts";
import { alignmentOf, type DBusType, MAX_SIGNATURE_LENGTH, parseSignature } from "./signature.ts";

/**
 * A value: y n q i u d are numbers, x t bigints, b a boolean, s o g strings, "ay" bytes, other arrays and structs
 * arrays, dictionaries maps.
 */
export type DBusValue =
  | number
  | bigint
  | boolean
  | string
  | Uint8Array
  | Variant
  | readonly DBusValue[]
  | ReadonlyMap<DBusValue, DBusValue>;

/** A value that brings its signature along: exactly one complete type. */
export class Variant {
  readonly signature: string;
  readonly value: DBusValue;

  constructor(signature: string, value: DBusValue) {
    this.signature = signature;
    this.value = value;
  }
}

/** Most bytes of an array, and of anything else here; the specification lets arrays have 64 MiB. */
export const MAX_BODY_LENGTH = 1024 * 1024;
/** "Message Protocol": containers in each other, variants included. */
const MAX_NESTING = 64;

/** Returns the values of `signature` that fill `bytes` exactly, or what is wrong. Keeps no view of `bytes`. */
export function decodeValues(
  bytes: Uint8Array,
  signature: string,
  isLittleEndian: boolean,
): Result<readonly DBusValue[]> {
  const types = parseSignature(signature);
  if (!types.ok) return types;
  const reader = new Reader(bytes, isLittleEndian);
  try {
    const values = types.value.map((type) => reader.read(type, 0));
    return reader.offset === bytes.length ? ok(values) : err("bytes left over");
  } catch (error) {
    if (error instanceof Malformed) return err(error.message);
    throw error;
  }
}

/**
 * Returns `values` in little endian, as `signature` says. Values that do not fit it are a mistake of the caller and break
 * an invariant.
 */
export function encodeValues(signature: string, values: readonly DBusValue[]): Uint8Array {
  const types = parseSignature(signature);
  assert(types.ok, "the signature is valid");
  assert(types.value.length === values.length, "there are as many values as types");
  const writer = new Writer();
  types.value.forEach((type, index) => writer.write(type, values[index]!));
  return writer.finish();
}

/** Returns whether `text` is a path of an object ("Valid Object Paths"). */
export function isObjectPath(text: string): boolean {
  return text === "/" || /^(\/[A-Za-z0-9_]+)+$/.test(text);
}

/** Thrown and caught in this file. */
class Malformed extends Error {}

class Reader {
  offset = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #isLittleEndian: boolean;

  constructor(bytes: Uint8Array, isLittleEndian: boolean) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#isLittleEndian = isLittleEndian;
  }

  read(type: DBusType, depth: number): DBusValue {
    if (depth > MAX_NESTING) throw new Malformed("nested too deep");
    this.#align(alignmentOf(type));
    switch (type.type) {
      case "simple":
        return this.#readSimple(type.code, depth);
      case "struct":
        return type.fields.map((field) => this.read(field, depth + 1));
      case "array":
        return this.#readArray(type.element, depth + 1);
      case "dict":
        return this.#readDict(type.key, type.value, depth + 1);
    }
  }

  #readSimple(code: string, depth: number): DBusValue {
    const little = this.#isLittleEndian;
    switch (code) {
      case "y":
        return this.#view.getUint8(this.#take(1));
      case "b": {
        const value = this.#view.getUint32(this.#take(4), little);
        if (value > 1) throw new Malformed("boolean");
        return value === 1;
      }
      case "n":
        return this.#view.getInt16(this.#take(2), little);
      case "q":
        return this.#view.getUint16(this.#take(2), little);
      case "i":
        return this.#view.getInt32(this.#take(4), little);
      case "u":
        return this.#view.getUint32(this.#take(4), little);
      case "x":
        return this.#view.getBigInt64(this.#take(8), little);
      case "t":
        return this.#view.getBigUint64(this.#take(8), little);
      case "d":
        return this.#view.getFloat64(this.#take(8), little);
      case "s":
        return this.#readText(this.#view.getUint32(this.#take(4), little));
      case "o": {
        const path = this.#readText(this.#view.getUint32(this.#take(4), little));
        if (!isObjectPath(path)) throw new Malformed("object path");
        return path;
      }
      case "g": {
        const signature = this.#readText(this.#view.getUint8(this.#take(1)));
        if (!parseSignature(signature).ok) throw new Malformed("signature");
        return signature;
      }
      default:
        return this.#readVariant(depth + 1);
    }
  }

  #readVariant(depth: number): Variant {
    const signature = this.#readText(this.#view.getUint8(this.#take(1)));
    const types = parseSignature(signature);
    if (!types.ok || types.value.length !== 1) throw new Malformed("signature of a variant");
    return new Variant(signature, this.read(types.value[0]!, depth));
  }

  #readArray(element: DBusType, depth: number): DBusValue {
    const end = this.#beginArray(alignmentOf(element));
    if (element.type === "simple" && element.code === "y") {
      const start = this.#take(end - this.offset);
      return this.#bytes.slice(start, end);
    }
    const values: DBusValue[] = [];
    while (this.offset < end) values.push(this.read(element, depth));
    if (this.offset !== end) throw new Malformed("length of an array");
    return values;
  }

  #readDict(key: DBusType, value: DBusType, depth: number): ReadonlyMap<DBusValue, DBusValue> {
    const end = this.#beginArray(8);
    const entries = new Map<DBusValue, DBusValue>();
    while (this.offset < end) {
      this.#align(8);
      const name = this.read(key, depth);
      entries.set(name, this.read(value, depth));
    }
    if (this.offset !== end) throw new Malformed("length of an array");
    return entries;
  }

  /** Returns where the array ends. The length does not count the padding before the first element. */
  #beginArray(alignment: number): number {
    const length = this.#view.getUint32(this.#take(4), this.#isLittleEndian);
    if (length > MAX_BODY_LENGTH) throw new Malformed("array too long");
    this.#align(alignment);
    const end = this.offset + length;
    if (end > this.#bytes.length) throw new Malformed("truncated");
    return end;
  }

  #readText(length: number): string {
    const start = this.#take(length);
    if (this.#bytes[this.#take(1)] !== 0) throw new Malformed("text without its end");
    const text = fromUtf8(this.#bytes.subarray(start, start + length));
    if (text === undefined || text.includes("\0")) throw new Malformed("text");
    return text;
  }

  #align(alignment: number): void {
    while (this.offset % alignment !== 0) {
      if (this.#bytes[this.#take(1)] !== 0) throw new Malformed("padding");
    }
  }

  /** Returns the offset of the next `length` bytes and goes past them. */
  #take(length: number): number {
    const start = this.offset;
    if (length > this.#bytes.length - start) throw new Malformed("truncated");
    this.offset = start + length;
    return start;
  }
}

class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  #at = 0;

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  write(type: DBusType, value: DBusValue): void {
    this.#align(alignmentOf(type));
    switch (type.type) {
      case "simple":
        return this.#writeSimple(type.code, value);
      case "struct":
        assert(Array.isArray(value) && value.length === type.fields.length, "a struct is an array");
        return type.fields.forEach((field, index) => this.write(field, value[index]!));
      case "array":
        return this.#writeArray(alignmentOf(type.element), () => {
          if (value instanceof Uint8Array) {
            assert(type.element.type === "simple" && type.element.code === "y", "bytes are ay");
            return this.#append(value);
          }
          assert(Array.isArray(value), "an array is an array");
          for (const element of value) this.write(type.element, element);
        });
      case "dict":
        return this.#writeArray(8, () => {
          assert(value instanceof Map, "a dictionary is a map");
          for (const [key, entry] of value) {
            this.#align(8);
            this.write(type.key, key);
            this.write(type.value, entry);
          }
        });
    }
  }

  #writeSimple(code: string, value: DBusValue): void {
    if (typeof value === "number") return this.#writeNumber(code, value);
    if (typeof value === "bigint") {
      assert(code === "x" || code === "t", "a bigint is x or t");
      const view = this.#room(8);
      return code === "x"
        ? view.setBigInt64(this.#at, value, true)
        : view.setBigUint64(this.#at, value, true);
    }
    if (typeof value === "boolean") {
      assert(code === "b", "a boolean is b");
      return this.#room(4).setUint32(this.#at, value ? 1 : 0, true);
    }
    if (typeof value === "string") return this.#writeText(code, value);
    assert(value instanceof Variant && code === "v", "the rest is a variant");
    const types = parseSignature(value.signature);
    assert(types.ok && types.value.length === 1, "a variant has one type");
    this.#writeText("g", value.signature);
    this.write(types.value[0]!, value.value);
  }

  #writeNumber(code: string, value: number): void {
    switch (code) {
      case "y":
        return this.#room(1).setUint8(this.#at, value);
      case "n":
        return this.#room(2).setInt16(this.#at, value, true);
      case "q":
        return this.#room(2).setUint16(this.#at, value, true);
      case "i":
        return this.#room(4).setInt32(this.#at, value, true);
      case "u":
        return this.#room(4).setUint32(this.#at, value, true);
      default:
        assert(code === "d", "a number is one of y n q i u d");
        return this.#room(8).setFloat64(this.#at, value, true);
    }
  }

  #writeText(code: string, text: string): void {
    assert(code === "s" || code === "o" || code === "g", "a string is one of s o g");
    assert(!text.includes("\0"), "text has no zero in it");
    const bytes = utf8(text);
    if (code === "g") {
      assert(bytes.length <= MAX_SIGNATURE_LENGTH, "a signature is short");
      this.#room(1).setUint8(this.#at, bytes.length);
    } else {
      assert(code === "s" || isObjectPath(text), "an object path is one");
      this.#room(4).setUint32(this.#at, bytes.length, true);
    }
    this.#append(bytes);
    this.#grow(1);
  }

  #writeArray(alignment: number, writeElements: () => void): void {
    const at = this.#grow(4);
    this.#align(alignment);
    const start = this.#length;
    writeElements();
    this.#view.setUint32(at, this.#length - start, true);
  }

  #append(bytes: Uint8Array): void {
    const offset = this.#grow(bytes.length);
    this.#bytes.set(bytes, offset);
  }

  #align(alignment: number): void {
    this.#grow((alignment - this.#length % alignment) % alignment);
  }

  /** Returns the view in which `count` further bytes begin at `#at`. */
  #room(count: number): DataView {
    this.#at = this.#grow(count);
    return this.#view;
  }

  /** Returns the offset of `count` further zero bytes. */
  #grow(count: number): number {
    const offset = this.#length;
    this.#length += count;
    assert(this.#length <= MAX_BODY_LENGTH, "a message of ours is small");
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, offset));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return offset;
  }
}
