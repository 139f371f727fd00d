/** What gateways, applications and the portal may send to a client to harm it. Rules: data-plane.md §9. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import { DnsResourceNat } from "../../../lib/client/dns_resource_nat.ts";
import { decodeDnsQuery, encodeDnsAnswer, encodeDnsQuery } from "../../../lib/wire/dns.ts";
import { type ControlMessage, encodeControl } from "../../../lib/wire/p2p_control.ts";
import { decodeClientInbound } from "../../../lib/wire/portal/client.ts";
import { buildUdp } from "../../../lib/wire/udp.ts";
import { mutatedJson } from "../wire/portal/json_mutation.ts";
import { Harness, INTERNET, OFFICE, OWN_4, OWN_6, parsed, syn, udp, WIKI } from "./harness.ts";

const GOODBYE = encodeControl({ type: "goodbye" });
const status = (resourceId: string, domain: string): ControlMessage => ({
  type: "domain-status",
  resourceId,
  domain,
  status: "active",
});

Deno.test("ClientSession never sends control messages of applications into a tunnel", () => {
  const h = Harness.started([INTERNET, { ...OFFICE, address: "::/0" }], { internetResourceActive: true });
  for (const id of ["r-internet", "r-office"]) {
    h.send(id === "r-internet" ? syn("192.0.2.1") : syn("2001:db8::1"));
    h.grant(id, "gw-1");
  }
  h.connect("gw-1");
  h.takeSent();
  const fromUs = GOODBYE.slice();
  fromUs.set(OWN_6.bytes, 8);
  for (const forged of [GOODBYE, encodeControl(status("r-wiki", "a.example")), fromUs]) {
    assert.equal(h.send(forged), false);
  }
  assert.deepEqual(h.takeSent(), []);
  assert.equal(h.session.status(h.now).gateways.length, 1, "and does not act on them either");
});

Deno.test("ClientSession lets a gateway speak for itself alone", () => {
  const h = Harness.started([WIKI, OFFICE]);
  h.ask("a.wiki.corp.example");
  const proxy = h.takeAnswers()[0]!.split(" ")[2]!;
  h.send(syn(proxy));
  h.send(syn("10.20.0.1"));
  h.grant("r-wiki", "gw-1");
  h.grant("r-office", "gw-2");
  for (const id of ["gw-1", "gw-2"]) h.connect(id);
  h.takeSent();
  h.control("gw-2", status("r-wiki", "a.wiki.corp.example"));
  h.control("gw-unknown", status("r-wiki", "a.wiki.corp.example"));
  assert.equal(h.send(syn(proxy, 80)), false, "the mapping of another gateway is not confirmed");
  assert.deepEqual(h.takeSent(), []);
  h.control("gw-1", status("r-wiki", "a.wiki.corp.example"));
  assert.equal(h.takeSent().length, 2);
  h.control("gw-unknown", { type: "goodbye" });
  h.control("gw-2", { type: "goodbye" });
  assert.deepEqual(h.session.status(h.now).gateways.map(({ id }) => id), ["gw-1"]);
  for (const source of [`${proxy}:443`, "10.20.0.1:443", "100.81.7.1:1", "100.100.111.1:53", "192.0.2.1:1"]) {
    assert.equal(h.receive("gw-2", udp(source, `${OWN_4}:50000`)), undefined, source);
  }
  assert.equal(h.receive("gw-1", udp("10.20.0.1:443", `${OWN_4}:50000`)), undefined, "another's network");
  assert.equal(h.receive("gw-1", udp(`${proxy}:443`, "100.69.12.5:50000")), undefined, "not for us");
  assert.ok(h.receive("gw-1", udp(`${proxy}:443`, `${OWN_4}:50000`)));
});

Deno.test("ClientSession believes no answer of an upstream but the one to its query", () => {
  const h = Harness.started([]);
  h.ask("example.com");
  const query = h.session.pollDnsQuery()!;
  const forged = decodeDnsQuery(encodeDnsQuery(7, "evil.example", 1)!);
  assert.ok(forged.ok);
  const message = encodeDnsAnswer(forged.value, 0, [{ type: "A", ttl: 600, data: "192.0.2.66" }]);
  h.session.handleDnsAnswer(query.id, { type: "answer", message }, h.now);
  assert.deepEqual(h.takeAnswers(), ["SERVFAIL"]);
  h.session.handleDnsAnswer(query.id, { type: "answer", message }, h.now);
  assert.deepEqual(h.takeAnswers(), [], "a second answer is nobody's");
});

Deno.test("DnsResourceNat holds packets for no more than 1024 names at a time", () => {
  const nat = new DnsResourceNat(() => [IpAddress.from("100.96.0.1")]);
  const packet = parsed(udp(`${OWN_4}:1`, "100.96.0.1:443", new Uint8Array(1200)));
  for (let count = 0; count < 3000; count++) {
    assert.equal(nat.handleOutgoing("gw", "r", `n${count}.example`, packet, true, 0), false);
    nat.pollAssignment();
  }
  let held = 0;
  for (let count = 0; count < 3000; count++) {
    const packets = nat.handleStatus("gw", "r", `n${count}.example`, true);
    if (packets.length > 0) assert.ok(count >= 3000 - 1024);
    held += packets.length;
  }
  assert.equal(held, 1024);
});

Deno.test("ClientSession survives any mix of portal messages, packets, datagrams, answers and time", () => {
  const init = {
    interface: {
      ipv4: `${OWN_4}`,
      ipv6: `${OWN_6}`,
      upstream_do53: [{ ip: "10.20.0.53" }],
      search_domain: "x",
    },
    resources: [WIKI, OFFICE, INTERNET],
    relays: [{
      type: "turn",
      id: "r",
      addr: "192.0.2.9:3478",
      username: "1:a",
      password: "b",
      expires_at: 9,
    }],
    authorizations: [],
  };
  const key = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
  const grant = {
    resource_id: "r-office",
    gateway_id: "gw-1",
    site_id: "s",
    gateway_public_key: key,
    gateway_ipv4: "100.81.7.1",
    gateway_ipv6: "fd00:2021:1111::a:1",
    preshared_key: key,
    client_ice_credentials: { username: "aaaa", password: "bbbb" },
    gateway_ice_credentials: { username: "cccc", password: "dddd" },
  };
  const failed = { resource_id: "r-wiki", reason: "offline", violated_properties: [] };
  const message = fc.oneof(
    mutatedJson(init).map((payload) => ["init", payload] as const),
    mutatedJson(grant).map((payload) => ["flow_created", payload] as const),
    mutatedJson(failed).map((payload) => ["flow_creation_failed", payload] as const),
    mutatedJson(WIKI).map((payload) => ["resource_created_or_updated", payload] as const),
    fc.constantFrom("r-wiki", "r-office").map((payload) => ["resource_deleted", payload] as const),
  );
  const name = fc.constantFrom(
    "a.wiki.corp.example",
    "example.com",
    "1.0.96.100.in-addr.arpa",
    "_x.wiki.corp.example",
  );
  const bytes = fc.uint8Array({ maxLength: 80 });
  const step = fc.oneof(
    message.map(([event, payload]) => (h: Harness) => {
      const decoded = decodeClientInbound(event, payload);
      if (decoded.ok) h.session.handlePortal(decoded.value, h.now);
    }),
    name.map((text) => (h: Harness) => h.ask(text)),
    bytes.map((payload) => (h: Harness) => h.send(dnsTo(payload))),
    fc.constantFrom(syn("10.20.0.1"), syn("100.96.0.1"), syn("8.8.8.8"), GOODBYE).map(
      (packet) => (h: Harness) => h.send(packet.slice()),
    ),
    fc.constant((h: Harness) => h.connect("gw-1")),
    fc.constant((h: Harness) => h.fail("gw-1")),
    fc.oneof(bytes, fc.constant(GOODBYE)).map((packet) => (h: Harness) => {
      h.node.incoming = { peerId: "gw-1", packet: packet.slice() };
      h.session.handleDatagram(
        SocketAddress.from("192.0.2.1:1"),
        SocketAddress.from("192.0.2.2:2"),
        packet,
        h.now,
      );
      h.node.incoming = undefined;
    }),
    bytes.map((answer) => (h: Harness) => {
      const query = h.session.pollDnsQuery();
      if (query !== undefined) {
        h.session.handleDnsAnswer(query.id, { type: "answer", message: answer }, h.now);
      }
    }),
    fc.nat(20_000).map((ms) => (h: Harness) => {
      h.now += ms;
      h.session.handleTimeout(h.now);
    }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const h = Harness.started([WIKI, OFFICE]);
      for (const act of steps) {
        act(h);
        const wake = h.session.pollTimeout();
        assert.ok(wake === undefined || !Number.isNaN(wake.at));
      }
      h.session.status(h.now);
      h.takePortal();
      h.takeEvents();
      while (h.session.pollPacket() !== undefined);
    }),
    { numRuns: 300 },
  );
});

function dnsTo(payload: Uint8Array): Uint8Array {
  const destination = IpAddress.from("100.100.111.1");
  return buildUdp({ source: OWN_4, destination, sourcePort: 4444, destinationPort: 53, payload });
}
