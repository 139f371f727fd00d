/**
 * The primitives of Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as WireGuard combines them (whitepaper §5.4). Handshakes are
 * rare, so all of this is noble; only the transport data goes through a `CryptoProvider`.
 */

import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { blake2s } from "@noble/hashes/blake2.js";
import { hmac } from "@noble/hashes/hmac.js";
import { concatBytes, utf8 } from "../base/bytes.ts";

/** Length in bytes of keys, hashes and chaining keys. */
export const KEY_LENGTH = 32;

/** Our X25519 identity: 32 bytes each. */
export interface StaticKeys {
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** Returns BLAKE2s-256 of the `parts` joined. */
export function hash(...parts: Uint8Array[]): Uint8Array {
  return blake2s(parts.length === 1 ? parts[0]! : concatBytes(...parts));
}

/** Returns BLAKE2s keyed with `key`, 16 bytes: the whitepaper's MAC. */
export function mac(key: Uint8Array, message: Uint8Array): Uint8Array {
  return blake2s(message, { key, dkLen: 16 });
}

/** Returns HMAC-BLAKE2s-256, 32 bytes. */
export function hmacBlake2s(key: Uint8Array, message: Uint8Array): Uint8Array {
  return hmac(blake2s, key, message);
}

/** Returns the first output of the key derivation, 32 bytes. */
export function kdf1(chainingKey: Uint8Array, input: Uint8Array): Uint8Array {
  return expand(hmacBlake2s(chainingKey, input), 1)[0]!;
}

/** Returns the first two outputs of the key derivation, 32 bytes each. */
export function kdf2(chainingKey: Uint8Array, input: Uint8Array): [Uint8Array, Uint8Array] {
  const [first, second] = expand(hmacBlake2s(chainingKey, input), 2);
  return [first!, second!];
}

/** Returns the first three outputs of the key derivation, 32 bytes each. */
export function kdf3(chainingKey: Uint8Array, input: Uint8Array): [Uint8Array, Uint8Array, Uint8Array] {
  const [first, second, third] = expand(hmacBlake2s(chainingKey, input), 3);
  return [first!, second!, third!];
}

/** Returns the public key of `privateKey`. */
export function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  return x25519.getPublicKey(privateKey);
}

/** Returns the X25519 shared secret, or undefined where it would be zero: the peer sent a point of low order. */
export function dh(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
  try {
    return x25519.getSharedSecret(privateKey, publicKey);
  } catch {
    return undefined;
  }
}

/** Seals `plaintext` under a key that is used once: counter 0, associated data `hash`. */
export function sealOnce(key: Uint8Array, plaintext: Uint8Array, associated: Uint8Array): Uint8Array {
  return chacha20poly1305(key, ZERO_NONCE, associated).encrypt(plaintext);
}

/** Returns what `sealOnce` sealed, or undefined when it is not authentic. */
export function openOnce(
  key: Uint8Array,
  sealed: Uint8Array,
  associated: Uint8Array,
): Uint8Array | undefined {
  try {
    return chacha20poly1305(key, ZERO_NONCE, associated).decrypt(sealed);
  } catch {
    return undefined;
  }
}

/**
 * The running state of one handshake: the chaining key and the transcript's hash. Both sides apply the same steps in
 * the same order.
 */
export class Transcript {
  chainingKey: Uint8Array;
  hash: Uint8Array;

  private constructor(chainingKey: Uint8Array, transcriptHash: Uint8Array) {
    this.chainingKey = chainingKey;
    this.hash = transcriptHash;
  }

  /** Returns the state at the start of a handshake towards the responder with this static key. */
  static start(responderPublicKey: Uint8Array): Transcript {
    return new Transcript(INITIAL_CHAINING_KEY.slice(), hash(INITIAL_HASH, responderPublicKey));
  }

  /** Appends `data` to the transcript. */
  mixHash(data: Uint8Array): void {
    this.hash = hash(this.hash, data);
  }

  /** Appends an ephemeral public key to transcript and chaining key. */
  mixEphemeral(publicKey: Uint8Array): void {
    this.mixHash(publicKey);
    this.mixKey(publicKey);
  }

  /** Mixes `secret` into the chaining key. */
  mixKey(secret: Uint8Array): void {
    this.#advance(kdf1(this.chainingKey, secret));
  }

  /** Mixes `secret` into the chaining key and returns a key to use once. */
  mixKeyForSealing(secret: Uint8Array): Uint8Array {
    const [chainingKey, key] = kdf2(this.chainingKey, secret);
    this.#advance(chainingKey);
    return key;
  }

  /** Mixes the preshared key into chaining key and transcript and returns a key to use once. */
  mixPresharedKey(presharedKey: Uint8Array): Uint8Array {
    const [chainingKey, mixed, key] = kdf3(this.chainingKey, presharedKey);
    this.#advance(chainingKey);
    this.mixHash(mixed);
    return key;
  }

  /** Seals `plaintext` under `key` and appends the result to the transcript. */
  seal(key: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const sealed = sealOnce(key, plaintext, this.hash);
    this.mixHash(sealed);
    return sealed;
  }

  /** Opens `sealed` and appends it to the transcript, or returns undefined when it is not authentic. */
  open(key: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    const plaintext = openOnce(key, sealed, this.hash);
    this.mixHash(sealed);
    return plaintext;
  }

  /** Returns the two transport keys, the initiator's sending key first. */
  split(): [Uint8Array, Uint8Array] {
    return kdf2(this.chainingKey, NOTHING);
  }

  /** Returns an independent copy. */
  clone(): Transcript {
    return new Transcript(this.chainingKey.slice(), this.hash);
  }

  /** Forgets the chaining key. */
  wipe(): void {
    this.chainingKey.fill(0);
  }

  #advance(chainingKey: Uint8Array): void {
    this.chainingKey.fill(0);
    this.chainingKey = chainingKey;
  }
}

function expand(secret: Uint8Array, count: number): Uint8Array[] {
  const outputs: Uint8Array[] = [];
  let previous = NOTHING;
  for (let number = 1; number <= count; number++) {
    previous = hmacBlake2s(secret, concatBytes(previous, Uint8Array.of(number)));
    outputs.push(previous);
  }
  secret.fill(0);
  return outputs;
}

const NOTHING: Uint8Array = new Uint8Array(0);
const ZERO_NONCE = new Uint8Array(12);
const INITIAL_CHAINING_KEY = hash(utf8("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"));
const INITIAL_HASH = hash(INITIAL_CHAINING_KEY, utf8("WireGuard v1 zx2c4 Jason@zx2c4.com"));
