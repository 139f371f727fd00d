/** The system's random generator. */

import type { Rng } from "../lib/base/rng.ts";

/** Good for secrets. Small numbers come from a pool, since machines ask for many. */
export const systemRng: Rng = {
  bytes(length) {
    const bytes = new Uint8Array(length);
    // getRandomValues gives at most 65,536 bytes at a time.
    for (let at = 0; at < length; at += QUOTA) crypto.getRandomValues(bytes.subarray(at, at + QUOTA));
    return bytes;
  },
  u32() {
    if (used === pool.length) {
      crypto.getRandomValues(pool);
      used = 0;
    }
    const value = pool[used]!;
    pool[used++] = 0;
    return value;
  },
};

const QUOTA = 65_536;
const pool = new Uint32Array(64);
let used = pool.length;
