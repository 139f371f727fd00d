import assert from "node:assert/strict";
import dnsPacket from "dns-packet";
import fc from "fast-check";
import { readU16, utf8, writeU16 } from "../../../lib/base/bytes.ts";
import {
  decodeDnsQuery,
  type DnsQuery,
  dnsRecords,
  encodeDnsAnswer,
  encodeDnsQuery,
  isAnswerTo,
  isTruncated,
  ResponseCode,
  responseCode,
  truncateDnsAnswer,
  withDnsId,
} from "../../../lib/wire/dns.ts";
import { decodeName, isEncodableName } from "../../../lib/wire/dns_name.ts";
import { answerAddresses, describeDnsMessage, recordTypeNumber } from "../../../lib/wire/dns_text.ts";
import { mutatedBytes } from "./mutation.ts";

Deno.test("decodeDnsQuery reads what a resolver sends", () => {
  const query = queryOf("GitLab.example.com", "A", 0xbeef);
  assert.deepEqual(
    [query.id, query.opcode, query.recursionDesired, query.name, query.type, query.class],
    [0xbeef, 0, true, "gitlab.example.com", 1, 1],
  );
});

Deno.test("decodeDnsQuery refuses responses and messages without exactly one question", () => {
  const message = encodeDnsQuery(1, "example.com", 1)!;
  const response = message.slice();
  response[2] = 0x81;
  assert.deepEqual(decodeDnsQuery(response), { ok: false, reason: "not-a-query" });
  for (const count of [0, 2]) {
    const other = message.slice();
    writeU16(other, 4, count);
    assert.deepEqual(decodeDnsQuery(other), { ok: false, reason: "not-one-question" });
  }
  assert.equal(decodeDnsQuery(message.subarray(0, 20)).ok, false);
});

Deno.test("encodeDnsAnswer copies id, opcode, RD and question and sets nothing but QR", () => {
  const query = queryOf("gitLab.Example.com", "A", 77);
  const answer = encodeDnsAnswer(query, ResponseCode.noError, [
    { type: "A", ttl: 1, data: "100.96.0.1" },
    { type: "A", ttl: 1, data: "100.96.0.2" },
  ]);
  assert.equal(readU16(answer, 2), 0x8100);
  const decoded = dnsPacket.decode(Buffer.from(answer));
  assert.equal(decoded.id, 77);
  assert.deepEqual(decoded.questions.map((question: { name: string }) => question.name), [
    "gitLab.Example.com",
  ]);
  assert.deepEqual(
    decoded.answers.map((
      record: Record<string, unknown>,
    ) => [record.name, record.type, record.ttl, record.data]),
    [["gitLab.Example.com", "A", 1, "100.96.0.1"], ["gitLab.Example.com", "A", 1, "100.96.0.2"]],
  );
  assert.ok(isAnswerTo(answer, 77, query));
  assert.ok(!isAnswerTo(answer, 78, query));
  assert.ok(!isAnswerTo(answer, 77, queryOf("other.example.com", "A", 77)));
});

Deno.test("truncateDnsAnswer leaves short answers alone and strips long ones to the question with TC", () => {
  const query = queryOf("example.com", "A", 5);
  const short = encodeDnsAnswer(query, 0, [{ type: "A", ttl: 1, data: "192.0.2.1" }]);
  assert.equal(truncateDnsAnswer(short), short);
  const long = encodeDnsAnswer(
    query,
    0,
    Array.from({ length: 100 }, () => ({ type: "A", ttl: 1, data: "192.0.2.1" })),
  );
  const cut = truncateDnsAnswer(long);
  assert.ok(isTruncated(cut));
  const decoded = dnsPacket.decode(Buffer.from(cut));
  assert.deepEqual([decoded.id, decoded.questions.length, decoded.answers.length], [5, 1, 0]);
});

Deno.test("encodeDnsQuery makes what decodeDnsQuery reads, or nothing for what is no name", () => {
  assert.equal(decodeDnsQuery(encodeDnsQuery(9, "a.example.com.", 28)!).ok, true);
  for (const name of ["a..b", "x".repeat(64), "a b", "ä", `${"a.".repeat(130)}b`]) {
    assert.equal(encodeDnsQuery(9, name, 1), undefined, name);
  }
  assert.equal(isEncodableName(""), true);
});

Deno.test("decodeName escapes odd bytes so that a dot inside a label is no separator", () => {
  assert.deepEqual(decodeName(Uint8Array.of(3, 0x61, 0x2e, 0x62, 1, 0x20, 0), 0), {
    name: "a\\046b.\\032",
    end: 7,
  });
});

Deno.test("decodeName follows pointers backwards only", () => {
  const message = Uint8Array.from([3, ...utf8("com"), 0, 1, 0x61, 0xc0, 0, 0xc0, 9, 0xc0, 40]);
  assert.deepEqual(decodeName(message, 5), { name: "a.com", end: 9 });
  assert.equal(decodeName(message, 9), undefined);
  assert.equal(decodeName(message, 11), undefined);
  assert.equal(decodeName(Uint8Array.of(0x40, 0), 0), undefined);
});

