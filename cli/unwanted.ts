/** The end of what would go on for ever: Ctrl+C, or nobody reads it any more. */

import type { CliContext, SignalName } from "./context.ts";

/** Signals that end a command which only shows something. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const satisfies readonly SignalName[];

/** Calls `stop` when the command is no longer wanted, until the returned function is called. */
export function whenUnwanted({ signals, stdout, stderr }: CliContext, stop: () => void): () => void {
  let isOver = false;
  const unlisten = signals.listen(SIGNALS, (name) => {
    // The terminal has written "^C" where the next line is to begin.
    if (name === "SIGINT" && stderr.isTerminal) stderr.write("\n");
    stop();
  });
  stdout.untilClosed?.().then(() => isOver || stop());
  return () => {
    isOver = true;
    unlisten();
  };
}
