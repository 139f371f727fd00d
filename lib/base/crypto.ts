/**
 * The cryptography of the data path behind one interface, so that a native library can carry it. Handshakes need no
 * provider: they are rare and use noble directly.
 */

import { chacha20poly1305 } from "@noble/ciphers/chacha.js";

/** A source of ChaCha20-Poly1305 contexts (RFC 8439). */
export interface CryptoProvider {
  /** Shown by `fz version --verbose`, for example "libgcrypt 1.10.1" or "noble". */
  readonly name: string;
  /** Returns a context for `key` (32 bytes, copied). */
  aead(key: Uint8Array): AeadContext;
  /**
   * Returns a zeroed buffer that contexts of this provider reach without copying: for the few buffers through which all
   * packets go. It is never given back.
   */
  buffer(length: number): Uint8Array;
}

/** One direction of one session: ChaCha20-Poly1305 with WireGuard's nonce (4 zero bytes, then the counter, LE64). */
export interface AeadContext {
  /**
   * Writes ciphertext and tag (`plaintext.length + 16` bytes) to the start of `out`. No associated data.
   * `plaintext` and `out` may be the same memory at the same offset, but must not overlap otherwise.
   */
  seal(counter: number, plaintext: Uint8Array, out: Uint8Array): void;
  /**
   * Opens what `sealed` holds from `start` (default 0) on: writes the plaintext, 16 bytes less, to the start of `out` and
   * returns true, or returns false if the tag does not match; `out` then holds nothing of use. Same aliasing rule as
   * `seal`.
   */
  open(counter: number, sealed: Uint8Array, out: Uint8Array, start?: number): boolean;
  /** Wipes the key. The context must not be used afterwards. */
  destroy(): void;
}

/** Length of the authentication tag in bytes. */
export const TAG_LENGTH = 16;

/** The portable provider: pure TypeScript, on every platform, always able to carry the session. */
export const nobleProvider: CryptoProvider = {
  name: "noble",
  aead: (key) => new NobleAead(key),
  buffer: (length) => new Uint8Array(length),
};

class NobleAead implements AeadContext {
  readonly #key: Uint8Array;
  readonly #nonce = new Uint8Array(12);
  readonly #nonceView = new DataView(this.#nonce.buffer);

  constructor(key: Uint8Array) {
    this.#key = key.slice();
  }

  seal(counter: number, plaintext: Uint8Array, out: Uint8Array): void {
    const sealed = chacha20poly1305(this.#key, this.#nonceFor(counter)).encrypt(plaintext);
    out.set(sealed);
  }

  open(counter: number, sealed: Uint8Array, out: Uint8Array, start = 0): boolean {
    if (sealed.length - start < TAG_LENGTH) return false;
    try {
      out.set(chacha20poly1305(this.#key, this.#nonceFor(counter)).decrypt(sealed.subarray(start)));
      return true;
    } catch {
      return false;
    }
  }

  destroy(): void {
    this.#key.fill(0);
  }

  #nonceFor(counter: number): Uint8Array {
    this.#nonceView.setUint32(4, counter >>> 0, true);
    this.#nonceView.setUint32(8, Math.floor(counter / 2 ** 32), true);
    return this.#nonce;
  }
}
