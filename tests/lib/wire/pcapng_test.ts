import assert from "node:assert/strict";
import fc from "fast-check";
import { concatBytes, fromHex, toHex } from "../../../lib/base/bytes.ts";
import {
  BlockSplitter,
  droppedOf,
  enhancedPacket,
  interfaceDescription,
  interfaceStatistics,
  sectionHeader,
} from "../../../lib/wire/pcapng.ts";

Deno.test("sectionHeader: is a little-endian section of unknown length", () => {
  assert.equal(
    toHex(sectionHeader({ os: "Linux", application: "fz" })),
    toHex(fromHex(`
      0a0d0d0a 34000000 4d3c2b1a 0100 0000 ffffffffffffffff
      0300 0500 4c696e7578 000000  0400 0200 667a 0000  0000 0000
      34000000`)),
  );
});

Deno.test("interfaceDescription: names the interface of raw IP packets with microseconds", () => {
  assert.equal(
    toHex(interfaceDescription({ name: "fz0", snapLength: 96 })),
    toHex(fromHex(`
      01000000 28000000 6500 0000 60000000
      0200 0300 667a3000  0900 0100 06000000  0000 0000
      28000000`)),
  );
});

Deno.test("enhancedPacket: keeps the snap length, the length on the wire and the direction", () => {
  const packet = Uint8Array.of(0x45, 1, 2, 3, 4, 5, 6);
  const timeUs = 0x0006_1234_89ab_cdef;
  const bytes = (direction: "in" | "out", snapLength: number) =>
    toHex(enhancedPacket({ interfaceId: 0, timeUs, packet, snapLength, direction }));
  assert.equal(
    bytes("in", 65535),
    toHex(fromHex(`
      06000000 34000000 00000000 34120600 efcdab89 07000000 07000000
      45010203 04050600 0200 0400 01000000 0000 0000 34000000`)),
  );
  assert.equal(
    bytes("out", 5),
    toHex(fromHex(`
      06000000 34000000 00000000 34120600 efcdab89 05000000 07000000
      45010203 04000000 0200 0400 02000000 0000 0000 34000000`)),
  );
});

Deno.test("interfaceStatistics: counts what came and what was lost, also beyond 32 bits", () => {
  const bytes = interfaceStatistics({ interfaceId: 0, timeUs: 1, received: 7, dropped: 2 ** 33 + 5 });
  assert.equal(
    toHex(bytes),
    toHex(fromHex(`
      05000000 34000000 00000000 00000000 01000000
      0400 0800 0700000000000000  0500 0800 0500000002000000  0000 0000
      34000000`)),
  );
  assert.equal(droppedOf(bytes), 2 ** 33 + 5);
});

Deno.test("BlockSplitter: returns the same blocks however the stream is cut", () => {
  const packet = new Uint8Array(61).fill(0x45);
  const blocks = [
    sectionHeader({ os: "Linux", application: "fz" }),
    interfaceDescription({ name: "fz0", snapLength: 65535 }),
    enhancedPacket({ interfaceId: 0, timeUs: 1, packet, snapLength: 65535, direction: "in" }),
    interfaceStatistics({ interfaceId: 0, timeUs: 1, received: 1, dropped: 0 }),
  ];
  const stream = concatBytes(...blocks);
  fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (cuts) => {
    const splitter = new BlockSplitter();
    const found: Uint8Array[] = [];
    for (let at = 0, index = 0; at < stream.length; index++) {
      const length = cuts[index % cuts.length]!;
      found.push(...splitter.push(stream.subarray(at, at + length))!);
      at += length;
    }
    assert.deepEqual(found.map(toHex), blocks.map(toHex));
  }));
});

Deno.test("BlockSplitter: turns down what is no pcapng, and never throws", () => {
  assert.equal(new BlockSplitter().push(new TextEncoder().encode('{"code":"usage"}')), undefined);
  fc.assert(fc.property(fc.uint8Array(), (bytes) => {
    for (const block of new BlockSplitter().push(bytes) ?? []) droppedOf(block);
  }));
});
