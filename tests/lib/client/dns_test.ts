import assert from "node:assert/strict";
import dnsPacket from "dns-packet";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import { TunnelDnsClient } from "../../../lib/dns/tunnel_client.ts";
import {
  decodeDnsQuery,
  encodeDnsAnswer,
  encodeDnsQuery,
  RecordType,
  withDnsId,
} from "../../../lib/wire/dns.ts";
import { describeDnsMessage } from "../../../lib/wire/dns_text.ts";
import {
  describe,
  Harness,
  INTERNET,
  OFFICE,
  OWN_4,
  parsed,
  queryIn,
  SENTINEL,
  syn,
  udp,
  WIKI,
} from "./harness.ts";

const NAME = "main.wiki.corp.example";
/** After the upstream servers changed once. */
const SECOND_SENTINEL = SocketAddress.from("100.100.111.2:53");

Deno.test("ClientSession answers names of resources at once and asks nobody", () => {
  const harness = Harness.started([WIKI]);
  harness.ask(NAME);
  assert.deepEqual(harness.takeAnswers(), ["NOERROR A 100.96.0.1 A 100.96.0.2 A 100.96.0.3 A 100.96.0.4"]);
  assert.equal(harness.session.pollDnsQuery(), undefined);
  assert.deepEqual(harness.takePortal(), []);
});

Deno.test("ClientSession holds packets for a name until the gateway has mapped it", () => {
  const harness = Harness.started([WIKI]);
  harness.ask(NAME);
  harness.send(syn("100.96.0.1"));
  assert.deepEqual(harness.takeRequests(), [WIKI.id]);
  harness.grant(WIKI.id, "g1");
  harness.connect("g1");
  assert.deepEqual(harness.takeSent(), [`g1 assigned-ips r-wiki ${NAME} 8`]);
  harness.control("g1", { type: "domain-status", resourceId: WIKI.id, domain: NAME, status: "active" });
  assert.deepEqual(harness.takeSent(), ["g1 tcp 100.96.0.1:443"]);
  assert.equal(harness.send(syn("100.96.0.2")), true);
});

Deno.test("ClientSession repeats an assignment that got lost, with packets and not before two seconds", () => {
  const harness = mapped("pending");
  harness.now += 1999;
  harness.send(syn("100.96.0.1"));
  assert.deepEqual(harness.takeSent(), []);
  harness.now += 1;
  harness.send(syn("100.96.0.1"));
  assert.deepEqual(harness.takeSent(), [`g1 assigned-ips r-wiki ${NAME} 8`]);
});

Deno.test("ClientSession lets a query for a mapped name refresh the mapping while packets pass", () => {
  const harness = mapped("active");
  harness.ask(NAME);
  assert.deepEqual(harness.takeSent(), [`g1 assigned-ips r-wiki ${NAME} 8`]);
  assert.equal(harness.send(syn("100.96.0.1")), true);
});

Deno.test("ClientSession passes packets for a name that could not be mapped, until the next query", () => {
  const harness = mapped("inactive");
  assert.equal(harness.send(syn("100.96.0.1")), true);
  harness.takeSent();
  harness.ask(NAME);
  assert.equal(harness.send(syn("100.96.0.1", 80)), false);
  harness.control("g1", { type: "domain-status", resourceId: WIKI.id, domain: NAME, status: "active" });
  assert.deepEqual(harness.takeSent(), [`g1 assigned-ips r-wiki ${NAME} 8`, "g1 tcp 100.96.0.1:80"]);
});

Deno.test("ClientSession maps a name of a connected resource with the query already", () => {
  const harness = mapped("active");
  harness.ask("other.wiki.corp.example");
  assert.deepEqual(harness.takeSent(), ["g1 assigned-ips r-wiki other.wiki.corp.example 8"]);
});

