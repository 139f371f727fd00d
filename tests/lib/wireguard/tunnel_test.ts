import assert from "node:assert/strict";
import fc from "fast-check";
import { seededRng } from "../../../lib/base/rng.ts";
import { seconds } from "../../../lib/base/time.ts";
import { readU32Le } from "../../../lib/base/bytes.ts";
import { ipv4, LATENCY, World } from "./world.ts";

const PSK = new Uint8Array(32).fill(0x5a);

Deno.test("startHandshake leads to initiation, response and the keepalive that confirms the keys", () => {
  const world = new World({ presharedKey: PSK });
  world.connect();
  assert.deepEqual(world.kinds(), ["a initiation", "b response", "a keepalive"]);
  assert.deepEqual(world.events.a, [{ type: "session-established", isInitiator: true }]);
  assert.deepEqual(world.events.b, [{ type: "session-established", isInitiator: false }]);
  assert.equal(world.a.isInitiator, true);
  assert.equal(world.b.isInitiator, false);
});

Deno.test("startHandshake does nothing while a handshake is in progress", () => {
  const world = new World();
  world.a.startHandshake(world.now);
  world.a.startHandshake(world.now);
  world.run(1);
  assert.deepEqual(world.kinds(), ["a initiation"]);
});

Deno.test("Tunnel completes no handshake when the preshared keys differ", () => {
  const world = new World({ presharedKey: PSK, presharedKeyOfB: undefined });
  world.connect();
  assert.deepEqual(world.drops.a, ["forged"]);
  assert.equal(world.a.canSend(world.now), false);
});

Deno.test("encapsulate and decapsulate carry packets of every length both ways, without padding", () => {
  const world = new World({ presharedKey: PSK });
  world.connect();
  for (const length of [20, 21, 60, 576, 1279, 1280]) {
    const before = world.seen.length;
    assert.equal(world.send("a", length & 0xff, length), true);
    assert.equal(world.send("b", length & 0xff, length), true);
    assert.equal(world.seen[before]!.message.length, length + 32);
    world.run(LATENCY);
    assert.deepEqual(world.packets.a.at(-1), ipv4(length & 0xff, length));
    assert.deepEqual(world.packets.b.at(-1), ipv4(length & 0xff, length));
  }
  assert.equal(world.a.stats.txBytes, 20 + 21 + 60 + 576 + 1279 + 1280);
  assert.equal(world.a.stats.rxBytes, world.a.stats.txBytes);
});

Deno.test("encapsulate returns 0 without a session and writes behind headroom with one", () => {
  const world = new World();
  const buffer = new Uint8Array(1500).fill(0xee);
  assert.equal(world.a.encapsulate(ipv4(1), buffer.subarray(4), world.now), 0);
  world.connect();
  const written = world.a.encapsulate(ipv4(1), buffer.subarray(4), world.now);
  assert.equal(written, 92);
  assert.deepEqual(buffer.subarray(0, 5), Uint8Array.of(0xee, 0xee, 0xee, 0xee, 4));
  assert.equal(buffer[4 + 92], 0xee);
  assert.equal(world.deliver("b", buffer.slice(4, 96)).type, "packet");
});

Deno.test("decapsulate opens in place when the scratch buffer begins at the ciphertext", () => {
  const world = new World();
  world.connect();
  const message = new Uint8Array(200);
  const length = world.a.encapsulate(ipv4(7), message, world.now);
  const result = world.b.decapsulate(message.subarray(0, length), message.subarray(16), world.now);
  assert.ok(result.type === "packet");
  assert.deepEqual(result.packet, ipv4(7));
  assert.equal(result.packet.byteOffset, 16);
});

Deno.test("decapsulate cuts what another implementation padded and drops what is no IP packet", () => {
  const world = new World();
  world.connect();
  const deliver = (plaintext: Uint8Array) => {
    const out = new Uint8Array(1500);
    return world.deliver("b", out.slice(0, world.a.encapsulate(plaintext, out, world.now)));
  };
  const padded = new Uint8Array(64);
  padded.set(ipv4(3, 50));
  const result = deliver(padded);
  assert.ok(result.type === "packet");
  assert.deepEqual(result.packet, ipv4(3, 50));

  const ipv6 = new Uint8Array(64);
  ipv6[0] = 0x60;
  ipv6[5] = 8;
  const short = deliver(ipv6);
  assert.ok(short.type === "packet");
  assert.equal(short.packet.length, 48);

  const longer = ipv4(3, 60);
  longer[3] = 61;
  for (
    const plaintext of [longer, Uint8Array.of(0x45), Uint8Array.of(0x60, 0), new Uint8Array(40).fill(0x55)]
  ) {
    assert.deepEqual(deliver(plaintext), { type: "dropped", reason: "not-ip" });
  }
});

