/** The command line: arguments in, exit code out. Everything a command touches comes in by the context. */

import { VERSION } from "../lib/control/version.ts";
import type { CliContext } from "./context.ts";
import { EXIT_OK, exitCodeOf } from "./exit.ts";
import { printError } from "./output.ts";

/** Runs the command that `args` asks for and returns the exit code. Never throws for what a user can cause. */
export async function run(args: readonly string[], context: CliContext): Promise<number> {
  try {
    if (args.length === 1 && (args[0] === "--version" || args[0] === "-V")) {
      // Answered without the parser: loading it takes most of the time.
      context.stdout.write(`fz ${VERSION}\n`);
      return EXIT_OK;
    }
    const { parse } = await import("./parse.ts");
    const action = await parse(args, context);
    return typeof action === "number" ? action : await action(context);
  } catch (error) {
    printError(context, error);
    return exitCodeOf(error);
  }
}