Deno.test("ClientSession assigns four addresses for a resource of one family", () => {
  const harness = Harness.started([{ ...WIKI, ip_stack: "ipv4_only" }]);
  harness.ask(NAME);
  harness.ask(NAME, "aaaa");
  assert.deepEqual(harness.takeAnswers().at(-1), "NOERROR");
  harness.send(syn("100.96.0.1"));
  harness.grant(WIKI.id, "g1");
  harness.connect("g1");
  assert.deepEqual(harness.takeSent(), [`g1 assigned-ips r-wiki ${NAME} 4`]);
});

Deno.test("ClientSession takes packets from proxy addresses only from the gateway of the name", () => {
  const harness = mapped("active");
  assert.ok(harness.receive("g1", udp("100.96.0.1:443", `${OWN_4}:5`)));
  assert.equal(harness.receive("g1", udp("100.96.0.9:443", `${OWN_4}:5`)), undefined);
  harness.ask("host.other.example");
  assert.equal(harness.receive("g1", udp("100.96.0.5:443", `${OWN_4}:5`)), undefined);
});

Deno.test("ClientSession sends a packet for a name through the most specific resource that permits it", () => {
  const ssh = {
    ...WIKI,
    id: "r-ssh",
    address: NAME,
    filters: [{ protocol: "tcp", port_range_start: 22, port_range_end: 22 }],
  };
  const harness = Harness.started([WIKI, ssh]);
  harness.ask(NAME);
  harness.send(syn("100.96.0.1", 22));
  harness.send(syn("100.96.0.1", 443));
  assert.deepEqual(harness.takeRequests(), ["r-ssh", WIKI.id]);
});

Deno.test("ClientSession keeps proxy addresses through a reset", () => {
  const harness = mapped("active");
  harness.ask("second.wiki.corp.example");
  harness.session.reset({ privateKey: new Uint8Array(32), publicKey: new Uint8Array(32) }, harness.now);
  harness.takePackets();
  harness.ask("second.wiki.corp.example");
  assert.match(harness.takeAnswers()[0]!, /100\.96\.0\.5 /);
});

Deno.test("ClientSession hands other names to the host and its answer back", () => {
  const harness = Harness.started([WIKI]);
  harness.ask("example.org", "a", 77);
  const query = harness.session.pollDnsQuery()!;
  assert.deepEqual([query.server, query.transport, query.deadline], [
    { type: "do53", address: SocketAddress.from("192.168.1.1:53") },
    "udp",
    harness.now + 5000,
  ]);
  harness.session.handleDnsAnswer(
    query.id,
    { type: "answer", message: answerTo(query.message, 60) },
    harness.now,
  );
  assert.deepEqual(harness.takeAnswers(), ["NOERROR A 192.0.2.1"]);
  harness.ask("example.org", "a", 78);
  assert.equal(harness.session.pollDnsQuery(), undefined);
  assert.deepEqual(harness.takeAnswers(), ["NOERROR A 192.0.2.1"]);
});

Deno.test("ClientSession forgets cached answers when resources change", () => {
  const harness = Harness.started([]);
  harness.ask(NAME);
  const query = harness.session.pollDnsQuery()!;
  harness.session.handleDnsAnswer(
    query.id,
    { type: "answer", message: answerTo(query.message, 60) },
    harness.now,
  );
  harness.portal("resource_created_or_updated", WIKI);
  harness.takePackets();
  harness.ask(NAME);
  assert.match(harness.takeAnswers()[0]!, /100\.96\.0\.1/);
});

Deno.test("ClientSession answers SERVFAIL when the upstream failed, and nothing over UDP when it was silent", () => {
  const harness = Harness.started([]);
  const fail = (type: "failed" | "timeout") => {
    harness.ask("example.org");
    const { id } = harness.session.pollDnsQuery()!;
    harness.session.handleDnsAnswer(
      id,
      type === "failed" ? { type, reason: "refused" } : { type },
      harness.now,
    );
    return harness.takeAnswers();
  };
  assert.deepEqual(fail("failed"), ["SERVFAIL"]);
  assert.deepEqual(fail("timeout"), []);
  harness.ask("example.org");
  const wrong = answerTo(encodeDnsQuery(7, "other.org", 1)!, 60);
  harness.session.handleDnsAnswer(
    harness.session.pollDnsQuery()!.id,
    { type: "answer", message: wrong },
    harness.now,
  );
  assert.deepEqual(harness.takeAnswers(), ["SERVFAIL"]);
});

