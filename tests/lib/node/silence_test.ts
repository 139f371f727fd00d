/** A node does not exist for whom the portal has not authorized. Rules: data-plane.md §9. */

import assert from "node:assert/strict";
import { toBase64, utf8 } from "../../../lib/base/bytes.ts";
import { nobleProvider } from "../../../lib/base/crypto.ts";
import { SocketAddress } from "../../../lib/base/ip.ts";
import { silentLog } from "../../../lib/base/log.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import { WallClock } from "../../../lib/base/time.ts";
import { Node } from "../../../lib/node/node.ts";
import { Attribute, decodeStun, Method, StunWriter } from "../../../lib/wire/stun.ts";
import { INITIATION_LENGTH } from "../../../lib/wire/wireguard.ts";
import { publicKeyOf } from "../../../lib/wireguard/noise.ts";
import { ICE_TIMERS } from "../../../lib/wireguard/timers.ts";
import { Tunnel } from "../../../lib/wireguard/tunnel.ts";

const LOCAL = SocketAddress.from("192.0.2.1:52625");
const RELAY = SocketAddress.from("192.0.2.9:3478");
const STRANGER = SocketAddress.from("198.51.100.66:1234");
const wallClock = new WallClock(0, 1_800_000_000_000);
const keys = (byte: number) => {
  const privateKey = new Uint8Array(32).fill(byte);
  return { privateKey, publicKey: publicKeyOf(privateKey) };
};
const OWN = keys(1);
const FRIEND = keys(2);

Deno.test("Node answers no handshake, check or data of a peer that was not authorized", () => {
  const node = nodeWithFriend();
  const initiation = handshakeOf(keys(3));
  assert.equal(initiation.length, INITIATION_LENGTH);
  inject(node, initiation);
  assert.equal(node.counters.get("initiation of unknown peer"), 1);
  const data = new Uint8Array(64);
  data[0] = 4;
  inject(node, data);
  const stranger = keys(3);
  for (
    const username of ["", "gggg", "gggg:xxxx", "cccc:gggg", toBase64(stranger.publicKey), "gggg:cccc\0"]
  ) {
    for (const password of ["gatewaypassword", "clientpassword", "x"]) {
      inject(
        node,
        check(username, password),
      );
    }
  }
  // The right name, but not the secret.
  inject(node, check("gggg:cccc", "clientpassword"));
  assert.deepEqual(sent(node), [], "silence");
  inject(node, check("gggg:cccc", "gatewaypassword"));
  const [answer] = sent(node);
  const decoded = answer && decodeStun(answer);
  assert.ok(decoded?.ok && decoded.value.verifyIntegrity(utf8("gatewaypassword")), "the friend is answered");
  inject(node, handshakeOf(FRIEND));
  assert.equal(node.counters.get("initiation of unknown peer"), 1);
});

Deno.test("Node takes an initiation of a friend's key made without the preshared key for nothing", () => {
  const node = nodeWithFriend();
  const mine = tunnel(FRIEND, undefined);
  mine.startHandshake(0);
  inject(node, mine.pollTransmit()!);
  sent(node);
  assert.equal(node.isConnected("friend"), false);
});

Deno.test("Node takes a relay's word only from the relay's own address", () => {
  const node = newNode();
  const answer = answerOfRelay(node, SocketAddress.from("203.0.113.66:9"));
  while (node.pollEvent() !== undefined);
  inject(node, answer, STRANGER);
  inject(node, Uint8Array.of(0x40, 0, 0, 4, 1, 2, 3, 4), STRANGER);
  inject(node, Uint8Array.of(0x40, 0, 0, 4, 1, 2, 3, 4), RELAY);
  assert.equal(node.pollEvent(), undefined, "no candidate of a forger's making");
  inject(node, answer, RELAY);
  const event = node.pollEvent();
  assert.ok(event?.type === "candidate", "but of the relay's");
});

