import assert from "node:assert/strict";
import fc from "fast-check";
import { SocketAddress } from "../../../lib/base/ip.ts";
import { silentLog } from "../../../lib/base/log.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import { longTermKey, relayPassword } from "../../../lib/turn/auth.ts";
import { Allocation } from "../../../lib/turn/client.ts";
import { Attribute, decodeStun, Method, type StunMessage, StunWriter } from "../../../lib/wire/stun.ts";
import { mutatedBytes } from "../wire/mutation.ts";
import { type Host, LATENCY, type Packet, RELAY_V4, RELAY_V6, SECRET, World } from "./world.ts";

const PEER = SocketAddress.from("192.0.2.7:7000");
const PEER_V6 = SocketAddress.from("[2001:db8:7::7]:7000");
const DATA = Uint8Array.of(4, 0, 0, 0, 1, 2, 3);

const ofMethod = (method: number) => (line: string) => line.startsWith(`${method} `);
const eventTypes = (host: Host) => host.events.map(({ type }) => type);
const fromRelay = ({ from }: Packet) => from.port === 3478;

Deno.test("Allocation asks both families, takes the first answer and allocates after one 401", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  assert.deepEqual(world.messages(), [
    "1 request",
    "1 request",
    "1 success",
    "1 success",
    "3 request",
    "3 error 401",
    "3 request",
    "3 success",
  ]);
  assert(host.allocation.activeAddress?.equals(RELAY_V4));
  assert.equal(host.allocation.rttMs, 2 * LATENCY);
});

Deno.test("Allocation reports host and relayed addresses of both families with one port", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  assert.deepEqual(eventTypes(host), ["host", "host", "relayed", "relayed"]);
  const v4 = host.allocation.relayedAddress(4);
  const v6 = host.allocation.relayedAddress(6);
  assert.equal(v4?.ip.toString(), "203.0.113.1");
  assert.equal(v6?.ip.toString(), "2001:db8::1");
  assert.equal(v4.port, v6.port);
  assert(v4.port >= 49152);
  assert.deepEqual(world.openPorts.get(v4.port), [4, 6]);
});

Deno.test("Allocation reports the mapped address where it differs from its own", () => {
  const allocation = new Allocation({
    relay: { id: "r", v4: RELAY_V4, username: "1:x", password: "p" },
    rng: seededRng(1),
    now: 0,
    log: silentLog,
  });
  const world = new World();
  const request = allocation.pollDatagram()!;
  world.server.handleDatagram(RELAY_V4, SocketAddress.from("198.51.100.9:61000"), request.payload, 0);
  const local = SocketAddress.from("10.0.0.5:5000");
  allocation.handleDatagram(local, RELAY_V4, world.server.pollDatagram()!.payload, 1);
  assert.deepEqual(allocation.pollEvent(), { type: "host", local });
  const event = allocation.pollEvent();
  assert(event?.type === "serverReflexive");
  assert.equal(event.mapped.toString(), "198.51.100.9:61000");
  assert.equal(event.base, local);
});

Deno.test("Allocation works over IPv6 alone and still has an IPv4 address at the relay", () => {
  const world = new World();
  world.isLost = ({ to }) => to.family === 4;
  const host = world.allocate(world.addHost());
  assert(host.allocation.activeAddress?.equals(RELAY_V6));
  assert.notEqual(host.allocation.relayedAddress(4), undefined);
});

Deno.test("Allocation repeats BINDING at 0, 1, 2.5 and 4.75 s with one transaction id, then waits and probes again", () => {
  const world = new World();
  world.isLost = () => true;
  const host = world.addHost({ v6: undefined });
  world.run(10_999);
  assert.deepEqual(world.wire.map(({ at }) => at - LATENCY), [0, 1000, 2500, 4750]);
  assert.equal(new Set(world.wire.map(({ payload }) => payload.subarray(8, 20).toHex())).size, 1);
  assert.equal(host.allocation.state, "waiting");
  assert.deepEqual(host.events, [{ type: "failed", reason: "unreachable", suspended: false }]);
  assert.equal(host.allocation.isSilent, true);
  world.isLost = () => false;
  world.run(1 + 10 * LATENCY);
  assert.equal(host.allocation.state, "allocated");
  assert.equal(host.allocation.isSilent, false);
});

