/**
 * Signatures: the text that says of which types D-Bus values are (D-Bus Specification, "Type System"). File descriptors
 * are left out: nobody sends them to a connection that did not ask for them.
 */

import { err, ok, type Result } from "../../base/result.ts";

/** A type of one letter: y byte, b boolean, n q i u x t integers, d double, s text, o object path, g signature, v variant. */
export type SimpleCode = "y" | "b" | "n" | "q" | "i" | "u" | "x" | "t" | "d" | "s" | "o" | "g" | "v";

/** One complete type. */
export type DBusType =
  | { readonly type: "simple"; readonly code: SimpleCode }
  | { readonly type: "array"; readonly element: DBusType }
  | { readonly type: "struct"; readonly fields: readonly DBusType[] }
  | { readonly type: "dict"; readonly key: DBusType; readonly value: DBusType };

/** "Valid Signatures": longest signature in bytes. */
export const MAX_SIGNATURE_LENGTH = 255;
/** "Valid Signatures": deepest nesting of arrays, and of structs; dictionaries are arrays. */
const MAX_DEPTH = 32;

const SIMPLE: ReadonlySet<string> = new Set("ybnqiuxtdsogv");

/** Returns the complete types in `text`, in order, or what is wrong with it. */
export function parseSignature(text: string): Result<readonly DBusType[]> {
  if (text.length > MAX_SIGNATURE_LENGTH) return err("signature too long");
  const types: DBusType[] = [];
  for (let offset = 0; offset < text.length;) {
    const parsed = parseType(text, offset, 0, 0);
    if (parsed === undefined) return err("signature");
    types.push(parsed.found);
    offset = parsed.end;
  }
  return ok(types);
}

/** Returns the alignment of a value of `type` in bytes ("Marshalling (Wire Format)"). */
export function alignmentOf(type: DBusType): 1 | 2 | 4 | 8 {
  if (type.type === "array" || type.type === "dict") return 4;
  if (type.type === "struct") return 8;
  switch (type.code) {
    case "y":
    case "g":
    case "v":
      return 1;
    case "n":
    case "q":
      return 2;
    case "b":
    case "i":
    case "u":
    case "s":
    case "o":
      return 4;
    case "x":
    case "t":
    case "d":
      return 8;
  }
}

interface Parsed {
  readonly found: DBusType;
  /** Where the type ends. */
  readonly end: number;
}

function parseType(text: string, offset: number, arrays: number, structs: number): Parsed | undefined {
  const code = text[offset];
  if (code === undefined || arrays > MAX_DEPTH || structs > MAX_DEPTH) return undefined;
  if (SIMPLE.has(code)) return { found: { type: "simple", code: code as SimpleCode }, end: offset + 1 };
  if (code === "(") return parseStruct(text, offset + 1, arrays, structs + 1);
  if (code !== "a") return undefined;
  if (text[offset + 1] === "{") return parseDict(text, offset + 2, arrays + 1, structs);
  const element = parseType(text, offset + 1, arrays + 1, structs);
  return element && { found: { type: "array", element: element.found }, end: element.end };
}

function parseStruct(text: string, start: number, arrays: number, structs: number): Parsed | undefined {
  const fields: DBusType[] = [];
  let offset = start;
  while (text[offset] !== ")") {
    const field = parseType(text, offset, arrays, structs);
    if (field === undefined) return undefined;
    fields.push(field.found);
    offset = field.end;
  }
  return fields.length === 0 ? undefined : { found: { type: "struct", fields }, end: offset + 1 };
}

function parseDict(text: string, start: number, arrays: number, structs: number): Parsed | undefined {
  const key = parseType(text, start, arrays, structs);
  if (key === undefined || key.found.type !== "simple" || key.found.code === "v") return undefined;
  const value = parseType(text, key.end, arrays, structs);
  if (value === undefined || text[value.end] !== "}") return undefined;
  return { found: { type: "dict", key: key.found, value: value.found }, end: value.end + 1 };
}