Deno.test("ClientSession gives up on a host that never tells what came of a query", () => {
  const harness = Harness.started([]);
  harness.ask("example.org");
  assert.equal(harness.session.pollTimeout()?.at, harness.now + 6000);
  harness.now += 6000;
  harness.session.handleTimeout(harness.now);
  assert.equal(harness.session.pollTimeout(), undefined);
  assert.equal(harness.session.status(harness.now).dns.inFlight, 0);
});

Deno.test("ClientSession truncates long answers over UDP and gives them whole over TCP", () => {
  const harness = Harness.started([]);
  harness.ask("big.example");
  const query = harness.session.pollDnsQuery()!;
  harness.session.handleDnsAnswer(
    query.id,
    { type: "answer", message: answerTo(query.message, 1, 120) },
    harness.now,
  );
  const [packet] = harness.takePackets();
  assert.ok(packet!.length < 100);
  assert.equal(packet!.bytes[28 + 2]! & 2, 2);

  const application = new TunnelDnsClient({ rng: seededRng(5) });
  const asked = decodeDnsQuery(encodeDnsQuery(9, "big.example", 1)!);
  assert.ok(asked.ok);
  application.ask(asked.value, "tcp", SENTINEL, OWN_4, harness.now);
  const exchange = () => {
    for (let moved = true; moved;) {
      moved = false;
      for (let bytes = application.pollPacket(); bytes !== undefined; bytes = application.pollPacket()) {
        harness.send(bytes);
        moved = true;
      }
      for (const each of harness.takePackets()) {
        application.handlePacket(each, harness.now);
        moved = true;
      }
    }
  };
  exchange();
  const again = harness.session.pollDnsQuery()!;
  assert.equal(again.transport, "tcp");
  harness.session.handleDnsAnswer(
    again.id,
    { type: "answer", message: answerTo(again.message, 1, 120) },
    harness.now,
  );
  exchange();
  const answer = application.pollAnswer()?.message;
  assert.equal(answer && describeDnsMessage(answer)?.records.length, 120);
});

Deno.test("ClientSession asks an upstream of the portal through the tunnel if it lies in a resource", () => {
  const harness = Harness.started([]);
  harness.init([OFFICE], { upstream_do53: [{ ip: "10.20.0.53" }] });
  harness.ask("intern.example", "a", 42, SECOND_SENTINEL);
  assert.equal(harness.session.pollDnsQuery(), undefined);
  assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
  harness.grant(OFFICE.id, "g1");
  harness.connect("g1");
  const [sent] = harness.node.sent;
  assert.equal(describe(parsed(sent!.packet)), "udp 10.20.0.53:53");
  const query = queryIn(sent!.packet);
  const reply = udp(
    "10.20.0.53:53",
    `${OWN_4}:${parsed(sent!.packet).sourcePort}`,
    answerTo(query.message, 60),
  );
  assert.equal(harness.receive("g1", reply), undefined);
  assert.deepEqual(harness.takeAnswers(), ["NOERROR A 192.0.2.1"]);
});

Deno.test("ClientSession asks an upstream of the portal from the host if filters forbid the way through a resource", () => {
  const harness = Harness.started([]);
  harness.init([{ ...OFFICE, filters: [{ protocol: "icmp" }] }], { upstream_do53: [{ ip: "10.20.0.53" }] });
  harness.ask("intern.example", "a", 42, SECOND_SENTINEL);
  assert.ok(harness.session.pollDnsQuery());
});

Deno.test("ClientSession never asks the system's own resolvers through the tunnel", () => {
  const harness = Harness.started([INTERNET], { internetResourceActive: true });
  harness.ask("example.org");
  assert.ok(harness.session.pollDnsQuery());
});

