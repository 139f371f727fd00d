import assert from "node:assert/strict";
import { seededRng, unit } from "../../../lib/base/rng.ts";
import { seconds } from "../../../lib/base/time.ts";
import { LATENCY, World } from "./world.ts";

Deno.test("Tunnel repeats a lost initiation as a new one: ephemeral key, index and stamp differ", () => {
  const world = new World();
  let lost = 0;
  world.loses = ({ kind }) => kind === "initiation" && lost++ === 0;
  world.a.startHandshake(world.now);
  world.run(seconds(6));
  const [first, second] = world.seen.filter(({ kind }) => kind === "initiation").map(({ message }) =>
    message
  );
  assert.notDeepEqual(first!.subarray(4, 8), second!.subarray(4, 8));
  assert.notDeepEqual(first!.subarray(8, 40), second!.subarray(8, 40));
  assert.equal(world.send("a"), true);
  assert.equal(world.send("b"), true);
});

Deno.test("Tunnel recovers from a lost response", () => {
  const world = new World();
  let lost = 0;
  world.loses = ({ kind }) => kind === "response" && lost++ === 0;
  world.a.startHandshake(world.now);
  world.run(seconds(6));
  assert.equal(world.send("a"), true);
  assert.equal(world.send("b"), true);
  world.run(LATENCY);
  assert.equal(world.packets.a.length + world.packets.b.length, 2);
});

Deno.test("Tunnel's responder sends on the old session until the new one is confirmed, then on the new one", () => {
  const world = new World();
  world.connect();
  world.loses = ({ kind }) => kind === "keepalive";
  world.a.startHandshake(world.now);
  world.run(4 * LATENCY);
  const before = world.now;
  world.send("b");
  world.run(LATENCY);
  assert.equal(world.packets.a.length, 1);
  const onOld = world.seen.at(-1)!.message.subarray(4, 8);
  assert.deepEqual(onOld, Uint8Array.of(1, 0x0a, 0x0a, 0x0a));
  world.send("a");
  world.run(LATENCY);
  world.send("b");
  world.run(LATENCY);
  assert.deepEqual(world.seen.at(-1)!.message.subarray(4, 8), Uint8Array.of(2, 0x0a, 0x0a, 0x0a));
  assert.deepEqual(world.kinds(before), ["b data", "a data", "b data"]);
  assert.equal(world.packets.a.length, 2);
});

Deno.test("Tunnel's responder without an older session sends nothing before the keepalive came", () => {
  const world = new World();
  world.loses = ({ kind }) => kind === "keepalive";
  world.connect();
  assert.equal(world.send("b"), false);
  world.send("a");
  world.run(LATENCY);
  assert.equal(world.send("b"), true);
});

Deno.test("Tunnel takes data of the previous session that was overtaken by a re-key", () => {
  const world = new World();
  world.connect();
  const out = new Uint8Array(200);
  const packet = Uint8Array.from({ length: 20 }, (_, index) => [0x45, 0, 0, 20][index] ?? 0);
  const slow = out.slice(0, world.a.encapsulate(packet, out, world.now));
  world.connect();
  world.send("a");
  world.run(LATENCY);
  assert.equal(world.deliver("b", slow).type, "packet");
  world.send("b");
  assert.deepEqual(world.seen.at(-1)!.message.subarray(4, 8), Uint8Array.of(2, 0x0a, 0x0a, 0x0a));
});

Deno.test("Tunnel completes on a late response to the initiation before the last", () => {
  const world = new World();
  const held: Uint8Array[] = [];
  world.loses = ({ kind, message }) => kind === "response" && held.push(message) > 0;
  world.a.startHandshake(world.now);
  world.run(seconds(6));
  assert.equal(held.length, 2);
  world.loses = () => false;
  assert.equal(world.deliver("a", held[0]!).type, "handshake");
  world.run(LATENCY);
  assert.equal(world.send("a"), true);
  assert.equal(world.send("b"), true);
  world.run(LATENCY);
  assert.equal(world.packets.a.length + world.packets.b.length, 2);
  assert.equal(world.deliver("a", held[1]!).type, "handshake");
  world.run(LATENCY);
  world.send("a");
  world.run(LATENCY);
  assert.equal(world.packets.b.length, 2);
});

Deno.test("Tunnel forgets the initiation before the last two", () => {
  const world = new World();
  const held: Uint8Array[] = [];
  world.loses = ({ kind, message }) => kind === "response" && held.push(message) > 0;
  world.a.startHandshake(world.now);
  world.run(seconds(11));
  assert.equal(held.length, 3);
  assert.deepEqual(world.deliver("a", held[0]!), { type: "dropped", reason: "unexpected" });
  assert.equal(world.deliver("a", held[2]!).type, "handshake");
});

Deno.test("Tunnel survives both sides initiating at once", () => {
  const world = new World();
  world.a.startHandshake(world.now);
  world.b.startHandshake(world.now);
  world.run(seconds(1));
  for (let count = 0; count < 300; count++) {
    assert.equal(world.send("a"), true);
    assert.equal(world.send("b"), true);
    world.run(seconds(1));
  }
  world.run(LATENCY);
  assert.equal(world.packets.a.length, 300);
  assert.equal(world.packets.b.length, 300);
});

Deno.test("Tunnel carries on through 20 % loss for ten minutes without expiring", () => {
  for (const seed of [11, 12, 13]) {
    const world = new World({ seed });
    const rng = seededRng(seed);
    world.loses = () => unit(rng) < 0.2;
    world.a.startHandshake(world.now);
    world.run(seconds(15));
    let sent = 0;
    for (let second = 0; second < 600; second++) {
      if (world.send("a")) sent++;
      if (world.send("b")) sent++;
      world.run(seconds(1));
    }
    const expired = [...world.events.a, ...world.events.b].filter(({ type }) => type === "expired");
    assert.deepEqual(expired, [], `seed ${seed}`);
    assert.ok(sent > 1150, `seed ${seed}: sent ${sent}`);
    const received = world.packets.a.length + world.packets.b.length;
    assert.ok(received > sent * 0.7, `seed ${seed}: received ${received} of ${sent}`);
  }
});
