import assert from "node:assert/strict";
import fc from "fast-check";
import { concatBytes, fromUtf8, utf8 } from "../../../lib/base/bytes.ts";
import {
  answerFraming,
  ChunkDecoder,
  decodeAnswerHead,
  decodeRequestHead,
  encodeChunk,
  encodeHead,
  encodeLastChunk,
  findHeadEnd,
  requestFraming,
} from "../../../lib/wire/http.ts";

const REQUEST =
  "POST /v1/explain HTTP/1.1\r\nHost: fz\r\nX-Two: a\r\nx-two: b\r\nContent-Length:  12 \r\n\r\n";

Deno.test("decodeRequestHead: reads method, target and headers in lower case", () => {
  const head = decodeRequestHead(utf8(REQUEST));
  assert.ok(head.ok);
  const { method, target, minor, headers } = head.value;
  assert.deepEqual([method, target, minor], ["POST", "/v1/explain", 1]);
  assert.deepEqual([...headers], [["host", "fz"], ["x-two", "a, b"], ["content-length", "12"]]);
  assert.deepEqual(requestFraming(headers), { ok: true, value: { type: "length", length: 12 } });
});

Deno.test("decodeRequestHead, requestFraming: refuse what two readers could read in two ways", () => {
  const table: [lines: string, reason: string][] = [
    ["GET / HTTP/1.1\r\nhost: a\r\nhost: b", "repeated header"],
    ["GET / HTTP/1.1\r\nhost : a", "header"],
    ["GET / HTTP/1.1\r\nhost: a\r\n b", "header"],
    ["GET / HTTP/1.1\r\nhost: a\r\n: b", "header"],
    ["GET / HTTP/1.1", "missing host"],
    ["GET / HTTP/3.0\r\nhost: a", "version"],
    ["GET /a b HTTP/1.1\r\nhost: a", "request line"],
    ["GET / http/1.1\r\nhost: a", "request line"],
  ];
  for (const [lines, reason] of table) {
    assert.deepEqual(decodeRequestHead(utf8(`${lines}\r\n\r\n`)), { ok: false, reason }, lines);
  }
  const framing = (headers: Record<string, string>) => requestFraming(new Map(Object.entries(headers)));
  assert.deepEqual(framing({ "content-length": "1", "transfer-encoding": "chunked" }), {
    ok: false,
    reason: "transfer coding",
  });
  for (const length of ["-1", "+1", "0x1", "1, 1", "", "1e3", "9".repeat(16)]) {
    assert.deepEqual(framing({ "content-length": length }), { ok: false, reason: "length" }, length);
  }
  assert.deepEqual(framing({}), { ok: true, value: { type: "length", length: 0 } });
  assert.deepEqual(answerFraming(new Map()), { ok: true, value: { type: "until-close" } });
});

Deno.test("encodeHead: writes what decodeAnswerHead reads", () => {
  const head = decodeAnswerHead(
    encodeHead("HTTP/1.1 404 Not Found", { "server": "fz/1", "content-length": 0 }),
  );
  assert.ok(head.ok);
  assert.equal(head.value.status, 404);
  assert.deepEqual([...head.value.headers], [["server", "fz/1"], ["content-length", "0"]]);
});

Deno.test("findHeadEnd: finds the same end however the bytes come", () => {
  const bytes = utf8(`${REQUEST}body`);
  for (let first = 0; first <= bytes.length; first++) {
    const early = findHeadEnd(bytes.subarray(0, first));
    assert.ok(early.ok);
    const end = early.value ?? (findHeadEnd(bytes, first) as { value: number }).value;
    assert.equal(end, REQUEST.length, String(first));
  }
});

Deno.test("ChunkDecoder: takes apart what encodeChunk puts together, in pieces of every size", () => {
  const body = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 });
  fc.assert(fc.property(body, fc.integer({ min: 1, max: 50 }), (parts, size) => {
    const rest = utf8("GET /next");
    const wire = concatBytes(...parts.map(encodeChunk), encodeLastChunk({ "fz-problem": "{}" }), rest);
    const decoder = new ChunkDecoder();
    const data: Uint8Array[] = [];
    let used = 0;
    while (!decoder.isDone) {
      const pushed = decoder.push(wire.subarray(used, used + size));
      assert.ok(pushed.ok);
      data.push(...pushed.value.data.map((piece) => piece.slice()));
      used += pushed.value.used;
    }
    assert.deepEqual(concatBytes(...data), concatBytes(...parts));
    assert.equal(decoder.trailer.get("fz-problem"), "{}");
    assert.equal(fromUtf8(wire.subarray(used)), "GET /next");
  }));
});

Deno.test("ChunkDecoder: refuses what is no chunk, and keeps no more than it may", () => {
  const table: [text: string, reason: string][] = [
    ["g\r\n", "chunk"],
    ["-1\r\n", "chunk"],
    ["123456789\r\n", "chunk"],
    ["1\n", "bare line feed"],
    ["1\r\nab\r\n", "chunk"],
    [`1;${"x".repeat(300)}`, "chunk"],
    ["0\r\nbad header\r\n\r\n", "trailer"],
    [`0\r\na: ${"x".repeat(40_000)}`, "trailer"],
  ];
  for (const [text, reason] of table) {
    assert.deepEqual(new ChunkDecoder().push(utf8(text)), { ok: false, reason }, text.slice(0, 20));
  }
});

Deno.test("HTTP: no bytes make a decoder throw", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    findHeadEnd(bytes);
    decodeRequestHead(bytes);
    decodeAnswerHead(bytes);
    new ChunkDecoder().push(bytes);
  }));
});
