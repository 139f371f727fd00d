/**
 * The pattern language of DNS resources: `?` is one character, `*` any number of them inside one label, `**` zero or
 * more whole labels, a leading `*.` or `**.` also matches the bare parent. Matching takes time linear in the product
 * of both lengths, whatever the pattern: there is no backtracking to blow up.
 */

import { assert } from "../base/assert.ts";

/** A compiled pattern. */
export class Pattern {
  /** As the portal wrote it, in lower case, without a trailing dot. */
  readonly text: string;
  /** The longest run of whole literal labels at the end ("example.com" of "*.example.com"); "" if there is none. */
  readonly literalSuffix: string;
  readonly #labels: readonly string[];
  readonly #parent: string | undefined;

  private constructor(text: string) {
    this.text = text;
    this.#labels = text.split(".");
    this.#parent = /^\*{1,2}\.(.+)$/.exec(text)?.[1];
    let first = this.#labels.length;
    while (first > 0 && !/[*?]/.test(this.#labels[first - 1]!)) first--;
    this.literalSuffix = this.#labels.slice(first).join(".");
  }

  /** Returns the pattern, or undefined if it is not one: empty labels, `**` that is no whole label, `[…]` classes. */
  static parse(text: string): Pattern | undefined {
    const plain = (text.endsWith(".") ? text.slice(0, -1) : text).toLowerCase();
    if (plain.length > MAX_PATTERN_LENGTH || !/^[!-Z^-~]+$/.test(plain)) return undefined;
    const valid = plain.split(".").every((label) =>
      label !== "" && (label === "**" || !label.includes("**"))
    );
    return valid ? new Pattern(plain) : undefined;
  }

  /** Returns the pattern; for literals in code. */
  static from(text: string): Pattern {
    const pattern = Pattern.parse(text);
    assert(pattern !== undefined, `"${text}" is a pattern`);
    return pattern;
  }

  get isLiteral(): boolean {
    return this.literalSuffix === this.text;
  }

  /** Returns whether `name` (presentation form, any case, no trailing dot) matches. Names with escapes never do. */
  matches(name: string): boolean {
    const lower = name.toLowerCase();
    if (lower === "" || lower.includes("\\")) return false;
    if (this.isLiteral) return lower === this.text;
    if (lower === this.#parent) return true;
    return matchLabels(this.#labels, lower.split("."));
  }
}

/**
 * Orders patterns from the most specific to the least, as `Array.sort` wants it. Compared from the end: the shorter
 * one first; where they differ a literal comes before `?` before `*`.
 */
export function compareSpecificity(a: Pattern, b: Pattern): number {
  const [left, right] = [a.text, b.text];
  for (let back = 1;; back++) {
    const leftEnds = back > left.length;
    const rightEnds = back > right.length;
    if (leftEnds || rightEnds) return leftEnds === rightEnds ? 0 : leftEnds ? -1 : 1;
    const leftCode = left.charCodeAt(left.length - back);
    const rightCode = right.charCodeAt(right.length - back);
    if (leftCode === rightCode) continue;
    const byKind = kind(leftCode) - kind(rightCode);
    // Two different literals at the same place never match the same name; any fixed order will do.
    return byKind !== 0 ? byKind : rightCode - leftCode;
  }
}

const MAX_PATTERN_LENGTH = 253;
const STAR = 0x2a;
const QUESTION_MARK = 0x3f;

function kind(code: number): number {
  return code === STAR ? 2 : code === QUESTION_MARK ? 1 : 0;
}

/** Row by row over the pattern: `reach[i]` says whether the pattern so far matches the first `i` labels. */
function matchLabels(pattern: readonly string[], labels: readonly string[]): boolean {
  let reach = new Array<boolean>(labels.length + 1).fill(false);
  reach[0] = true;
  for (const [index, part] of pattern.entries()) {
    const next = new Array<boolean>(labels.length + 1).fill(false);
    if (part === "**") {
      // At the very end, `**` needs a label to stand for: the dot before it is literal.
      const shift = index === pattern.length - 1 ? 1 : 0;
      let reached = false;
      for (let count = 0; count <= labels.length; count++) {
        if (shift === 1) next[count] = reached;
        reached ||= reach[count]!;
        if (shift === 0) next[count] = reached;
      }
    } else {
      for (let count = 0; count < labels.length; count++) {
        next[count + 1] = reach[count]! && matchLabel(part, labels[count]!);
      }
    }
    reach = next;
  }
  return reach[labels.length]!;
}

/** Greedy match of `?` and `*` with one point to return to, the last star: enough for a single label. */
function matchLabel(pattern: string, label: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  let position = 0;
  while (position < label.length) {
    const code = at < pattern.length ? pattern.charCodeAt(at) : -1;
    if (code === STAR) {
      star = at++;
      resume = position;
    } else if (code === QUESTION_MARK || code === label.charCodeAt(position)) {
      at++;
      position++;
    } else if (star >= 0) {
      at = star + 1;
      position = ++resume;
    } else {
      return false;
    }
  }
  while (at < pattern.length && pattern.charCodeAt(at) === STAR) at++;
  return at === pattern.length;
}
