/** The keys by which a node is known to its peers. */

import type { Rng } from "../base/rng.ts";
import { publicKeyOf } from "../wireguard/noise.ts";

/** An X25519 key pair, 32 bytes each. */
export interface KeyPair {
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** Returns keys that nobody had before. */
export function newKeyPair(rng: Rng): KeyPair {
  const privateKey = rng.bytes(32);
  return { privateKey, publicKey: publicKeyOf(privateKey) };
}
