/** Work that is done one piece after the other, in the order in which it was asked for. */

/** A queue of such work. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Does `work` after all that was asked for before it, whether that went well or not. Settles as `work` does. */
  take<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }
}
