/**
 * IP addresses as text: RFC 4291 §2.2 in, RFC 5952 out. Written here because every command starts with it, and loading a
 * CommonJS package takes longer than all the rest of `fz status`; tests compare it with that package.
 */

/** Returns the 4 or 16 bytes that `text` denotes, or undefined. No brackets, no prefix length, no scope. */
export function parseAddress(text: string): Uint8Array | undefined {
  return text.includes(":") ? parse6(text) : parse4(text);
}

/** Returns the canonical text of 4 or 16 bytes: dotted quad, or RFC 5952. */
export function formatAddress(bytes: Uint8Array): string {
  return bytes.length === 4 ? bytes.join(".") : format6(bytes);
}

/** Leading zeros are turned down: to some they mean octal. */
const DOTTED_QUAD = /^(?:(?:0|[1-9]\d{0,2})\.){3}(?:0|[1-9]\d{0,2})$/;
const GROUP = /^[\da-f]{1,4}$/i;
const GROUPS = 8;

function parse4(text: string): Uint8Array | undefined {
  if (!DOTTED_QUAD.test(text)) return undefined;
  const parts = text.split(".").map(Number);
  return parts.every((part) => part <= 255) ? Uint8Array.from(parts) : undefined;
}

function parse6(text: string): Uint8Array | undefined {
  const [head = "", tail, more] = text.split("::");
  if (more !== undefined) return undefined;
  const before = groupsOf(head, tail === undefined);
  const after = tail === undefined ? [] : groupsOf(tail, true);
  if (before === undefined || after === undefined) return undefined;
  const missing = GROUPS - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...before, ...Array<number>(missing).fill(0), ...after];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/** Only the end of an address may be a dotted quad. */
function groupsOf(text: string, isEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const quad = isEnd && parts.at(-1)!.includes(".") ? parse4(parts.pop()!) : undefined;
  if (!parts.every((part) => GROUP.test(part))) return undefined;
  const groups = parts.map((part) => parseInt(part, 16));
  if (quad !== undefined) groups.push(quad[0]! << 8 | quad[1]!, quad[2]! << 8 | quad[3]!);
  return quad === undefined && isEnd && text.includes(".") ? undefined : groups;
}

function format6(bytes: Uint8Array): string {
  const groups = Array.from({ length: GROUPS }, (_, index) => bytes[2 * index]! << 8 | bytes[2 * index + 1]!);
  // The longest run of zeros, the first of several; one group alone is not shortened (§4.2).
  let start = -1;
  let length = 1;
  for (let from = 0; from < GROUPS; from++) {
    let to = from;
    while (to < GROUPS && groups[to] === 0) to++;
    if (to - from > length) [start, length] = [from, to - from];
    if (to > from) from = to;
  }
  const hex = groups.map((group) => group.toString(16));
  if (start < 0) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}
