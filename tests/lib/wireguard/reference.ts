/**
 * A second, straight-line implementation of WireGuard's handshake for the tests: BLAKE2s by hand from RFC 7693, curve and
 * cipher from the runtime's OpenSSL-like library instead of noble. Slow and plain on purpose.
 */

import { createCipheriv, createPrivateKey, createPublicKey, diffieHellman } from "node:crypto";
import { concatBytes, utf8 } from "../../../lib/base/bytes.ts";

const IV = [
  0x6a09e667,
  0xbb67ae85,
  0x3c6ef372,
  0xa54ff53a,
  0x510e527f,
  0x9b05688c,
  0x1f83d9ab,
  0x5be0cd19,
] as const;
const SIGMA = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
] as const;
const MIX = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
] as const;

/** BLAKE2s of RFC 7693, keyed where `key` is not empty. */
export function blake2s(message: Uint8Array, length = 32, key: Uint8Array = new Uint8Array(0)): Uint8Array {
  const keyBlock = new Uint8Array(key.length === 0 ? 0 : 64);
  keyBlock.set(key);
  const input = concatBytes(keyBlock, message);
  const h: number[] = [...IV];
  h[0]! ^= 0x01010000 ^ (key.length << 8) ^ length;
  const blocks = Math.max(1, Math.ceil(input.length / 64));
  for (let block = 0; block < blocks; block++) {
    const isLast = block === blocks - 1;
    const bytes = new Uint8Array(64);
    bytes.set(input.subarray(block * 64, block * 64 + 64));
    const m = new DataView(bytes.buffer);
    const v: number[] = [...h, ...IV];
    v[12]! ^= isLast ? input.length : (block + 1) * 64;
    if (isLast) v[14] = ~v[14]!;
    for (const order of SIGMA) {
      MIX.forEach(([a, b, c, d], index) => {
        for (const [rotations, which] of [[[16, 12], 0], [[8, 7], 1]] as const) {
          v[a] = (v[a]! + v[b]! + m.getUint32(order[2 * index + which]! * 4, true)) | 0;
          v[d] = rotateRight(v[d]! ^ v[a]!, rotations[0]);
          v[c] = (v[c]! + v[d]!) | 0;
          v[b] = rotateRight(v[b]! ^ v[c]!, rotations[1]);
        }
      });
    }
    for (let word = 0; word < 8; word++) h[word] = h[word]! ^ v[word]! ^ v[word + 8]!;
  }
  const out = new DataView(new ArrayBuffer(32));
  h.forEach((word, index) => out.setUint32(index * 4, word, true));
  return new Uint8Array(out.buffer).slice(0, length);
}

function rotateRight(word: number, count: number): number {
  return (word >>> count) | (word << (32 - count));
}

/** HMAC of RFC 2104 with BLAKE2s. */
export function hmac(key: Uint8Array, message: Uint8Array): Uint8Array {
  const pad = (byte: number) => {
    const block = new Uint8Array(64).fill(byte);
    key.forEach((value, index) => block[index]! ^= value);
    return block;
  };
  return blake2s(concatBytes(pad(0x5c), blake2s(concatBytes(pad(0x36), message))));
}

function kdf(count: number, key: Uint8Array, input: Uint8Array): Uint8Array[] {
  const secret = hmac(key, input);
  const outputs: Uint8Array[] = [];
  for (let number = 1; number <= count; number++) {
    outputs.push(hmac(secret, concatBytes(outputs.at(-1) ?? new Uint8Array(0), Uint8Array.of(number))));
  }
  return outputs;
}

