/**
 * WireGuard's four messages: lengths, field offsets, decoding. All integers are little endian. Decoding copies nothing:
 * fields are views into the received bytes. Whitepaper §5.4.
 */

import { readU32Le, writeU32Le } from "../base/bytes.ts";

/** First byte of each message; the three bytes after it are zero. */
export const MessageType = { initiation: 1, response: 2, cookieReply: 3, data: 4 } as const;

/** Length of a handshake initiation in bytes. */
export const INITIATION_LENGTH = 148;
/** Length of a handshake response in bytes. */
export const RESPONSE_LENGTH = 92;
/** Length of a cookie reply in bytes. */
export const COOKIE_REPLY_LENGTH = 64;
/** Bytes in front of the ciphertext of a data message. */
export const DATA_HEADER_LENGTH = 16;
/** What a data message is longer than the packet in it: header and tag. */
export const DATA_OVERHEAD = 32;
/** Length of each of the two MACs that end an initiation and a response. */
export const MAC_LENGTH = 16;

/** Message 1, initiator to responder. Whitepaper §5.4.2. */
export interface Initiation {
  readonly type: "initiation";
  /** Index by which the initiator will know the session. */
  readonly sender: number;
  /** Unencrypted ephemeral public key, 32 bytes. */
  readonly ephemeral: Uint8Array;
  /** Sealed static public key, 48 bytes. */
  readonly encryptedStatic: Uint8Array;
  /** Sealed TAI64N stamp, 28 bytes. */
  readonly encryptedTimestamp: Uint8Array;
}

/** Message 2, responder to initiator. Whitepaper §5.4.3. */
export interface Response {
  readonly type: "response";
  /** Index by which the responder will know the session. */
  readonly sender: number;
  /** The `sender` of the initiation that this answers. */
  readonly receiver: number;
  /** Unencrypted ephemeral public key, 32 bytes. */
  readonly ephemeral: Uint8Array;
  /** Sealed empty text: only a tag, 16 bytes. */
  readonly encryptedNothing: Uint8Array;
}

/** Message 3, from a responder under load. Whitepaper §5.4.7. */
export interface CookieReply {
  readonly type: "cookieReply";
  /** The `sender` of the message that was not answered. */
  readonly receiver: number;
  /** XChaCha20 nonce, 24 bytes. */
  readonly nonce: Uint8Array;
  /** Sealed cookie, 32 bytes. */
  readonly encryptedCookie: Uint8Array;
}

/** Returns which message `bytes` are, judged by type word and length only, or undefined when they are none. */
export function messageType(bytes: Uint8Array): keyof typeof MessageType | undefined {
  if (bytes.length < DATA_OVERHEAD || bytes[1] !== 0 || bytes[2] !== 0 || bytes[3] !== 0) return undefined;
  switch (bytes[0]) {
    case MessageType.data:
      return "data";
    case MessageType.initiation:
      return bytes.length === INITIATION_LENGTH ? "initiation" : undefined;
    case MessageType.response:
      return bytes.length === RESPONSE_LENGTH ? "response" : undefined;
    case MessageType.cookieReply:
      return bytes.length === COOKIE_REPLY_LENGTH ? "cookieReply" : undefined;
    default:
      return undefined;
  }
}

/** Returns the initiation in `bytes`, or undefined when they are something else. */
export function decodeInitiation(bytes: Uint8Array): Initiation | undefined {
  if (messageType(bytes) !== "initiation") return undefined;
  return {
    type: "initiation",
    sender: readU32Le(bytes, 4),
    ephemeral: bytes.subarray(8, 40),
    encryptedStatic: bytes.subarray(40, 88),
    encryptedTimestamp: bytes.subarray(88, 116),
  };
}

/** Returns the response in `bytes`, or undefined when they are something else. */
export function decodeResponse(bytes: Uint8Array): Response | undefined {
  if (messageType(bytes) !== "response") return undefined;
  return {
    type: "response",
    sender: readU32Le(bytes, 4),
    receiver: readU32Le(bytes, 8),
    ephemeral: bytes.subarray(12, 44),
    encryptedNothing: bytes.subarray(44, 60),
  };
}

/** Returns the cookie reply in `bytes`, or undefined when they are something else. */
export function decodeCookieReply(bytes: Uint8Array): CookieReply | undefined {
  if (messageType(bytes) !== "cookieReply") return undefined;
  return {
    type: "cookieReply",
    receiver: readU32Le(bytes, 4),
    nonce: bytes.subarray(8, 32),
    encryptedCookie: bytes.subarray(32, 64),
  };
}

/** Returns the receiver index of a data message. `bytes` must have passed `messageType`. */
export function dataReceiver(bytes: Uint8Array): number {
  return readU32Le(bytes, 4);
}

/** Returns the counter of a data message, Infinity from 2^53 on. `bytes` must have passed `messageType`. */
export function dataCounter(bytes: Uint8Array): number {
  const high = readU32Le(bytes, 12);
  const low = readU32Le(bytes, 8);
  if (high === 0) return low;
  return high < 2 ** 21 ? high * 2 ** 32 + low : Infinity;
}

/** Writes the 16 bytes in front of the ciphertext of a data message to the start of `out`. */
export function writeDataHeader(out: Uint8Array, receiver: number, counter: number): void {
  writeU32Le(out, 0, MessageType.data);
  writeU32Le(out, 4, receiver);
  writeU32Le(out, 8, counter);
  writeU32Le(out, 12, Math.floor(counter / 2 ** 32));
}
