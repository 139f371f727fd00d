/**
 * Views of the start of one buffer, by their length, each made once: for buffers through which all packets go, where a
 * new view for each packet would cost more than a small packet itself.
 */
export class Prefixes {
  /** The whole buffer. */
  readonly bytes: Uint8Array;
  readonly #views: (Uint8Array | undefined)[];

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#views = new Array(bytes.length + 1).fill(undefined);
  }

  /** Returns the first `length` bytes; the same view each time. */
  of(length: number): Uint8Array {
    return this.#views[length] ??= this.bytes.subarray(0, length);
  }
}
