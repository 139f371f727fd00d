/** Values that complete from the running session: names of resources, profiles, log levels, interfaces. */

import { message, text } from "@optique/core/message";
import type { Suggestion } from "@optique/core/parser";
import { string, type ValueParser } from "@optique/core/valueparser";
import type { CompletionFacts, FactKind } from "../lib/control/completion.ts";

/** A resource: its name, its address or its id. */
export const RESOURCE: ValueParser<"sync", string> = known("RESOURCE", "resource");

/** The name of a profile. */
export const PROFILE: ValueParser<"sync", string> = known("PROFILE", "profile");

/** The name of a network interface. */
export const INTERFACE: ValueParser<"sync", string> = known("INTERFACE", "interface");

/** How much to log: a level, or a list such as "info,ice=trace". */
export const LEVEL: ValueParser<"sync", string> = {
  ...string({ metavar: "LEVEL" }),
  *suggest(prefix) {
    for (const level of ["error", "warn", "info", "debug", "trace"]) {
      if (level.startsWith(prefix)) yield { kind: "literal", text: level };
    }
  },
};

/** Returns which names are needed to tell what `suggestions` stand for. */
export function factsWanted(suggestions: readonly Suggestion[]): readonly FactKind[] {
  const placeholders = suggestions.map(placeholderIn).filter((placeholder) => placeholder !== undefined);
  // What begins with a hyphen is going to be an option.
  const wanted = placeholders.filter(({ before, prefix }) => before !== "" || !prefix.startsWith("-"));
  return [...new Set(wanted.map(({ kind }) => kind))];
}

/** Returns `suggestions` with names in place of what stands for them. */
export function expand(suggestions: readonly Suggestion[], facts: CompletionFacts): readonly Suggestion[] {
  return suggestions.flatMap((suggestion): readonly Suggestion[] => {
    const placeholder = placeholderIn(suggestion);
    if (placeholder === undefined) return [suggestion];
    const { before, kind, prefix } = placeholder;
    return (facts[kind] ?? []).filter(({ name }) => name.startsWith(prefix) && isTypeable(name)).map((
      fact,
    ) => ({
      kind: "literal",
      text: before + fact.name,
      ...(fact.note === undefined ? {} : { description: message`${text(fact.note)}` }),
    }));
  });
}

/**
 * Returns a value that any text is good for. Its suggestions are placeholders, since parsers do not wait for a session;
 * arguments of a process never hold the character that marks them.
 */
function known(metavar: "RESOURCE" | "PROFILE" | "INTERFACE", kind: FactKind): ValueParser<"sync", string> {
  const base = string({ metavar });
  return {
    ...base,
    parse: (input) => input === "" ? { success: false, error: message`It is empty.` } : base.parse(input),
    *suggest(prefix) {
      yield { kind: "literal", text: `${MARK}${kind}${MARK}${prefix}` };
    },
  };
}

const MARK = "\0";

interface Placeholder {
  /** What the name is attached to: "--profile=". */
  readonly before: string;
  readonly kind: FactKind;
  readonly prefix: string;
}

function placeholderIn(suggestion: Suggestion): Placeholder | undefined {
  if (suggestion.kind !== "literal" || !suggestion.text.includes(MARK)) return undefined;
  const [before = "", kind, prefix = ""] = suggestion.text.split(MARK);
  return { before, kind: kind as FactKind, prefix };
}

/** Line breaks, tabs and control characters cannot be typed, and would break what shells are told. */
function isTypeable(name: string): boolean {
  // deno-lint-ignore no-control-regex
  return name !== "" && !/[\x00-\x1f\x7f-\x9f\u2028\u2029]/.test(name);
}
