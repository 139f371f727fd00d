/** The story that a running role tells (FZ_EVENTS), read while it is being written. */

import type { RunEvent } from "../../../lib/control/event.ts";
import { PATIENCE_MS } from "./patience.ts";

type Named<E extends RunEvent["event"]> = Extract<RunEvent, { event: E }> & { readonly time: string };

export class Events {
  readonly #path: string;

  /** `path` is the file as this process sees it; it need not exist yet. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Returns all events so far, in order. */
  all(): (RunEvent & { readonly time: string })[] {
    let text: string;
    try {
      text = Deno.readTextFileSync(this.#path);
    } catch {
      return [];
    }
    return text.slice(0, text.lastIndexOf("\n") + 1).split("\n").filter((line) => line !== "")
      .map((line) => JSON.parse(line));
  }

  /** Returns how many events there are so far: where a later `waitFor` should begin. */
  mark(): number {
    return this.all().length;
  }

  /** Returns the first event `name` from index `from` on that `accepts`; throws after `timeoutMs`. */
  async waitFor<E extends RunEvent["event"]>(
    name: E,
    options: { from?: number; accepts?: (event: Named<E>) => boolean; timeoutMs?: number } = {},
  ): Promise<Named<E>> {
    const { from = 0, accepts = () => true, timeoutMs = PATIENCE_MS } = options;
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const events = this.all();
      for (const event of events.slice(from)) {
        if (event.event === name && accepts(event as Named<E>)) return event as Named<E>;
      }
      if (performance.now() > deadline) {
        const story = events.map((event) => JSON.stringify(event)).join("\n");
        throw new Error(`No event "${name}" within ${timeoutMs} ms; there were:\n${story}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
