import assert from "node:assert/strict";
import * as fc from "fast-check";
import { fromHex, readU16, writeU16 } from "../../../lib/base/bytes.ts";
import { addWords, adjustChecksum, adjustChecksumForBytes, foldSum } from "../../../lib/wire/checksum.ts";

Deno.test("addWords and foldSum give the sum of RFC 1071, section 3", () => {
  const bytes = fromHex("0001 f203 f4f5 f6f7");
  assert.equal(foldSum(addWords(0, bytes, 0, 8)), ~0xddf2 & 0xffff);
});

Deno.test("addWords pads an odd last byte with zero", () => {
  assert.equal(addWords(0, fromHex("0102 03"), 0, 3), 0x0102 + 0x0300);
});

Deno.test("adjustChecksum gives the example of RFC 1624, section 4", () => {
  const bytes = fromHex("dd2f");
  adjustChecksum(bytes, 0, 0x5555, 0x3285);
  assert.equal(readU16(bytes, 0), 0x0000);
});

Deno.test("adjustChecksumForBytes equals a full recomputation", () => {
  const data = fc.uint8Array({ minLength: 34, maxLength: 34 });
  fc.assert(fc.property(data, fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes, change) => {
    bytes[2] = 1; // all-zero data has two valid checksums
    writeU16(bytes, 0, 0);
    writeU16(bytes, 0, foldSum(addWords(0, bytes, 0, 34)));
    adjustChecksumForBytes(bytes, 0, bytes, 6, change, 0, 16);
    bytes.set(change, 6);
    assert.equal(foldSum(addWords(0, bytes, 0, 34)), 0);
  }));
});
