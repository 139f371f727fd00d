/** Vectors: RFC 5769 §2 and an ICE check computed independently (data-plane.md §11). */

import assert from "node:assert/strict";
import { md5 } from "@noble/hashes/legacy.js";
import fc from "fast-check";
import { fromHex, toHex, utf8 } from "../../../lib/base/bytes.ts";
import { SocketAddress } from "../../../lib/base/ip.ts";
import { Attribute, decodeStun, isStun, Method, StunMessage, StunWriter } from "../../../lib/wire/stun.ts";
import { mutatedBytes } from "./mutation.ts";

/** RFC 5769 §2.1; its padding is spaces, so it cannot be rebuilt byte for byte. */
const RFC5769_REQUEST = fromHex(`
  00 01 00 58 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae
  80 22 00 10 53 54 55 4e 20 74 65 73 74 20 63 6c 69 65 6e 74
  00 24 00 04 6e 00 01 ff
  80 29 00 08 93 2f f9 b1 51 26 3b 36
  00 06 00 09 65 76 74 6a 3a 68 36 76 59 20 20 20
  00 08 00 14 9a ea a7 0c bf d8 cb 56 78 1e f2 b5 b2 d3 f2 49 c1 b5 71 a2
  80 28 00 04 e5 7a 3b cf`);
/** RFC 5769 §2.2. */
const RFC5769_RESPONSE_4 = fromHex(`
  01 01 00 3c 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae
  80 22 00 0b 74 65 73 74 20 76 65 63 74 6f 72 20
  00 20 00 08 00 01 a1 47 e1 12 a6 43
  00 08 00 14 2b 91 f5 99 fd 9e 90 c3 8c 74 89 f9 2a f9 ba 53 f0 6b e7 d7
  80 28 00 04 c0 7d 4c 96`);
/** RFC 5769 §2.3. */
const RFC5769_RESPONSE_6 = fromHex(`
  01 01 00 48 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae
  80 22 00 0b 74 65 73 74 20 76 65 63 74 6f 72 20
  00 20 00 14 00 02 a1 47 01 13 a9 fa a5 d3 f1 79 bc 25 f4 b5 be d2 b9 d9
  00 08 00 14 a3 82 95 4e 4b e6 7b f1 17 84 c9 7c 82 92 c2 75 bf e3 ed 41
  80 28 00 04 c8 fb 0b 4c`);
/** RFC 5769 §2.4: long-term credentials, no FINGERPRINT. */
const RFC5769_LONG_TERM = fromHex(`
  00 01 00 60 21 12 a4 42 78 ad 34 33 c6 ad 72 c0 29 da 41 2e
  00 06 00 12 e3 83 9e e3 83 88 e3 83 aa e3 83 83 e3 82 af e3 82 b9 00 00
  00 15 00 1c 66 2f 2f 34 39 39 6b 39 35 34 64 36 4f 4c 33 34 6f 4c 39 46 53 54 76 79 36 34 73 41
  00 14 00 0b 65 78 61 6d 70 6c 65 2e 6f 72 67 00
  00 08 00 14 f6 70 24 65 6d d6 4a 3e 02 b8 e0 71 2e 85 c9 a2 8c a8 96 66`);
const RFC5769_PASSWORD = utf8("VOkJxbRl1RmTxUk/WvJxBt");

const ICE_CHECK = fromHex(`
  000100482112a4420102030405060708090a0b0c
  00060009676767673a63636363000000
  802a00080102030405060708
  002400046effffff
  00250000
  00080014bbc657a53360d4148715322753c3f1703dc905d5
  80280004271771f8`);

function decoded(bytes: Uint8Array): StunMessage {
  const result = decodeStun(bytes);
  assert(result.ok);
  return result.value;
}

Deno.test("decodeStun reads the request of RFC 5769 §2.1", () => {
  const message = decoded(RFC5769_REQUEST);
  assert.equal(message.class, "request");
  assert.equal(message.method, 0x001);
  assert.equal(toHex(message.transactionId), "b7e7a701bc34d686fa87dfae");
  assert.equal(message.text(0x8022), "STUN test client");
  assert.equal(message.priority, 0x6e0001ff);
  assert.equal(message.username, "evtj:h6vY");
  assert.equal(message.useCandidate, false);
  assert.equal(toHex(message.attribute(0x8029)!), "932ff9b151263b36");
  assert(message.verifyIntegrity(RFC5769_PASSWORD));
  assert(message.verifyFingerprint());
});