Deno.test("Node takes a hundred new addresses of a peer at once, no more: channels cannot be given back", () => {
  const node = nodeWithFriend();
  const candidate = (number: number) =>
    `candidate:1 1 udp 100 10.0.${number >> 8}.${
      number & 255
    } 5000 typ srflx raddr 0.0.0.0 rport 0 ufrag cccc`;
  const churn = (from: number, count: number, now: number) => {
    const before = node.counters.get("candidate refused") ?? 0;
    for (let number = from; number < from + count; number++) {
      node.addRemoteCandidate("friend", candidate(number), now);
      node.addRemoteCandidate("friend", candidate(number), now);
      node.removeRemoteCandidate("friend", candidate(number), now);
    }
    // A refused one is refused twice.
    return count - ((node.counters.get("candidate refused") ?? 0) - before) / 2;
  };
  assert.equal(churn(0, 1000, 0), 100);
  assert.equal(churn(1000, 10, 1000), 0);
  polled(node);
});

/** A node that asks a relay, and was told of a friend. */
function newNode(): Node {
  const node = new Node({
    profile: "gateway",
    keyPair: OWN,
    crypto: nobleProvider,
    rng: seededRng(1),
    now: 0,
    wallClock,
    log: silentLog,
  });
  node.setRelays([{ id: "r", addr: RELAY, username: "1:x", password: "p", expiresAt: 2_000_000_000 }], 0);
  const made = node.upsertConnection("friend", {
    remotePublicKey: FRIEND.publicKey,
    presharedKey: new Uint8Array(32).fill(9),
    localIce: { username: "gggg", password: "gatewaypassword" },
    remoteIce: { username: "cccc", password: "clientpassword" },
    controlling: false,
  }, 0);
  assert.ok(made.ok);
  return node;
}

/** `newNode`, after the relay has told it the address of its socket: that is a candidate now. */
function nodeWithFriend(): Node {
  const node = newNode();
  inject(node, answerOfRelay(node, LOCAL), RELAY);
  return node;
}

function answerOfRelay(node: Node, mapped: SocketAddress): Uint8Array {
  const asked = polled(node).find(({ remote }) => remote.equals(RELAY));
  const request = decodeStun(asked!.payload);
  assert.ok(request.ok);
  return new StunWriter(Method.Binding, "success", request.value.transactionId)
    .addXorAddress(Attribute.XorMappedAddress, mapped).finish();
}

function tunnel(own: ReturnType<typeof keys>, presharedKey: Uint8Array | undefined): Tunnel {
  return new Tunnel({
    staticPrivateKey: own.privateKey,
    staticPublicKey: own.publicKey,
    remotePublicKey: OWN.publicKey,
    presharedKey,
    index24: 5,
    crypto: nobleProvider,
    rng: seededRng(2),
    now: 0,
    wallClock,
    timers: ICE_TIMERS,
    log: silentLog,
  });
}

function handshakeOf(own: ReturnType<typeof keys>): Uint8Array {
  const mine = tunnel(own, new Uint8Array(32).fill(9));
  mine.startHandshake(0);
  return mine.pollTransmit()!;
}

function check(username: string, password: string): Uint8Array {
  return new StunWriter(Method.Binding, "request", seededRng(4).bytes(12))
    .addText(Attribute.Username, username)
    .add(Attribute.IceControlling, new Uint8Array(8))
    .addU32(Attribute.Priority, 100)
    .addIntegrity(utf8(password))
    .addFingerprint()
    .finish();
}

function inject(node: Node, payload: Uint8Array, remote = STRANGER): void {
  assert.equal(node.handleDatagram(LOCAL, remote, payload.slice(), 0), undefined);
}

/** What the node has to say to anybody but its relay. */
function sent(node: Node): Uint8Array[] {
  return polled(node).filter(({ remote }) => !remote.equals(RELAY)).map(({ payload }) => payload);
}

function polled(node: Node) {
  const datagrams = [];
  for (let next = node.pollDatagram(); next !== undefined; next = node.pollDatagram()) {
    datagrams.push({ remote: next.remote, payload: next.payload.slice() });
  }
  return datagrams;
}
