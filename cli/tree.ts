/** The command tree as one value: help, completions and parsing come from it. */

import { or } from "@optique/core/constructs";
import { type Message, message, text, value } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { command } from "@optique/core/primitives";
import { extractOptionNames } from "@optique/core/usage";
import type { Command } from "./command.ts";
import { demoCommand } from "./commands/demo.ts";
import { devCommand } from "./commands/dev.ts";
import { gatewayCommand } from "./commands/gateway.ts";
import { portalCommand } from "./commands/portal.ts";
import { relayCommand } from "./commands/relay.ts";
import { runCommand } from "./commands/run.ts";
import { versionCommand } from "./commands/version.ts";
import type { CliContext, Environment } from "./context.ts";
import { nearest } from "./suggest.ts";

/** A parsed command line: does what was asked and returns the exit code. */
export type Action = (context: CliContext) => Promise<number>;

const COMMANDS = [
  runCommand,
  demoCommand,
  devCommand,
  portalCommand,
  relayCommand,
  gatewayCommand,
  versionCommand,
] as const;

/** Returns the name of the command that `args` begins with, if there is one. */
export function commandIn(args: readonly string[]): string | undefined {
  const first = args[0] ?? "";
  return COMMANDS.find(({ name, aliases }) => name === first || aliases?.includes(first))?.name;
}

/** Names that the runner of the parser adds. */
const BUILT_IN = ["help", "completion"];

/** Returns the parser of the whole command line; `args` is what it is about to read, for better error messages. */
export function commandTree(env: Environment, args: readonly string[]): Parser<"sync", Action, unknown> {
  const branches = [
    branch(runCommand, env),
    branch(demoCommand, env),
    branch(devCommand, env),
    branch(portalCommand, env),
    branch(relayCommand, env),
    branch(gatewayCommand, env),
    branch(versionCommand, env),
  ];
  const name = commandIn(args);
  const chosen = branches.find((candidate) => candidate.name === name);
  const unexpectedInput = (token: string) =>
    unexpected(token, chosen, branches.map((candidate) => candidate.name));
  const errors = { unexpectedInput, noMatch: message`No command given.` };
  return or(...branches.map(({ parser }) => parser), { errors });
}

interface Branch {
  readonly name: string;
  readonly parser: Parser<"sync", Action, unknown>;
  readonly options: Iterable<string>;
}

function branch<T>(definition: Command<T>, env: Environment): Branch {
  const { name, aliases, brief, description, footer } = definition;
  const options = definition.options(env);
  const parser = command(name, options, {
    brief,
    description,
    usageLine: (line) => line.length === 0 ? line : [{ type: "literal", value: "[OPTION]..." }],
    ...(footer === undefined ? {} : { footer }),
    ...(aliases === undefined ? {} : { aliases }),
  });
  return {
    name,
    parser: map(parser, (parsed): Action => (context) => definition.run(parsed, context)),
    options: extractOptionNames(options.usage),
  };
}

function unexpected(token: string, chosen: Branch | undefined, commands: readonly string[]): Message {
  const isOption = token.startsWith("-");
  const candidates = isOption
    ? [...(chosen?.options ?? []), "--help"]
    : chosen === undefined
    ? [...commands, ...BUILT_IN]
    : [];
  const kind = isOption ? "option" : chosen === undefined ? "command" : "argument";
  // What follows "=" may be a secret or long; the name is what was mistyped.
  const name = isOption ? token.split("=")[0]! : token;
  const suggestion = nearest(name, candidates);
  if (suggestion === undefined) return message`Unknown ${text(kind)} ${value(name)}.`;
  return message`Unknown ${text(kind)} ${value(name)}. Did you mean ${value(suggestion)}?`;
}