Deno.test("decodeStun reads the responses of RFC 5769 §2.2 and §2.3", () => {
  const ipv4 = decoded(RFC5769_RESPONSE_4);
  assert.equal(ipv4.class, "success");
  assert.equal(ipv4.mappedAddress?.toString(), "192.0.2.1:32853");
  assert(ipv4.verifyIntegrity(RFC5769_PASSWORD) && ipv4.verifyFingerprint());
  const ipv6 = decoded(RFC5769_RESPONSE_6);
  assert.equal(ipv6.mappedAddress?.toString(), "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
  assert(ipv6.verifyIntegrity(RFC5769_PASSWORD) && ipv6.verifyFingerprint());
});

Deno.test("StunMessage.verifyIntegrity accepts the long-term vector of RFC 5769 §2.4", () => {
  const message = decoded(RFC5769_LONG_TERM);
  assert.equal(message.text(0x0014), "example.org");
  assert.equal(message.username, "\u30DE\u30C8\u30EA\u30C3\u30AF\u30B9");
  const key = md5(utf8("\u30DE\u30C8\u30EA\u30C3\u30AF\u30B9:example.org:TheMatrIX"));
  assert(message.verifyIntegrity(key));
  assert.equal(message.verifyFingerprint(), false);
});

Deno.test("StunMessage.verifyIntegrity refuses another key, a flipped bit, and a message without integrity", () => {
  assert.equal(decoded(RFC5769_REQUEST).verifyIntegrity(utf8("other")), false);
  const flipped = RFC5769_REQUEST.slice();
  flipped[30]! ^= 1;
  assert.equal(decoded(flipped).verifyIntegrity(RFC5769_PASSWORD), false);
  assert.equal(decoded(flipped).verifyFingerprint(), false);
  const bare = new StunWriter(Method.Binding, "request", new Uint8Array(12)).finish();
  assert.equal(decoded(bare).verifyIntegrity(RFC5769_PASSWORD), false);
});

Deno.test("StunWriter builds the ICE check vector byte for byte", () => {
  const bytes = new StunWriter(Method.Binding, "request", fromHex("0102030405060708090a0b0c"))
    .addText(Attribute.Username, "gggg:cccc")
    .add(Attribute.IceControlling, fromHex("0102030405060708"))
    .addU32(Attribute.Priority, 1862270975)
    .add(Attribute.UseCandidate)
    .addIntegrity(utf8("gatewaypassword0123456"))
    .addFingerprint()
    .finish();
  assert.equal(toHex(bytes), toHex(ICE_CHECK));
  assert(decoded(bytes).useCandidate);
});

Deno.test("StunWriter builds the IPv4 response of RFC 5769 §2.2 up to its padding", () => {
  const bytes = new StunWriter(Method.Binding, "success", fromHex("b7e7a701bc34d686fa87dfae"))
    .addXorAddress(Attribute.XorMappedAddress, SocketAddress.from("192.0.2.1:32853"))
    .finish();
  assert.equal(toHex(bytes), "0101000c2112a442b7e7a701bc34d686fa87dfae002000080001a147e112a643");
});

Deno.test("StunWriter encodes the message types of TURN", () => {
  const type = (method: number, kind: "request" | "indication" | "success" | "error") =>
    toHex(new StunWriter(method, kind, new Uint8Array(12)).finish().subarray(0, 2));
  assert.equal(type(Method.Allocate, "request"), "0003");
  assert.equal(type(Method.Allocate, "success"), "0103");
  assert.equal(type(Method.Allocate, "error"), "0113");
  assert.equal(type(Method.ChannelBind, "error"), "0119");
  assert.equal(type(Method.Data, "indication"), "0017");
  assert.equal(decoded(new StunWriter(0xfff, "error", new Uint8Array(12)).finish()).method, 0xfff);
});

Deno.test("StunWriter.addError is read back by StunMessage.error", () => {
  const bytes = new StunWriter(Method.Allocate, "error", new Uint8Array(12)).addError(438, "Stale Nonce");
  assert.deepEqual(decoded(bytes.finish()).error, { code: 438, reason: "Stale Nonce" });
});

Deno.test("StunMessage ignores attributes that follow MESSAGE-INTEGRITY, FINGERPRINT excepted", () => {
  const key = utf8("key");
  const bytes = new StunWriter(Method.Binding, "request", new Uint8Array(12))
    .addIntegrity(key).add(Attribute.UseCandidate).addFingerprint().finish();
  const message = decoded(bytes);
  assert.equal(message.useCandidate, false);
  assert(message.verifyIntegrity(key) && message.verifyFingerprint());
});

Deno.test("isStun tells STUN from WireGuard and ChannelData", () => {
  assert(isStun(ICE_CHECK));
  const wireguard = new Uint8Array(148);
  wireguard[0] = 1;
  assert.equal(isStun(wireguard), false);
  assert.equal(isStun(ICE_CHECK.subarray(0, 91)), false);
  assert.equal(isStun(Uint8Array.of(0x40, 0, 0, 0)), false);
});

/** Touches everything that parses. */
function exercise(bytes: Uint8Array): void {
  const result = decodeStun(bytes);
  if (!result.ok) return;
  const message = result.value;
  for (const type of Object.values(Attribute)) {
    message.text(type);
    message.u32(type);
    message.xorAddresses(type);
  }
  message.error;
  message.verifyIntegrity(RFC5769_PASSWORD);
  message.verifyFingerprint();
}

Deno.test("decodeStun never throws on random bytes behind a valid header", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), (body) => {
    const bytes = new Uint8Array(20 + body.length);
    bytes.set(fromHex("00010000 2112a442"));
    bytes[3] = body.length;
    bytes.set(body, 20);
    exercise(bytes);
    exercise(body);
  }));
});

Deno.test("decodeStun never throws on mutated valid messages", () => {
  const valid = [RFC5769_REQUEST, RFC5769_RESPONSE_4, RFC5769_RESPONSE_6, RFC5769_LONG_TERM, ICE_CHECK];
  fc.assert(fc.property(mutatedBytes(valid), exercise));
});
