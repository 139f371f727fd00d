/** Shows how far something has come: one line that is written anew on a terminal, a line a stage in a pipe. */

import { printable } from "../lib/base/text.ts";
import type { Stream } from "./context.ts";
import { formatMs } from "./format.ts";
import { cut, textWidth } from "./table.ts";

const DEFAULT_COLUMNS = 80;

/** The stages of one piece of work. */
export class Stages {
  readonly #stream: Stream;
  readonly #canRedraw: boolean;
  readonly #now: () => number;
  readonly #startedAt: number;
  readonly #stages: string[] = [];
  #current: string;
  #isShown = false;

  /** `current`: what is waited for first. */
  constructor(
    stream: Stream,
    canRedraw: boolean,
    current: string,
    now: () => number = () => performance.now(),
  ) {
    this.#stream = stream;
    this.#canRedraw = canRedraw;
    this.#now = now;
    this.#startedAt = now();
    this.#current = current;
    this.#draw();
  }

  /** A stage was reached; `current` is what is waited for now. */
  reach(stage: string, current: string): void {
    const text = `${stage} ${formatMs(this.#now() - this.#startedAt)}`;
    this.#stages.push(text);
    this.#current = current;
    if (!this.#canRedraw) this.#stream.write(`fz: ${printable(text)}\n`);
    this.#draw();
  }

  /** Says what is in the way. */
  note(text: string): void {
    if (text === this.#current) return;
    this.#current = text;
    if (!this.#canRedraw) this.#stream.write(`fz: ${printable(text)}\n`);
    this.#draw();
  }

  /** Takes the line away. */
  end(): void {
    if (this.#isShown) this.#stream.write("\r\x1b[K");
    this.#isShown = false;
  }

  #draw(): void {
    if (!this.#canRedraw) return;
    this.#isShown = true;
    const width = (this.#stream.columns ?? DEFAULT_COLUMNS) - 1;
    // What is waited for now is what people look for; the first stages make room for it.
    for (let skipped = 0; skipped <= this.#stages.length; skipped++) {
      const line = printable([...this.#stages.slice(skipped), `${this.#current} …`].join(" · "));
      if (textWidth(line) > width && skipped < this.#stages.length) continue;
      return this.#stream.write(`\r\x1b[K${cut(line, width)}`);
    }
  }
}
