/** What a command is: a name, a parser for its options, and what it does with them; and groups of commands. */

import type { Message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import type { CliContext, Environment } from "./context.ts";

/** A parsed command line: does what was asked and returns the exit code. */
export type Action = (context: CliContext) => Promise<number>;

/** What commands and groups of commands have in common. */
export interface Described {
  readonly name: string;
  /** Other names, not shown in help. */
  readonly aliases?: readonly [string, ...string[]];
  /** One line for the list of commands. */
  readonly brief: Message;
  readonly description: Message;
  /** Examples, shown below the options. */
  readonly footer?: Message;
}

/** A command as its file writes it down: how it is parsed and what it does. */
export interface CommandDefinition<T> extends Described {
  /** Returns the parser of the options; defaults come from `env`. */
  options(env: Environment): Parser<"sync", T, unknown>;
  /** Does it and returns the exit code. Failures are thrown as `Fault`. */
  run(options: T, context: CliContext): Promise<number>;
}

/** A command of the tree, whatever its options are. */
export interface Command extends Described {
  readonly type: "command";
  /** Returns the parser of what follows the name. */
  parser(env: Environment): Parser<"sync", Action, unknown>;
}

/** A noun with verbs: `fz resource list`. */
export interface Group extends Described {
  readonly type: "group";
  /** In the order of help. */
  readonly commands: readonly Node[];
  /** What the group's name does without a verb; its options are the group's. Without it, help is printed. */
  readonly default?: Command;
}

/** A place in the tree. */
export type Node = Command | Group;

/** Returns the command that `definition` describes; the type of its options is inferred. */
export function defineCommand<T>(definition: CommandDefinition<T>): Command {
  const { options, run, ...described } = definition;
  return {
    type: "command",
    ...described,
    parser: (env) => map(options(env), (parsed): Action => (context) => run(parsed, context)),
  };
}

/** Returns the group that `definition` describes. Groups may hold groups. */
export function defineGroup(definition: Omit<Group, "type">): Group {
  return { type: "group", ...definition };
}
