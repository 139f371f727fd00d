import assert from "node:assert/strict";
import fc from "fast-check";
import { fromHex, utf8 } from "../../../lib/base/bytes.ts";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import { longTermKey, relayPassword } from "../../../lib/turn/auth.ts";
import { Attribute, decodeStun, Method, type StunMessage, StunWriter } from "../../../lib/wire/stun.ts";
import { addAdditionalIpv6, addChannelNumber, addRequestedTransport } from "../../../lib/wire/turn.ts";
import { mutatedBytes } from "../wire/mutation.ts";
import { EPOCH, RELAY_V4, RELAY_V6, SECRET, World } from "./world.ts";

const CLIENT = SocketAddress.from("198.51.100.77:4000");
const PEER = SocketAddress.from("192.0.2.7:7000");
const DATA = Uint8Array.of(1, 2, 3, 4, 5);

/** A client that sends whatever a test wants. */
class Caller {
  readonly world: World;
  readonly address: SocketAddress;
  readonly username: string;
  readonly key: Uint8Array;
  nonce: string | undefined;

  constructor(world: World, address = CLIENT, salt = "s", expiry = EPOCH + 1000, secret = SECRET) {
    this.world = world;
    this.address = address;
    this.username = `${expiry}:${salt}`;
    this.key = longTermKey(this.username, "firezone", relayPassword(expiry, secret, salt));
  }

  send(payload: Uint8Array): StunMessage | undefined {
    const { world } = this;
    world.server.handleDatagram(RELAY_V4, this.address, payload, world.now);
    const sent = world.wire.length;
    world.drain();
    const answer = world.wire.slice(sent).find(({ to }) => to.equals(this.address));
    if (answer === undefined) return undefined;
    const decoded = decodeStun(answer.payload);
    assert(decoded.ok);
    return decoded.value;
  }

  request(method: number, build: (writer: StunWriter) => unknown = () => {}): StunMessage {
    const writer = new StunWriter(method, "request", this.world.rng.bytes(12));
    build(writer);
    writer.addText(Attribute.Username, this.username).addText(Attribute.Realm, "firezone");
    if (this.nonce !== undefined) writer.addText(Attribute.Nonce, this.nonce);
    const answer = this.send(writer.addIntegrity(this.key).finish());
    assert(answer !== undefined, "no answer");
    this.nonce = answer.text(Attribute.Nonce) ?? this.nonce;
    return answer;
  }

  /** Allocates, from the first contact on; returns the answer. */
  allocate(build: (writer: StunWriter) => unknown = addAdditionalIpv6): StunMessage {
    const both = (writer: StunWriter) => build(addRequestedTransport(writer));
    if (this.nonce === undefined) this.request(Method.Allocate, both);
    return this.request(Method.Allocate, both);
  }

  bind(number: number, peer: SocketAddress): StunMessage {
    return this.request(Method.ChannelBind, (writer) => {
      addChannelNumber(writer, number).addXorAddress(Attribute.XorPeerAddress, peer);
    });
  }

  sendOn(channel: number, data: Uint8Array, trailing = 0) {
    const frame = new Uint8Array(4 + data.length + trailing);
    frame.set([channel >> 8, channel & 0xff, data.length >> 8, data.length & 0xff]);
    frame.set(data, 4);
    return this.world.server.handleDatagram(RELAY_V4, this.address, frame, this.world.now);
  }
}

const code = (message: StunMessage) => message.class === "success" ? "success" : message.error?.code;
const portOf = (message: StunMessage) => message.xorAddress(Attribute.XorRelayedAddress)!.port;

Deno.test("TurnServer answers BINDING of anybody with the address it sees, unsigned", () => {
  const caller = new Caller(new World());
  const answer = caller.send(new StunWriter(Method.Binding, "request", fromHex("00".repeat(12))).finish());
  assert(answer !== undefined);
  assert(answer.mappedAddress?.equals(CLIENT));
  assert.equal(answer.has(Attribute.MessageIntegrity), false);
  assert(answer.has(Attribute.Software));
});

