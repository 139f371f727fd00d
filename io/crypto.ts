/** Picks what carries the ciphers of the data path: a native library that proves itself, else TypeScript. */

import { equalBytes, fromHex } from "../lib/base/bytes.ts";
import { type CryptoProvider, nobleProvider, TAG_LENGTH } from "../lib/base/crypto.ts";
import { Fault } from "../lib/base/fault.ts";

/** The providers there are, best first. */
export const PROVIDERS = ["libgcrypt", "libcrypto", "libsodium", "noble"] as const;

/** The name of a provider. */
export type ProviderChoice = typeof PROVIDERS[number];

/**
 * Returns the first provider that exists here, computes the right thing and is faster than noble. `preference` (by
 * default the environment's FZ_CRYPTO) forces one; a Fault ("usage") tells when it cannot be had.
 */
export async function chooseProvider(
  preference: string | undefined = Deno.env.get("FZ_CRYPTO"),
): Promise<CryptoProvider> {
  if (preference !== undefined && preference !== "") return await forceProvider(preference);
  let portableTime: number | undefined;
  for (const choice of PROVIDERS) {
    const provider = choice === "noble" ? undefined : await loadProvider(choice);
    if (provider === undefined) continue;
    portableTime ??= sealingTime(nobleProvider);
    if (sealingTime(provider) < portableTime) return provider;
  }
  return nobleProvider;
}

/** Returns a provider that passed its known-answer test, or undefined where the library is missing or wrong. */
export async function loadProvider(choice: ProviderChoice): Promise<CryptoProvider | undefined> {
  try {
    const provider = await importProvider(choice);
    return provider !== undefined && isCorrect(provider) ? provider : undefined;
  } catch {
    return undefined;
  }
}

async function forceProvider(preference: string): Promise<CryptoProvider> {
  const choice = PROVIDERS.find((name) => name === preference);
  const provider = choice && await loadProvider(choice);
  if (provider === undefined) {
    throw new Fault("usage", `Cannot use the cryptography of "${preference}"`, {
      next: `Choose one of ${PROVIDERS.join(", ")} that is installed, or leave FZ_CRYPTO unset.`,
    });
  }
  return provider;
}

async function importProvider(choice: ProviderChoice): Promise<CryptoProvider | undefined> {
  if (choice === "noble") return nobleProvider;
  switch (choice) {
    case "libgcrypt":
      return (await import("../ffi/aead_gcrypt.ts")).gcryptProvider;
    case "libcrypto":
      return (await import("../ffi/aead_openssl.ts")).opensslProvider;
    case "libsodium":
      return (await import("../ffi/aead_sodium.ts")).sodiumProvider;
  }
}

/** Known-answer test: seal, open, refuse a forgery. */
function isCorrect(provider: CryptoProvider): boolean {
  const context = provider.aead(KNOWN_KEY);
  try {
    const sealed = new Uint8Array(KNOWN_PLAINTEXT.length + TAG_LENGTH);
    context.seal(KNOWN_COUNTER, KNOWN_PLAINTEXT, sealed);
    if (!equalBytes(sealed, KNOWN_SEALED)) return false;
    const opened = new Uint8Array(KNOWN_PLAINTEXT.length);
    if (!context.open(KNOWN_COUNTER, sealed, opened) || !equalBytes(opened, KNOWN_PLAINTEXT)) return false;
    sealed[0]! ^= 1;
    return !context.open(KNOWN_COUNTER, sealed, opened);
  } finally {
    context.destroy();
  }
}

/** Returns how long sealing a few full packets takes, in milliseconds. Good for telling apart what differs tenfold. */
function sealingTime(provider: CryptoProvider): number {
  const context = provider.aead(KNOWN_KEY);
  const packet = new Uint8Array(FULL_PACKET);
  const out = new Uint8Array(FULL_PACKET + TAG_LENGTH);
  const start = performance.now();
  for (let counter = 0; counter < ROUNDS; counter++) context.seal(counter, packet, out);
  const time = performance.now() - start;
  context.destroy();
  return time;
}

const FULL_PACKET = 1280;
const ROUNDS = 24;
/** Its high half tests the upper word of the nonce. */
const KNOWN_COUNTER = 0x0001_0203_0405_0607;
const KNOWN_KEY = fromHex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
const KNOWN_PLAINTEXT = Uint8Array.from({ length: 100 }, (_, index) => index);
/** Made with pyca/cryptography. */
const KNOWN_SEALED = fromHex(
  "1d69b3bac7e3fff57c870b29a8b6fef41333eb1d3053e7ca749c4734191a6c135ce2505a15ee7e7f86959294fcd54e4d" +
    "9258b8253eca6c5692fac381d26df714ed1fcf6bee19159860263ae63bf14b3548ab65b6512e9b669707230e7539abca" +
    "4770fb5b143c8102bc6fc41b18dae1a458031ade",
);
