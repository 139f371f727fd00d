/** `fz status --watch`: a screen that is drawn anew, or a line for each change. */

import { Fault } from "../lib/base/fault.ts";
import { printable } from "../lib/base/text.ts";
import type { StatusDocument } from "../lib/control/api.ts";
import type { Control } from "../lib/control/control.ts";
import type { CliContext, Stream } from "./context.ts";
import { EXIT_OK } from "./exit.ts";
import { canRedraw, describeError, painter, printJson } from "./output.ts";
import { headline, stableText, statusLines } from "./status_text.ts";
import { pause } from "./pause.ts";
import { cut, wrap } from "./table.ts";
import { whenUnwanted } from "./unwanted.ts";

/** How often figures are drawn anew, in milliseconds; events are shown at once. */
const REFRESH_MS = 1000;
/** Many events at once are one change. */
const SETTLE_MS = 50;

/** Shows the status until a signal. Returns the exit code; throws why there is no session any more. */
export async function watchStatus(found: Control, json: boolean, context: CliContext): Promise<number> {
  let control = found;
  let goneSince: number | undefined;
  const abort = new AbortController();
  const unlisten = whenUnwanted(context, () => abort.abort());
  const bell = new Bell(abort.signal);
  try {
    const first = await control.ask("status", {});
    const view = json || !canRedraw(context.stdout, context.env)
      ? new Lines(context, json)
      : new Screen(context);
    try {
      view.show(first);
      void ringOnEvents(() => control, bell, abort.signal);
      while (!abort.signal.aborted) {
        await bell.wait(REFRESH_MS);
        if (abort.signal.aborted) break;
        try {
          view.show(await control.ask("status", {}));
          goneSince = undefined;
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          view.fail(error);
          if (error.code !== "not-running") continue;
          goneSince ??= performance.now();
          const isOver = performance.now() - goneSince >= view.patienceMs;
          control = await replacement(error, isOver, view, context) ?? control;
        }
      }
    } finally {
      view.end();
    }
    return EXIT_OK;
  } finally {
    abort.abort();
    unlisten();
  }
}

/** Returns the session that has taken the place of the one that went with `fault`, if there is one. */
async function replacement(
  fault: Fault,
  isOver: boolean,
  view: View,
  { host }: CliContext,
): Promise<Control | undefined> {
  let why = fault;
  try {
    const control = await host.control("read");
    if (!isOver) return control;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    why = error;
  }
  if (isOver) throw why;
  view.fail(why);
  return undefined;
}

interface View {
  /** How long a session that has gone may take to come back. */
  readonly patienceMs: number;
  show(status: StatusDocument): void;
  /** Shows why there is no status. */
  fail(fault: Fault): void;
  end(): void;
}

/** One line for each change: for pipes. */
class Lines implements View {
  readonly patienceMs = 0;
  readonly #context: CliContext;
  readonly #json: boolean;
  #last = "";

  constructor(context: CliContext, json: boolean) {
    this.#context = context;
    this.#json = json;
  }

  show(status: StatusDocument): void {
    const problem = status.problem === undefined ? "" : `: ${printable(status.problem.message)}`;
    const line = headline(status, false) + problem;
    const text = this.#json ? stableText(status) : line;
    if (text === this.#last) return;
    this.#last = text;
    if (this.#json) printJson(this.#context, status);
    else this.#context.stdout.write(`${new Date().toISOString()} ${line}\n`);
  }

  fail(fault: Fault): void {
    // What ends is told by its end.
    if (fault.code !== "not-running") throw fault;
  }

  end(): void {}
}

/** Other screen, no cursor, and what is too long for a line is cut off instead of going on below. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
/** Comes before a line: after a full one the cursor stands on its last character. */
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** The terminal's other screen, so that what stood there before comes back. */
class Screen implements View {
  /** A service that starts anew takes so long at most. */
  readonly patienceMs = 3000;
  readonly #context: CliContext;
  readonly #stdout: Stream;
  #shown: string | undefined;

  constructor(context: CliContext) {
    this.#context = context;
    this.#stdout = context.stdout;
    this.#stdout.write(ENTER);
  }

  show(status: StatusDocument): void {
    const view = {
      width: this.#stdout.columns,
      nowMs: Date.now(),
      paint: painter(this.#stdout, this.#context.env),
    };
    this.#draw(statusLines(status, view));
  }

  fail(fault: Fault): void {
    const { columns } = this.#stdout;
    const { next } = fault;
    this.#draw([
      ...wrap(describeError(fault), columns),
      ...next === undefined ? [] : wrap(printable(next), columns),
    ]);
  }

  end(): void {
    this.#stdout.write(LEAVE);
  }

  #draw(lines: readonly string[]): void {
    const { columns = 80, rows = lines.length + 1 } = this.#stdout;
    const room = Math.max(rows - 1, 1);
    const shown = lines.length <= room
      ? lines
      : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more lines`];
    const hint = cut("Ctrl+C ends it.", columns);
    const frame = `${HOME}${
      [...shown, hint].map((line) => `${CLEAR_LINE}${line}`).join("\r\n")
    }${CLEAR_BELOW}`;
    // What did not change is not sent over a slow line. A terminal of another size has lost what it showed.
    const key = `${columns} ${rows} ${frame}`;
    if (key !== this.#shown) this.#stdout.write(frame);
    this.#shown = key;
  }
}

/** Wakes whoever waits: at once, or when a time is over. */
class Bell {
  readonly #signal: AbortSignal;
  /** Of the one who waits. */
  #ring: (() => void) | undefined;
  #isRung = false;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#ring?.());
  }

  ring(): void {
    this.#isRung = true;
    this.#ring?.();
  }

  async wait(ms: number): Promise<void> {
    if (this.#signal.aborted) return;
    if (!this.#isRung) await this.#sleep(ms);
    if (this.#isRung && !this.#signal.aborted) await this.#sleep(SETTLE_MS, true);
    this.#isRung = false;
  }

  #sleep(ms: number, isDeaf = false): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#ring = undefined;
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#ring = () => isDeaf && !this.#signal.aborted || wake();
    });
  }
}

/** Follows the session; where that is not possible the status is asked for from time to time only. */
async function ringOnEvents(control: () => Control, bell: Bell, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const _ of control().lines("events", {}, signal)) bell.ring();
    } catch {
      // The status says why.
    }
    await pause(REFRESH_MS, signal);
  }
}
