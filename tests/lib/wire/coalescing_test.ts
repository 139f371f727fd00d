import assert from "node:assert/strict";
import fc from "fast-check";
import { Coalescer, COALESCER_MEMORY } from "../../../lib/wire/coalescing.ts";
import { Segmenter } from "../../../lib/wire/segmentation.ts";
import { makeSegment, type SegmentOptions, transportSum } from "./segments.ts";

/** A coalescer whose frames are collected, and cut up again as the kernel would. */
function harness(options: { tcp?: boolean; udp?: boolean } = {}) {
  const memory = new Uint8Array(64 + COALESCER_MEMORY);
  const frames: Uint8Array[] = [];
  const coalescer = new Coalescer({
    memory,
    start: 64,
    tcp: options.tcp ?? true,
    udp: options.udp ?? true,
    emit: (offset, length) => frames.push(memory.slice(offset, offset + length)),
  });
  const packets = () => {
    const out: Uint8Array[] = [];
    for (const frame of frames) {
      const copy = frame.slice();
      assert.ok(
        new Segmenter(copy).split(
          0,
          copy.length,
          (offset, length) => out.push(copy.slice(offset, offset + length)),
        ),
      );
    }
    return out;
  };
  return { coalescer, frames, packets };
}

/** A run of segments that follow each other. */
function run(count: number, size: number, base: Partial<SegmentOptions> = {}): Uint8Array[] {
  return Array.from({ length: count }, (_, index) =>
    makeSegment({
      family: 4,
      protocol: "tcp",
      sequence: 0xffff_ff00 + index * size,
      identification: index,
      payload: new Uint8Array(size).fill(index),
      ...base,
    }));
}

for (const family of [4, 6] as const) {
  for (const protocol of ["tcp", "udp"] as const) {
    Deno.test(`Coalescer: makes one frame of a ${protocol} run that segments back into it, IPv${family}`, () => {
      const { coalescer, frames, packets } = harness();
      const segments = run(10, 1200, { family, protocol });
      for (const segment of segments) coalescer.add(segment);
      coalescer.flush();
      assert.equal(frames.length, 1);
      assert.deepEqual(packets(), segments);
    });
  }
}

Deno.test("Coalescer: makes one frame of as many segments as the kernel sends in one, and no larger one", () => {
  const { coalescer, frames } = harness();
  for (const segment of run(53, 1228)) coalescer.add(segment);
  coalescer.flush();
  assert.equal(frames.length, 1);
  frames.length = 0;
  for (const segment of run(60, 1228)) coalescer.add(segment);
  coalescer.flush();
  assert.equal(frames.length, 2);
  // With a link header in front, 64 KiB are too much for every device.
  for (const frame of frames) assert.ok(frame.length - 10 + 22 < 65_536);
});

Deno.test("Coalescer: keeps one packet as it is, under an empty virtio header", () => {
  const { coalescer, frames } = harness();
  const [packet] = run(1, 100);
  coalescer.add(packet!);
  assert.equal(frames.length, 0);
  coalescer.flush();
  assert.deepEqual(frames[0]!.slice(0, 10), new Uint8Array(10));
  assert.deepEqual(frames[0]!.slice(10), packet);
});

Deno.test("Coalescer: ends a frame at a short segment and at PSH", () => {
  const { coalescer, frames, packets } = harness();
  const segments = [
    ...run(3, 1000),
    makeSegment({
      family: 4,
      protocol: "tcp",
      sequence: 0xffff_ff00 + 3000,
      identification: 3,
      flags: 0x18,
      payload: new Uint8Array(10),
    }),
  ];
  for (const segment of segments) coalescer.add(segment);
  assert.equal(frames.length, 1);
  assert.deepEqual(packets(), segments);
});

Deno.test("Coalescer: keeps the order of a flow around packets that cannot be joined", () => {
  const { coalescer, packets } = harness();
  const data = run(4, 500);
  const pureAck = makeSegment({ family: 4, protocol: "tcp", payload: new Uint8Array(0), sequence: 5 });
  const fin = makeSegment({
    family: 4,
    protocol: "tcp",
    payload: new Uint8Array(3),
    sequence: 9,
    flags: 0x11,
  });
  const sent = [data[0]!, data[1]!, pureAck, data[2]!, fin, data[3]!];
  for (const packet of sent) coalescer.add(packet);
  coalescer.flush();
  assert.deepEqual(packets(), sent);
});

