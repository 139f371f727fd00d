/** `fz help`: the help of a command, or what a concept means. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { multiple } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { Fault } from "../../lib/base/fault.ts";
import { defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_OK } from "../exit.ts";
import type { Topic } from "../help/topic.ts";
import { proseWidth } from "../output.ts";
import { nearest } from "../../lib/base/nearest.ts";
import { meantCommand } from "../suggest.ts";

export const helpCommand = defineCommand({
  name: "help",
  brief: message`Print the help of a command, or explain a topic.`,
  description:
    message`Prints what ${"--help"} prints, or a page about a topic. Without arguments, lists both.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz help run")}${lineBreak()}
  ${commandLine("fz help paths")}`,
  options: () => object({ words: multiple(argument(string({ metavar: "TOPIC" }))) }),
  async run({ words }, context) {
    const { TOPICS } = await import("../help/mod.ts");
    const topic = words.length === 1 ? TOPICS.find(({ name }) => name === words[0]) : undefined;
    const isCommand = await leadsToCommand(words, topic === undefined, TOPICS);
    if (isCommand) await printCommandHelp(words, context);
    if (topic !== undefined) await printTopic(topic, isCommand, context);
    if (words.length === 0) {
      const { renderTerms } = await import("../help/topic.ts");
      const terms = TOPICS.map(({ name, brief }) => [name, brief] as const);
      context.stdout.write(`\nTopics:\n${renderTerms(terms, proseWidth(context.stdout))}\n`);
    }
    return EXIT_OK;
  },
});

/** Returns whether `words` name a command. Throws `Fault` "usage" if they should and do not. */
async function leadsToCommand(
  words: readonly string[],
  isNeeded: boolean,
  topics: readonly Topic[],
): Promise<boolean> {
  const { COMMANDS, findRoute, pathOf } = await import("../tree.ts");
  const route = await findRoute(words);
  if (route.nodes.length === words.length) return true;
  if (!isNeeded) return false;
  const word = words[route.nodes.length]!;
  const last = route.nodes.at(-1);
  const names = COMMANDS.map(({ name }) => name);
  const meant = last === undefined
    ? meantCommand(word, names, topics.map(({ name }) => name))
    : last.type === "group"
    ? nearest(word, last.commands.map(({ name }) => name))
    : undefined;
  const hint = meant === undefined ? "" : `. Did you mean "${`${pathOf(route)} ${meant}`.trim()}"?`;
  const kind = last === undefined ? "command or topic" : "command";
  throw new Fault("usage", `Unknown ${kind} "${word}"${hint}`, {
    next: `See \`${`fz help ${pathOf(route)}`.trim()}\`.`,
  });
}

async function printCommandHelp(words: readonly string[], context: CliContext): Promise<void> {
  const { parse } = await import("../parse.ts");
  await parse([...words, "--help"], context);
}

async function printTopic(topic: Topic, isBelow: boolean, context: CliContext): Promise<void> {
  const { renderTopic } = await import("../help/topic.ts");
  context.stdout.write(`${isBelow ? "\n" : ""}${renderTopic(topic, proseWidth(context.stdout))}`);
}
