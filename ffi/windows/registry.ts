/** What is needed of the registry below HKEY_LOCAL_MACHINE; `native_registry.ts` is the real one. Paths have backslashes. */

/** A value: REG_SZ, REG_MULTI_SZ, REG_DWORD. */
export type RegistryValue = string | readonly string[] | number;

/** The registry. Error numbers are those of Windows; 0 is success. */
export interface Registry {
  hasKey(path: string): boolean;
  /** Returns a value; undefined where there is none, or none of these kinds. */
  read(path: string, name: string): RegistryValue | undefined;
  /** Makes the keys that are missing. Returns the error number. */
  write(path: string, name: string, value: RegistryValue): number;
  /** Removes a value; returns the error number. */
  removeValue(path: string, name: string): number;
  /** Removes a key and all below it; returns the error number. */
  removeKey(path: string): number;
}

/** Kinds of values (winnt.h). */
export const ValueType = { text: 1, number: 4, texts: 7 } as const;

/** Returns the kind and the bytes of `value`: UTF-16 with zeros behind each text, one more behind a list. */
export function encodeValue(
  value: RegistryValue,
): { readonly type: number; readonly bytes: Uint8Array<ArrayBuffer> } {
  if (typeof value === "number") {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    return { type: ValueType.number, bytes };
  }
  const isList = typeof value !== "string";
  const text = isList ? value.map((part) => `${part}\0`).join("") + "\0" : `${value}\0`;
  const bytes = new Uint8Array(text.length * 2);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < text.length; index++) view.setUint16(index * 2, text.charCodeAt(index), true);
  return { type: isList ? ValueType.texts : ValueType.text, bytes };
}

/** Returns what `bytes` of the kind `type` say. Zeros at the end may be missing: any program may have written them. */
export function decodeValue(type: number, bytes: Uint8Array): RegistryValue | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (type === ValueType.number) return bytes.length === 4 ? view.getUint32(0, true) : undefined;
  if (type !== ValueType.text && type !== ValueType.texts) return undefined;
  let text = "";
  for (let at = 0; at + 2 <= bytes.length; at += 2) text += String.fromCharCode(view.getUint16(at, true));
  if (type === ValueType.text) return text.replace(/\0.*$/s, "");
  return text.replace(/\0\0.*$|\0$/s, "").split("\0").filter((part) => part !== "");
}
