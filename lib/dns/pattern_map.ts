/**
 * Values found by the names that their patterns match. A lookup costs what the name's length costs, not what the
 * number of patterns does: patterns are filed under the literal labels they end with.
 */

import { compareSpecificity, type Pattern } from "./pattern.ts";

/** What a lookup found. */
export interface PatternMatch<T> {
  readonly pattern: Pattern;
  readonly value: T;
}

/** Values with a pattern and an id each. */
export class PatternMap<T> {
  readonly #bySuffix = new Map<string, Map<string, PatternMatch<T>>>();
  readonly #suffixOfId = new Map<string, string>();

  get size(): number {
    return this.#suffixOfId.size;
  }

  /** Files `value` under `pattern`; an older value of the same id is replaced. */
  set(id: string, pattern: Pattern, value: T): void {
    this.delete(id);
    const suffix = pattern.literalSuffix;
    let entries = this.#bySuffix.get(suffix);
    if (entries === undefined) this.#bySuffix.set(suffix, entries = new Map());
    entries.set(id, { pattern, value });
    this.#suffixOfId.set(id, suffix);
  }

  delete(id: string): void {
    const suffix = this.#suffixOfId.get(id);
    if (suffix === undefined) return;
    this.#suffixOfId.delete(id);
    const entries = this.#bySuffix.get(suffix)!;
    entries.delete(id);
    if (entries.size === 0) this.#bySuffix.delete(suffix);
  }

  /** Returns all values whose pattern matches `name`, the most specific pattern first, then the greater id. */
  match(name: string): PatternMatch<T>[] {
    const lower = name.toLowerCase();
    const found: { id: string; match: PatternMatch<T> }[] = [];
    for (let suffix = lower;; suffix = suffix.slice(suffix.indexOf(".") + 1)) {
      this.#collect(suffix, lower, found);
      if (!suffix.includes(".")) break;
    }
    if (lower !== "") this.#collect("", lower, found);
    found.sort((a, b) =>
      compareSpecificity(a.match.pattern, b.match.pattern) || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0)
    );
    return found.map(({ match }) => match);
  }

  #collect(suffix: string, name: string, found: { id: string; match: PatternMatch<T> }[]): void {
    const entries = this.#bySuffix.get(suffix);
    if (entries === undefined) return;
    for (const [id, match] of entries) {
      if (match.pattern.matches(name)) found.push({ id, match });
    }
  }
}
