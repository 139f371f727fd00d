/** What applications, upstream servers and gateways may send to the DNS parts to harm them. */

import assert from "node:assert/strict";
import dnsPacket from "dns-packet";
import fc from "fast-check";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import { DnsCache } from "../../../lib/dns/cache.ts";
import { Pattern } from "../../../lib/dns/pattern.ts";
import { ProxyIps } from "../../../lib/dns/proxy_ips.ts";
import { parseReverseName, StubResolver } from "../../../lib/dns/stub_resolver.ts";
import { TcpEndpoint } from "../../../lib/dns/tcp_endpoint.ts";
import { DnsTcpServer } from "../../../lib/dns/tcp_server.ts";
import { TunnelDnsClient } from "../../../lib/dns/tunnel_client.ts";
import { decodeDnsQuery, type DnsQuery, encodeDnsQuery } from "../../../lib/wire/dns.ts";
import { answerAddresses, describeDnsMessage } from "../../../lib/wire/dns_text.ts";
import { parsePacket } from "../../../lib/wire/ip.ts";
import { buildUdp, udpPayload } from "../../../lib/wire/udp.ts";
import { mutatedBytes } from "../wire/mutation.ts";

const SERVER = SocketAddress.from("100.64.0.9:53535");
const CLIENT = IpAddress.from("100.64.0.1");
const QUERY = queryFor("a.example");
const ANSWER = Uint8Array.from(dnsPacket.encode({
  type: "response",
  id: 7,
  questions: [{ type: "A", name: "a.example" }],
  answers: [
    { type: "CNAME", name: "a.example", ttl: 60, data: "b.example" },
    { type: "A", name: "b.example", ttl: 60, data: "192.0.2.1" },
  ],
  additionals: [{ type: "OPT", name: ".", udpPayloadSize: 4096, flags: 0, options: [] }],
}));

/** Answers that were tampered with, and any bytes. */
const hostileAnswer = fc.oneof(
  fc.uint8Array({ maxLength: 600 }),
  mutatedBytes([ANSWER]),
  fc.nat(ANSWER.length).map((length) => ANSWER.slice(0, length)),
);

Deno.test("DnsCache survives any answer, and stays within its bounds", () => {
  const cache = new DnsCache(8);
  let now = 0;
  fc.assert(
    fc.property(hostileAnswer, fc.nat(20), fc.nat(100_000), (answer, number, ms) => {
      const query = queryFor(number === 0 ? "a.example" : `n${number}.example`);
      cache.store("s", query, answer, now);
      now += ms;
      const found = cache.lookup("s", query, now);
      if (found !== undefined) {
        describeDnsMessage(found);
        answerAddresses(found);
      }
      assert.ok(cache.stats.entries <= 8);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("TunnelDnsClient believes nothing but answers to its question, whatever a server sends", () => {
  fc.assert(
    fc.property(hostileAnswer, fc.boolean(), (answer, keepsId) => {
      const client = new TunnelDnsClient({ rng: seededRng(1) });
      client.ask(QUERY, "udp", SERVER, CLIENT, 0);
      const asked = parsed(client.pollPacket()!);
      const id = udpPayload(asked)!;
      const payload = answer.slice();
      if (keepsId && payload.length > 1) payload.set(id.subarray(0, 2));
      const { sourcePort: destinationPort } = asked;
      const packet = buildUdp({
        source: SERVER.ip,
        destination: CLIENT,
        sourcePort: SERVER.port,
        destinationPort,
        payload,
      });
      assert.ok(client.handlePacket(parsed(packet), 1));
      const taken = client.pollAnswer()?.message;
      if (taken === undefined) return;
      assert.deepEqual(taken.subarray(0, 2), Uint8Array.of(0, 7));
      const echoed = (taken[4]! << 8) | taken[5]!;
      assert.ok(echoed > 0 || ((taken[3]! & 15) !== 0 && taken[6] === 0 && taken[7] === 0));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("DnsTcpServer takes any stream of bytes, and keeps a bounded part of it", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 30 }), (pieces) => {
      const rng = seededRng(3);
      const server = new DnsTcpServer({ rng });
      const listener = SocketAddress.from("100.100.111.1:53");
      server.listen([listener]);
      const client = new TcpEndpoint({ rng });
      const id = client.connect(CLIENT, listener, 0)!;
      let taken = 0;
      for (const piece of [undefined, ...pieces]) {
        if (piece !== undefined) client.send(id, piece, 0);
        for (let round = 0; round < 3; round++) {
          for (let next = client.pollPacket(); next !== undefined; next = client.pollPacket()) {
            server.handlePacket(parsed(next), 0);
          }
          for (let next = server.pollPacket(); next !== undefined; next = server.pollPacket()) {
            client.handlePacket(parsed(next), 0);
          }
        }
      }
      while (server.pollQuery() !== undefined) taken++;
      assert.ok(taken <= 64);
    }),
    { numRuns: 100 },
  );
});

Deno.test("StubResolver decides on any question, and hands out a bounded number of addresses", () => {
  const proxyIps = new ProxyIps(4);
  const stub = new StubResolver(proxyIps);
  stub.set({ id: "r1", type: "dns", ipStack: "dual" }, Pattern.from("**.example"));
  stub.set({ id: "r2", type: "dynamic-pool", ipStack: "dual" }, Pattern.from("*.pool"));
  const question = fc.uint8Array({ minLength: 0, maxLength: 80 }).map((bytes) =>
    Uint8Array.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...bytes])
  );
  const label = fc.oneof(
    fc.stringMatching(/^[a-z0-9*?-]{1,20}$/),
    fc.constantFrom("1", "in-addr", "ip6", "arpa"),
  );
  const named = fc.tuple(
    fc.array(label, { maxLength: 8 }),
    fc.constantFrom("example", "pool", "arpa"),
    fc.nat(300),
  )
    .map(([labels, last, type]) =>
      encodeDnsQuery(7, [...labels, last].join("."), type) ?? new Uint8Array(12)
    );
  fc.assert(
    fc.property(fc.oneof(question, named), (bytes) => {
      const query = decodeDnsQuery(bytes);
      if (!query.ok) return;
      const decision = stub.decide(query.value);
      if (decision.type === "answer") describeDnsMessage(decision.message);
      assert.ok(proxyIps.size <= 4);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("parseReverseName takes any text", () => {
  const text = fc.oneof(
    fc.string(),
    fc.array(fc.constantFrom("1", "255", "256", "0", "f", "00", "-1"), { maxLength: 40 }).map((parts) =>
      `${parts.join(".")}.${parts.length > 8 ? "ip6" : "in-addr"}.arpa`
    ),
  );
  fc.assert(fc.property(text, (name) => void parseReverseName(name)));
  assert.equal(parseReverseName("256.0.0.1.in-addr.arpa"), undefined);
  assert.equal(parseReverseName("1.0.96.100.in-addr.arpa")?.toString(), "100.96.0.1");
});

function queryFor(name: string): DnsQuery {
  const decoded = decodeDnsQuery(encodeDnsQuery(7, name, 1)!);
  assert.ok(decoded.ok);
  return decoded.value;
}

function parsed(bytes: Uint8Array) {
  const packet = parsePacket(bytes);
  assert.ok(packet.ok);
  return packet.value;
}
