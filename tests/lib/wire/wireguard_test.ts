import assert from "node:assert/strict";
import fc from "fast-check";
import { fromHex, toHex } from "../../../lib/base/bytes.ts";
import {
  dataCounter,
  dataReceiver,
  decodeCookieReply,
  decodeInitiation,
  decodeResponse,
  messageType,
  writeDataHeader,
} from "../../../lib/wire/wireguard.ts";

/** Bytes 0, 1, 2, … after the type word. */
function counting(type: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => index < 4 ? (index === 0 ? type : 0) : index & 0xff);
}

Deno.test("decodeInitiation finds every field at its offset", () => {
  const bytes = counting(1, 148);
  assert.deepEqual(decodeInitiation(bytes), {
    type: "initiation",
    sender: 0x07060504,
    ephemeral: bytes.subarray(8, 40),
    encryptedStatic: bytes.subarray(40, 88),
    encryptedTimestamp: bytes.subarray(88, 116),
  });
});

Deno.test("decodeResponse and decodeCookieReply find every field at its offset", () => {
  const response = counting(2, 92);
  assert.deepEqual(decodeResponse(response), {
    type: "response",
    sender: 0x07060504,
    receiver: 0x0b0a0908,
    ephemeral: response.subarray(12, 44),
    encryptedNothing: response.subarray(44, 60),
  });
  const reply = counting(3, 64);
  assert.deepEqual(decodeCookieReply(reply), {
    type: "cookieReply",
    receiver: 0x07060504,
    nonce: reply.subarray(8, 32),
    encryptedCookie: reply.subarray(32, 64),
  });
});

Deno.test("writeDataHeader writes type, receiver and 64-bit counter, and its readers read them back", () => {
  const bytes = new Uint8Array(40);
  writeDataHeader(bytes, 0xfedcba98, 2 ** 32 * 5 + 7);
  assert.equal(toHex(bytes.subarray(0, 16)), "0400000098badcfe0700000005000000");
  assert.equal(messageType(bytes), "data");
  assert.equal(dataReceiver(bytes), 0xfedcba98);
  assert.equal(dataCounter(bytes), 2 ** 32 * 5 + 7);
});

Deno.test("dataCounter is exact up to 2^53 and Infinity beyond", () => {
  const bytes = new Uint8Array(32);
  bytes.set(fromHex("ffffffffffff1f00"), 8);
  assert.equal(dataCounter(bytes), Number.MAX_SAFE_INTEGER);
  bytes.set(fromHex("0000000000002000"), 8);
  assert.equal(dataCounter(bytes), Infinity);
  bytes.fill(0xff, 8, 16);
  assert.equal(dataCounter(bytes), Infinity);
});

Deno.test("messageType insists on exact lengths of handshakes, 32 bytes of data and zero reserved bytes", () => {
  for (const [type, length] of [[1, 148], [2, 92], [3, 64]] as const) {
    assert.notEqual(messageType(counting(type, length)), undefined);
    assert.equal(messageType(counting(type, length - 1)), undefined);
    assert.equal(messageType(counting(type, length + 1)), undefined);
    for (const reserved of [1, 2, 3]) {
      const bytes = counting(type, length);
      bytes[reserved] = 1;
      assert.equal(messageType(bytes), undefined);
    }
  }
  assert.equal(messageType(counting(4, 31)), undefined);
  assert.equal(messageType(counting(4, 32)), "data");
  assert.equal(messageType(counting(0, 64)), undefined);
  assert.equal(messageType(counting(5, 64)), undefined);
});

Deno.test("decoders never throw, and take a message exactly when messageType knows it", () => {
  const start = fc.constantFrom([], [1, 0, 0, 0], [2, 0, 0, 0], [3, 0, 0, 0], [4, 0, 0, 0]);
  const rest = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    ...[144, 88, 60, 28].map((length) => fc.uint8Array({ minLength: length, maxLength: length })),
  );
  fc.assert(fc.property(start, rest, (head, tail) => {
    const bytes = Uint8Array.from([...head, ...tail]);
    const type = messageType(bytes);
    assert.equal(decodeInitiation(bytes)?.type, type === "initiation" ? type : undefined);
    assert.equal(decodeResponse(bytes)?.type, type === "response" ? type : undefined);
    assert.equal(decodeCookieReply(bytes)?.type, type === "cookieReply" ? type : undefined);
  }));
});
