/**
 * ChaCha20-Poly1305 by libsodium. Importing this opens the library and throws where it is missing.
 * https://doc.libsodium.org/secret-key_cryptography/aead/chacha20-poly1305/ietf_chacha20-poly1305_construction
 */

import { assert } from "../lib/base/assert.ts";
import { type CryptoProvider, TAG_LENGTH } from "../lib/base/crypto.ts";
import { arena } from "./memory.ts";
import { allocateBuffer, KEY_LENGTH, NativeAead, nonceAddress } from "./native_aead.ts";
import { openLibrary } from "./native_library.ts";

const NINE_WORDS = ["u64", "u64", "u64", "u64", "u64", "u64", "u64", "u64", "u64"] as const;
const {
  sodium_init,
  sodium_version_string,
  crypto_aead_chacha20poly1305_ietf_encrypt,
  crypto_aead_chacha20poly1305_ietf_decrypt,
} = openLibrary(
  { linux: ["libsodium.so.23", "libsodium.so.26"], darwin: ["libsodium.dylib"] },
  {
    sodium_init: { parameters: [], result: "i32" },
    sodium_version_string: { parameters: [], result: "pointer" },
    crypto_aead_chacha20poly1305_ietf_encrypt: { parameters: NINE_WORDS, result: "i32" },
    crypto_aead_chacha20poly1305_ietf_decrypt: { parameters: NINE_WORDS, result: "i32" },
  } as const,
).symbols;

// Chooses the code for this processor; without it everything runs on the slow generic one.
assert(sodium_init() >= 0, "libsodium initialises");
const version = sodium_version_string();
assert(version !== null, "libsodium tells its version");

/** The provider. Keys lie in the arena until `destroy`. */
export const sodiumProvider: CryptoProvider = {
  name: `libsodium ${Deno.UnsafePointerView.getCString(version)}`,
  aead: (key) => new SodiumAead(key),
  buffer: allocateBuffer,
};

class SodiumAead extends NativeAead {
  #keyOffset: number | undefined;
  readonly #keyAddress: bigint;

  constructor(key: Uint8Array) {
    super();
    assert(key.length === KEY_LENGTH, "a key has 32 bytes");
    this.#keyOffset = arena.allocate(KEY_LENGTH);
    this.#keyAddress = arena.address(this.#keyOffset);
    arena.bytes.set(key, this.#keyOffset);
  }

  destroy(): void {
    if (this.#keyOffset === undefined) return;
    arena.bytes.fill(0, this.#keyOffset, this.#keyOffset + KEY_LENGTH);
    arena.release(this.#keyOffset, KEY_LENGTH);
    this.#keyOffset = undefined;
  }

  protected encrypt(source: number, target: number, length: number): void {
    const failure = crypto_aead_chacha20poly1305_ietf_encrypt(
      arena.address(target),
      0n,
      arena.address(source),
      BigInt(length >>> 0),
      0n,
      0n,
      0n,
      nonceAddress,
      this.#keyAddress,
    );
    assert(failure === 0, "libsodium encrypts");
  }

  protected decrypt(source: number, target: number, length: number): boolean {
    const failure = crypto_aead_chacha20poly1305_ietf_decrypt(
      arena.address(target),
      0n,
      0n,
      arena.address(source),
      BigInt((length + TAG_LENGTH) >>> 0),
      0n,
      0n,
      nonceAddress,
      this.#keyAddress,
    );
    return failure === 0;
  }
}
