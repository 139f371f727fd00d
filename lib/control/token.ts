/** What a token looks like: the one rule for what people paste, pipe and store. The token itself is opaque. */

import { err, ok, type Result } from "../base/result.ts";

/** Longest token, in characters; real ones have a few hundred. */
export const MAX_TOKEN_LENGTH = 8192;

/** What can be wrong with text that should be a token. */
export type TokenFlaw = "empty" | "too-long" | "spaced" | "binary";

/**
 * Returns the token in `text`, without the white space around it. A token goes into an HTTP header: anything inside but
 * printable ASCII means that something else was pasted.
 */
export function readTokenText(text: string): Result<string, TokenFlaw> {
  const token = text.trim();
  if (token === "") return err("empty");
  if (token.length > MAX_TOKEN_LENGTH) return err("too-long");
  if (/^[\x21-\x7e]+$/.test(token)) return ok(token);
  return err(/^[\x21-\x7e\s]+$/.test(token) ? "spaced" : "binary");
}

/** Returns the end of a sentence about a text with `flaw`; never the text itself. */
export function describeTokenFlaw(flaw: TokenFlaw): string {
  switch (flaw) {
    case "empty":
      return "it is empty";
    case "too-long":
      return `it is longer than ${MAX_TOKEN_LENGTH} characters`;
    case "spaced":
      return "it has spaces or line breaks inside";
    case "binary":
      return "it has characters that no token has";
  }
}
