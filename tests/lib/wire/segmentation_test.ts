import assert from "node:assert/strict";
import fc from "fast-check";
import { concatBytes, readU16, readU32, writeU16 } from "../../../lib/base/bytes.ts";
import { internetSum } from "../../../lib/wire/internet_sum.ts";
import { Segmenter } from "../../../lib/wire/segmentation.ts";
import { makeSegment, slowSum, transportSum } from "./segments.ts";

/** Puts a virtio header before `packet` and returns what the segmenter makes of it, or undefined. */
function split(header: number[], packet: Uint8Array, spoil = false): Uint8Array[] | undefined {
  const memory = new Uint8Array(70_000);
  memory.set(header, 6);
  memory.set(packet, 16);
  const segments: Uint8Array[] = [];
  const isGood = new Segmenter(memory).split(6, 10 + packet.length, (offset, length) => {
    segments.push(memory.slice(offset, offset + length));
    if (spoil) memory.fill(0xee, offset, offset + length);
  });
  return isGood ? segments : undefined;
}

/** virtio_net_hdr, retyped: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset; little endian. */
function header(gsoType: number, gsoSize: number, start: number, offset: number, flags = 1): number[] {
  return [flags, gsoType, 0, 0, gsoSize & 255, gsoSize >> 8, start, 0, offset, 0];
}

function bytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31) & 0xff);
}

Deno.test("internetSum: agrees with RFC 1071's algorithm at every offset and length", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(20), (data, skip) => {
    const offset = Math.min(skip, data.length);
    const sum = internetSum(new DataView(data.buffer), offset, data.length - offset);
    const expected = slowSum(data.slice(offset));
    assert.equal(((sum & 0xff) << 8) | (sum >> 8), expected);
  }));
});

Deno.test("Segmenter.split: passes a finished packet on as it is", () => {
  const packet = makeSegment({ family: 4, protocol: "tcp", payload: bytes(100) });
  assert.deepEqual(split(header(0, 0, 0, 0, 0), packet), [packet]);
});

for (const family of [4, 6] as const) {
  const ip = family === 4 ? 20 : 40;

  Deno.test(`Segmenter.split: finishes a checksum that the kernel left open, IPv${family}`, () => {
    for (const protocol of ["tcp", "udp"] as const) {
      const whole = makeSegment({ family, protocol, payload: bytes(33) });
      const field = protocol === "tcp" ? 16 : 6;
      const open = whole.slice();
      writeU16(open, ip + field, 0);
      const covered = slowSum(open.slice(ip));
      let pseudo = transportSum(open) - covered;
      if (pseudo < 0) pseudo += 0xffff;
      writeU16(open, ip + field, pseudo);
      const [packet] = split(header(0, 0, ip, field), open)!;
      assert.equal(transportSum(packet!), 0xffff);
      assert.deepEqual(packet, whole);
    }
  });

  Deno.test(`Segmenter.split: cuts a TCP train into segments with right headers, IPv${family}`, () => {
    const payload = bytes(2500);
    const options = Uint8Array.from([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    const train = makeSegment({
      family,
      protocol: "tcp",
      payload,
      sequence: 0xffff_fff0,
      flags: 0x80 | 0x10 | 0x08 | 0x01,
      identification: 0xffff,
      options,
    });
    for (const spoil of [false, true]) {
      const segments = split(header(family === 4 ? 1 : 4, 1000, ip, 16), train, spoil)!;
      assert.deepEqual(segments.map((segment) => segment.length - ip - 32), [1000, 1000, 500]);
      assert.deepEqual(concatBytes(...segments.map((segment) => segment.slice(ip + 32))), payload);
      assert.deepEqual(segments.map((segment) => readU32(segment, ip + 4)), [0xffff_fff0, 984, 1984]);
      // CWR only on the first, PSH and FIN only on the last.
      assert.deepEqual(segments.map((segment) => segment[ip + 13]), [0x90, 0x10, 0x19]);
      for (const segment of segments) {
        assert.equal(transportSum(segment), 0xffff);
        assert.deepEqual(segment.slice(ip + 20, ip + 32), options);
        if (family === 6) {
          assert.equal(readU16(segment, 4), segment.length - 40);
          continue;
        }
        assert.equal(slowSum(segment.slice(0, 20)), 0xffff);
        assert.equal(readU16(segment, 2), segment.length);
      }
      if (family === 4) assert.deepEqual(segments.map((segment) => readU16(segment, 4)), [0xffff, 0, 1]);
    }
  });

  Deno.test(`Segmenter.split: cuts a UDP train into datagrams, IPv${family}`, () => {
    const payload = bytes(1201);
    const train = makeSegment({ family, protocol: "udp", payload });
    const segments = split(header(5, 400, ip, 6), train)!;
    assert.deepEqual(segments.map((segment) => readU16(segment, ip + 4)), [408, 408, 408, 9]);
    assert.deepEqual(concatBytes(...segments.map((segment) => segment.slice(ip + 8))), payload);
    for (const segment of segments) assert.equal(transportSum(segment), 0xffff);
  });
}

Deno.test("Segmenter.split: handles IPv4 options", () => {
  const plain = makeSegment({ family: 4, protocol: "tcp", payload: bytes(900) });
  const packet = concatBytes(plain.slice(0, 20), Uint8Array.from([1, 1, 1, 0]), plain.slice(20));
  packet[0] = 0x46;
  for (const segment of split(header(1, 500, 24, 16), packet)!) {
    assert.equal(transportSum(segment), 0xffff);
    assert.equal(slowSum(segment.slice(0, 24)), 0xffff);
  }
});

Deno.test("Segmenter.split: refuses frames that make no sense", () => {
  const packet = makeSegment({ family: 4, protocol: "tcp", payload: bytes(100) });
  assert.equal(split(header(1, 0, 20, 16), packet), undefined);
  assert.equal(split(header(1, 10, 8, 16), packet), undefined);
  assert.equal(split(header(1, 10, 130, 16), packet), undefined);
  assert.equal(split(header(3, 10, 20, 6), packet), undefined);
  assert.equal(split(header(0, 0, 255, 16), packet), undefined);
  assert.equal(split(header(0, 0, 0, 0), packet.slice(0, 19)), undefined);
});

Deno.test("Segmenter.split: survives random frames without touching memory beyond them", () => {
  const memory = new Uint8Array(8192);
  const segmenter = new Segmenter(memory);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 10, maxLength: 600 }), (frame) => {
      memory.fill(0xaa);
      memory.set(frame, 512);
      let last = 0;
      segmenter.split(512, frame.length, (offset, length) => {
        assert.ok(offset >= 512 && offset + length <= 512 + frame.length);
        assert.ok(offset >= last);
        last = offset;
      });
      assert.ok(memory.subarray(512 + frame.length).every((byte) => byte === 0xaa));
    }),
    { numRuns: 2000 },
  );
});
