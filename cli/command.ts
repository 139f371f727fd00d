/** What a command is: a name, a parser for its options, and what it does with them. */

import type { Message } from "@optique/core/message";
import type { Parser } from "@optique/core/parser";
import type { CliContext, Environment } from "./context.ts";

/** A command of the tree: how it is parsed and what it does. */
export interface Command<T> {
  readonly name: string;
  /** Other names, not shown in help. */
  readonly aliases?: readonly [string, ...string[]];
  /** One line for the list of commands. */
  readonly brief: Message;
  readonly description: Message;
  /** Examples, shown below the options. */
  readonly footer?: Message;
  /** Returns the parser of the options; defaults come from `env`. */
  options(env: Environment): Parser<"sync", T, unknown>;
  /** Does it and returns the exit code. Failures are thrown as `Fault`. */
  run(options: T, context: CliContext): Promise<number>;
}

/** Returns `command` as it is; the type of its options is inferred. */
export function defineCommand<T>(command: Command<T>): Command<T> {
  return command;
}
