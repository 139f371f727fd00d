import assert from "node:assert/strict";
import { IpAddress } from "../../../lib/base/ip.ts";
import { Pattern } from "../../../lib/dns/pattern.ts";
import { ProxyIps } from "../../../lib/dns/proxy_ips.ts";
import { parseReverseName, StubResolver } from "../../../lib/dns/stub_resolver.ts";
import { decodeDnsQuery, type DnsQuery, encodeDnsQuery, RecordType } from "../../../lib/wire/dns.ts";
import { describeDnsMessage } from "../../../lib/wire/dns_text.ts";

Deno.test("StubResolver answers A and AAAA of a resource's name with proxy addresses and TTL 1", () => {
  const { resolver } = setUp();
  assert.deepEqual(answered(resolver, "wiki.example.com", "a"), {
    code: "NOERROR",
    records: ["A 1 100.96.0.1", "A 1 100.96.0.2", "A 1 100.96.0.3", "A 1 100.96.0.4"],
  });
  assert.equal(answered(resolver, "WIKI.example.com", "aaaa").records[3], "AAAA 1 fd00:2021:1111:8000::3");
});

Deno.test("StubResolver names the resources an answer belongs to, the most specific first", () => {
  const { resolver } = setUp();
  const decision = resolver.decide(query("only4.example.com", "a"));
  assert.ok(decision.type === "answer");
  assert.deepEqual(decision.resolved, { name: "only4.example.com", resourceIds: ["only4", "wild"] });
});

Deno.test("StubResolver answers NOERROR without records for a family the resource excludes", () => {
  const { resolver } = setUp();
  assert.deepEqual(answered(resolver, "only4.example.com", "aaaa"), { code: "NOERROR", records: [] });
  assert.equal(answered(resolver, "only4.example.com", "a").records.length, 4);
  assert.deepEqual(answered(resolver, "only6.example.com", "a"), { code: "NOERROR", records: [] });
});

Deno.test("StubResolver recurses for names of no resource and for types it does not know", () => {
  const { resolver } = setUp();
  assert.deepEqual(resolver.decide(query("other.org", "a")), { type: "recurse" });
  assert.deepEqual(resolver.decide(query("wiki.example.com", "mx")), { type: "recurse" });
  assert.deepEqual(resolver.decide(query("wiki.example.com", "any")), { type: "recurse" });
  const chaos = { ...query("wiki.example.com", "a"), class: 3 };
  assert.deepEqual(resolver.decide(chaos), { type: "recurse" });
});

Deno.test("StubResolver sends SRV and TXT of a resource's name to the site", () => {
  const { resolver } = setUp();
  assert.deepEqual(resolver.decide(query("only4.example.com", "srv")), {
    type: "site",
    resourceIds: ["only4", "wild"],
  });
  assert.deepEqual(resolver.decide(query("wiki.example.com", "txt")), {
    type: "site",
    resourceIds: ["wild"],
  });
  assert.deepEqual(resolver.decide(query("x.org", "txt")), { type: "recurse" });
});

Deno.test("StubResolver answers HTTPS of a resource's name with nothing, so that browsers ask for A", () => {
  assert.deepEqual(answered(setUp().resolver, "wiki.example.com", "https"), { code: "NOERROR", records: [] });
});

Deno.test("StubResolver denies use-application-dns.net", () => {
  assert.equal(answered(setUp().resolver, "use-application-dns.net", "a").code, "NXDOMAIN");
});

Deno.test("StubResolver answers PTR of a proxy address with its name and recurses for other addresses", () => {
  const { resolver, proxyIps } = setUp();
  const { ipv4, ipv6 } = proxyIps.assign("wiki.example.com");
  assert.deepEqual(answered(resolver, "1.0.96.100.in-addr.arpa", "ptr").records, ["PTR 1 wiki.example.com."]);
  assert.equal(String(ipv4[0]), "100.96.0.1");
  const nibbles = ipv6[2]!.bytes.toHex().split("").reverse().join(".");
  assert.deepEqual(answered(resolver, `${nibbles}.ip6.arpa`, "ptr").records, ["PTR 1 wiki.example.com."]);
  assert.deepEqual(resolver.decide(query("8.8.8.8.in-addr.arpa", "ptr")), { type: "recurse" });
  assert.deepEqual(resolver.decide(query("lb._dns-sd.example.com", "ptr")), { type: "recurse" });
});

Deno.test("StubResolver asks the portal for devices of a dynamic pool", () => {
  const { resolver } = setUp();
  assert.deepEqual(resolver.decide(query("lab-7.devices.corp", "a")), {
    type: "device-pool",
    resourceId: "pool",
    name: "lab-7.devices.corp",
  });
});

Deno.test("StubResolver.delete makes names of the resource ordinary again", () => {
  const { resolver } = setUp();
  resolver.delete("pool");
  assert.deepEqual(resolver.decide(query("lab-7.devices.corp", "a")), { type: "recurse" });
});

Deno.test("parseReverseName reads both trees and nothing else", () => {
  assert.equal(String(parseReverseName("4.3.2.1.in-addr.arpa")), "1.2.3.4");
  assert.equal(
    String(parseReverseName(`${"1.".padEnd(2)}${"0.".repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`)),
    String(IpAddress.from("2001:db8::1")),
  );
  for (const name of ["256.3.2.1.in-addr.arpa", "3.2.1.in-addr.arpa", "1.ip6.arpa", "x"]) {
    assert.equal(parseReverseName(name), undefined, name);
  }
});

function setUp(): { resolver: StubResolver; proxyIps: ProxyIps } {
  const proxyIps = new ProxyIps();
  const resolver = new StubResolver(proxyIps);
  resolver.set({ id: "wild", type: "dns", ipStack: "dual" }, Pattern.from("*.example.com"));
  resolver.set({ id: "only4", type: "dns", ipStack: "ipv4-only" }, Pattern.from("only4.example.com"));
  resolver.set({ id: "only6", type: "dns", ipStack: "ipv6-only" }, Pattern.from("only6.example.com"));
  resolver.set({ id: "pool", type: "dynamic-pool", ipStack: "dual" }, Pattern.from("*.devices.corp"));
  return { resolver, proxyIps };
}

function query(name: string, type: keyof typeof RecordType): DnsQuery {
  const decoded = decodeDnsQuery(encodeDnsQuery(1, name, RecordType[type])!);
  assert.ok(decoded.ok);
  return decoded.value;
}

function answered(resolver: StubResolver, name: string, type: keyof typeof RecordType) {
  const decision = resolver.decide(query(name, type));
  assert.ok(decision.type === "answer", decision.type);
  const text = describeDnsMessage(decision.message)!;
  return {
    code: text.code,
    records: text.records.map((record) => `${record.type} ${record.ttl} ${record.data}`),
  };
}