Deno.test("Coalescer: does not join across a gap, another ACK, other options or another TTL", () => {
  const base = { family: 4, protocol: "tcp", payload: new Uint8Array(100) } as const;
  const first = makeSegment({ ...base, sequence: 100 });
  const gap = makeSegment({ ...base, sequence: 300 });
  const otherOptions = makeSegment({ ...base, sequence: 200, options: Uint8Array.from([1, 1, 1, 1]) });
  const otherTtl = makeSegment({ ...base, sequence: 200 });
  otherTtl[8] = 63;
  otherTtl[10] = otherTtl[10]! + 1;
  for (const second of [gap, otherOptions, otherTtl]) {
    const { coalescer, frames, packets } = harness();
    coalescer.add(first);
    coalescer.add(second);
    coalescer.flush();
    assert.equal(frames.length, 2);
    assert.deepEqual(packets(), [first, second]);
  }
});

Deno.test("Coalescer: never covers up a wrong checksum", () => {
  const { coalescer, frames, packets } = harness();
  const segments = run(3, 100);
  segments[1]![60]! ^= 1;
  for (const segment of segments) coalescer.add(segment);
  coalescer.flush();
  assert.equal(frames.length, 3);
  assert.deepEqual(packets(), segments);
  assert.notEqual(transportSum(packets()[1]!), 0xffff);
});

Deno.test("Coalescer: joins nothing of a protocol that the kernel does not offload", () => {
  const { coalescer, frames } = harness({ tcp: false, udp: false });
  for (const packet of [...run(2, 100), ...run(2, 100, { protocol: "udp" })]) coalescer.add(packet);
  coalescer.flush();
  assert.equal(frames.length, 4);
});

Deno.test("Coalescer: delivers every packet of many interleaved flows, each flow in order", () => {
  const packet = fc.record({
    family: fc.constantFrom(4 as const, 6 as const),
    protocol: fc.constantFrom("tcp" as const, "udp" as const),
    flow: fc.nat(11),
    size: fc.constantFrom(0, 1, 50, 700, 700, 700, 1200, 1200, 1200),
    flags: fc.constantFrom(0x10, 0x10, 0x10, 0x10, 0x18, 0x11),
    skip: fc.constantFrom(0, 0, 0, 0, 0, 5),
  });
  fc.assert(fc.property(fc.array(packet, { maxLength: 150 }), (list) => {
    const { coalescer, packets } = harness();
    const sequences = new Map<string, number>();
    const sent: Uint8Array[] = [];
    list.forEach(({ family, protocol, flow, size, flags, skip }, index) => {
      const key = `${family}${protocol}${flow}`;
      const sequence = (sequences.get(key) ?? 0) + skip;
      sequences.set(key, sequence + size);
      const payload = new Uint8Array(size).fill(index);
      sent.push(makeSegment({ family, protocol, payload, sequence, flags, sourcePort: 1000 + flow }));
    });
    for (const one of sent) coalescer.add(one);
    coalescer.flush();
    assert.deepEqual(groupByFlow(packets()), groupByFlow(sent));
  }));
});

Deno.test("Coalescer: passes bytes that are no packet on, untouched", () => {
  const { coalescer, frames } = harness();
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), (bytes) => {
    frames.length = 0;
    coalescer.add(bytes);
    coalescer.flush();
    assert.deepEqual(frames[0]!.slice(10), bytes);
  }));
});

/** Packets by family, protocol and source port, as text; IPv4 identification and header checksum left out. */
function groupByFlow(packets: Uint8Array[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const packet of packets) {
    const isV4 = packet[0]! >> 4 === 4;
    const start = isV4 ? 20 : 40;
    const key = `${isV4} ${packet[isV4 ? 9 : 6]} ${packet[start]! * 256 + packet[start + 1]!}`;
    const list = groups.get(key) ?? [];
    list.push(packet.slice(start).toHex());
    groups.set(key, list);
  }
  return new Map([...groups].sort());
}
