/**
 * Where the statements of a TOML document stand, so that one can be changed and the rest stays as a person wrote it.
 * Only for documents that a parser took; what this scanner makes of others is bounded and of no use.
 */

/** A "key = value" or the head of a table. */
export interface Statement {
  /** The key as it is written, without white space around; of a table, what is between the brackets. */
  readonly keyText: string;
  readonly isTable: boolean;
  /** Counted from 1. */
  readonly line: number;
  readonly column: number;
  /** First character of the first line, and one past the line break of the last. */
  readonly start: number;
  readonly end: number;
  /** The value alone; both are the same of a table. */
  readonly valueStart: number;
  readonly valueEnd: number;
}

/** Returns all statements of `text`, in order. */
export function statementsOf(text: string): readonly Statement[] {
  const statements: Statement[] = [];
  let at = 0;
  let line = 1;
  while (at < text.length) {
    const start = at;
    const content = skipBlank(text, at);
    const first = text[content];
    let end = content;
    let part: Part | undefined;
    if (first === "[") part = readTable(text, content);
    else if (first !== undefined && !"#\r\n".includes(first)) part = readPair(text, content);
    if (part !== undefined) end = part.valueEnd;
    end = afterLine(text, end);
    if (part !== undefined) {
      statements.push({ ...part, line, column: content - start + 1, start, end });
    }
    for (let index = start; index < end; index++) if (text[index] === "\n") line++;
    at = end;
  }
  return statements;
}

type Part = Pick<Statement, "keyText" | "isTable" | "valueStart" | "valueEnd">;

function readTable(text: string, at: number): Part {
  const end = skipUntil(text, at, (letter, depth) => letter === "\n" || (letter === "#" && depth === 0));
  const keyText = text.slice(at, end).trim().replace(/^\[{1,2}|\]{1,2}$/g, "").trim();
  return { keyText, isTable: true, valueStart: end, valueEnd: end };
}

function readPair(text: string, at: number): Part {
  const equals = skipUntil(text, at, (letter) => letter === "=" || letter === "\n");
  const valueStart = skipBlank(text, Math.min(equals + 1, text.length));
  const end = skipUntil(
    text,
    valueStart,
    (letter, depth) => depth === 0 && (letter === "#" || letter === "\n"),
  );
  const value = text.slice(valueStart, end).trimEnd();
  return {
    keyText: text.slice(at, equals).trim(),
    isTable: false,
    valueStart,
    valueEnd: valueStart + value.length,
  };
}

/** Returns where `ends` first holds outside of strings, and of comments inside of brackets; `depth` counts brackets. */
function skipUntil(text: string, from: number, ends: (letter: string, depth: number) => boolean): number {
  let depth = 0;
  let at = from;
  while (at < text.length) {
    const letter = text[at]!;
    if (ends(letter, depth)) return at;
    if (letter === '"' || letter === "'") {
      at = afterString(text, at);
      continue;
    }
    if (letter === "#") {
      const lineEnd = text.indexOf("\n", at);
      at = lineEnd === -1 ? text.length : lineEnd;
      continue;
    }
    if (letter === "[" || letter === "{") depth++;
    if (letter === "]" || letter === "}") depth--;
    at++;
  }
  return text.length;
}

/** Returns the place after the string that begins at `at`; in a basic string a backslash guards what follows it. */
function afterString(text: string, at: number): number {
  const quote = text[at]!;
  const fence = text.startsWith(quote.repeat(3), at) ? quote.repeat(3) : quote;
  let index = at + fence.length;
  while (index < text.length) {
    if (quote === '"' && text[index] === "\\") index += 2;
    else if (text.startsWith(fence, index)) {
      index += fence.length;
      // Up to two quotes may stand before the closing three.
      if (fence.length === 3) { while (text[index] === quote) index++; }
      return index;
    } else index++;
  }
  return text.length;
}

function skipBlank(text: string, from: number): number {
  let at = from;
  while (text[at] === " " || text[at] === "\t") at++;
  return at;
}

function afterLine(text: string, from: number): number {
  const lineEnd = text.indexOf("\n", from);
  return lineEnd === -1 ? text.length : lineEnd + 1;
}