Deno.test("Allocation probes a silent relay every few seconds for minutes, then seldom, but soon again when it is wanted", () => {
  const world = new World();
  world.isLost = () => true;
  const host = world.addHost({ v6: undefined });
  world.run(290_000);
  const gaps = world.wire.map(({ at }, index) => at - (world.wire[index - 1]?.at ?? at));
  assert.ok(Math.max(...gaps) <= 6500, `${Math.max(...gaps)} ms without a probe`);
  assert.ok(world.wire.length <= 110, `${world.wire.length} datagrams`);
  world.run(600_000);
  const before = world.wire.length;
  world.run(130_000);
  assert.ok(world.wire.length <= before + 12, "seldom");
  while (host.allocation.state !== "waiting") world.run(100);
  world.run(3000);
  world.isLost = () => false;
  host.allocation.hurry(world.now);
  world.run(10 * LATENCY);
  assert.equal(host.allocation.state, "allocated");
});

Deno.test("Allocation stays when nobody answers a sounding, and tells when the relay was heard", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  const { heardAt } = host.allocation;
  world.isLost = () => true;
  host.allocation.sound(world.now);
  host.allocation.sound(world.now);
  world.run(5000);
  assert.equal(host.allocation.state, "allocated");
  assert.equal(host.allocation.heardAt, heardAt);
  world.isLost = () => false;
  host.allocation.sound(world.now);
  world.run(10 * LATENCY);
  assert.ok(host.allocation.heardAt > heardAt);
});

Deno.test("Allocation gives repeated authenticated requests new transaction ids and counts one answer", () => {
  const world = new World();
  // The answer to the first authenticated ALLOCATE gets lost, so the second meets an allocation.
  let successes = 0;
  world.isLost = (packet) =>
    fromRelay(packet) && packet.payload[1] === 0x03 && packet.payload[0] === 1 && successes++ === 0;
  const host = world.addHost();
  world.run(3000);
  assert.equal(host.allocation.state, "allocated");
  const answers = world.messages(fromRelay).filter(ofMethod(Method.Allocate));
  assert.deepEqual(answers, ["3 error 401", "3 success", "3 error 437", "3 success"]);
  assert.deepEqual(world.messages(fromRelay).filter(ofMethod(Method.Refresh)), ["4 success"]);
  assert.equal(world.openPorts.size, 1);
});

Deno.test("Allocation refreshes at half of the lifetime and keeps the path alive every 25 s", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  const since = world.now;
  world.run(290_000);
  const quiet = world.messages(({ at, to }) => at > since && to.port === 3478);
  assert.deepEqual(quiet, Array(11).fill("1 request"));
  world.run(3_600_000);
  assert.equal(host.allocation.state, "allocated");
  const refreshes = world.messages(({ to }) => to.port === 3478).filter(ofMethod(Method.Refresh));
  assert(refreshes.length >= 12 && refreshes.length <= 13, `${refreshes.length} refreshes`);
  assert.deepEqual(eventTypes(host), ["host", "host", "relayed", "relayed"]);
});

Deno.test("Allocation needs no keep-alive while it sends data", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  host.allocation.bindChannel(PEER, world.now);
  world.run(100);
  const since = world.now + LATENCY;
  for (let second = 0; second < 60; second++) {
    world.sendData(host, PEER, DATA);
    world.run(1000);
  }
  assert.deepEqual(world.messages(({ at }) => at > since), []);
});

