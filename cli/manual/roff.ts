/** Text in the language of man pages: man(7) macros. */

import { wrap } from "../table.ts";

/** Escapes make a line longer; formatters complain about more than 80 bytes. */
const LINE_WIDTH = 66;

/** Returns `text` as a line of a page: nothing in it is a macro or an escape. */
export function roff(text: string): string {
  const escaped = text.replace(/\\/g, "\\e").replace(/-/g, "\\-").replace(/~/g, "\\(ti").replace(
    /\^/g,
    "\\(ha",
  )
    .replace(/`/g, "\\(ga").replace(/"/g, "\\(dq").replace(/…/g, "...");
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}

/** Returns `text` as lines of prose, short enough for `diff` and for old formatters. */
export function prose(text: string): string[] {
  return wrap(text, LINE_WIDTH).map(roff);
}

/** Returns `text` in bold. */
export function bold(text: string): string {
  return `\\fB${roff(text)}\\fR`;
}

/** Returns `text` as one argument of a macro. */
export function macroArgument(text: string): string {
  return `"${roff(text)}"`;
}

/** Returns a heading of the page. */
export function section(title: string, ...lines: readonly string[]): string[] {
  return [`.SH ${title}`, ...lines];
}

/** Returns a heading inside a section. */
export function subsection(title: string, ...lines: readonly string[]): string[] {
  return [`.SS ${macroArgument(title)}`, ...lines];
}

/** Returns words, each with what it means. */
export function terms(rows: readonly (readonly [term: string, meaning: string])[]): string[] {
  return rows.flatMap(([term, meaning]) => [
    ".TP",
    bold(term),
    ...(meaning === "" ? ["\\&"] : prose(meaning)),
  ]);
}

/** Returns lines that are printed as they are. */
export function verbatim(lines: readonly string[]): string[] {
  return [".nf", ...lines.map((line) => line === "" ? "\\&" : roff(line)), ".fi"];
}
