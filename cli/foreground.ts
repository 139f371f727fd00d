/** Runs a role in the foreground until it ends or a signal ends it. */

import { EXIT_OK, exitCodeOfSignal } from "./exit.ts";
import type { CliContext, Running } from "./context.ts";
import { printNote } from "./output.ts";
import { leaveInterruptedLine } from "./unwanted.ts";

/** How a role is run until it ends. */
export interface ForegroundOptions {
  /** Stop as soon as the role is ready. */
  readonly exitWhenReady?: boolean;
  /** Called once when the role is ready. */
  readonly onReady?: () => void;
  /** Said when a second signal leaves no time to tidy up. */
  readonly leftBehind?: string;
}

/**
 * Starts a role and waits for its end. The first SIGINT or SIGTERM stops it gracefully, the second at once, with its own
 * exit code; SIGHUP resets its paths. Returns the exit code; throws the `Fault` that ended the role.
 */
export async function runForeground(
  context: CliContext,
  start: () => Promise<Running>,
  options: ForegroundOptions = {},
): Promise<number> {
  let running: Running | undefined;
  let stopping = false;
  const stop = async () => {
    stopping = true;
    await running?.stop();
  };
  // From the first moment on, so that no signal takes its default action and leaves things behind.
  const unlisten = context.signals.listen(["SIGINT", "SIGTERM", "SIGHUP"], (name) => {
    if (name === "SIGINT") leaveInterruptedLine(context.stderr);
    if (name === "SIGHUP") running?.reset?.();
    else if (stopping) {
      if (options.leftBehind !== undefined) printNote(context, options.leftBehind);
      context.signals.exit(exitCodeOfSignal(name));
    } else {
      // A failure to stop shows in `done`.
      stop().catch(() => {});
    }
  });
  try {
    running = await start();
    if (stopping) await running.stop();
    running.ready.then(() => {
      if (stopping) return;
      options.onReady?.();
      if (options.exitWhenReady) stop().catch(() => {});
    }, () => {});
    await running.done;
    return EXIT_OK;
  } finally {
    unlisten();
  }
}