Deno.test("ClientSession asks DoH servers of the portal from the host", () => {
  const harness = Harness.started([]);
  harness.init([], {
    upstream_doh: [{ url: "https://dns.quad9.net/dns-query" }, { url: "http://insecure/" }],
  });
  harness.ask("example.org", "a", 7, SECOND_SENTINEL);
  assert.deepEqual(harness.session.pollDnsQuery()?.server, {
    type: "doh",
    url: "https://dns.quad9.net/dns-query",
  });
});

Deno.test("ClientSession moves to new sentinels when the host's resolvers change", () => {
  const harness = Harness.started([WIKI]);
  harness.session.handleSystemResolvers([SocketAddress.from("[2001:db8::53]:53")], harness.now);
  const { sentinels } = harness.session.status(harness.now).interface!.dns;
  assert.deepEqual(sentinels.map(String), ["fd00:2021:1111:8000:100:100:111:0"]);
  assert.deepEqual(harness.takeEvents().map(({ type }) => type), ["interface"]);
  harness.now += 5000;
  harness.ask(NAME);
  assert.deepEqual(harness.takePackets(), []);
});

Deno.test("ClientSession answers at the former sentinels for a while, by those who are asked at present", () => {
  const harness = Harness.started([WIKI]);
  const [second, third] = ["192.0.2.2:53", "192.0.2.3:53"].map(SocketAddress.from);
  harness.session.handleSystemResolvers([second!, third!], harness.now);
  harness.now += 4999;
  harness.ask(NAME);
  const [packet] = harness.takePackets();
  assert.equal(packet?.source.toString(), SENTINEL.ip.toString());
  harness.ask("example.com");
  const query = harness.session.pollDnsQuery();
  assert.ok(query?.server.type === "do53");
  assert.equal(query.server.address.toString(), second!.toString());
  // Only the last set before.
  const thirdSentinel = SocketAddress.from("100.100.111.3:53");
  harness.session.handleSystemResolvers([third!], harness.now);
  harness.ask(NAME, "a", 7, thirdSentinel);
  assert.equal(harness.takePackets().length, 1);
  harness.session.handleSystemResolvers([second!], harness.now);
  harness.ask(NAME, "a", 7, thirdSentinel);
  assert.deepEqual(harness.takePackets(), []);
});

Deno.test("ClientSession asks SRV and TXT inside the site, after access is granted", () => {
  const harness = Harness.started([WIKI]);
  harness.ask(NAME, "srv", 5);
  assert.deepEqual(harness.takeRequests(), [WIKI.id]);
  harness.grant(WIKI.id, "g1");
  harness.connect("g1");
  const [sent] = harness.node.sent;
  assert.equal(describe(parsed(sent!.packet)), "udp 100.81.7.1:53535");
  const query = queryIn(sent!.packet);
  assert.deepEqual([query.name, query.type], [NAME, RecordType.srv]);
  const answer = encodeDnsAnswer(query, 3);
  harness.receive("g1", udp("100.81.7.1:53535", `${OWN_4}:${parsed(sent!.packet).sourcePort}`, answer));
  assert.deepEqual(harness.takeAnswers(), ["NXDOMAIN"]);
});

Deno.test("ClientSession fails a site query that the portal does not allow", () => {
  const harness = Harness.started([WIKI]);
  harness.ask(NAME, "txt");
  harness.portal("authorization_creation_failed", { resource_id: WIKI.id, reason: "forbidden" });
  assert.deepEqual(harness.takeAnswers(), ["SERVFAIL"]);
});

