/** The command line: arguments in, exit code out. Everything a command touches comes in by the context. */

import { runParserSync } from "@optique/core/facade";
import { commandLine, formatMessage, type Message, message } from "@optique/core/message";
import { VERSION } from "../lib/control/version.ts";
import type { CliContext } from "./context.ts";
import { EXIT_OK, exitCodeOf } from "./exit.ts";
import { printError, usesColour } from "./output.ts";
import { type Action, commandIn, commandTree } from "./tree.ts";
import { Fault } from "../lib/base/fault.ts";

const DEFAULT_WIDTH = 80;
const MAX_WIDTH = 110;
const ROOT_FOOTER = message`${commandLine("fz COMMAND --help")} tells the options of a command.`;

/** Runs the command that `args` asks for and returns the exit code. Never throws for what a user can cause. */
export async function run(args: readonly string[], context: CliContext): Promise<number> {
  try {
    const action = parse(args.length === 0 ? ["--help"] : args, context);
    return typeof action === "number" ? action : await action(context);
  } catch (error) {
    printError(context, error);
    return exitCodeOf(error);
  }
}

/** Returns what to do, or the exit code if printing help was all. Throws `Fault` "usage". */
function parse(args: readonly string[], context: CliContext): Action | number {
  const { stdout, env } = context;
  return runParserSync<ReturnType<typeof commandTree>, number, number>(commandTree(env, args), "fz", args, {
    brief: message`Zero-trust network access over WireGuard, from the terminal.`,
    ...(commandIn(args) === undefined ? { footer: ROOT_FOOTER } : {}),
    help: { command: true, option: { names: ["-h", "--help"] }, onShow: () => EXIT_OK },
    version: { value: `fz ${VERSION}`, option: { names: ["-V", "--version"] }, onShow: () => EXIT_OK },
    completion: { command: { hidden: "usage" }, onShow: () => EXIT_OK },
    usageLine: [{ type: "literal", value: "COMMAND" }, { type: "literal", value: "[OPTION]..." }],
    commandList: "top-level",
    showDefault: { prefix: " (default ", suffix: ")" },
    termWidth: "auto",
    colors: usesColour(stdout, env),
    maxWidth: Math.min(stdout.columns ?? DEFAULT_WIDTH, MAX_WIDTH),
    aboveError: "none",
    stdout: (text) => stdout.write(`${text}\n`),
    // Told by `onError` in our own form.
    stderr: () => {},
    onError: (_code, error) => {
      throw usageFault(error, args);
    },
  });
}

function usageFault(error: Message, args: readonly string[]): Fault {
  const text = formatMessage(error, { colors: false, quotes: true }).replaceAll("`", "").replace(/\.$/, "");
  const command = commandIn(args);
  return new Fault("usage", text, { next: `See "fz ${command === undefined ? "" : `${command} `}--help".` });
}
