/** What clients, and whoever rules the names they use, may not do at a gateway. Rules: data-plane.md §9. */

import assert from "node:assert/strict";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import { isServiceAddress, isSpecialAddressAt } from "../../../lib/gateway/special_ranges.ts";
import { decodeDnsQuery, encodeDnsAnswer, encodeDnsQuery, RecordType } from "../../../lib/wire/dns.ts";
import { decodeControl, encodeControl } from "../../../lib/wire/p2p_control.ts";
import {
  assignedIps,
  cidr,
  CLIENT_4,
  controlIn,
  dns,
  Harness,
  load,
  OWN_4,
  PROXIES,
  udp,
} from "./harness.ts";

const OTHER_4 = IpAddress.from("100.64.0.3");

Deno.test("GatewaySession asks the host's resolver for nothing that is no name", () => {
  const h = new Harness();
  h.authorize(dns("r1", "**.example.com"));
  const labels = `${"a".repeat(60)}.`.repeat(4);
  for (
    const domain of [
      "",
      "a b.example.com",
      "a\n.example.com",
      "ü.example.com",
      "..example.com",
      `${"a".repeat(64)}.example.com`,
      `${labels}example.com`,
    ]
  ) {
    h.fromClient(assignedIps("r1", domain));
    assert.equal(h.session.pollResolve(), undefined, domain);
  }
  h.fromClient(assignedIps("r1", "db.example.com."));
  assert.equal(h.session.pollResolve()?.domain, "db.example.com");
});

Deno.test("GatewaySession never lets a name lead to the gateway, to other clients or to proxy addresses", () => {
  const h = new Harness();
  h.authorize(dns("r1", "*.example.com"));
  h.fromClient(assignedIps("r1", "evil.example.com"));
  const { id } = h.session.pollResolve()!;
  const hostile = ["127.0.0.1", "0.0.0.0", "224.0.0.1", "100.64.0.3", "100.95.255.255", "100.96.0.9"];
  const hostile6 = ["::1", "::", "ff02::1", "::ffff:10.0.0.1", "fd00:2021:1111::3", "fd00:2021:1111:8000::9"];
  h.session.handleResolved(id, {
    ipv4: hostile.map((text) => IpAddress.from(text)),
    ipv6: hostile6.map((text) => IpAddress.from(text)),
  }, 0);
  assert.deepEqual(controlIn(h.replies()).map((message) => "status" in message && message.status), [
    "active",
  ]);
  for (const proxy of PROXIES) {
    assert.equal(h.fromClient(udp(CLIENT_4, proxy)), undefined);
    assert.equal(h.replies()[0]?.transport, "icmp", "unreachable");
  }
  for (const text of ["10.0.0.1", "169.254.169.254", "192.0.2.1", "fd12::1", "2001:db8::1"]) {
    assert.ok(isServiceAddress(IpAddress.from(text)), text);
  }
});

Deno.test("GatewaySession resolves no more than a hundred names at a time for one client", () => {
  const h = new Harness();
  h.authorize(dns("r1", "*.example.com"));
  h.authorize(dns("r1", "*.example.com"), { client: "c2", ipv4: "100.64.0.3" });
  for (let count = 0; count < 300; count++) h.fromClient(assignedIps("r1", `n${count}.example.com`));
  let asked = 0;
  while (h.session.pollResolve() !== undefined) asked++;
  assert.equal(asked, 100);
  assert.equal(controlIn(h.replies()).length, 200, "the rest is refused at once");
  h.fromClient(assignedIps("r1", "one.example.com"), 0, "c2");
  assert.equal(h.session.pollResolve()?.domain, "one.example.com");
});

Deno.test("GatewaySession forwards no more than 128 DNS queries at a time for one client", () => {
  const h = new Harness();
  h.session.handleSystemResolvers([SocketAddress.from("192.0.2.53:53")]);
  h.authorize(cidr("r1"));
  h.authorize(cidr("r1"), { client: "c2", ipv4: "100.64.0.3" });
  const query = encodeDnsQuery(7, "_ldap._tcp.example.com", RecordType.srv)!;
  const ask = (port: number, client = "c1", source = CLIENT_4) =>
    h.fromClient(udp(source, OWN_4, port, 53_535, query as Uint8Array<ArrayBuffer>), 0, client);
  const queries = () => {
    const polled = [];
    for (let next = h.session.pollDnsQuery(); next !== undefined; next = h.session.pollDnsQuery()) {
      polled.push(next);
    }
    return polled;
  };
  for (let port = 1; port <= 200; port++) ask(port);
  const first = queries();
  assert.equal(first.length, 128);
  assert.equal(h.replies().length, 72, "SERVFAIL for the rest");
  ask(1, "c2", OTHER_4);
  assert.equal(queries().length, 1);
  const asked = decodeDnsQuery(first[0]!.message);
  assert.ok(asked.ok);
  h.session.handleDnsAnswer(first[0]!.id, { type: "answer", message: encodeDnsAnswer(asked.value, 0) }, 1);
  ask(201);
  assert.equal(queries().length, 1, "an answer makes room");
  h.session.handleTimeout(60_000);
  for (let port = 1; port <= 128; port++) ask(port);
  assert.equal(queries().length, 128, "time makes room");
});

