/**
 * ChaCha20-Poly1305 by libgcrypt, the fastest of the usual libraries. Importing this opens the library and throws where
 * it is missing. https://gnupg.org/documentation/manuals/gcrypt/Working-with-cipher-handles.html
 */

import { assert } from "../lib/base/assert.ts";
import type { CryptoProvider } from "../lib/base/crypto.ts";
import { arena } from "./memory.ts";
import { allocateBuffer, NativeAead, nonceAddress, withKey } from "./native_aead.ts";
import { openLibrary } from "./native_library.ts";

const library = openLibrary(
  { linux: ["libgcrypt.so.20"], darwin: ["libgcrypt.20.dylib"] },
  {
    gcry_check_version: { parameters: ["pointer"], result: "pointer" },
    gcry_control: { parameters: ["i32", "i32"], result: "i32" },
    gcry_cipher_open: { parameters: ["u64", "i32", "i32", "u32"], result: "i32" },
    gcry_cipher_close: { parameters: ["u64"], result: "void" },
    gcry_cipher_setkey: { parameters: ["u64", "u64", "u64"], result: "i32" },
    gcry_cipher_setiv: { parameters: ["u64", "u64", "u64"], result: "i32" },
    gcry_cipher_encrypt: { parameters: ["u64", "u64", "u64", "u64", "u64"], result: "i32" },
    gcry_cipher_decrypt: { parameters: ["u64", "u64", "u64", "u64", "u64"], result: "i32" },
    gcry_cipher_gettag: { parameters: ["u64", "u64", "u64"], result: "i32" },
    gcry_cipher_checktag: { parameters: ["u64", "u64", "u64"], result: "i32" },
  } as const,
);
const {
  gcry_check_version,
  gcry_control,
  gcry_cipher_open,
  gcry_cipher_close,
  gcry_cipher_setkey,
  gcry_cipher_setiv,
  gcry_cipher_encrypt,
  gcry_cipher_decrypt,
  gcry_cipher_gettag,
  gcry_cipher_checktag,
} = library.symbols;

const DISABLE_SECURE_MEMORY = 37;
const INITIALIZATION_FINISHED = 38;
const CIPHER_CHACHA20 = 316;
const MODE_POLY1305 = 10;

// The first call initialises the library; secure memory would be a small pool of locked pages.
const version = gcry_check_version(null);
assert(version !== null, "libgcrypt tells its version");
gcry_control(DISABLE_SECURE_MEMORY, 0);
gcry_control(INITIALIZATION_FINISHED, 0);

/** The provider. A handle is freed by `destroy` only. */
export const gcryptProvider: CryptoProvider = {
  name: `libgcrypt ${Deno.UnsafePointerView.getCString(version)}`,
  aead: (key) => new GcryptAead(key),
  buffer: allocateBuffer,
};

class GcryptAead extends NativeAead {
  #handle: bigint;

  constructor(key: Uint8Array) {
    super();
    const cell = arena.allocate(8);
    const failure = gcry_cipher_open(arena.address(cell), CIPHER_CHACHA20, MODE_POLY1305, 0);
    this.#handle = arena.data.getBigUint64(cell, true);
    arena.release(cell, 8);
    if (failure !== 0) throw new Error(`Cannot open a libgcrypt cipher: error ${failure}`);
    const refusal = withKey(key, (address) => gcry_cipher_setkey(this.#handle, address, 32n));
    assert(refusal === 0, "libgcrypt takes a 32-byte key");
  }

  destroy(): void {
    if (this.#handle === 0n) return;
    gcry_cipher_close(this.#handle);
    this.#handle = 0n;
  }

  protected encrypt(source: number, target: number, length: number): void {
    const size = BigInt(length >>> 0);
    gcry_cipher_setiv(this.#handle, nonceAddress, 12n);
    const failure = source === target
      ? gcry_cipher_encrypt(this.#handle, arena.address(target), size, 0n, 0n)
      : gcry_cipher_encrypt(this.#handle, arena.address(target), size, arena.address(source), size);
    assert(failure === 0, "libgcrypt encrypts");
    gcry_cipher_gettag(this.#handle, arena.address(target + length), 16n);
  }

  protected decrypt(source: number, target: number, length: number): boolean {
    const size = BigInt(length >>> 0);
    gcry_cipher_setiv(this.#handle, nonceAddress, 12n);
    const failure = source === target
      ? gcry_cipher_decrypt(this.#handle, arena.address(target), size, 0n, 0n)
      : gcry_cipher_decrypt(this.#handle, arena.address(target), size, arena.address(source), size);
    assert(failure === 0, "libgcrypt decrypts");
    // It decrypts before it knows the tag: nothing may leave before this comparison.
    return gcry_cipher_checktag(this.#handle, arena.address(source + length), 16n) === 0;
  }
}