Deno.test("dnsRecords and describeDnsMessage read what dns-packet wrote", () => {
  const message = Uint8Array.from(dnsPacket.encode({
    type: "response",
    id: 1,
    questions: [{ type: "A", name: "a.example" }],
    answers: [
      { type: "CNAME", name: "a.example", ttl: 60, data: "b.example" },
      { type: "A", name: "b.example", ttl: 30, data: "192.0.2.7" },
      { type: "AAAA", name: "b.example", ttl: 30, data: "2001:db8::7" },
      { type: "MX", name: "b.example", ttl: 30, data: { preference: 10, exchange: "mx.example" } },
      {
        type: "SRV",
        name: "b.example",
        ttl: 30,
        data: { priority: 1, weight: 2, port: 3, target: "t.example" },
      },
      { type: "TXT", name: "b.example", ttl: 30, data: ['say "hi"', "x"] },
    ],
    authorities: [{
      type: "SOA",
      name: "example",
      ttl: 9,
      data: {
        mname: "ns.example",
        rname: "root.example",
        serial: 1,
        refresh: 2,
        retry: 3,
        expire: 4,
        minimum: 5,
      },
    }],
    additionals: [{ type: "OPT", name: ".", udpPayloadSize: 1232, flags: 0, options: [] }],
  }));
  assert.equal(dnsRecords(message)?.length, 8);
  assert.deepEqual(describeDnsMessage(message)?.records.map(({ type, data }) => `${type} ${data}`), [
    "CNAME b.example.",
    "A 192.0.2.7",
    "AAAA 2001:db8::7",
    "MX 10 mx.example.",
    "SRV 1 2 3 t.example.",
    'TXT "say \\"hi\\"" "x"',
    "SOA ns.example. root.example. 1 2 3 4 5",
  ]);
  assert.deepEqual(answerAddresses(message).map(String), ["192.0.2.7", "2001:db8::7"]);
  assert.equal(withDnsId(message, 7)[1], 7);
  assert.equal(recordTypeNumber("type65"), 65);
  assert.equal(responseCode(message), 0);
});

Deno.test("the DNS decoders never throw on hostile bytes", () => {
  const valid = Uint8Array.from(dnsPacket.encode({
    type: "query",
    id: 1,
    questions: [{ type: "A", name: "a.b.example" }],
    answers: [{ type: "SOA", name: "x.example", data: { mname: "a.example", rname: "b.example" } }],
    additionals: [{ type: "TXT", name: "y.example", data: ["abc"] }],
  }));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutatedBytes([valid])), (bytes) => {
      const query = decodeDnsQuery(bytes);
      if (query.ok) truncateDnsAnswer(encodeDnsAnswer(query.value, 2), 20);
      dnsRecords(bytes);
      describeDnsMessage(bytes);
      truncateDnsAnswer(bytes.length >= 12 ? bytes : new Uint8Array(12), 4);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("dnsRecords takes no long chain of pointers, so that no message costs quadratic time", () => {
  const message = new Uint8Array(65_535);
  const view = new DataView(message.buffer);
  view.setUint16(6, 4000);
  // One record holds pointers, each to the one before; the names of all others are the last of them.
  view.setUint16(21, 0x3ff0 - 23);
  for (let at = 24; at < 0x3ff0; at += 2) view.setUint16(at, 0xc000 | (at === 24 ? 12 : at - 2));
  for (let at = 0x3ff0; at + 12 < message.length; at += 12) view.setUint16(at, 0xc000 | 0x3fee);
  assert.equal(dnsRecords(message), undefined);
  const jump = Uint8Array.from([...new Uint8Array(12), 1, 97, 0, 0xc0, 12, 0xc0, 15]);
  assert.deepEqual(decodeName(jump, 17), { name: "a", end: 19 });
  assert.equal(decodeName(message, 0x3fee), undefined);
  assert.deepEqual(decodeName(message, 24), { name: "", end: 26 });
});

Deno.test("isAnswerTo takes the right id with the right question, and errors without one", () => {
  const query = queryOf("a.example", "A", 7);
  const answer = encodeDnsAnswer(query, 0, [{ type: "A", ttl: 60, data: "192.0.2.1" }]);
  assert.ok(isAnswerTo(answer, 7, query));
  assert.ok(!isAnswerTo(answer, 8, query), "another id");
  assert.ok(!isAnswerTo(query.message, 7, query), "a query");
  for (const other of [queryOf("b.example", "A", 7), queryOf("a.example", "AAAA", 7)]) {
    assert.ok(!isAnswerTo(encodeDnsAnswer(other, 0), 7, query), "another question");
  }
  const bare = (code: number, answers: number) =>
    Uint8Array.of(0, 7, 0x80, code, 0, 0, 0, answers, 0, 0, 0, 0);
  assert.ok(isAnswerTo(bare(1, 0), 7, query), "FORMERR");
  assert.ok(!isAnswerTo(bare(0, 0), 7, query));
  assert.ok(!isAnswerTo(bare(2, 1), 7, query), "an error with records");
});

function queryOf(name: string, type: "A" | "AAAA", id: number): DnsQuery {
  const decoded = decodeDnsQuery(
    Uint8Array.from(dnsPacket.encode({
      type: "query",
      id,
      flags: dnsPacket.RECURSION_DESIRED,
      questions: [{ type, name }],
      additionals: [{ type: "OPT", name: ".", udpPayloadSize: 4096, flags: 0, options: [] }],
    })),
  );
  assert.ok(decoded.ok);
  return decoded.value;
}
