/** A bounded first-in-first-out queue that forgets its oldest entry when full, and counts what it forgot. */
export class Ring<T> {
  readonly capacity: number;
  #items: T[] = [];
  #dropped = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get length(): number {
    return this.#items.length;
  }

  /** The entry that was added last. */
  get last(): T | undefined {
    return this.#items.at(-1);
  }

  /** How many entries were forgotten because the ring was full. */
  get dropped(): number {
    return this.#dropped;
  }

  push(item: T): void {
    if (this.#items.length === this.capacity) {
      this.#items.shift();
      this.#dropped++;
    }
    this.#items.push(item);
  }

  shift(): T | undefined {
    return this.#items.shift();
  }

  /** Returns all entries, oldest first, and leaves the ring empty. */
  takeAll(): T[] {
    const items = this.#items;
    this.#items = [];
    return items;
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#items[Symbol.iterator]();
  }
}
