/**
 * Domain names on the wire (RFC 1035 §3.1, §4.1.4). Hostile names are safe: compression pointers may only point
 * backwards, there are no more of them than labels, and a name is at most 255 bytes long.
 */

/** A decoded name and the offset of the first byte after it. */
export interface DecodedName {
  /**
   * Presentation form in lower case without the trailing dot; "" is the root. Bytes that are not letters, digits,
   * "-" or "_" and the like appear as `\DDD`, so two different names never have the same text.
   */
  readonly name: string;
  readonly end: number;
}

/** Returns the name at `offset` of a whole DNS message, or undefined if there is none. */
export function decodeName(message: Uint8Array, offset: number): DecodedName | undefined {
  const labels: string[] = [];
  let position = offset;
  let lowestPointer = offset;
  let end: number | undefined;
  let pointers = 0;
  let length = 1;
  while (true) {
    const head = message[position];
    if (head === undefined) return undefined;
    if (head === 0) return { name: labels.join("."), end: end ?? position + 1 };
    if ((head & 0xc0) === 0xc0) {
      const low = message[position + 1];
      if (low === undefined) return undefined;
      const target = (head & 0x3f) << 8 | low;
      if (target >= lowestPointer || ++pointers > MAX_POINTERS) return undefined;
      end ??= position + 2;
      lowestPointer = target;
      position = target;
      continue;
    }
    if ((head & 0xc0) !== 0 || position + 1 + head > message.length) return undefined;
    length += head + 1;
    if (length > MAX_NAME_LENGTH) return undefined;
    labels.push(labelText(message, position + 1, head));
    position += head + 1;
  }
}

/** Returns whether `name` (presentation form) can be put on the wire as it is: no escapes, all lengths in range. */
export function isEncodableName(name: string): boolean {
  if (name.length > MAX_NAME_LENGTH - 2) return false;
  if (name === "") return true;
  return name.split(".").every((label) => label.length > 0 && label.length <= 63 && PLAIN_LABEL.test(label));
}

/** Returns whether `name` is the name of a host as RFC 1123 §2.1 has it, "_" allowed; it can go into files and arguments. */
export function isHostName(name: string): boolean {
  return isEncodableName(name) && name !== "" && name.split(".").every((label) => HOST_LABEL.test(label));
}

const MAX_NAME_LENGTH = 255;
/** As many as there can be labels: honest messages have a pointer or two, and chains would cost quadratic time. */
const MAX_POINTERS = 127;
const PLAIN_LABEL = /^[!-[\]-~]+$/;
const HOST_LABEL = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/i;

function labelText(message: Uint8Array, start: number, length: number): string {
  let text = "";
  for (let index = start; index < start + length; index++) {
    const byte = message[index]!;
    if (byte >= 0x41 && byte <= 0x5a) text += String.fromCharCode(byte + 32);
    else if (byte > 0x20 && byte < 0x7f && byte !== DOT && byte !== BACKSLASH) {
      text += String.fromCharCode(byte);
    } else text += "\\" + String(byte).padStart(3, "0");
  }
  return text;
}

const DOT = 0x2e;
const BACKSLASH = 0x5c;
