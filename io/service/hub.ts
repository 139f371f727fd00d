/** Hands what happens to many readers, each with a queue of its own: one that does not keep up is let go. */

import { Fault } from "../../lib/base/fault.ts";

/** How much a reader may be behind, and how many there may be. */
const MAX_QUEUE = 1024;
const MAX_READERS = 64;

/** Where something is said once and heard by all. */
export class Hub<T> {
  readonly #lastWord: T;
  readonly #readers = new Set<Reader<T>>();
  #isClosed = false;

  /** `lastWord`: what a reader hears that was too slow, before its stream ends. */
  constructor(lastWord: T) {
    this.#lastWord = lastWord;
  }

  /** How many listen. */
  get readers(): number {
    return this.#readers.size;
  }

  /** Tells `item` to everybody who listens. */
  publish(item: T): void {
    for (const reader of this.#readers) {
      if (!reader.push(item)) this.#remove(reader, this.#lastWord);
    }
  }

  /** Returns what is published from now on, after `first`. Ends when `signal` aborts. */
  subscribe(signal: AbortSignal, first: readonly T[] = []): AsyncIterableIterator<T> {
    if (this.#readers.size >= MAX_READERS) {
      throw new Fault("unexpected", `Cannot follow the session: ${MAX_READERS} readers follow it already`);
    }
    const reader = new Reader<T>(first, () => this.#readers.delete(reader));
    if (this.#isClosed || signal.aborted) reader.end();
    else {
      this.#readers.add(reader);
      signal.addEventListener("abort", () => void reader.return(), { once: true });
    }
    return reader;
  }

  /** Ends all streams, after what is in their queues. */
  close(): void {
    this.#isClosed = true;
    for (const reader of this.#readers) this.#remove(reader);
  }

  #remove(reader: Reader<T>, lastWord?: T): void {
    this.#readers.delete(reader);
    reader.end(lastWord);
  }
}

/** One stream. */
class Reader<T> implements AsyncIterableIterator<T> {
  readonly #queue: T[];
  readonly #leave: () => void;
  #waiting: ((result: IteratorResult<T, undefined>) => void) | undefined;
  #hasEnded = false;

  constructor(first: readonly T[], leave: () => void) {
    this.#queue = [...first];
    this.#leave = leave;
  }

  /** Returns false if there is no room. */
  push(item: T): boolean {
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      waiting({ value: item, done: false });
      return true;
    }
    if (this.#queue.length >= MAX_QUEUE) return false;
    this.#queue.push(item);
    return true;
  }

  end(lastWord?: T): void {
    if (lastWord !== undefined) this.#queue.push(lastWord);
    this.#hasEnded = true;
    this.#waiting?.({ value: undefined, done: true });
    this.#waiting = undefined;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#queue.length > 0) return Promise.resolve({ value: this.#queue.shift()!, done: false });
    if (this.#hasEnded) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#waiting = resolve);
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#queue.length = 0;
    this.#leave();
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return this;
  }
}
