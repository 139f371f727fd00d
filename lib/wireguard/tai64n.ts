/** TAI64N stamps that only grow, the handshake's guard against replay. Whitepaper §5.1; https://cr.yp.to/libtai/tai64.html */

import { writeU32 } from "../base/bytes.ts";
import type { Instant, WallClock } from "../base/time.ts";

/** Length of a stamp in bytes. */
export const TIMESTAMP_LENGTH = 12;

/** Makes stamps. Share one between the tunnels of a node: a peer may keep its tunnel when we make ours anew. */
export class TimestampSource {
  readonly #wallClock: WallClock;
  #lastSeconds = 0;
  #lastNanoseconds = 0;

  constructor(wallClock: WallClock) {
    this.#wallClock = wallClock;
  }

  /** Returns the stamp of `now`, or the smallest one above the last stamp where the clock has not moved on. */
  next(now: Instant): Uint8Array {
    const unixMs = this.#wallClock.unixMs(now);
    let unixSeconds = Math.floor(unixMs / 1000);
    let nanoseconds = Math.floor((unixMs - unixSeconds * 1000) * 1e6);
    const isLater = unixSeconds > this.#lastSeconds ||
      (unixSeconds === this.#lastSeconds && nanoseconds > this.#lastNanoseconds);
    if (!isLater) {
      unixSeconds = this.#lastSeconds;
      nanoseconds = this.#lastNanoseconds + 1;
      if (nanoseconds === 1e9) {
        unixSeconds += 1;
        nanoseconds = 0;
      }
    }
    this.#lastSeconds = unixSeconds;
    this.#lastNanoseconds = nanoseconds;
    return encodeTimestamp(unixSeconds, nanoseconds);
  }
}

/** Returns the 12-byte stamp: BE64 of 2^62 + 37 + `unixSeconds`, then BE32 of `nanoseconds`. */
export function encodeTimestamp(unixSeconds: number, nanoseconds: number): Uint8Array {
  const stamp = new Uint8Array(TIMESTAMP_LENGTH);
  const taiSeconds = unixSeconds + TAI_OFFSET;
  writeU32(stamp, 0, 0x40000000 + Math.floor(taiSeconds / 2 ** 32));
  writeU32(stamp, 4, taiSeconds % 2 ** 32);
  writeU32(stamp, 8, nanoseconds);
  return stamp;
}

/** Returns whether stamp `a` is later than stamp `b`. */
export function isLaterTimestamp(a: Uint8Array, b: Uint8Array): boolean {
  for (let index = 0; index < TIMESTAMP_LENGTH; index++) {
    if (a[index] !== b[index]) return a[index]! > b[index]!;
  }
  return false;
}

/** Seconds that TAI has been ahead of UTC since 2017. Only the order of stamps matters, so it stays fixed. */
const TAI_OFFSET = 37;
