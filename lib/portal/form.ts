/** What browsers send: URL-encoded forms and queries, cookies. Hostile text reads as nothing, never as an error. */

/** Longest form that is read, in characters. */
export const MAX_FORM_LENGTH = 8192;

/** Returns the fields of the URL-encoded `text`; of a repeated one the first. What is malformed or too much is left out. */
export function readForm(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const pair of text.slice(0, MAX_FORM_LENGTH).split("&", MAX_FIELDS)) {
    const at = pair.indexOf("=");
    const name = decodePart(at < 0 ? pair : pair.slice(0, at), true);
    const value = decodePart(at < 0 ? "" : pair.slice(at + 1), true);
    if (name === undefined || value === undefined || name === "" || fields.has(name)) continue;
    fields.set(name, value);
  }
  return fields;
}

/** Returns `fields` as a query, the empty ones left out. */
export function writeForm(fields: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value!.toWellFormed())}`)
    .join("&");
}

/** Returns the segments of `path`, decoded; undefined if one is malformed. */
export function readPath(path: string): readonly string[] | undefined {
  const parts = path.slice(0, MAX_FORM_LENGTH).split("/").filter((part) => part !== "");
  if (parts.length > MAX_FIELDS) return undefined;
  const segments = parts.map((part) => decodePart(part, false));
  return segments.every((segment) => segment !== undefined) ? segments : undefined;
}

/** Returns the value of the cookie `name` in a `cookie` header. */
export function readCookie(header: string | undefined, name: string): string | undefined {
  for (const pair of (header ?? "").slice(0, MAX_FORM_LENGTH).split(";", MAX_FIELDS)) {
    const at = pair.indexOf("=");
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return undefined;
}

function decodePart(text: string, isForm: boolean): string | undefined {
  try {
    return decodeURIComponent(isForm ? text.replaceAll("+", " ") : text);
  } catch {
    return undefined;
  }
}

const MAX_FIELDS = 64;
