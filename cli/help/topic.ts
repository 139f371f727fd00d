/** A concept that the manual explains: what `fz help TOPIC` prints, and a section of `fz(1)`. */

import { wrap } from "../table.ts";

/** A part of a topic: a paragraph, or words with what each means. */
export type Block = string | readonly (readonly [term: string, meaning: string])[];

/** A concept. */
export interface Topic {
  readonly name: string;
  /** One line for the list of topics. */
  readonly brief: string;
  readonly blocks: readonly Block[];
}

const INDENT = 2;
/** Meanings begin below their words where these leave less room than this. */
const MIN_MEANING_WIDTH = 40;

/** Returns the text of a topic in lines of at most `width` columns, where its words allow that. */
export function renderTopic(topic: Topic, width: number): string {
  const blocks = topic.blocks.map((block) =>
    typeof block === "string" ? wrap(block, width).join("\n") : renderTerms(block, width)
  );
  return `${[wrap(topic.brief, width).join("\n"), ...blocks].join("\n\n")}\n`;
}

/** Returns words with what each means, beside or, where it is narrow, below. */
export function renderTerms(terms: Exclude<Block, string>, width: number): string {
  const longest = Math.max(...terms.map(([term]) => term.length));
  const column = INDENT + longest + 2;
  const isBeside = width - column >= MIN_MEANING_WIDTH;
  return terms.map(([term, meaning]) => {
    const indent = isBeside ? column : 2 * INDENT;
    const lines = wrap(meaning, width - indent).map((line) => " ".repeat(indent) + line);
    if (isBeside) return (" ".repeat(INDENT) + term).padEnd(column) + lines.join("\n").trimStart();
    return [...wrap(term, width - INDENT).map((line) => " ".repeat(INDENT) + line), ...lines].join("\n");
  }).join("\n");
}
