/**
 * What native ciphers have in common: how packets get to them and back. Packets stay where they lie in the arena; those
 * that lie elsewhere take one copy through a stage. The stage is shared by all native providers of this thread and holds
 * for the length of one call.
 */

import { assert } from "../lib/base/assert.ts";
import { type AeadContext, TAG_LENGTH } from "../lib/base/crypto.ts";
import { arena } from "./memory.ts";

/** Length of a ChaCha20-Poly1305 key in bytes. */
export const KEY_LENGTH = 32;

const STAGE_LENGTH = 65_536 + 16;
/** Packets of the usual size find a view of their length ready made. */
const READY_VIEWS = 2048;

const nonceOffset = arena.allocate(16);
const stageOffset = arena.allocate(STAGE_LENGTH);
const keyOffset = arena.allocate(KEY_LENGTH);
const memory = arena.bytes.buffer;
const stageViews: (Uint8Array | undefined)[] = new Array(READY_VIEWS).fill(undefined);

/** Address of the 12 bytes of nonce of the call that is being made. */
export const nonceAddress: bigint = arena.address(nonceOffset);

/**
 * A native cipher with its key. Offsets lead into the arena and are turned into addresses where they are used: a BigInt
 * that is compared or kept costs memory.
 */
export abstract class NativeAead implements AeadContext {
  seal(counter: number, plaintext: Uint8Array, out: Uint8Array): void {
    const length = plaintext.length;
    const target = targetOffset(out, length + TAG_LENGTH);
    const source = sourceOffset(plaintext);
    setNonce(counter);
    this.encrypt(source, target, length);
    finish(out, target, length + TAG_LENGTH);
  }

  open(counter: number, sealed: Uint8Array, out: Uint8Array, start = 0): boolean {
    const length = sealed.length - start - TAG_LENGTH;
    if (length < 0) return false;
    const target = targetOffset(out, length);
    const source = sourceOffset(sealed, start);
    setNonce(counter);
    if (!this.decrypt(source, target, length)) {
      discard(target, length);
      return false;
    }
    finish(out, target, length);
    return true;
  }

  abstract destroy(): void;

  /** Writes the `length` bytes at `source`, encrypted under the nonce at `nonceAddress`, to `target`, the tag behind. */
  protected abstract encrypt(source: number, target: number, length: number): void;

  /** Writes the `length` bytes at `source`, decrypted, to `target`. Returns whether the tag behind them is right. */
  protected abstract decrypt(source: number, target: number, length: number): boolean;
}

/** Calls `use` with an address at which `key` can be read until it returns. */
export function withKey<T>(key: Uint8Array, use: (address: bigint) => T): T {
  assert(key.length === KEY_LENGTH, "a key has 32 bytes");
  arena.bytes.set(key, keyOffset);
  try {
    return use(arena.address(keyOffset));
  } finally {
    arena.bytes.fill(0, keyOffset, keyOffset + KEY_LENGTH);
  }
}

/** Returns a buffer that all native providers of this thread reach without copying. It is never given back. */
export function allocateBuffer(length: number): Uint8Array {
  return arena.view(arena.allocate(length), length);
}

/** Writes the nonce of `counter`: 4 zeros, then the counter, LE64. */
function setNonce(counter: number): void {
  arena.data.setUint32(nonceOffset + 4, counter, true);
  arena.data.setUint32(nonceOffset + 8, counter / 2 ** 32, true);
}

/** Returns where in the arena the bytes of `source` from `start` on can be read. */
function sourceOffset(source: Uint8Array, start = 0): number {
  if (source.buffer === memory) return source.byteOffset + start;
  assert(source.length - start <= STAGE_LENGTH, "a packet fits the stage");
  arena.bytes.set(start === 0 ? source : source.subarray(start), stageOffset);
  return stageOffset;
}

/** Returns where in the arena `length` bytes for the start of `target` can be written; `finish` brings them there. */
function targetOffset(target: Uint8Array, length: number): number {
  assert(length <= target.length && length <= STAGE_LENGTH, "a packet fits its buffer");
  return target.buffer === memory ? target.byteOffset : stageOffset;
}

/** Brings the `length` bytes written at `offset`, which `targetOffset` returned, to `target`. */
function finish(target: Uint8Array, offset: number, length: number): void {
  if (offset === stageOffset) target.set(stageView(length));
}

/** Wipes the `length` bytes written at `offset`: they are not authentic. */
function discard(offset: number, length: number): void {
  arena.bytes.fill(0, offset, offset + length);
}

function stageView(length: number): Uint8Array {
  if (length >= READY_VIEWS) return arena.view(stageOffset, length);
  return stageViews[length] ??= arena.view(stageOffset, length);
}