Deno.test("Allocation wraps data for a peer as soon as the bind was asked for, and unwraps what comes back", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  assert.equal(world.sendData(host, PEER, DATA), false, "no channel yet: dropped, asked for");
  assert.equal(world.sendData(host, PEER, DATA), true, "optimistic");
  world.run(10 * LATENCY);
  const relayed = host.allocation.relayedAddress(4)!;
  assert.deepEqual(world.delivered.get(PEER.key)?.map(({ payload }) => payload), [DATA]);
  assert(world.delivered.get(PEER.key)![0]!.from.equals(relayed));
  world.send(PEER, relayed, Uint8Array.of(9, 9));
  world.run(10 * LATENCY);
  assert.equal(host.data.length, 1);
  assert(host.data[0]!.local.equals(relayed));
  assert(host.data[0]!.peer.equals(PEER));
  assert.deepEqual(host.data[0]!.payload, Uint8Array.of(9, 9));
});

Deno.test("Allocation reaches IPv6 peers through a relay it speaks to over IPv4", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  host.allocation.bindChannel(PEER_V6, world.now);
  world.run(10 * LATENCY);
  world.sendData(host, PEER_V6, DATA);
  world.run(10 * LATENCY);
  assert(world.delivered.get(PEER_V6.key)![0]!.from.equals(host.allocation.relayedAddress(6)!));
});

Deno.test("Allocation binds no channel to a family it has no address of", () => {
  const world = new World({ publicAddress: { 4: RELAY_V4.ip } });
  const host = world.allocate(world.addHost({ v6: undefined }));
  assert.equal(host.allocation.relayedAddress(6), undefined);
  host.allocation.bindChannel(PEER_V6, world.now);
  world.run(100);
  assert.deepEqual(world.messages().filter(ofMethod(Method.ChannelBind)), []);
});

Deno.test("Allocation remembers the newest 100 binds until it exists", () => {
  const world = new World();
  const host = world.addHost();
  for (let port = 1; port <= 120; port++) {
    host.allocation.bindChannel(new SocketAddress(PEER.ip, port), world.now);
  }
  world.allocate(host);
  const requests = world.messages(({ to }) => to.port === 3478).filter(ofMethod(Method.ChannelBind));
  assert.equal(requests.length, 100);
  assert.equal(world.sendData(host, new SocketAddress(PEER.ip, 21), DATA), true);
  assert.equal(world.sendData(host, new SocketAddress(PEER.ip, 20), DATA), false);
});

Deno.test("Allocation renews a channel after 5 minutes if the peer's data came, and lets it end otherwise", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  const idle = SocketAddress.from("192.0.2.8:1");
  host.allocation.bindChannel(PEER, world.now);
  host.allocation.bindChannel(idle, world.now);
  world.run(100);
  for (let minute = 0; minute < 20; minute++) {
    world.send(PEER, host.allocation.relayedAddress(4)!, DATA);
    world.run(60_000);
  }
  assert.equal(host.data.length, 20);
  assert.equal(world.sendData(host, idle, DATA), false);
  assert.equal(world.sendData(host, PEER, DATA), true);
});

Deno.test("Allocation renews a channel at once when data comes in the second half of its life", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  host.allocation.bindChannel(PEER, world.now);
  world.run(7 * 60_000);
  const since = world.now;
  world.send(PEER, host.allocation.relayedAddress(4)!, DATA);
  world.run(5 * LATENCY);
  assert.deepEqual(world.messages(({ at, to }) => at > since && to.port === 3478), ["9 request"]);
});

Deno.test("Allocation follows a stale nonce for every request in flight", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  const request = world.wire.findLast(({ to, payload }) => to.port === 3478 && payload[1] === 3)!;
  for (let use = 1; use < 10_000; use++) {
    world.server.handleDatagram(RELAY_V4, host.v4, request.payload, world.now);
    world.server.pollDatagram();
  }
  for (let port = 1; port <= 20; port++) {
    host.allocation.bindChannel(new SocketAddress(PEER.ip, port), world.now);
  }
  world.run(20 * LATENCY);
  assert(world.messages(fromRelay).includes("9 error 438"));
  assert.equal(host.allocation.state, "allocated");
  for (let port = 1; port <= 20; port++) {
    assert.equal(world.sendData(host, new SocketAddress(PEER.ip, port), DATA), true);
  }
});

