import assert from "node:assert/strict";
import { seconds } from "../../../lib/base/time.ts";
import { LATENCY, type Side, World } from "./world.ts";

const ROUND_TRIP = 2 * LATENCY;

/** Returns the seconds since `start`, cut, at which `from` put an initiation on the link. */
function initiations(world: World, from: Side, start: number): number[] {
  return world.seen.filter((one) => one.from === from && one.kind === "initiation")
    .map(({ at }) => Math.floor((at - start) / 1000));
}

/** Connects and returns the moment at which the initiator's session was established. */
function connected(world: World): number {
  world.a.startHandshake(world.now);
  const start = world.now + ROUND_TRIP;
  world.run(2 * ROUND_TRIP);
  world.seen.length = 0;
  return start;
}

Deno.test("Tunnel re-keys after 120 s when the initiator sent data, and loses nothing on the way", () => {
  const world = new World();
  const start = connected(world);
  let sent = 0;
  while (world.now < start + seconds(400)) {
    assert.equal(world.send("a", sent++ & 0xff), true);
    assert.equal(world.send("b", sent & 0xff), true);
    world.run(500);
  }
  assert.deepEqual(initiations(world, "a", start), [120, 240, 360]);
  assert.deepEqual(initiations(world, "b", start), []);
  assert.equal(world.packets.b.length, sent);
  assert.equal(world.packets.a.length, sent);
  assert.deepEqual(world.drops, { a: [], b: [] });
});

Deno.test("Tunnel re-keys after 120 s even if the initiator sent data only once", () => {
  const world = new World();
  const start = connected(world);
  world.send("a");
  world.run(seconds(130));
  assert.deepEqual(initiations(world, "a", start), [120]);
});

Deno.test("Tunnel re-keys after 165 s when the initiator only received data", () => {
  const world = new World();
  const start = connected(world);
  for (let second = 0; second < 170; second++) {
    world.send("b");
    world.run(seconds(1));
  }
  assert.deepEqual(initiations(world, "a", start), [165]);
});

Deno.test("Tunnel re-keys an idle session every 180 s, by the initiator alone", () => {
  const world = new World();
  const start = connected(world);
  world.run(seconds(600));
  assert.deepEqual(initiations(world, "a", start), [180, 360, 540]);
  assert.deepEqual(initiations(world, "b", start), []);
});

Deno.test("encapsulate sends nothing on the initiator's session after 170 s and begins a new one", () => {
  const world = new World();
  const start = connected(world);
  world.run(start + seconds(169.9) - world.now);
  assert.equal(world.a.canSend(world.now), true);
  world.run(200);
  assert.equal(world.send("b"), true);
  assert.equal(world.send("a"), false);
  world.run(2 * ROUND_TRIP);
  assert.deepEqual(initiations(world, "a", start), [170]);
  assert.equal(world.send("a"), true);
});

Deno.test("decapsulate takes no message on a session 180 s old", () => {
  const world = new World();
  connected(world);
  const out = new Uint8Array(200);
  const early = out.slice(0, world.b.encapsulate(Uint8Array.of(0x45), out, world.now));
  world.loses = () => true;
  world.run(seconds(181));
  assert.deepEqual(world.deliver("a", early), { type: "dropped", reason: "unknown-session" });
});

Deno.test("Tunnel acknowledges data with one keepalive after 10 s of its own silence", () => {
  const world = new World();
  connected(world);
  const before = world.now;
  world.send("a");
  world.run(seconds(1));
  world.send("a");
  world.run(seconds(30));
  assert.deepEqual(world.kinds(before), ["a data", "a data", "b keepalive"]);
  assert.equal(world.seen.at(-1)!.at, before + LATENCY + seconds(10));
});

Deno.test("Tunnel owes no keepalive for a keepalive, nor once it has sent data", () => {
  const world = new World();
  connected(world);
  const before = world.now;
  world.send("a");
  world.run(seconds(5));
  world.send("b");
  world.run(seconds(6));
  assert.deepEqual(world.kinds(before), ["a data", "b data"]);
  world.run(seconds(20));
  assert.deepEqual(world.kinds(before), ["a data", "b data", "a keepalive"]);
});

Deno.test("Tunnel's responder initiates when its data was answered by nothing for 15 s, and then owns the re-key", () => {
  const world = new World();
  const start = connected(world);
  world.loses = ({ from }) => from === "a";
  world.send("b");
  world.run(seconds(14.9));
  assert.deepEqual(initiations(world, "b", start), []);
  world.loses = () => false;
  world.run(seconds(1));
  assert.equal(initiations(world, "b", start).length, 1);
  assert.equal(world.b.isInitiator, true);
  assert.equal(world.a.isInitiator, false);
  const swapped = world.now;
  world.run(seconds(200));
  assert.deepEqual(world.kinds(swapped).filter((kind) => kind.endsWith("initiation")), ["b initiation"]);
});

Deno.test("Tunnel gives up after 20 s of initiations repeated every 5 s with jitter", () => {
  const world = new World();
  const start = connected(world);
  world.loses = () => true;
  const attempt = start + seconds(180);
  world.run(attempt + seconds(19.9) - world.now);
  const times = world.seen.map(({ at }) => at - attempt);
  assert.equal(times.length, 4);
  times.reduce((previous, time) => {
    assert.ok(time - previous >= 5000 && time - previous <= 5333, `${time - previous} ms`);
    return time;
  });
  assert.deepEqual(world.events.a.filter(({ type }) => type === "expired"), []);
  world.run(100);
  assert.deepEqual(world.events.a.at(-1), { type: "expired" });
  world.run(seconds(100));
  assert.equal(world.events.a.filter(({ type }) => type === "expired").length, 1);
  assert.equal(world.a.pollTimeout(), undefined);
});

Deno.test("Tunnel's responder forgets everything 540 s after the last handshake", () => {
  const world = new World();
  const start = connected(world);
  world.loses = () => true;
  world.run(start - LATENCY + seconds(540) - world.now - 1);
  assert.equal(world.events.b.length, 1);
  world.run(1);
  assert.deepEqual(world.events.b.at(-1), { type: "expired" });
});

Deno.test("startHandshake revives an expired tunnel", () => {
  const world = new World();
  world.loses = () => true;
  world.a.startHandshake(world.now);
  world.run(seconds(30));
  assert.deepEqual(world.events.a, [{ type: "expired" }]);
  world.loses = () => false;
  world.connect();
  assert.equal(world.send("a"), true);
});

Deno.test("handleTimeout may come at any time", () => {
  const punctual = new World();
  const start = connected(punctual);
  for (let tick = 0; tick < 2000; tick++) {
    punctual.a.handleTimeout(punctual.now);
    punctual.b.handleTimeout(punctual.now);
    punctual.run(100);
  }
  assert.deepEqual(initiations(punctual, "a", start), [180]);

  const late = new World();
  connected(late);
  late.now += seconds(3600);
  late.a.handleTimeout(late.now);
  late.b.handleTimeout(late.now);
  late.run(0);
  assert.deepEqual(late.events.a.at(-1), { type: "expired" });
  assert.deepEqual(late.events.b.at(-1), { type: "expired" });
  assert.deepEqual(late.kinds(), []);
});