Deno.test("GatewaySession believes no answer but the one to its own id and question", () => {
  const h = new Harness();
  h.session.handleSystemResolvers([SocketAddress.from("192.0.2.53:53")]);
  h.authorize(cidr("r1"));
  const query = encodeDnsQuery(7, "_ldap._tcp.example.com", RecordType.srv)! as Uint8Array<ArrayBuffer>;
  for (const change of [{ id: 1 }, { name: "evil.example.com" }]) {
    h.fromClient(udp(CLIENT_4, OWN_4, 5353, 53_535, query));
    const upstream = h.session.pollDnsQuery()!;
    const asked = decodeDnsQuery(upstream.message);
    assert.ok(asked.ok);
    const forged = decodeDnsQuery(
      encodeDnsQuery(
        "id" in change ? asked.value.id ^ change.id! : asked.value.id,
        change.name ?? asked.value.name,
        RecordType.srv,
      )!,
    );
    assert.ok(forged.ok);
    h.session.handleDnsAnswer(upstream.id, { type: "answer", message: encodeDnsAnswer(forged.value, 0) }, 1);
    const [reply] = h.replies();
    assert.equal(reply!.bytes[reply!.transportOffset + 8 + 3]! & 0x0f, 2, "SERVFAIL");
  }
});

Deno.test("GatewaySession keeps the names and sessions of clients apart, though they use equal addresses", () => {
  const h = new Harness();
  const [one, other] = [IpAddress.from("10.1.0.1"), IpAddress.from("10.2.0.2")];
  h.authorize(dns("r1", "*.example.com"));
  h.authorize(dns("r1", "*.example.com"), { client: "c2", ipv4: "100.64.0.3" });
  const assign = (client: string, domain: string, target: IpAddress) => {
    h.fromClient(assignedIps("r1", domain), 0, client);
    const { id } = h.session.pollResolve()!;
    h.session.handleResolved(id, { ipv4: [target], ipv6: [] }, 0);
    h.replies();
  };
  const through = (client: string, source: IpAddress) => {
    const packet = h.fromClient(udp(source, PROXIES[0]!, 5000, 80), 0, client);
    return packet && load(packet).destination.toString();
  };
  assign("c1", "a.example.com", one);
  assert.equal(through("c2", OTHER_4), undefined, "what another client assigned");
  assign("c2", "b.example.com", other);
  assert.equal(through("c1", CLIENT_4), "10.1.0.1");
  assert.equal(through("c2", OTHER_4), "10.2.0.2");
  // A contradiction resets its own client only.
  assign("c2", "c.example.com", one);
  assert.equal(through("c1", CLIENT_4), "10.1.0.1");
  assert.equal(h.fromClient(udp(OTHER_4, PROXIES[0]!), 0, "c1"), undefined, "another client's source");
  const back = h.session.handlePacket(udp(one, OTHER_4, 80, 5001), 0);
  assert.equal(back, undefined, "from the network to a client without a session for it");
});

Deno.test("GatewaySession takes control messages from tunnels only, and acts on their sender alone", () => {
  const h = new Harness();
  h.authorize(dns("r1", "*.example.com"));
  h.authorize(dns("r2", "*.example.org"), { client: "c2", ipv4: "100.64.0.3" });
  const goodbye = encodeControl({ type: "goodbye" });
  assert.equal(h.session.handlePacket(goodbye, 0), undefined);
  assert.equal(h.session.handlePacket(assignedIps("r1", "a.example.com"), 0), undefined);
  assert.equal(h.session.status(0).clients.length, 2);
  assert.equal(h.session.pollResolve(), undefined);
  h.fromClient(assignedIps("r2", "a.example.org"), 0, "c1");
  assert.equal(h.session.pollResolve(), undefined, "the resource of another client");
  h.fromClient(goodbye, 0, "c2");
  assert.deepEqual(h.session.status(0).clients.map(({ id }) => id), ["c1"]);
  const forged = load(
    encodeControl({ type: "domain-status", resourceId: "r1", domain: "x", status: "active" }),
  );
  assert.ok(decodeControl(forged).ok);
  assert.equal(h.fromClient(forged.bytes), undefined);
});

Deno.test("GatewaySession takes no more than 4096 resources for one client", () => {
  const h = new Harness();
  for (let count = 0; count < 4096; count++) {
    h.authorize(cidr(`r${count}`, `10.0.${count >> 8}.${count & 255}/32`));
  }
  h.sent();
  h.events();
  h.authorize(cidr("one-more"));
  assert.deepEqual(h.sent(), []);
  assert.deepEqual(h.events(), [{ type: "authorization-refused", clientId: "c1", reason: "full" }]);
  h.authorize(cidr("r0"));
  h.authorize(cidr("one-more"), { client: "c2", ipv4: "100.64.0.3" });
  assert.deepEqual(h.eventTypes(), ["client-authorized", "client-authorized"]);
});

Deno.test("isSpecialAddressAt knows the networks that are no part of the Internet, behind NAT64 too", () => {
  const isSpecial = (text: string) => {
    const address = IpAddress.from(text);
    return isSpecialAddressAt(address.family, address.bytes, 0);
  };
  for (
    const text of [
      "10.0.0.1",
      "127.0.0.1",
      "169.254.169.254",
      "172.31.255.255",
      "192.168.0.1",
      "100.64.0.1",
      "224.0.0.1",
      "255.255.255.255",
      "::",
      "::1",
      "::10.0.0.1",
      "::ffff:8.8.8.8",
      "fd00::1",
      "fe80::1",
      "fec0::1",
      "ff02::1",
      "64:ff9b::10.0.0.1",
      "64:ff9b::169.254.169.254",
    ]
  ) assert.ok(isSpecial(text), text);
  for (const text of ["8.8.8.8", "172.32.0.1", "2001:4860::8888", "64:ff9b::8.8.8.8"]) {
    assert.ok(!isSpecial(text), text);
  }
});
