/** Rules that replace parts of a text one after another; what one has replaced is safe from those after it. */

/** A part of a text; `isDone` if no rule may look at it any more. */
export interface Piece {
  readonly text: string;
  readonly isDone: boolean;
}

/** What a rule makes of a match: its replacement, pieces in its place, or undefined to leave it to later rules. */
export type Replacement = string | readonly Piece[] | undefined;

/** A pattern and what becomes of what it matches. */
export interface Rule {
  /** With the flag "g". */
  readonly pattern: RegExp;
  replace(match: RegExpExecArray): Replacement;
}

/** Returns a rule. */
export function rule(pattern: RegExp, replace: (match: RegExpExecArray) => Replacement): Rule {
  return { pattern, replace };
}

/** Returns `text` after all `rules`, in their order. */
export function applyRules(rules: readonly Rule[], text: string): string {
  let pieces: Piece[] = [{ text, isDone: false }];
  for (const one of rules) {
    pieces = pieces.flatMap((piece) =>
      piece.isDone || piece.text === "" ? [piece] : applyRule(one, piece.text)
    );
  }
  return pieces.map((piece) => piece.text).join("");
}

function applyRule({ pattern, replace }: Rule, text: string): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    const replacement = replace(match);
    if (replacement === undefined) continue;
    if (match.index > at) pieces.push({ text: text.slice(at, match.index), isDone: false });
    if (typeof replacement === "string") pieces.push({ text: replacement, isDone: true });
    else pieces.push(...replacement);
    at = match.index + match[0].length;
  }
  pieces.push({ text: text.slice(at), isDone: false });
  return pieces;
}