Deno.test("TurnServer challenges with 401, realm and UUID nonce, signed if the request names a user", () => {
  const caller = new Caller(new World());
  const answer = caller.request(Method.Allocate, addRequestedTransport);
  assert.equal(code(answer), 401);
  assert.equal(answer.text(Attribute.Realm), "firezone");
  assert.match(answer.text(Attribute.Nonce)!, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert(answer.verifyIntegrity(caller.key));
  const anonymous = caller.send(
    new StunWriter(Method.Allocate, "request", fromHex("00".repeat(12))).finish(),
  )!;
  assert.equal(code(anonymous), 401);
  assert.equal(anonymous.has(Attribute.MessageIntegrity), false);
  assert.equal(anonymous.text(Attribute.Nonce), answer.text(Attribute.Nonce), "one nonce a client socket");
});

Deno.test("TurnServer does not answer a username that it could not have issued", () => {
  const caller = new Caller(new World());
  for (const name of ["alice", "1:2:3", "x:y", ""]) {
    const writer = new StunWriter(Method.Allocate, "request", fromHex("00".repeat(12)));
    writer.addText(Attribute.Username, name).addIntegrity(caller.key);
    assert.equal(caller.send(writer.finish()), undefined, name);
  }
});

Deno.test("TurnServer signs every answer to an authenticated request", () => {
  const caller = new Caller(new World());
  for (
    const answer of [
      caller.allocate(),
      caller.allocate(),
      caller.bind(0x4000, PEER),
      caller.bind(0x4000, SocketAddress.from("192.0.2.7:7001")),
      caller.request(Method.CreatePermission),
      caller.request(Method.Refresh),
    ]
  ) assert(answer.verifyIntegrity(caller.key), `${code(answer)}`);
});

Deno.test("TurnServer grants both families on one port, with lifetime and mapped address", () => {
  const world = new World();
  const answer = new Caller(world).allocate();
  assert.equal(code(answer), "success");
  const [v4, v6] = answer.xorAddresses(Attribute.XorRelayedAddress);
  assert(v4 !== undefined && v6 !== undefined && v4.port === v6.port);
  assert(v4.ip.equals(RELAY_V4.ip) && v6.ip.equals(RELAY_V6.ip));
  assert.equal(answer.u32(Attribute.Lifetime), 600);
  assert(answer.mappedAddress?.equals(CLIENT));
  assert.deepEqual([...world.openPorts], [[v4.port, [4, 6]]]);
});

Deno.test("TurnServer grants what the request asks of families, or says why not", () => {
  const family = (type: number, value: number) => (writer: StunWriter) => writer.addU32(type, value << 24);
  const { RequestedAddressFamily: raf, AdditionalAddressFamily: aaf } = Attribute;
  const outcome = (build: (writer: StunWriter) => unknown, families: "both" | "v4" | "v6" = "both") => {
    const publicAddress = {
      4: families === "v6" ? undefined : RELAY_V4.ip,
      6: families === "v4" ? undefined : RELAY_V6.ip,
    };
    const answer = new Caller(new World({ publicAddress })).allocate(build);
    return answer.error?.code ?? answer.xorAddresses(Attribute.XorRelayedAddress).map(({ family }) => family);
  };
  assert.deepEqual(outcome(() => {}), [4]);
  assert.deepEqual(outcome(family(raf, 1)), [4]);
  assert.deepEqual(outcome(family(raf, 2)), [6]);
  assert.deepEqual(outcome(family(aaf, 2)), [4, 6]);
  assert.deepEqual(outcome(family(aaf, 2), "v4"), [4]);
  assert.equal(outcome(family(raf, 2), "v4"), 440);
  assert.equal(outcome(() => {}, "v6"), 440);
  assert.equal(outcome(family(raf, 9)), 440);
  assert.equal(outcome(family(aaf, 1)), 400);
  assert.equal(outcome((writer) => family(aaf, 2)(family(raf, 1)(writer))), 400);
});

Deno.test("TurnServer relays UDP only", () => {
  const caller = new Caller(new World());
  caller.allocate();
  caller.request(Method.Refresh, (writer) => writer.addU32(Attribute.Lifetime, 0));
  assert.equal(code(caller.request(Method.Allocate)), 400);
  const tcp = caller.request(
    Method.Allocate,
    (writer) => writer.addU32(Attribute.RequestedTransport, 6 << 24),
  );
  assert.equal(code(tcp), 400);
});

Deno.test("TurnServer answers 437 to a second ALLOCATE, but repeats its answer to a repeated one", () => {
  const world = new World();
  const caller = new Caller(world);
  const first = caller.allocate();
  assert.equal(code(caller.allocate()), 437);
  const writer = new StunWriter(Method.Allocate, "request", first.transactionId);
  addRequestedTransport(writer).addText(Attribute.Username, caller.username).addText(
    Attribute.Nonce,
    caller.nonce!,
  );
  const again = caller.send(writer.addIntegrity(caller.key).finish())!;
  assert.equal(code(again), "success");
  assert.equal(portOf(again), portOf(first));
});

Deno.test("TurnServer gives a user one allocation: a newer one from elsewhere replaces it", () => {
  const world = new World();
  const old = portOf(new Caller(world).allocate());
  const elsewhere = new Caller(world, SocketAddress.from("198.51.100.78:1"));
  const port = portOf(elsewhere.allocate());
  assert.deepEqual([...world.openPorts.keys()], [port]);
  assert.equal(world.server.allocationCount, 1);
  assert.notEqual(port, old);
});

Deno.test("TurnServer binds nonces to the client's socket", () => {
  const world = new World();
  const caller = new Caller(world);
  caller.allocate();
  const thief = new Caller(world, SocketAddress.from("198.51.100.78:1"));
  thief.nonce = caller.nonce;
  assert.equal(code(thief.request(Method.Refresh)), 438);
  thief.nonce = "not a uuid";
  assert.equal(code(thief.request(Method.Refresh)), 401);
});

Deno.test("TurnServer takes a nonce ten thousand times and hands out another then", () => {
  const caller = new Caller(new World());
  caller.allocate();
  const { nonce } = caller;
  for (let use = 2; use <= 10_000; use++) assert.equal(code(caller.request(Method.Refresh)), "success");
  assert.equal(code(caller.request(Method.Refresh)), 438);
  assert.notEqual(caller.nonce, nonce);
  assert.equal(code(caller.request(Method.Refresh)), "success");
});

Deno.test("TurnServer refuses expired credentials and other secrets with 401, whatever the nonce", () => {
  const world = new World();
  for (
    const caller of [
      new Caller(world, CLIENT, "s", EPOCH - 1),
      new Caller(world, SocketAddress.from("198.51.100.78:1"), "s", EPOCH + 1000, "another"),
    ]
  ) {
    assert.equal(code(caller.request(Method.Refresh)), 401);
    assert.equal(code(caller.request(Method.Refresh)), 401);
  }
});

Deno.test("TurnServer grants lifetimes up to an hour and ends allocations that nobody refreshes", () => {
  const world = new World();
  const caller = new Caller(world);
  caller.allocate();
  const lifetime = (value: number) => (writer: StunWriter) => writer.addU32(Attribute.Lifetime, value);
  assert.equal(caller.request(Method.Refresh, lifetime(7200)).u32(Attribute.Lifetime), 3600);
  assert.equal(caller.request(Method.Refresh, lifetime(60)).u32(Attribute.Lifetime), 60);
  world.run(59_000);
  assert.equal(world.openPorts.size, 1);
  world.run(2_000);
  assert.equal(world.openPorts.size, 0);
  assert.equal(world.server.pollTimeout(), undefined);
  assert.equal(code(caller.request(Method.Refresh)), 437);
});

Deno.test("TurnServer ends an allocation at REFRESH with lifetime 0", () => {
  const world = new World();
  const caller = new Caller(world);
  caller.allocate();
  const answer = caller.request(Method.Refresh, (writer) => writer.addU32(Attribute.Lifetime, 0));
  assert.equal(answer.u32(Attribute.Lifetime), 0);
  assert.equal(world.openPorts.size, 0);
  assert.equal(code(caller.bind(0x4000, PEER)), 437);
});

Deno.test("TurnServer binds channels one to one, and renews them", () => {
  const caller = new Caller(new World());
  caller.allocate();
  const other = SocketAddress.from("192.0.2.8:1");
  assert.equal(code(caller.bind(0x4000, PEER)), "success");
  assert.equal(code(caller.bind(0x4000, PEER)), "success");
  assert.equal(code(caller.bind(0x4000, other)), 400);
  assert.equal(code(caller.bind(0x4001, PEER)), 400);
  assert.equal(code(caller.bind(0x7fff, other)), "success");
  assert.equal(code(caller.bind(0x3fff, SocketAddress.from("192.0.2.9:1"))), 400);
  assert.equal(code(caller.bind(0x8000, SocketAddress.from("192.0.2.9:1"))), 400);
  assert.equal(code(caller.request(Method.ChannelBind)), 400);
});

Deno.test("TurnServer lets a channel end after 10 minutes and its number go to another peer after 15", () => {
  const world = new World();
  const caller = new Caller(world);
  caller.allocate();
  caller.request(Method.Refresh, (writer) => writer.addU32(Attribute.Lifetime, 3600));
  caller.bind(0x4000, PEER);
  const other = SocketAddress.from("192.0.2.8:1");
  world.run(599_000);
  assert.notEqual(caller.sendOn(0x4000, DATA), undefined);
  world.run(2_000);
  assert.equal(caller.sendOn(0x4000, DATA), undefined);
  assert.equal(code(caller.bind(0x4000, other)), 400);
  world.run(300_000);
  assert.equal(code(caller.bind(0x4000, other)), "success");
});

Deno.test("TurnServer refuses peers of a family without address (443) and peers nobody should reach (403)", () => {
  const world = new World();
  const caller = new Caller(world);
  caller.allocate(() => {});
  assert.equal(code(caller.bind(0x4000, SocketAddress.from("[2001:db8::9]:1"))), 443);
  for (const text of ["127.0.0.1:53", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "192.0.2.1:0"]) {
    assert.equal(code(caller.bind(0x4000, SocketAddress.from(text))), 403, text);
  }
});

Deno.test("TurnServer refuses IPv4 peers in the clothes of IPv6", () => {
  const world = new World();
  const caller = new Caller(world);
  caller.allocate();
  for (const text of ["[::ffff:127.0.0.1]:53", "[::ffff:192.0.2.1]:53", "[::1]:53", "[ff02::1]:53"]) {
    assert.equal(code(caller.bind(0x4000, SocketAddress.from(text))), 403, text);
  }
});

Deno.test("TurnServer reaches loopback peers only if it is itself on loopback", () => {
  const world = new World({ publicAddress: { 4: IpAddress.from("127.0.0.1") } });
  const caller = new Caller(world);
  caller.allocate(() => {});
  assert.equal(code(caller.bind(0x4000, SocketAddress.from("127.0.0.1:53"))), "success");
});

Deno.test("TurnServer carries channel data to the peer and back, exact in length", () => {
  const world = new World();
  const caller = new Caller(world);
  const port = portOf(caller.allocate());
  caller.bind(0x4123, PEER);
  const out = caller.sendOn(0x4123, DATA, 3);
  assert(out !== undefined);
  assert(out.remote.equals(PEER));
  assert.equal(out.local?.port, port);
  assert.deepEqual(out.payload, DATA);
  const relayed = new SocketAddress(RELAY_V4.ip, port);
  const back = world.server.handleDatagram(relayed, PEER, utf8("hello"), world.now);
  assert(back !== undefined);
  assert(back.remote.equals(CLIENT));
  assert(back.local?.equals(RELAY_V4));
  assert.deepEqual(back.payload, Uint8Array.of(0x41, 0x23, 0, 5, ...utf8("hello")));
  assert.equal(
    world.server.handleDatagram(relayed, SocketAddress.from("192.0.2.7:7001"), DATA, world.now),
    undefined,
  );
  assert.equal(caller.sendOn(0x4124, DATA), undefined);
});

Deno.test("TurnServer passes data between two of its allocations without a socket", () => {
  const world = new World();
  const left = new Caller(world);
  const right = new Caller(world, SocketAddress.from("198.51.100.88:4000"), "t");
  const leftPort = portOf(left.allocate());
  const rightPort = portOf(right.allocate());
  left.bind(0x4000, new SocketAddress(RELAY_V4.ip, rightPort));
  assert.equal(left.sendOn(0x4000, DATA), undefined, "the other side has not bound yet");
  right.bind(0x4abc, new SocketAddress(RELAY_V4.ip, leftPort));
  const out = left.sendOn(0x4000, DATA);
  assert(out !== undefined);
  assert(out.remote.equals(right.address));
  assert.deepEqual(out.payload, Uint8Array.of(0x4a, 0xbc, 0, 5, ...DATA));
});

Deno.test("TurnServer tries other ports when some are taken, and gives 508 when there is none", () => {
  const world = new World({ lowestPort: 50000, highestPort: 50002 });
  world.isTaken = (port) => port !== 50001;
  assert.equal(portOf(new Caller(world).allocate()), 50001);
  const second = new Caller(world, SocketAddress.from("198.51.100.78:1"), "t");
  assert.equal(code(second.allocate()), 508);
  assert.equal(world.server.allocationCount, 1);
});

Deno.test("TurnServer has an upper bound of allocations", () => {
  const world = new World({ limits: { allocations: 2, channelsPerAllocation: 2 } });
  const callers = [1, 2, 3].map((number) =>
    new Caller(world, new SocketAddress(CLIENT.ip, number), `user${number}`)
  );
  assert.deepEqual(callers.map((caller) => code(caller.allocate())), ["success", "success", 508]);
  const ports = [1, 2, 3].map((port) => new SocketAddress(PEER.ip, port));
  assert.deepEqual(ports.map((peer, index) => code(callers[0]!.bind(0x4000 + index, peer))), [
    "success",
    "success",
    508,
  ]);
});

Deno.test("TurnServer answers 400 to methods it does not know and nothing to indications", () => {
  const caller = new Caller(new World());
  assert.equal(code(caller.send(new StunWriter(0x00a, "request", fromHex("00".repeat(12))).finish())!), 400);
  assert.equal(
    caller.send(new StunWriter(Method.Send, "indication", fromHex("00".repeat(12))).finish()),
    undefined,
  );
});

Deno.test("TurnServer keeps no more state than its bounds under a flood from spoofed addresses", () => {
  const world = new World();
  const honest = new Caller(world);
  honest.allocate();
  const request = new StunWriter(Method.Allocate, "request", fromHex("00".repeat(12))).finish();
  for (let number = 0; number < 20_000; number++) {
    const spoofed = new SocketAddress(IpAddress.from("10.0.0.0").plus(number), 1);
    world.server.handleDatagram(RELAY_V4, spoofed, request, world.now);
    while (world.server.pollDatagram() !== undefined);
  }
  assert.equal(code(honest.request(Method.Refresh)), "success", "the nonce of a proven client survives");
});

Deno.test("TurnServer answers nobody while its owner does not drain", () => {
  const world = new World();
  const request = new StunWriter(Method.Binding, "request", fromHex("00".repeat(12))).finish();
  const client = SocketAddress.from("10.0.0.1:1");
  for (let count = 0; count < 5000; count++) {
    world.server.handleDatagram(RELAY_V4, client, request, world.now);
  }
  let answers = 0;
  while (world.server.pollDatagram() !== undefined) answers++;
  assert.equal(answers, 1024);
  assert.equal(world.server.counters.get("owner does not drain"), 3976);
  world.server.handleDatagram(RELAY_V4, client, request, world.now);
  assert.ok(world.server.pollDatagram() !== undefined);
});

Deno.test("TurnServer takes any bytes without a throw and answers each datagram at most once", () => {
  const samples = sampleRequests();
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutatedBytes(samples)), { maxLength: 20 }),
      fc.boolean(),
      (datagrams, toPeerPort) => {
        const world = new World();
        const caller = new Caller(world);
        const port = portOf(caller.allocate());
        caller.bind(0x4000, PEER);
        const sent = world.wire.length;
        const local = toPeerPort ? new SocketAddress(RELAY_V4.ip, port) : RELAY_V4;
        for (const bytes of datagrams) {
          world.server.handleDatagram(local, toPeerPort ? PEER : CLIENT, bytes, world.now);
          world.drain();
        }
        assert(world.wire.length - sent <= datagrams.length);
        assert(world.server.counters.size < 30);
        world.run(700_000);
        assert.equal(world.server.allocationCount, 0);
      },
    ),
    { numRuns: 200 },
  );
});

function sampleRequests(): Uint8Array[] {
  const world = new World();
  const host = world.addHost();
  host.allocation.bindChannel(PEER, 0);
  world.allocate(host);
  world.sendData(host, PEER, DATA);
  return world.wire.filter(({ to }) => to.port === 3478).map(({ payload }) => payload);
}
