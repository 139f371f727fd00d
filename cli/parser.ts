/** From the command tree to Optique's parser: only the branch that the command line names is built in full. */

import { group, object, or } from "@optique/core/constructs";
import { type Message, message, text, value } from "@optique/core/message";
import { map, withDefault, WithDefaultError } from "@optique/core/modifiers";
import { type Parser, parseSync } from "@optique/core/parser";
import { command } from "@optique/core/primitives";
import { extractOptionNames, type Usage, type UsageTerm } from "@optique/core/usage";
import type { Action, Command, Described, Group, Node } from "./command.ts";
import type { Environment } from "./context.ts";
import { nearest } from "../lib/base/nearest.ts";
import { meantCommand } from "./suggest.ts";
import { COMMANDS, pathOf, type Route } from "./tree.ts";

type Branch = Parser<"sync", Action, unknown>;

/** Returns the parser of a command line that leads along `route`. */
export function routeParser(route: Route, env: Environment): Branch {
  const [root, ...rest] = route.nodes;
  const errors: Errors = {
    noMatch: message`No command given.`,
    unexpectedInput: (token) => unexpected(token, route, env),
  };
  if (root !== undefined) return oneOf([branch(root, rest, env, errors)], errors);
  const sections = Map.groupBy(route.roots, ({ section }) => section);
  return oneOf(
    [...sections].map(([section, roots]) =>
      group(section, oneOf(roots.map(({ node }) => leaf(node)), errors))
    ),
    errors,
  );
}

interface Errors {
  readonly noMatch: Message;
  unexpectedInput(token: string): Message;
}

/** Returns the parser of `node` and of what follows it: of `rest` alone where it leads on. */
function branch(node: Node, rest: readonly Node[], env: Environment, errors: Errors): Branch {
  if (node.type === "command") return named(node, node.parser(env), commandUsage);
  const [next, ...others] = rest;
  // The footer of a group would stand below the help of each of its commands.
  if (next !== undefined) {
    const { footer: _, ...plain } = node;
    return named(plain, oneOf([branch(next, others, env, errors)], errors));
  }
  return named(node, groupParser(node, env, errors), () => groupUsage(node));
}

function groupParser(node: Group, env: Environment, errors: Errors): Branch {
  const inner = node.commands.map(leaf);
  const { default: own } = node;
  if (own === undefined) return oneOf(inner, errors);
  // Where nothing follows the name, no alternative has anything to choose it by.
  return withDefault(oneOf([...inner, own.parser(env)], errors), (): Action => withoutArguments(own, env), {
    message: [],
  });
}

function withoutArguments(command: Command, env: Environment): Action {
  const parsed = parseSync(command.parser(env), []);
  if (parsed.success) return parsed.value;
  throw new WithDefaultError(parsed.error);
}

function oneOf(parsers: readonly Branch[], errors: Errors): Branch {
  return or(...parsers as readonly Branch[] as readonly [Branch], { errors });
}

/** A command that is only shown: its options are not needed. */
function leaf(node: Node): Branch {
  return named(node, map(object({}), (): Action => () => Promise.resolve(0)));
}

function named(node: Described, parser: Branch, usage?: (usage: Usage) => Usage): Branch {
  const { name, aliases, brief, description, footer } = node;
  return command(name, parser, {
    brief,
    description,
    usageLine: (line) => line.length === 0 || usage === undefined ? line : usage(line),
    ...(footer === undefined ? {} : { footer }),
    ...(aliases === undefined ? {} : { aliases }),
  });
}

const OPTIONS = { type: "literal", value: "[OPTION]..." } as const;

/** Options are listed below, by name; what has to be typed stands in the usage. */
function commandUsage(line: Usage): Usage {
  return [OPTIONS, ...line.flatMap(argumentsOf)];
}

function argumentsOf(term: UsageTerm): Usage {
  switch (term.type) {
    case "option":
      return [];
    case "optional":
    case "multiple":
    case "sequence": {
      const terms = term.terms.flatMap(argumentsOf);
      return terms.length === 0 ? [] : [{ ...term, terms }];
    }
    case "exclusive": {
      const terms = term.terms.map((alternative) => alternative.flatMap(argumentsOf));
      return terms.every(({ length }) => length === 0) ? [] : [{ ...term, terms }];
    }
    default:
      return [term];
  }
}

function groupUsage(node: Group): Usage {
  return [{ type: "literal", value: node.default === undefined ? "COMMAND" : "[COMMAND]" }, OPTIONS];
}

function unexpected(token: string, route: Route, env: Environment): Message {
  const node = route.nodes.at(-1);
  const isOption = token.startsWith("-");
  // What follows "=" may be a secret or long; the name is what was mistyped.
  const name = isOption ? token.split("=")[0]! : token;
  const kind = isOption ? "option" : node?.type === "command" ? "argument" : "command";
  const suggestion = isOption
    ? nearest(name, [...optionsOf(node, env), "--help"])
    : node === undefined
    ? meantCommand(name, commandsOf(node))
    : nearest(name, commandsOf(node));
  if (suggestion === undefined) return message`Unknown ${text(kind)} ${value(name)}.`;
  const path = isOption ? suggestion : `${pathOf(route)} ${suggestion}`.trim();
  return message`Unknown ${text(kind)} ${value(name)}. Did you mean ${value(path)}?`;
}

function commandsOf(node: Node | undefined): readonly string[] {
  if (node === undefined) return COMMANDS.map(({ name }) => name);
  return node.type === "group" ? node.commands.map(({ name }) => name) : [];
}

function optionsOf(node: Node | undefined, env: Environment): Iterable<string> {
  const command = node?.type === "group" ? node.default : node;
  return command === undefined ? [] : extractOptionNames(command.parser(env).usage);
}
