/**
 * Lines of a JSON text: where it stops being JSON, and where the value of a path stands. `JSON.parse` tells neither, and
 * people who write seed files by hand need both.
 */

import { err, ok, type Result } from "../base/result.ts";

/** A place in a text, counted from 1. */
export interface SyntaxFault {
  readonly line: number;
  readonly column: number;
  /** What is wrong there: `expected "," or "}"`. */
  readonly message: string;
}

/** Returns the line of every value by its path ("resources.0.type"), or where `text` stops being JSON. */
export function linesOf(text: string): Result<ReadonlyMap<string, number>, SyntaxFault> {
  const scanner = new Scanner(text);
  const complaint = scanner.document();
  if (complaint === undefined) return ok(scanner.lines);
  const before = text.slice(0, scanner.at).split("\n");
  return err({ line: before.length, column: before.at(-1)!.length + 1, message: complaint });
}

/** Returns the line of the value at `path`, or of the nearest value around it that exists. */
export function lineAt(lines: ReadonlyMap<string, number>, path: string): number | undefined {
  for (let place = path;; place = place.slice(0, Math.max(0, place.lastIndexOf(".")))) {
    const line = lines.get(place);
    if (line !== undefined || place === "") return line;
  }
}

const MAX_DEPTH = 64;
const SPACE = " \t\r\n";
// deno-lint-ignore no-control-regex -- RFC 8259 §7: control characters must be escaped
const STRING = /"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"/y;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/** Each method reads one thing at `at` and returns what is wrong with it, undefined if nothing is. */
class Scanner {
  readonly lines = new Map<string, number>();
  at = 0;
  readonly #text: string;
  #line = 1;

  constructor(text: string) {
    this.#text = text;
  }

  document(): string | undefined {
    const complaint = this.#value("", 0);
    if (complaint !== undefined) return complaint;
    this.#skipSpace();
    return this.at === this.#text.length ? undefined : "expected nothing more";
  }

  #value(path: string, depth: number): string | undefined {
    if (depth > MAX_DEPTH) return "nested too deeply";
    this.#skipSpace();
    this.lines.set(path, this.#line);
    switch (this.#text[this.at]) {
      case "{":
        return this.#list("}", (index) => this.#member(path, index, depth));
      case "[":
        return this.#list("]", (index) => this.#value(join(path, String(index)), depth + 1));
      case '"':
        return this.#match(STRING) === undefined ? "expected the end of the string on this line" : undefined;
      case undefined:
        return "expected more: the text ends too early";
      default:
        return this.#match(SCALAR) === undefined ? "expected a value" : undefined;
    }
  }

  #member(path: string, _index: number, depth: number): string | undefined {
    this.#skipSpace();
    const key = this.#match(STRING);
    if (key === undefined) return "expected a name in double quotes";
    this.#skipSpace();
    if (!this.#take(":")) return 'expected ":"';
    return this.#value(join(path, JSON.parse(key)), depth + 1);
  }

  #list(end: "}" | "]", item: (index: number) => string | undefined): string | undefined {
    this.at++;
    this.#skipSpace();
    if (this.#take(end)) return undefined;
    for (let index = 0;; index++) {
      const complaint = item(index);
      if (complaint !== undefined) return complaint;
      this.#skipSpace();
      if (this.#take(end)) return undefined;
      if (!this.#take(",")) return `expected "," or "${end}"`;
    }
  }

  #take(character: string): boolean {
    if (this.#text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.#text)?.[0];
    this.at += match?.length ?? 0;
    return match;
  }

  #skipSpace(): void {
    for (; SPACE.includes(this.#text[this.at] ?? "x"); this.at++) {
      if (this.#text[this.at] === "\n") this.#line++;
    }
  }
}

function join(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}
