/** What may be typed next: the answer to a shell's question, from the command tree and from the running session. */

import { type Suggestion, suggestSync } from "@optique/core/parser";
import { message, text } from "@optique/core/message";
import type { Duration } from "../lib/base/time.ts";
import type { CliContext } from "./context.ts";
import { routeParser } from "./parser.ts";
import { findRoute } from "./tree.ts";
import { expand, factsWanted } from "./values.ts";

/** After this long the shell gets what is known without the session. */
const DEADLINE: Duration = 100;
/** A shell's list of more than this helps nobody. */
const MAX_SUGGESTIONS = 2000;

/** Returns what fits the last of `words`, which may be empty. Never throws: a shell has no use for an error. */
export async function suggestions(
  words: readonly string[],
  context: CliContext,
): Promise<readonly Suggestion[]> {
  try {
    const found = words[0] === "help" && words.length > 1
      ? await helpCandidates(words.slice(1), context)
      : await candidates(words, context);
    return found.slice(0, MAX_SUGGESTIONS);
  } catch {
    return [];
  }
}

async function candidates(words: readonly string[], context: CliContext): Promise<readonly Suggestion[]> {
  const before = words.slice(0, -1);
  const prefix = words.at(-1) ?? "";
  const parser = routeParser(await findRoute(before), context.env);
  // A hyphen alone may begin any option; the long names tell more.
  const [first = "", ...rest] = [...before, prefix === "-" ? "--" : prefix];
  const found = suggestSync(parser, [first, ...rest]);
  const kinds = factsWanted(found);
  const facts = kinds.length === 0 ? {} : await context.host.completionFacts(kinds, DEADLINE);
  const known = expand(found, facts);
  if (prefix.startsWith("-")) return "--help".startsWith(prefix) ? [...known, HELP] : known;
  // Options are many: they wait until they are asked for, unless there is nothing else.
  const names = known.filter((suggestion) =>
    suggestion.kind !== "literal" || !suggestion.text.startsWith("-")
  );
  return names.length > 0 ? names : known;
}

/** `fz help` takes the names of commands, as they are typed, and of topics. */
async function helpCandidates(words: readonly string[], context: CliContext): Promise<readonly Suggestion[]> {
  const commands = (await candidates(words, context)).filter(isLiteralWord);
  if (words.length > 1) return commands;
  const { TOPICS } = await import("./help/mod.ts");
  const topics = TOPICS.filter(({ name }) => name.startsWith(words[0]!));
  return [...commands, ...topics.map(({ name, brief }) => literal(name, brief))];
}

function isLiteralWord(suggestion: Suggestion): boolean {
  return suggestion.kind === "literal" && !suggestion.text.startsWith("-");
}

function literal(name: string, about: string): Suggestion {
  return { kind: "literal", text: name, description: message`${text(about)}` };
}

const HELP = literal("--help", "Show help information.");
