import assert from "node:assert/strict";
import dnsPacket from "dns-packet";
import { DnsCache } from "../../../lib/dns/cache.ts";
import { decodeDnsQuery, type DnsQuery, encodeDnsQuery, isAnswerTo } from "../../../lib/wire/dns.ts";
import { describeDnsMessage } from "../../../lib/wire/dns_text.ts";

Deno.test("DnsCache hands out what it stored with the id and spelling of the query and TTLs counted down", () => {
  const cache = new DnsCache();
  const query = queryFor(1, "a.example");
  cache.store("s", query, answerFor("a.example", [30, 60]), 1000);
  const again = queryFor(2, "A.Example");
  const answer = cache.lookup("s", again, 11_500);
  assert.ok(answer !== undefined && isAnswerTo(answer, 2, again));
  assert.deepEqual(describeDnsMessage(answer)!.records.map(({ ttl }) => ttl), [20, 50]);
  assert.deepEqual(answer.subarray(12, 12 + again.question.length), again.question);
});

Deno.test("DnsCache forgets answers when the shortest TTL is over", () => {
  const cache = new DnsCache();
  cache.store("s", queryFor(1, "a.example"), answerFor("a.example", [30, 60]), 0);
  assert.ok(cache.lookup("s", queryFor(2, "a.example"), 29_999) !== undefined);
  assert.equal(cache.lookup("s", queryFor(2, "a.example"), 30_000), undefined);
});

Deno.test("DnsCache keeps answers of servers, types and flags apart", () => {
  const cache = new DnsCache();
  cache.store("s", queryFor(1, "a.example"), answerFor("a.example", [30]), 0);
  assert.equal(cache.lookup("t", queryFor(1, "a.example"), 0), undefined);
  assert.equal(cache.lookup("s", queryFor(1, "a.example", 28), 0), undefined);
  assert.equal(cache.lookup("s", queryFor(1, "b.example"), 0), undefined);
  const checkingDisabled = queryFor(1, "a.example").message.slice();
  checkingDisabled[3] = 0x10;
  const decoded = decodeDnsQuery(checkingDisabled);
  assert.ok(decoded.ok);
  assert.equal(cache.lookup("s", decoded.value, 0), undefined);
});

Deno.test("DnsCache keeps no failures, truncated, empty, short-lived or foreign answers", () => {
  const cache = new DnsCache();
  const failed = answerFor("a.example", [30]);
  failed[3] = 3;
  const truncated = answerFor("a.example", [30]);
  truncated[2] = truncated[2]! | 2;
  for (
    const answer of [
      failed,
      truncated,
      answerFor("a.example", []),
      answerFor("a.example", [30, 4]),
      answerFor("abc.de", [30]),
    ]
  ) {
    cache.store("s", queryFor(1, "a.example"), answer, 0);
    assert.equal(cache.lookup("s", queryFor(1, "a.example"), 0), undefined);
  }
});

Deno.test("DnsCache is bounded and can be flushed", () => {
  const cache = new DnsCache(2);
  for (const name of ["a.x", "b.x", "c.x"]) cache.store("s", queryFor(1, name), answerFor(name, [30]), 0);
  assert.equal(cache.stats.entries, 2);
  assert.equal(cache.lookup("s", queryFor(1, "a.x"), 0), undefined);
  cache.flush();
  assert.equal(cache.lookup("s", queryFor(1, "c.x"), 0), undefined);
});

function queryFor(id: number, name: string, type = 1): DnsQuery {
  const decoded = decodeDnsQuery(encodeDnsQuery(id, name, type)!);
  assert.ok(decoded.ok);
  return decoded.value;
}

function answerFor(name: string, ttls: number[]): Uint8Array {
  return Uint8Array.from(dnsPacket.encode({
    type: "response",
    id: 1,
    questions: [{ type: "A", name }],
    answers: ttls.map((ttl, index) => ({ type: "A", name, ttl, data: `192.0.2.${index + 1}` })),
    additionals: [{ type: "OPT", name: ".", udpPayloadSize: 1232, flags: 0, options: [] }],
  }));
}
