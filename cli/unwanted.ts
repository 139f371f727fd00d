/** The end of what would go on for ever: Ctrl+C, or nobody reads it any more. */

import type { CliContext, SignalName, Stream } from "./context.ts";

/** Signals that end a command which only shows something. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const satisfies readonly SignalName[];

/**
 * Calls `stop` when the command is no longer wanted, with the signal if it was one, until the returned function is
 * called.
 */
export function whenUnwanted(
  { signals, stdout, stderr }: CliContext,
  stop: (signal?: SignalName) => void,
): () => void {
  let isOver = false;
  const unlisten = signals.listen(SIGNALS, (name) => {
    if (name === "SIGINT") leaveInterruptedLine(stderr);
    stop(name);
  });
  stdout.untilClosed?.().then(() => isOver || stop());
  return () => {
    isOver = true;
    unlisten();
  };
}

/** Begins a new line where the terminal has written "^C". */
export function leaveInterruptedLine(stderr: Stream): void {
  if (stderr.isTerminal) stderr.write("\n");
}