Deno.test("Allocation with a wrong password neither allocates nor floods the relay", () => {
  const world = new World();
  const host = world.addHost({ password: "wrong" });
  world.run(600_000);
  assert.notEqual(host.allocation.state, "allocated");
  assert(host.events.some((event) => event.type === "failed" && event.reason === "credentials"));
  assert(world.wire.length < 250, `${world.wire.length} datagrams in 10 minutes`);
});

Deno.test("Allocation with an expired username ends for good at the 401 that follows the nonce", () => {
  const world = new World();
  const host = world.addHost({ username: "1700000000:x", password: passwordFor(1_700_000_000, "x") });
  world.run(600_000);
  assert.equal(host.allocation.state, "suspended");
  assert.deepEqual(host.events.at(-1), { type: "failed", reason: "credentials", suspended: true });
  assert.deepEqual(world.messages(fromRelay).filter(ofMethod(Method.Allocate)), [
    "3 error 401",
    "3 error 401",
  ]);
});

Deno.test("Allocation comes back by itself when the relay lost it, with its channels", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  host.allocation.bindChannel(PEER, world.now);
  world.run(100);
  const old = host.allocation.relayedAddress(4)!;
  world.restartServer();
  world.run(310_000);
  assert.equal(host.allocation.state, "allocated");
  const lost = host.events.find((event) => event.type === "lost");
  assert(lost?.type === "lost" && lost.reason === "mismatch" && lost.addresses[0]!.equals(old));
  assert.equal(eventTypes(host).filter((type) => type === "relayed").length, 4);
  assert.equal(world.sendData(host, PEER, DATA), true);
});

Deno.test("Allocation is lost when the relay comes back with another secret", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  world.restartServer({ secret: "another" });
  world.run(400_000);
  assert.notEqual(host.allocation.state, "allocated");
  assert(host.events.some((event) => event.type === "lost"));
  assert(host.events.some((event) => event.type === "failed" && event.reason === "credentials"));
});

Deno.test("Allocation.refresh finds a dead relay within one second and looks for it again", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  world.isLost = () => true;
  host.allocation.refresh(world.now);
  world.drain();
  world.run(1000);
  assert.deepEqual(host.events.at(-1)?.type, "lost");
  assert.equal(host.allocation.state, "probing");
  world.isLost = () => false;
  world.run(2000);
  assert.equal(host.allocation.state, "allocated");
});

Deno.test("Allocation.refresh leaves a living allocation as it is", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  const before = host.allocation.relayedAddress(4);
  host.allocation.refresh(world.now);
  world.drain();
  world.run(5000);
  assert.equal(host.allocation.relayedAddress(4), before);
});

Deno.test("Allocation.close gives the port back and says so", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  host.allocation.close(world.now);
  world.drain();
  world.run(100_000);
  assert.equal(world.openPorts.size, 0);
  assert.equal(host.allocation.state, "closed");
  assert.equal(host.allocation.pollTimeout(), undefined);
  assert.deepEqual(host.events.at(-1)?.type, "lost");
});

Deno.test("Allocation ignores answers that are not signed, or not asked for", () => {
  const world = new World();
  const host = world.addHost();
  world.isLost = ({ to, payload }) => {
    if (to.port !== 3478 && payload[0] === 1 && payload[1] === 0x13) payload[payload.length - 1]! ^= 1;
    return false;
  };
  world.run(7_000);
  assert.equal(host.allocation.state, "allocating");
  assert((host.allocation.counters.get("answer with wrong integrity") ?? 0) >= 4);
});