Deno.test("ClientSession asks the portal for devices of a dynamic pool, once, and answers all who asked", () => {
  const pool = {
    type: "dynamic_device_pool",
    id: "r-pool",
    name: "Lab",
    address: "*.devices.corp",
    filters: [],
  };
  const harness = Harness.started([pool]);
  harness.ask("lab-7.devices.corp");
  harness.ask("lab-7.devices.corp", "aaaa");
  assert.deepEqual(harness.takePortal(), [
    { event: "resolve_device_pool_domain", payload: { resource_id: "r-pool", domain: "lab-7.devices.corp" } },
  ]);
  harness.portal("device_pool_domain_resolved", {
    resource_id: "r-pool",
    domain: "lab-7.devices.corp",
    ipv4: "100.70.4.4/32",
    ipv6: "fd00:2021:1111::4:4",
  });
  assert.deepEqual(harness.takeAnswers(), ["NOERROR A 100.70.4.4", "NOERROR AAAA fd00:2021:1111::4:4"]);
  harness.ask("lab-8.devices.corp");
  harness.portal("device_pool_domain_resolution_failed", {
    resource_id: "r-pool",
    domain: "lab-8.devices.corp",
    reason: "not_found",
  });
  harness.ask("lab-9.devices.corp");
  harness.now += 5000;
  harness.session.handleTimeout(harness.now);
  assert.deepEqual(harness.takeAnswers(), ["NXDOMAIN", "SERVFAIL"]);
});

Deno.test("ClientSession ignores everything but DNS at sentinels", () => {
  const harness = Harness.started([WIKI]);
  harness.send(udp(`${OWN_4}:9`, "100.100.111.1:54", encodeDnsQuery(1, NAME, 1)!));
  harness.send(udp(`${OWN_4}:9`, "100.100.111.9:53", encodeDnsQuery(1, NAME, 1)!));
  harness.send(syn("100.100.111.1", 80));
  assert.deepEqual(harness.takePackets(), []);
});

Deno.test("ClientSession.askDns answers the session's own questions and tells who knew", () => {
  const harness = Harness.started([WIKI]);
  const ask = (name: string) => harness.session.askDns(encodeDnsQuery(3, name, 1)!, harness.now)!;
  const own = ask(NAME);
  assert.deepEqual([harness.session.pollDnsAnswer()].map((each) => [each?.id, each?.source]), [[
    own,
    "resource",
  ]]);
  const other = ask("example.org");
  const query = harness.session.pollDnsQuery()!;
  harness.session.handleDnsAnswer(
    query.id,
    { type: "answer", message: answerTo(query.message, 60) },
    harness.now,
  );
  assert.deepEqual([harness.session.pollDnsAnswer()].map((each) => [each?.id, each?.source]), [[
    other,
    "upstream",
  ]]);
  assert.equal(harness.session.askDns(new Uint8Array(2), harness.now), undefined);
});

Deno.test("ClientSession without any upstream answers SERVFAIL to its own questions", () => {
  const harness = Harness.started([], { systemResolvers: [] });
  harness.session.askDns(encodeDnsQuery(3, "example.org", 1)!, harness.now);
  assert.equal(harness.session.pollDnsAnswer()?.source, "nobody");
});

function mapped(state: "pending" | "active" | "inactive"): Harness {
  const harness = Harness.started([WIKI]);
  harness.ask(NAME);
  harness.send(syn("100.96.0.1"));
  harness.grant(WIKI.id, "g1");
  harness.connect("g1");
  if (state !== "pending") {
    harness.control("g1", { type: "domain-status", resourceId: WIKI.id, domain: NAME, status: state });
  }
  harness.takeSent();
  harness.takePackets();
  harness.takePortal();
  return harness;
}

function answerTo(message: Uint8Array, ttl: number, count = 1): Uint8Array {
  const query = decodeDnsQuery(message);
  assert.ok(query.ok);
  const address = IpAddress.from("192.0.2.1");
  return withDnsId(
    Uint8Array.from(dnsPacket.encode({
      type: "response",
      id: 0,
      questions: [{ type: "A", name: query.value.name }],
      answers: Array.from({ length: count }, (_, index) => ({
        type: "A",
        name: query.value.name,
        ttl,
        data: address.plus(index).toString(),
      })),
    })),
    query.value.id,
  );
}