Deno.test("decapsulate drops a packet that does not fit the scratch buffer", () => {
  const world = new World();
  world.connect();
  const out = new Uint8Array(1500);
  const message = out.slice(0, world.a.encapsulate(ipv4(1, 100), out, world.now));
  assert.deepEqual(world.b.decapsulate(message, new Uint8Array(99), world.now), {
    type: "dropped",
    reason: "too-long",
  });
});

Deno.test("decapsulate refuses replayed messages of every type", () => {
  const world = new World();
  world.connect();
  world.send("a", 1);
  world.run(LATENCY);
  const expected = {
    initiation: "replayed",
    keepalive: "replayed",
    data: "replayed",
    response: "unexpected",
  };
  for (const { from, kind, message } of [...world.seen]) {
    const result = world.deliver(from === "a" ? "b" : "a", message);
    assert.deepEqual(result, { type: "dropped", reason: expected[kind as keyof typeof expected] });
  }
});

Deno.test("decapsulate takes packets in any order, each once", () => {
  const world = new World();
  world.connect();
  const out = new Uint8Array(1500);
  const messages = Array.from({ length: 50 }, (_, index) => {
    return out.slice(0, world.a.encapsulate(ipv4(index), out, world.now));
  });
  const rng = seededRng(5);
  messages.map((message) => ({ message, key: rng.u32() })).sort((x, y) => x.key - y.key).forEach(
    ({ message }) => {
      assert.equal(world.deliver("b", message).type, "packet");
      assert.deepEqual(world.deliver("b", message), { type: "dropped", reason: "replayed" });
    },
  );
  assert.equal(world.packets.b.length, 50);
});

Deno.test("decapsulate drops forged data and still takes the genuine message afterwards", () => {
  const world = new World();
  world.connect();
  const out = new Uint8Array(1500);
  const message = out.slice(0, world.a.encapsulate(ipv4(1), out, world.now));
  for (const offset of [8, 16, message.length - 1]) {
    const forged = message.slice();
    forged[offset]! ^= 4;
    assert.deepEqual(world.deliver("b", forged), { type: "dropped", reason: "forged" });
  }
  const elsewhere = message.slice();
  elsewhere[4]! ^= 1;
  assert.deepEqual(world.deliver("b", elsewhere), { type: "dropped", reason: "unknown-session" });
  assert.equal(world.deliver("b", message).type, "packet");
});

Deno.test("Tunnel puts its 24-bit id and a counter from 1 into its indices", () => {
  const world = new World();
  world.connect();
  world.connect();
  const indices = world.seen.filter(({ kind }) => kind === "initiation" || kind === "response")
    .map(({ message }) => readU32Le(message, 4));
  assert.deepEqual(indices, [0x0a0a0a01, 0xb0b0b001, 0x0a0a0a02, 0xb0b0b002]);
});

Deno.test("decapsulate refuses an initiation from another key", () => {
  const world = new World();
  const stranger = new World({ seed: 2 });
  stranger.a.startHandshake(stranger.now);
  const initiation = stranger.a.pollTransmit()!;
  assert.deepEqual(world.deliver("b", initiation), { type: "dropped", reason: "forged" });
});

Deno.test("close wipes the sessions", () => {
  const world = new World();
  world.connect();
  world.a.close();
  assert.equal(world.a.canSend(world.now), false);
  assert.equal(world.a.pollTimeout(), undefined);
});

Deno.test("decapsulate never throws on random bytes or damaged messages", () => {
  const world = new World();
  world.connect();
  world.send("a", 9);
  world.send("b", 9);
  const samples = world.seen.map(({ message }) => message);
  const scratch = new Uint8Array(1500);
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc.tuple(fc.constantFrom(...samples), fc.nat(), fc.nat(255), fc.nat(160)).map(
          ([sample, at, to, cut]) => {
            const damaged = sample.slice(0, Math.max(0, sample.length - (cut < 100 ? 0 : cut)));
            if (damaged.length > 0) damaged[at % damaged.length] = to;
            return damaged;
          },
        ),
      ),
      (bytes) => {
        for (const tunnel of [world.a, world.b]) {
          const result = tunnel.decapsulate(bytes, scratch, world.now);
          assert.ok(["packet", "keepalive", "handshake", "dropped"].includes(result.type));
        }
      },
    ),
    { numRuns: 300, seed: 7 },
  );
});

Deno.test("Tunnel gives the same bytes for the same inputs", () => {
  const record = () => {
    const world = new World({ seed: 99 });
    world.connect();
    for (let second = 0; second < 150; second++) {
      world.send("a", second);
      world.run(seconds(1));
    }
    return world.seen.map(({ at, from, message }) => [at, from, message.toHex()]);
  };
  assert.deepEqual(record(), record());
});