function aead(key: Uint8Array, plaintext: Uint8Array, associated: Uint8Array): Uint8Array {
  const cipher = createCipheriv("chacha20-poly1305", key, new Uint8Array(12), { authTagLength: 16 });
  cipher.setAAD(associated, { plaintextLength: plaintext.length });
  return concatBytes(cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
}

function privateKeyObject(raw: Uint8Array) {
  const der = concatBytes(Uint8Array.fromHex("302e020100300506032b656e04220420"), raw);
  return createPrivateKey({ key: der as never, format: "der", type: "pkcs8" });
}

function dh(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const der = concatBytes(Uint8Array.fromHex("302a300506032b656e032100"), publicKey);
  return new Uint8Array(diffieHellman({
    privateKey: privateKeyObject(privateKey),
    publicKey: createPublicKey({ key: der as never, format: "der", type: "spki" }),
  }));
}

/** The public key of an X25519 private key: its product with the base point. */
export function publicKey(privateKey: Uint8Array): Uint8Array {
  const basePoint = new Uint8Array(32);
  basePoint[0] = 9;
  return dh(privateKey, basePoint);
}

export interface ReferenceInput {
  readonly initiatorStatic: Uint8Array;
  readonly initiatorEphemeral: Uint8Array;
  readonly responderStatic: Uint8Array;
  readonly responderEphemeral: Uint8Array;
  readonly presharedKey: Uint8Array;
  readonly timestamp: Uint8Array;
  readonly initiatorIndex: number;
  readonly responderIndex: number;
}

/** The whole handshake, step by step as the whitepaper's §5.4.2 and §5.4.3 write it. */
export function referenceHandshake(input: ReferenceInput) {
  const initiatorPublic = publicKey(input.initiatorStatic);
  const responderPublic = publicKey(input.responderStatic);
  const le32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);
  const mac = (label: string, key: Uint8Array, body: Uint8Array) =>
    blake2s(body, 16, blake2s(concatBytes(utf8(label), key)));

  let c = blake2s(utf8("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"));
  let h = blake2s(concatBytes(c, utf8("WireGuard v1 zx2c4 Jason@zx2c4.com")));
  h = blake2s(concatBytes(h, responderPublic));
  const ephemeralI = publicKey(input.initiatorEphemeral);
  [c] = kdf(1, c, ephemeralI) as [Uint8Array];
  h = blake2s(concatBytes(h, ephemeralI));
  let k: Uint8Array;
  [c, k] = kdf(2, c, dh(input.initiatorEphemeral, responderPublic)) as [Uint8Array, Uint8Array];
  const sealedStatic = aead(k, initiatorPublic, h);
  h = blake2s(concatBytes(h, sealedStatic));
  [c, k] = kdf(2, c, dh(input.initiatorStatic, responderPublic)) as [Uint8Array, Uint8Array];
  const sealedTimestamp = aead(k, input.timestamp, h);
  h = blake2s(concatBytes(h, sealedTimestamp));
  const initiationBody = concatBytes(
    le32(1),
    le32(input.initiatorIndex),
    ephemeralI,
    sealedStatic,
    sealedTimestamp,
  );
  const initiation = concatBytes(
    initiationBody,
    mac("mac1----", responderPublic, initiationBody),
    new Uint8Array(16),
  );

  const ephemeralR = publicKey(input.responderEphemeral);
  [c] = kdf(1, c, ephemeralR) as [Uint8Array];
  h = blake2s(concatBytes(h, ephemeralR));
  [c] = kdf(1, c, dh(input.responderEphemeral, ephemeralI)) as [Uint8Array];
  [c] = kdf(1, c, dh(input.responderEphemeral, initiatorPublic)) as [Uint8Array];
  let t: Uint8Array;
  [c, t, k] = kdf(3, c, input.presharedKey) as [Uint8Array, Uint8Array, Uint8Array];
  h = blake2s(concatBytes(h, t));
  const sealedNothing = aead(k, new Uint8Array(0), h);
  const responseBody = concatBytes(
    le32(2),
    le32(input.responderIndex),
    le32(input.initiatorIndex),
    ephemeralR,
    sealedNothing,
  );
  const response = concatBytes(
    responseBody,
    mac("mac1----", initiatorPublic, responseBody),
    new Uint8Array(16),
  );
  const [initiatorSends, responderSends] = kdf(2, c, new Uint8Array(0)) as [Uint8Array, Uint8Array];
  return { initiation, response, initiatorSends, responderSends };
}
