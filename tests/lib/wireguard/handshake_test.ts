import assert from "node:assert/strict";
import { fromHex } from "../../../lib/base/bytes.ts";
import { MessageChecker, MessageSigner } from "../../../lib/wireguard/cookie.ts";
import {
  createInitiation,
  createResponse,
  type HandshakeParties,
  openInitiation,
  openResponse,
  openTimestamp,
} from "../../../lib/wireguard/handshake.ts";
import { dh, publicKeyOf } from "../../../lib/wireguard/noise.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import { referenceHandshake } from "./reference.ts";

const VECTOR = {
  initiatorStatic: fromHex("11".repeat(32)),
  initiatorEphemeral: fromHex("22".repeat(32)),
  responderStatic: fromHex("33".repeat(32)),
  responderEphemeral: fromHex("44".repeat(32)),
  presharedKey: fromHex("55".repeat(32)),
  timestamp: fromHex("4000000067000000deadbeef"),
  initiatorIndex: 0x89abcd01,
  responderIndex: 0x12345602,
};

function parties(mine: Uint8Array, theirs: Uint8Array, presharedKey = VECTOR.presharedKey): HandshakeParties {
  const remotePublicKey = publicKeyOf(theirs);
  return {
    local: { privateKey: mine, publicKey: publicKeyOf(mine) },
    remotePublicKey,
    staticShared: dh(mine, remotePublicKey)!,
    presharedKey,
  };
}

const initiator = parties(VECTOR.initiatorStatic, VECTOR.responderStatic);
const responder = parties(VECTOR.responderStatic, VECTOR.initiatorStatic);

function initiate() {
  const made = createInitiation(
    initiator,
    VECTOR.initiatorIndex,
    VECTOR.timestamp,
    VECTOR.initiatorEphemeral.slice(),
  )!;
  new MessageSigner(initiator.remotePublicKey, 120_000).sign(made.message, 0);
  return made;
}

Deno.test("createInitiation, createResponse and both ends' keys equal the whitepaper's steps done by hand", () => {
  const expected = referenceHandshake(VECTOR);
  const { message, pending } = initiate();
  assert.deepEqual(message, expected.initiation);

  const opened = openInitiation(responder.local, message)!;
  assert.deepEqual(opened.remotePublicKey, initiator.local.publicKey);
  assert.equal(opened.remoteIndex, VECTOR.initiatorIndex);
  assert.deepEqual(openTimestamp(responder, opened), VECTOR.timestamp);
  const answer = createResponse(
    responder,
    opened,
    VECTOR.responderIndex,
    VECTOR.responderEphemeral.slice(),
  )!;
  new MessageSigner(responder.remotePublicKey, 120_000).sign(answer.message, 0);
  assert.deepEqual(answer.message, expected.response);
  assert.deepEqual(answer.keys, {
    send: expected.responderSends,
    receive: expected.initiatorSends,
    remoteIndex: VECTOR.initiatorIndex,
  });

  assert.deepEqual(openResponse(initiator, pending, answer.message), {
    send: expected.initiatorSends,
    receive: expected.responderSends,
    remoteIndex: VECTOR.responderIndex,
  });
});

Deno.test("openInitiation returns the initiator's key to the right responder only", () => {
  const { message } = initiate();
  assert.deepEqual(openInitiation(responder.local, message)?.remotePublicKey, initiator.local.publicKey);
  assert.equal(openInitiation(initiator.local, message), undefined);
});

Deno.test("openTimestamp refuses an initiation of someone who only knows the public keys", () => {
  const forger = { ...initiator, staticShared: new Uint8Array(32).fill(9) };
  const made = createInitiation(forger, 1, VECTOR.timestamp, VECTOR.initiatorEphemeral.slice())!;
  const opened = openInitiation(responder.local, made.message)!;
  assert.deepEqual(opened.remotePublicKey, initiator.local.publicKey);
  assert.equal(openTimestamp(responder, opened), undefined);
});

Deno.test("openInitiation refuses an ephemeral key of low order and any changed byte before the MACs", () => {
  const { message } = initiate();
  const zeroed = message.slice().fill(0, 8, 40);
  assert.equal(openInitiation(responder.local, zeroed), undefined);
  for (const offset of [0, 1, 8, 40, 87]) {
    const changed = message.slice();
    changed[offset]! ^= 1;
    assert.equal(openInitiation(responder.local, changed), undefined, `offset ${offset}`);
  }
});

Deno.test("openResponse refuses another preshared key, another index and forgeries, and survives them", () => {
  const { message, pending } = initiate();
  const other = parties(VECTOR.responderStatic, VECTOR.initiatorStatic, fromHex("66".repeat(32)));
  const respond = (who: HandshakeParties) => {
    const opened = openInitiation(who.local, message)!;
    openTimestamp(who, opened);
    return createResponse(who, opened, 7, VECTOR.responderEphemeral.slice())!;
  };
  assert.equal(openResponse(initiator, pending, respond(other).message), undefined);
  const good = respond(responder);
  for (const offset of [8, 12, 44]) {
    const changed = good.message.slice();
    changed[offset]! ^= 1;
    assert.equal(openResponse(initiator, pending, changed), undefined, `offset ${offset}`);
  }
  assert.deepEqual(openResponse(initiator, pending, good.message)?.send, good.keys.receive);
});

Deno.test("MessageChecker accepts mac1 of a message to us and refuses it after any change", () => {
  const { message } = initiate();
  const checker = new MessageChecker(responder.local.publicKey, seededRng(1), 0);
  assert.equal(checker.isMac1Valid(message), true);
  assert.equal(
    new MessageChecker(initiator.local.publicKey, seededRng(1), 0).isMac1Valid(message),
    false,
  );
  for (const offset of [4, 60, 115, 116, 131]) {
    const changed = message.slice();
    changed[offset]! ^= 0x80;
    assert.equal(checker.isMac1Valid(changed), false);
  }
});
