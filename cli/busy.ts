/** Tells that something takes a while: a line that moves on a terminal, one plain line elsewhere. */

import type { CliContext } from "./context.ts";
import { exitCodeOfSignal } from "./exit.ts";
import { canRedraw } from "./output.ts";
import { cut } from "./table.ts";

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"] as const;
const FRAME_MS = 100;
/** What is over sooner needs no telling. */
const QUIET_MS = 300;

/** Does `work` and says on standard error what is going on (`Asking the portal`), until it is over. */
export async function withProgress<T>(
  { stderr, env, signals }: CliContext,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  if (!canRedraw(stderr, env)) {
    stderr.write(`fz: ${what} …\n`);
    return await work();
  }
  const startedAt = performance.now();
  let frame = 0;
  let isShown = false;
  const timer = setInterval(() => {
    if (performance.now() - startedAt < QUIET_MS) return;
    isShown = true;
    const line = cut(`${FRAMES[frame++ % FRAMES.length]} ${what}`, (stderr.columns ?? 80) - 1);
    stderr.write(`\r\x1b[K${line}`);
  }, FRAME_MS);
  const clear = () => isShown && stderr.write("\r\x1b[K");
  const unlisten = signals.listen(["SIGINT", "SIGTERM"], (name) => {
    clear();
    signals.exit(exitCodeOfSignal(name));
  });
  try {
    return await work();
  } finally {
    unlisten();
    clearInterval(timer);
    clear();
  }
}
