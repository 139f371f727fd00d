import assert from "node:assert/strict";
import fc from "fast-check";
import { readU32Le } from "../../../lib/base/bytes.ts";
import { IpAddress } from "../../../lib/base/ip.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import { seconds } from "../../../lib/base/time.ts";
import { MessageChecker, MessageSigner } from "../../../lib/wireguard/cookie.ts";
import { RateLimiter } from "../../../lib/wireguard/rate_limiter.ts";
import { publicKeyOf } from "../../../lib/wireguard/noise.ts";
import { World } from "./world.ts";

const KEY_PUBLIC = publicKeyOf(new Uint8Array(32).fill(3));
const SOURCE = IpAddress.from("192.0.2.7");

/** A message that looks like an initiation as far as the MACs are concerned. */
function message(): Uint8Array {
  const bytes = new Uint8Array(148).fill(0x77);
  bytes.set([1, 0, 0, 0, 0xaa, 0xbb, 0xcc, 0xdd]);
  return bytes.fill(0, 116);
}

Deno.test("MessageSigner leaves mac2 zero without a cookie and signs with one while it is fresh", () => {
  const signer = new MessageSigner(KEY_PUBLIC, seconds(120));
  const checker = new MessageChecker(KEY_PUBLIC, seededRng(1), 0);
  const first = message();
  signer.sign(first, 0);
  assert.deepEqual(first.subarray(132), new Uint8Array(16));
  assert.equal(checker.isMac2Valid(first, SOURCE, 0), false);

  const reply = checker.cookieReply(first, SOURCE, 0);
  assert.equal(reply.length, 64);
  assert.equal(readU32Le(reply, 4), 0xddccbbaa);
  assert.equal(signer.handleCookieReply(reply, 0), true);
  const second = message();
  signer.sign(second, 1);
  assert.equal(checker.isMac1Valid(second), true);
  assert.equal(checker.isMac2Valid(second, SOURCE, 1), true);
  assert.equal(checker.isMac2Valid(second, IpAddress.from("192.0.2.8"), 1), false);

  const stale = message();
  signer.sign(stale, seconds(120));
  assert.deepEqual(stale.subarray(132), new Uint8Array(16));
});

Deno.test("MessageSigner takes a cookie reply only for the message it signed last, and only once", () => {
  const signer = new MessageSigner(KEY_PUBLIC, seconds(120));
  const checker = new MessageChecker(KEY_PUBLIC, seededRng(1), 0);
  const first = message();
  signer.sign(first, 0);
  const reply = checker.cookieReply(first, SOURCE, 0);
  const other = message().fill(0x66, 8, 116);
  signer.sign(other, 0);
  assert.equal(signer.handleCookieReply(reply, 0), false);
  const right = checker.cookieReply(other, SOURCE, 0);
  assert.equal(signer.handleCookieReply(right, 0), true);
  assert.equal(signer.handleCookieReply(right, 0), false);
});

Deno.test("MessageSigner refuses any bytes that are not the reply", () => {
  const signer = new MessageSigner(KEY_PUBLIC, seconds(120));
  const checker = new MessageChecker(KEY_PUBLIC, seededRng(1), 0);
  const signed = message();
  signer.sign(signed, 0);
  const reply = checker.cookieReply(signed, SOURCE, 0);
  fc.assert(fc.property(
    fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.tuple(fc.integer({ min: 8, max: 63 }), fc.integer({ min: 1, max: 255 })).map(([at, flip]) => {
        const damaged = reply.slice();
        damaged[at]! ^= flip;
        return damaged;
      }),
    ),
    (bytes) => assert.equal(signer.handleCookieReply(bytes, 0), false),
  ));
  assert.equal(signer.handleCookieReply(reply, 0), true);
});

Deno.test("MessageChecker changes its secret every 128 s and honours the one before", () => {
  const signer = new MessageSigner(KEY_PUBLIC, seconds(1000));
  const checker = new MessageChecker(KEY_PUBLIC, seededRng(1), 0);
  const first = message();
  signer.sign(first, 0);
  signer.handleCookieReply(checker.cookieReply(first, SOURCE, seconds(127)), 0);
  const second = message();
  signer.sign(second, 0);
  assert.equal(checker.isMac2Valid(second, SOURCE, seconds(127)), true);
  assert.equal(checker.isMac2Valid(second, SOURCE, seconds(129)), true);
  assert.equal(checker.isMac2Valid(second, SOURCE, seconds(128 + 127)), true);
  assert.equal(checker.isMac2Valid(second, SOURCE, seconds(129 + 129)), false);
});

Deno.test("RateLimiter admits 100 handshakes a second, then asks for cookies, then admits who has one", () => {
  const world = new World();
  const keyOfB = bobsPublicKey();
  const limiter = new RateLimiter(keyOfB, seededRng(4), world.now);
  world.a.startHandshake(world.now);
  const initiation = world.a.pollTransmit()!;
  for (let count = 0; count < 100; count++) {
    assert.deepEqual(limiter.admit(initiation, SOURCE, world.now), { type: "admitted" });
  }
  const verdict = limiter.admit(initiation, SOURCE, world.now);
  assert.ok(verdict.type === "cookie");
  assert.deepEqual(world.a.decapsulate(verdict.reply, new Uint8Array(99), world.now), { type: "handshake" });
  assert.equal(world.a.pollTransmit(), undefined, "the cookie waits for the next attempt");

  world.now += 5400;
  world.a.handleTimeout(world.now);
  const repeated = world.a.pollTransmit()!;
  const elsewhere = IpAddress.from("2001:db8::1");
  for (let count = 0; count < 100; count++) limiter.admit(initiation, SOURCE, world.now);
  assert.equal(limiter.admit(repeated, elsewhere, world.now).type, "cookie");
  assert.deepEqual(limiter.admit(repeated, SOURCE, world.now), { type: "admitted" });
  assert.equal(world.deliver("b", repeated).type, "handshake");

  assert.deepEqual(limiter.admit(initiation, elsewhere, world.now + 1000), { type: "admitted" });
});

Deno.test("RateLimiter drops what lacks a valid mac1, uncounted, and what is no handshake", () => {
  const limiter = new RateLimiter(KEY_PUBLIC, seededRng(4), 0);
  for (let count = 0; count < 300; count++) {
    assert.deepEqual(limiter.admit(message(), SOURCE, 0), { type: "dropped", reason: "mac1" });
  }
  const signed = message();
  new MessageSigner(KEY_PUBLIC, 1).sign(signed, 0);
  assert.deepEqual(limiter.admit(signed, SOURCE, 0), { type: "admitted" });
  assert.deepEqual(limiter.admit(new Uint8Array(64), SOURCE, 0), {
    type: "dropped",
    reason: "not-a-handshake",
  });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 160 }), (bytes) => {
    assert.equal(limiter.admit(bytes, SOURCE, 0).type, "dropped");
  }));
});

/** The key that `World` gives to side b with its default seed. */
function bobsPublicKey(): Uint8Array {
  const rng = seededRng(1);
  rng.bytes(32);
  return publicKeyOf(rng.bytes(32));
}
