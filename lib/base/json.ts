/** JSON from elsewhere: the value, or where it stops being JSON. The text itself is not repeated: it may be a secret. */

import { err, ok, type Result } from "./result.ts";

/** Returns the value of `text`, or where and what was expected: "line 2, column 5: expected a value". */
export function parseJson(text: string): Result<unknown> {
  try {
    return ok(JSON.parse(text));
  } catch {
    const { position, expected } = findFault(text);
    const before = text.slice(0, position).split("\n");
    return err(`line ${before.length}, column ${before.at(-1)!.length + 1}: expected ${expected}`);
  }
}

type Expected =
  | "a value"
  | '"]" or a value'
  | '"}" or a name'
  | "a name"
  | '":"'
  | '"," or the end'
  | "nothing more";

const SPACE = /[ \t\r\n]*/y;
const WORD = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/** RFC 8259 read up to the first thing that does not fit. */
function findFault(text: string): { readonly position: number; readonly expected: string } {
  const open: ("[" | "{")[] = [];
  let expected: Expected = "a value";
  let position = 0;
  while (true) {
    position = skip(SPACE, text, position);
    if (position >= text.length) return { position, expected };
    const character = text[position]!;
    const closes = (character === "]" && open.at(-1) === "[" && expected !== "a value") ||
      (character === "}" && open.at(-1) === "{" &&
        (expected === '"}" or a name' || expected === '"," or the end'));
    if (closes && expected !== "nothing more") {
      open.pop();
      position++;
      expected = open.length === 0 ? "nothing more" : '"," or the end';
      continue;
    }
    switch (expected) {
      case "nothing more":
        return { position, expected };
      case '":"':
        if (character !== ":") return { position, expected };
        position++;
        expected = "a value";
        continue;
      case '"," or the end':
        if (character !== ",") return { position, expected };
        position++;
        expected = open.at(-1) === "[" ? "a value" : "a name";
        continue;
      case "a name":
      case '"}" or a name': {
        if (character !== '"') return { position, expected };
        const end = stringEnd(text, position);
        if (!end.ok) return { position: end.reason, expected: "the rest of a text" };
        position = end.value;
        expected = '":"';
        continue;
      }
      case "a value":
      case '"]" or a value':
        if (character === "[" || character === "{") {
          open.push(character);
          position++;
          expected = character === "[" ? '"]" or a value' : '"}" or a name';
          continue;
        }
        if (character === '"') {
          const end = stringEnd(text, position);
          if (!end.ok) return { position: end.reason, expected: "the rest of a text" };
          position = end.value;
        } else {
          const end = skip(WORD, text, position);
          if (end === position) return { position, expected };
          position = end;
        }
        expected = open.length === 0 ? "nothing more" : '"," or the end';
    }
  }
}

function stringEnd(text: string, start: number): Result<number, number> {
  for (let index = start + 1; index < text.length;) {
    const character = text[index]!;
    if (character === '"') return ok(index + 1);
    if (character < " ") return err(index);
    if (character !== "\\") index++;
    else {
      const end = skip(ESCAPE, text, index);
      if (end === index) return err(index);
      index = end;
    }
  }
  return err(text.length);
}

function skip(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.test(text) ? pattern.lastIndex : from;
}
