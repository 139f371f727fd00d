/**
 * ChaCha20-Poly1305 by OpenSSL 3's libcrypto. Importing this opens the library and throws where it is missing.
 * https://docs.openssl.org/3.0/man3/EVP_EncryptInit/
 */

import { assert } from "../lib/base/assert.ts";
import { type CryptoProvider, TAG_LENGTH } from "../lib/base/crypto.ts";
import { arena } from "./memory.ts";
import { allocateBuffer, NativeAead, nonceAddress, withKey } from "./native_aead.ts";
import { openLibrary } from "./native_library.ts";

const library = openLibrary(
  { linux: ["libcrypto.so.3"], darwin: ["libcrypto.3.dylib"] },
  {
    OpenSSL_version: { parameters: ["i32"], result: "pointer" },
    EVP_CIPHER_fetch: { parameters: ["u64", "buffer", "u64"], result: "u64" },
    EVP_CIPHER_CTX_new: { parameters: [], result: "u64" },
    EVP_CIPHER_CTX_free: { parameters: ["u64"], result: "void" },
    EVP_CIPHER_CTX_ctrl: { parameters: ["u64", "i32", "i32", "u64"], result: "i32" },
    EVP_EncryptInit_ex: { parameters: ["u64", "u64", "u64", "u64", "u64"], result: "i32" },
    EVP_EncryptUpdate: { parameters: ["u64", "u64", "u64", "u64", "i32"], result: "i32" },
    EVP_EncryptFinal_ex: { parameters: ["u64", "u64", "u64"], result: "i32" },
    EVP_DecryptInit_ex: { parameters: ["u64", "u64", "u64", "u64", "u64"], result: "i32" },
    EVP_DecryptUpdate: { parameters: ["u64", "u64", "u64", "u64", "i32"], result: "i32" },
    EVP_DecryptFinal_ex: { parameters: ["u64", "u64", "u64"], result: "i32" },
  } as const,
);
const {
  OpenSSL_version,
  EVP_CIPHER_fetch,
  EVP_CIPHER_CTX_new,
  EVP_CIPHER_CTX_free,
  EVP_CIPHER_CTX_ctrl,
  EVP_EncryptInit_ex,
  EVP_EncryptUpdate,
  EVP_EncryptFinal_ex,
  EVP_DecryptInit_ex,
  EVP_DecryptUpdate,
  EVP_DecryptFinal_ex,
} = library.symbols;

const GET_TAG = 0x10;
const SET_TAG = 0x11;
const VERSION_NUMBER_ONLY = 6;

const version = OpenSSL_version(VERSION_NUMBER_ONLY);
assert(version !== null, "libcrypto tells its version");
const cipher = EVP_CIPHER_fetch(0n, new TextEncoder().encode("ChaCha20-Poly1305\0"), 0n);
if (cipher === 0n) throw new Error("Cannot use libcrypto: it has no ChaCha20-Poly1305");
/** Where the update calls put the length they wrote. */
const writtenAddress = arena.address(arena.allocate(16));
/** Where the final calls may write; they write nothing for a stream cipher. */
const nowhereAddress = arena.address(arena.allocate(16));

/** The provider. Contexts are freed by `destroy` only. */
export const opensslProvider: CryptoProvider = {
  name: `libcrypto ${Deno.UnsafePointerView.getCString(version)}`,
  aead: (key) => new OpensslAead(key),
  buffer: allocateBuffer,
};

class OpensslAead extends NativeAead {
  // One context for each direction: to turn one around it would need the key again.
  #sealing: bigint;
  #opening: bigint;

  constructor(key: Uint8Array) {
    super();
    this.#sealing = EVP_CIPHER_CTX_new();
    this.#opening = EVP_CIPHER_CTX_new();
    assert(this.#sealing !== 0n && this.#opening !== 0n, "libcrypto has memory for a context");
    const accepted = withKey(
      key,
      (address) =>
        EVP_EncryptInit_ex(this.#sealing, cipher, 0n, address, nonceAddress) === 1 &&
        EVP_DecryptInit_ex(this.#opening, cipher, 0n, address, nonceAddress) === 1,
    );
    assert(accepted, "libcrypto takes a 32-byte key");
  }

  destroy(): void {
    EVP_CIPHER_CTX_free(this.#sealing);
    EVP_CIPHER_CTX_free(this.#opening);
    this.#sealing = 0n;
    this.#opening = 0n;
  }

  protected encrypt(source: number, target: number, length: number): void {
    const context = this.#sealing;
    EVP_EncryptInit_ex(context, 0n, 0n, 0n, nonceAddress);
    const isSealed =
      EVP_EncryptUpdate(context, arena.address(target), writtenAddress, arena.address(source), length) ===
        1 &&
      EVP_EncryptFinal_ex(context, nowhereAddress, writtenAddress) === 1;
    assert(isSealed, "libcrypto encrypts");
    EVP_CIPHER_CTX_ctrl(context, GET_TAG, TAG_LENGTH, arena.address(target + length));
  }

  protected decrypt(source: number, target: number, length: number): boolean {
    const context = this.#opening;
    EVP_DecryptInit_ex(context, 0n, 0n, 0n, nonceAddress);
    EVP_CIPHER_CTX_ctrl(context, SET_TAG, TAG_LENGTH, arena.address(source + length));
    return EVP_DecryptUpdate(
          context,
          arena.address(target),
          writtenAddress,
          arena.address(source),
          length,
        ) ===
        1 &&
      EVP_DecryptFinal_ex(context, nowhereAddress, writtenAddress) === 1;
  }
}
