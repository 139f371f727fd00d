/** Text from elsewhere on its way to people. */

/**
 * Returns `text` with "?" for every character that is no mark on the screen (controls, also of 8 bits, formats that
 * turn the direction of writing, line separators), so that nobody writes to a terminal by a name of his. What is
 * longer than `limit` characters ends in "…".
 */
export function printable(text: string, limit = Infinity): string {
  const short = text.length > limit ? `${text.slice(0, Math.max(limit - 1, 0))}…` : text;
  return short.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
}

/** Returns the beginning of an id: enough for people to tell a few of them apart. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}
