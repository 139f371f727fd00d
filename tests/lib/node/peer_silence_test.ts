import assert from "node:assert/strict";
import { PeerSilence } from "../../../lib/node/peer_silence.ts";

Deno.test("PeerSilence.isSuspicious waits five seconds beyond the checks' interval", () => {
  const silence = new PeerSilence(0);
  assert.ok(!silence.isSuspicious(0, undefined, 4999));
  assert.ok(silence.isSuspicious(0, undefined, 5000));
  assert.ok(!silence.isSuspicious(25_000, undefined, 29_999));
  assert.ok(silence.isSuspicious(25_000, undefined, 30_000));
  silence.handlePeer(30_000);
  assert.ok(!silence.isSuspicious(0, undefined, 34_999));
});

Deno.test("PeerSilence.isSuspicious takes a handshake without an answer for silence, however seldom checks are", () => {
  const silence = new PeerSilence(0);
  assert.ok(!silence.isSuspicious(25_000, 6000, 10_999));
  assert.ok(silence.isSuspicious(25_000, 6000, 11_000));
});

Deno.test("PeerSilence.isGeneral blames the peer when others answered while it was silent", () => {
  const silence = new PeerSilence(0);
  silence.handleOthers(100);
  assert.ok(silence.isSuspicious(0, undefined, 5000));
  silence.handleOthers(4999);
  assert.ok(silence.isGeneral(17_000), "what others said before the suspicion proves nothing");
  silence.handleOthers(5030);
  silence.handleOthers(16_900);
  assert.ok(!silence.isGeneral(17_000));
});

Deno.test("PeerSilence.isGeneral blames nobody when others come back just before the end", () => {
  const silence = new PeerSilence(0);
  silence.isSuspicious(0, undefined, 5000);
  silence.handleOthers(14_000);
  assert.ok(silence.isGeneral(17_000));
  assert.ok(!silence.isGeneral(18_000));
});

Deno.test("PeerSilence.isGeneral says no of a peer that was heard lately", () => {
  const silence = new PeerSilence(0);
  silence.isSuspicious(0, undefined, 5000);
  silence.handlePeer(6000);
  assert.ok(!silence.isGeneral(90_000), "nobody listened");
  silence.isSuspicious(25_000, 80_000, 90_000);
  silence.handlePeer(90_000);
  silence.isSuspicious(0, 80_000, 90_001);
  assert.ok(!silence.isGeneral(91_000), "it answers checks, though no handshake");
});
