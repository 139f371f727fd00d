/**
 * The one block of memory that the kernel and native libraries reach by address. A buffer behind a stored address is
 * garbage to V8 as soon as no JavaScript refers to it, so everything that C may touch lives here: the block is held by
 * this module, never grown and never moved. Written by one thread.
 */

import { assert } from "../lib/base/assert.ts";

/** A memory block with an allocator. Offsets count bytes from its start. */
export class Arena {
  /** All of the memory. Views for machines are made with `view`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly data: DataView<ArrayBuffer>;
  /** Imported by WebAssembly modules that work on packets in place. */
  readonly memory: WebAssembly.Memory;
  /** Address of the first byte. */
  readonly base: bigint;
  readonly #baseNumber: number;
  readonly #free = new Map<number, number[]>();
  readonly #recent: Uint8Array<ArrayBuffer>[];
  #top = ALIGNMENT;

  constructor(pages: number) {
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const buffer = this.memory.buffer as ArrayBuffer;
    this.bytes = new Uint8Array(buffer);
    this.data = new DataView(buffer);
    this.#recent = new Array(RECENT_VIEWS).fill(this.bytes.subarray(0, 0));
    const pointer = Deno.UnsafePointer.of(this.bytes);
    assert(pointer !== null, "the arena has an address");
    this.base = Deno.UnsafePointer.value(pointer);
    this.#baseNumber = Number(this.base);
  }

  /** Returns the offset of `length` zeroed bytes, aligned to 16. Throws `RangeError` when the memory is used up. */
  allocate(length: number): number {
    const size = roundUp(length);
    const offset = this.#free.get(size)?.pop() ?? this.#grow(size);
    this.bytes.fill(0, offset, offset + size);
    return offset;
  }

  /** Gives the `length` bytes at `offset` back. Only blocks of the same size are made of them again. */
  release(offset: number, length: number): void {
    const size = roundUp(length);
    const offsets = this.#free.get(size);
    if (offsets === undefined) this.#free.set(size, [offset]);
    else offsets.push(offset);
  }

  /**
   * Returns the address of `offset`, as native functions take it. Where it goes straight into a call it costs nothing:
   * `>>> 0` tells the compiler that the number fits a machine word, so that no BigInt is made.
   */
  address(offset: number): bigint {
    return this.base + BigInt(offset >>> 0);
  }

  /** Returns the address of `bytes` if they lie in this memory, else undefined. */
  addressOf(bytes: Uint8Array): bigint | undefined {
    return bytes.buffer === this.bytes.buffer ? this.base + BigInt(bytes.byteOffset) : undefined;
  }

  /**
   * Returns the `length` bytes at `offset`. A packet comes to lie where one of its size lay before, so recent views are
   * handed out again: making one costs as much as looking at the packet.
   */
  view(offset: number, length: number): Uint8Array<ArrayBuffer> {
    const slot = (offset >> 4) & (RECENT_VIEWS - 1);
    const recent = this.#recent[slot]!;
    if (recent.byteOffset === offset && recent.length === length) return recent;
    return this.#recent[slot] = this.bytes.subarray(offset, offset + length);
  }

  /** Writes the address of `target` as a pointer at `at`. */
  setPointer(at: number, target: number): void {
    this.setU64(at, this.#baseNumber + target);
  }

  /** Writes `value` (a safe integer) as an unsigned 64-bit number in the machine's byte order at `at`. */
  setU64(at: number, value: number): void {
    this.data.setUint32(at, value % 2 ** 32, true);
    this.data.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
  }

  setU32(at: number, value: number): void {
    this.data.setUint32(at, value, true);
  }

  getU32(at: number): number {
    return this.data.getUint32(at, true);
  }

  setU16(at: number, value: number): void {
    this.data.setUint16(at, value, true);
  }

  getU16(at: number): number {
    return this.data.getUint16(at, true);
  }

  /** Writes `text` as a C string at `at`, at most `capacity` bytes with its zero. */
  setText(at: number, text: string, capacity: number): void {
    const encoded = new TextEncoder().encode(text);
    assert(encoded.length < capacity, "a C string fits its buffer");
    this.bytes.set(encoded, at);
    this.bytes[at + encoded.length] = 0;
  }

  /** Returns the C string at `at`, at most `capacity` bytes. */
  getText(at: number, capacity: number): string {
    const field = this.view(at, capacity);
    const end = field.indexOf(0);
    return new TextDecoder().decode(field.slice(0, end < 0 ? capacity : end));
  }

  #grow(size: number): number {
    const offset = this.#top;
    if (offset + size > this.bytes.length) {
      throw new RangeError("Cannot allocate native memory: the arena is full");
    }
    this.#top += size;
    return offset;
  }
}

const ALIGNMENT = 16;
/** A power of two. */
const RECENT_VIEWS = 8192;
const PAGES = 256;

/** The arena of this thread: 16 MiB of address space, resident only where it was touched. */
export const arena: Arena = new Arena(PAGES);

function roundUp(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}
