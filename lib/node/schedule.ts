/** When each of many items is due: a binary heap in which superseded entries stay until they come up. */

import type { Instant } from "../base/time.ts";

export class Schedule<T> {
  #heap: Entry<T>[] = [];
  readonly #current = new Map<T, Entry<T>>();

  /** Returns the instant at which the first item is due, or undefined if none is. */
  get nextAt(): Instant | undefined {
    this.#dropStale();
    return this.#heap[0]?.at;
  }

  /** Returns when `item` is due. */
  dueAt(item: T): Instant | undefined {
    return this.#current.get(item)?.at;
  }

  /** Makes `item` due at `at`, or never. */
  set(item: T, at: Instant | undefined): void {
    const known = this.#current.get(item);
    if (known?.at === at) return;
    if (at === undefined) {
      this.#current.delete(item);
      return;
    }
    const entry = { at, item };
    this.#current.set(item, entry);
    this.#push(entry);
    if (this.#heap.length > 2 * this.#current.size + SLACK) this.#rebuild();
  }

  /** Returns the items that are due at `now`, earliest first, and forgets when they were. */
  takeAll(now: Instant): T[] {
    const due: T[] = [];
    for (;;) {
      this.#dropStale();
      const first = this.#heap[0];
      if (first === undefined || first.at > now) return due;
      this.#pop();
      this.#current.delete(first.item);
      due.push(first.item);
    }
  }

  #dropStale(): void {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (this.#current.get(first.item) === first) return;
      this.#pop();
    }
  }

  #rebuild(): void {
    this.#heap = [...this.#current.values()].sort((a, b) => a.at - b.at);
  }

  #push(entry: Entry<T>): void {
    const heap = this.#heap;
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (heap[parent]!.at <= entry.at) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++;
      if (heap[child]!.at >= last.at) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}

interface Entry<T> {
  readonly at: Instant;
  readonly item: T;
}

const SLACK = 64;