Deno.test("Allocation drops channel data of wrong length, on unknown channels and from strangers", () => {
  const world = new World();
  const host = world.allocate(world.addHost());
  host.allocation.bindChannel(PEER, world.now);
  world.run(100);
  const frame = Uint8Array.of(0x40, 0x00, 0, 1, 7);
  const { allocation } = host;
  assert.equal(allocation.handleDatagram(host.v4, RELAY_V4, frame, world.now)?.type, "data");
  assert.equal(
    allocation.handleDatagram(host.v4, RELAY_V4, Uint8Array.of(...frame, 0), world.now)?.type,
    "handled",
  );
  assert.equal(
    allocation.handleDatagram(host.v4, RELAY_V4, Uint8Array.of(0x40, 1, 0, 0), world.now)?.type,
    "handled",
  );
  assert.equal(allocation.handleDatagram(host.v6, RELAY_V6, frame, world.now)?.type, "handled");
  assert.equal(allocation.handleDatagram(host.v4, PEER, frame, world.now), undefined);
});

Deno.test("Allocation takes any bytes from its relay without a throw, and a late clock without harm", () => {
  const world = new World();
  world.allocate(world.addHost());
  const samples = world.wire.filter(fromRelay).map(({ payload }) => payload);
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 200 }), mutatedBytes(samples)),
      fc.nat(100_000),
      (bytes, later) => {
        const inner = new World();
        const host = inner.allocate(inner.addHost());
        host.allocation.bindChannel(PEER, inner.now);
        host.allocation.handleDatagram(host.v4, RELAY_V4, bytes, inner.now);
        host.allocation.handleTimeout(inner.now + later);
        const wake = host.allocation.pollTimeout();
        assert(wake === undefined || wake.at > inner.now + later, `${wake?.reason}`);
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("Allocation neither spins nor gets stuck, whatever a relay that knows the password answers", () => {
  const codes = [0, 400, 401, 437, 438, 438, 420, 508];
  const username = "1900000000:x";
  const password = passwordFor(1_900_000_000, "x");
  const key = longTermKey(username, "firezone", password);
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...codes), { minLength: 1, maxLength: 50 }), (script) => {
      const now = { value: 0 };
      const allocation = new Allocation({
        relay: { id: "evil", v4: RELAY_V4, username, password },
        rng: seededRng(3),
        now: 0,
        log: silentLog,
      });
      let sent = 0;
      while (now.value < 240_000) {
        for (let out = allocation.pollDatagram(); out; out = allocation.pollDatagram()) {
          assert(sent < 2000, `more than ${sent} requests in ${now.value} ms`);
          const request = decodeStun(out.payload);
          assert(request.ok);
          // Evil for a minute, then honest: whatever state it was led into, it must find out of it.
          const code = now.value < 60_000 ? script[sent % script.length]! : 0;
          sent++;
          const answer = evilAnswer(request.value, code, key);
          allocation.handleDatagram(PEER, RELAY_V4, answer, now.value);
        }
        while (allocation.pollEvent() !== undefined);
        if (now.value % 5000 === 0) allocation.bindChannel(PEER, now.value);
        now.value += 100;
        allocation.handleTimeout(now.value);
      }
      assert(["allocated", "suspended"].includes(allocation.state), allocation.state);
    }),
    { numRuns: 200 },
  );
});

/** An answer as a relay gives it: to BINDING the truth, else `code`, or success with a lifetime of one second. */
function evilAnswer({ method, transactionId }: StunMessage, code: number, key: Uint8Array): Uint8Array {
  const isError = code !== 0 && method !== Method.Binding;
  const writer = new StunWriter(method, isError ? "error" : "success", transactionId);
  if (isError) {
    writer.addError(code, "").addText(Attribute.Realm, "firezone").addText(Attribute.Nonce, `${code}`);
  }
  writer.addXorAddress(Attribute.XorMappedAddress, PEER).addXorAddress(Attribute.XorRelayedAddress, PEER);
  return writer.addU32(Attribute.Lifetime, 1).addIntegrity(key).finish();
}

function passwordFor(expiry: number, salt: string): string {
  return relayPassword(expiry, SECRET, salt);
}
