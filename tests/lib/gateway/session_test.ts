import assert from "node:assert/strict";
import * as fc from "fast-check";
import { utf8 } from "../../../lib/base/bytes.ts";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import {
  decodeDnsQuery,
  encodeDnsAnswer,
  encodeDnsQuery,
  RecordType,
  responseCode,
} from "../../../lib/wire/dns.ts";
import { encodeControl } from "../../../lib/wire/p2p_control.ts";
import { udpPayload } from "../../../lib/wire/udp.ts";
import {
  assignedIps,
  cidr,
  CLIENT_4,
  controlIn,
  dns,
  Harness,
  initPayload,
  load,
  LOCAL,
  OWN_4,
  PROXIES,
  RELAY,
  SERVER,
  START_UNIX,
  udp,
} from "./harness.ts";

Deno.test("GatewaySession tells its addresses once and hands its relays to the node", () => {
  const h = new Harness();
  h.portal("init", initPayload());
  assert.deepEqual(h.events(), []);
  assert.deepEqual(h.node.calls, ["relays +relay1"]);
  h.portal("init", {
    ...initPayload() as object,
    interface: { ipv4: "100.64.0.77", ipv6: "fd00:2021:1111::2" },
  });
  assert.deepEqual(h.eventTypes(), ["interface"]);
});

Deno.test("GatewaySession confirms a grant before it names candidates", () => {
  const h = new Harness();
  h.authorize(cidr("r1"), { ref: "opaque+/=" });
  assert.deepEqual(h.sent(), [
    { event: "authorization_created", payload: { ref: "opaque+/=" } },
    {
      event: "broadcast_ice_candidates",
      payload: { client_ids: ["c1"], candidates: ["candidate:c1:1", "candidate:c1:2"] },
    },
  ]);
  assert.deepEqual(h.events(), [{
    type: "client-authorized",
    clientId: "c1",
    resourceId: "r1",
    resourceType: "cidr",
    expiresAtMs: undefined,
  }]);
});

Deno.test("GatewaySession asks for relays when it has none, and confirms when it gets one", () => {
  const h = new Harness();
  h.node.hasRelays = false;
  h.authorize(cidr("r1"));
  assert.deepEqual(h.sent(), [{ event: "no_relays", payload: {} }]);
  h.node.hasRelays = true;
  h.portal("relays_presence", { disconnected_ids: [], connected: [] });
  assert.deepEqual(h.sent()[0], { event: "authorization_created", payload: { ref: "ref1" } });
  assert.deepEqual(h.eventTypes(), ["client-authorized"]);
});

Deno.test("GatewaySession forgets grants that wait for a relay when they are revoked or the portal starts over", () => {
  for (
    const [event, payload] of [["reject_access", { client_id: "c1", resource_id: "r1" }], [
      "init",
      initPayload(),
    ]] as const
  ) {
    const h = new Harness();
    h.node.hasRelays = false;
    h.authorize(cidr("r1"));
    h.portal(event, payload);
    h.sent();
    h.node.hasRelays = true;
    h.portal("relays_presence", { disconnected_ids: [], connected: [] });
    assert.deepEqual(h.sent(), []);
    assert(!h.eventTypes().includes("client-authorized"));
  }
});

Deno.test("GatewaySession keeps candidates but not confirmations for a portal that is away", () => {
  const h = new Harness();
  h.session.handlePortalLost(0);
  h.authorize(cidr("r1"));
  h.session.handlePortalLost(0);
  assert.deepEqual(h.sent(), []);
  h.session.handlePortalJoined(0);
  assert.deepEqual(h.sent().length, 1);
});

Deno.test("GatewaySession passes candidates and relay changes on to the node", () => {
  const h = new Harness();
  h.portal("ice_candidates", { client_id: "c1", candidates: ["a", "b"] });
  h.portal("invalidate_ice_candidates", { client_id: "c1", candidates: ["a"] });
  h.portal("relays_presence", { disconnected_ids: ["old"], connected: [RELAY] });
  assert.deepEqual(h.node.calls, ["add c1 a", "add c1 b", "remove c1 a", "relays -old +relay1"]);
});

Deno.test("GatewaySession passes packets of authorized clients both ways", () => {
  const h = new Harness();
  h.authorize(cidr("r1"));
  const out = udp(CLIENT_4, SERVER);
  assert.deepEqual(h.fromClient(out.slice()), out);
  const back = udp(SERVER, CLIENT_4, 80, 5000);
  const datagram = h.session.handlePacket(back.slice(), 0);
  assert.deepEqual(datagram?.payload, back);
  assert(datagram?.remote.equals(h.node.remoteOf("c1")));
});

Deno.test("GatewaySession answers forbidden packets with ICMP through the tunnel", () => {
  const h = new Harness();
  h.authorize(cidr("r1"));
  assert.equal(h.fromClient(udp(CLIENT_4, IpAddress.from("203.0.113.1"))), undefined);
  const [reply] = h.replies();
  assert(reply !== undefined);
  assert.deepEqual([...reply.bytes.subarray(20, 22)], [3, 13]);
  assert.equal(reply.source.toString(), "203.0.113.1");
  assert(reply.destination.equals(CLIENT_4));
});

Deno.test("GatewaySession drops packets for addresses of no client and packets of no authorization", () => {
  const h = new Harness();
  assert.equal(h.session.handlePacket(udp(SERVER, CLIENT_4), 0), undefined);
  h.authorize(cidr("r1"));
  h.portal("reject_access", { client_id: "c1", resource_id: "r1" });
  assert.equal(h.fromClient(udp(CLIENT_4, SERVER)), undefined);
  assert.deepEqual(h.replies(), []);
  const { drops } = h.session.status(0);
  assert.deepEqual(drops, { "tun: unknown client": 1, "client: no authorization": 1 });
});

Deno.test("GatewaySession resolves announced names and reports them active", () => {
  const h = new Harness();
  h.authorize(dns("r1", "*.example.com"));
  assert.equal(h.fromClient(assignedIps("r1", "www.example.com")), undefined);
  const request = h.session.pollResolve();
  assert.equal(request?.domain, "www.example.com");
  assert.deepEqual(h.replies(), []);
  h.session.handleResolved(request!.id, { ipv4: [SERVER], ipv6: [] }, 0);
  assert.deepEqual(controlIn(h.replies()), [
    { type: "domain-status", resourceId: "r1", domain: "www.example.com", status: "active" },
  ]);
  const out = h.fromClient(udp(CLIENT_4, PROXIES[2]!));
  assert(out !== undefined);
  assert(load(out).destination.equals(SERVER));
});

Deno.test("GatewaySession reports names inactive that the client may not use", () => {
  const h = new Harness();
  h.authorize(dns("r1", "*.example.com"));
  h.authorize(cidr("r2"));
  for (
    const [resourceId, domain] of [["r1", "example.org"], ["r2", "a.example.com"], [
      "r3",
      "a.example.com",
    ]] as const
  ) {
    h.fromClient(assignedIps(resourceId, domain));
    assert.deepEqual(controlIn(h.replies()), [{
      type: "domain-status",
      resourceId,
      domain,
      status: "inactive",
    }]);
    assert.equal(h.session.pollResolve(), undefined);
  }
});

Deno.test("GatewaySession reports a name inactive when nobody can tell its addresses, or not within 10 s", () => {
  const h = new Harness();
  h.authorize(dns("r1", "*.example.com"));
  h.fromClient(assignedIps("r1", "a.example.com"));
  h.session.handleResolved(h.session.pollResolve()!.id, undefined, 0);
  assert.equal(controlIn(h.replies()).length, 1);
  h.fromClient(assignedIps("r1", "b.example.com"), 100);
  h.session.handleTimeout(10_099);
  assert.deepEqual(h.replies(), []);
  h.session.handleTimeout(10_100);
  assert.deepEqual(controlIn(h.replies()), [
    { type: "domain-status", resourceId: "r1", domain: "b.example.com", status: "inactive" },
  ]);
});

Deno.test("GatewaySession resolves a repeated announcement once and uses the latest addresses", () => {
  const h = new Harness();
  h.authorize(dns("r1", "example.com"));
  h.fromClient(assignedIps("r1", "example.com"));
  h.fromClient(assignedIps("r1", "example.com", PROXIES.slice(0, 1)));
  const request = h.session.pollResolve();
  assert.equal(h.session.pollResolve(), undefined);
  h.session.handleResolved(request!.id, { ipv4: [SERVER], ipv6: [] }, 0);
  assert.equal(controlIn(h.replies()).length, 1);
  assert(h.fromClient(udp(CLIENT_4, PROXIES[0]!)) !== undefined);
  assert.equal(h.fromClient(udp(CLIENT_4, PROXIES[1]!)), undefined);
});

Deno.test("GatewaySession forgets a client that says goodbye, without an echo", () => {
  const h = new Harness();
  h.authorize(cidr("r1"));
  h.events();
  h.fromClient(encodeControl({ type: "goodbye" }));
  assert.deepEqual(h.events(), [{ type: "client-removed", clientId: "c1", reason: "goodbye" }]);
  assert(h.node.calls.includes("close c1"));
  assert.equal(h.fromClient(udp(CLIENT_4, SERVER)), undefined);
});

Deno.test("GatewaySession says goodbye when the last resource is rejected, not before", () => {
  const h = new Harness();
  h.authorize(cidr("r1"));
  h.authorize(cidr("r2", "203.0.113.0/24"));
  h.events();
  h.portal("reject_access", { client_id: "c1", resource_id: "r1" });
  assert.deepEqual(h.events(), [{
    type: "access-revoked",
    clientId: "c1",
    resourceId: "r1",
    reason: "rejected",
  }]);
  h.portal("reject_access", { client_id: "c1", resource_id: "r2" });
  assert.deepEqual(h.eventTypes(), ["access-revoked", "client-removed"]);
  assert(h.node.calls.includes("goodbye c1 48"));
});

Deno.test("GatewaySession lets authorizations expire at the portal's time", () => {
  const h = new Harness();
  h.authorize(cidr("r1"), { expiresIn: 60 });
  h.events();
  h.session.handleTimeout(59_000);
  assert.deepEqual(h.events(), []);
  assert.equal(h.session.pollTimeout()?.at, 60_000);
  h.session.handleTimeout(60_000);
  assert.deepEqual(h.eventTypes(), ["access-revoked", "client-removed"]);
});

Deno.test("GatewaySession extends an authorization in place", () => {
  const h = new Harness();
  h.authorize(cidr("r1"), { expiresIn: 60 });
  h.portal("access_authorization_expiry_updated", {
    client_id: "c1",
    resource_id: "r1",
    expires_at: START_UNIX + 100,
  });
  h.events();
  h.session.handleTimeout(60_000);
  assert.deepEqual(h.events(), []);
  h.session.handleTimeout(100_000);
  assert.deepEqual(h.eventTypes(), ["access-revoked", "client-removed"]);
});

Deno.test("GatewaySession revokes at resync what is not listed, for absent clients everything", () => {
  const h = new Harness();
  h.authorize(cidr("r1"));
  h.authorize(cidr("r2", "203.0.113.0/24"));
  h.authorize(cidr("r1"), { client: "c2", ipv4: "100.64.0.9" });
  h.events();
  h.portal("init", initPayload([{ client_id: "c1", resource_id: "r2", expires_at: START_UNIX + 5000 }]));
  assert.deepEqual(h.events(), [
    { type: "access-revoked", clientId: "c1", resourceId: "r1", reason: "not-listed" },
    { type: "access-revoked", clientId: "c2", resourceId: "r1", reason: "not-listed" },
    { type: "client-removed", clientId: "c2", reason: "no-resources" },
  ]);
  assert.equal(h.session.status(0).clients[0]?.resources[0]?.expiresAtMs, (START_UNIX + 5000) * 1000);
});

Deno.test("GatewaySession keeps everything when the portal lists no authorizations at all", () => {
  const h = new Harness();
  h.authorize(cidr("r1"));
  h.events();
  h.portal("init", initPayload());
  assert.deepEqual(h.events(), []);
});

Deno.test("GatewaySession applies changed filters to every client that has the resource", () => {
  const h = new Harness();
  h.authorize(cidr("r1"));
  h.events();
  h.portal("resource_updated", cidr("r1", "10.0.0.0/8", [{ protocol: "icmp" }]));
  assert.deepEqual(h.events(), [{ type: "filters-changed", resourceId: "r1", clients: 1 }]);
  assert.equal(h.fromClient(udp(CLIENT_4, SERVER)), undefined);
});

Deno.test("GatewaySession keeps authorizations of a client whose connection failed", () => {
  const h = new Harness();
  h.authorize(cidr("r1"));
  h.events();
  h.node.events.push({ type: "failed", peerId: "c1", reason: "no-path", isCutOff: false });
  h.session.handleTimeout(1);
  assert.deepEqual(h.eventTypes(), ["client-disconnected"]);
  assert(h.fromClient(udp(CLIENT_4, SERVER)) !== undefined);
});

Deno.test("GatewaySession gives an address that moved to another client to that client", () => {
  const h = new Harness();
  h.authorize(cidr("r1"), { client: "c1" });
  h.authorize(cidr("r1"), { client: "c2" });
  h.portal("reject_access", { client_id: "c1", resource_id: "r1" });
  const datagram = h.session.handlePacket(udp(SERVER, CLIENT_4, 80, 5000), 0);
  assert(datagram?.remote.equals(h.node.remoteOf("c2")));
});

Deno.test("GatewaySession says goodbye to everybody at shutdown", () => {
  const h = new Harness();
  h.authorize(cidr("r1"));
  h.authorize(cidr("r1"), { client: "c2", ipv4: "100.64.0.9" });
  h.session.shutdown(0);
  assert.deepEqual(h.node.calls.filter((call) => call.startsWith("goodbye")), [
    "goodbye c1 48",
    "goodbye c2 48",
  ]);
  assert.equal(h.node.calls.at(-1), "close");
  assert.deepEqual(h.session.status(0).clients, []);
});

Deno.test("GatewaySession forwards DNS queries on port 53535 and answers from there", () => {
  const h = new Harness();
  h.session.handleSystemResolvers([SocketAddress.from("192.0.2.53:53")]);
  h.authorize(cidr("r1"));
  const query = encodeDnsQuery(77, "_ldap._tcp.example.com", RecordType.srv)!;
  assert.equal(h.fromClient(udp(CLIENT_4, OWN_4, 5353, 53535, query as Uint8Array<ArrayBuffer>)), undefined);
  const upstream = h.session.pollDnsQuery();
  assert(upstream !== undefined);
  assert.equal(upstream.transport, "udp");
  assert(upstream.server.type === "do53");
  assert.equal(upstream.server.address.toString(), "192.0.2.53:53");
  const asked = decodeDnsQuery(upstream.message);
  assert(asked.ok);
  assert.equal(asked.value.name, "_ldap._tcp.example.com");
  h.session.handleDnsAnswer(upstream.id, { type: "answer", message: encodeDnsAnswer(asked.value, 0) }, 1);
  const [reply] = h.replies();
  assert(reply !== undefined);
  assert.equal(reply.sourcePort, 53535);
  assert.equal(reply.destinationPort, 5353);
  assert.equal(udpPayload(reply)![1], 77);
  assert.equal(responseCode(udpPayload(reply)!), 0);
});

Deno.test("GatewaySession asks the next resolver when one fails, then answers SERVFAIL", () => {
  const h = new Harness();
  h.session.handleSystemResolvers(["192.0.2.53:53", "192.0.2.54:53"].map((text) => SocketAddress.from(text)));
  h.authorize(cidr("r1"));
  const query = encodeDnsQuery(77, "example.com", RecordType.txt)!;
  h.fromClient(udp(CLIENT_4, OWN_4, 5353, 53535, query as Uint8Array<ArrayBuffer>));
  h.session.handleDnsAnswer(h.session.pollDnsQuery()!.id, { type: "failed", reason: "refused" }, 1);
  const second = h.session.pollDnsQuery();
  assert(second?.server.type === "do53");
  assert.equal(second.server.address.toString(), "192.0.2.54:53");
  h.session.handleDnsAnswer(second.id, { type: "failed", reason: "refused" }, 2);
  const [reply] = h.replies();
  assert.equal(responseCode(udpPayload(reply!)!), 2);
});

Deno.test("GatewaySession gives a silent resolver 2 s when there is another", () => {
  const h = new Harness();
  h.session.handleSystemResolvers(["192.0.2.53:53", "192.0.2.54:53"].map((text) => SocketAddress.from(text)));
  h.authorize(cidr("r1"));
  const query = encodeDnsQuery(77, "example.com", RecordType.txt)! as Uint8Array<ArrayBuffer>;
  h.fromClient(udp(CLIENT_4, OWN_4, 5353, 53535, query));
  assert.equal(h.session.pollDnsQuery()?.deadline, 2000);
  h.session.handleTimeout(2000);
  assert.equal(h.session.pollDnsQuery()?.deadline, 5000);
  h.session.handleTimeout(5000);
  assert.equal(h.replies().length, 1);
});

Deno.test("GatewaySession answers SERVFAIL after 5 s and without resolvers", () => {
  const h = new Harness();
  h.authorize(cidr("r1"));
  const query = encodeDnsQuery(77, "example.com", RecordType.txt)! as Uint8Array<ArrayBuffer>;
  h.fromClient(udp(CLIENT_4, OWN_4, 5353, 53535, query));
  assert.equal(h.replies().length, 1);
  h.session.handleSystemResolvers([SocketAddress.from("192.0.2.53:53")]);
  h.fromClient(udp(CLIENT_4, OWN_4, 5353, 53535, query));
  h.session.handleTimeout(4999);
  assert.equal(h.replies().length, 0);
  h.session.handleTimeout(5000);
  assert.equal(h.replies().length, 1);
});

Deno.test("GatewaySession reports connections with their path", () => {
  const h = new Harness();
  const path = {
    kind: "direct",
    local: LOCAL,
    remote: LOCAL,
    localKind: "host",
    remoteKind: "host",
    rttMs: 1,
    relayId: undefined,
  } as const;
  h.node.events.push(
    { type: "connected", peerId: "c1", path },
    { type: "path-changed", peerId: "c1", path },
    { type: "no-relays" },
  );
  h.session.handleTimeout(1);
  assert.deepEqual(h.eventTypes(), ["client-connected", "client-path-changed", "no-relays"]);
  assert.deepEqual(h.sent(), [{ event: "no_relays", payload: {} }]);
});

Deno.test("GatewaySession survives any bytes from clients and from the device", () => {
  const h = new Harness();
  h.authorize(cidr("r1"));
  h.authorize(dns("r2", "*.example.com"));
  const control = fc.tuple(fc.nat(3), fc.string()).map(([type, text]) => {
    const packet = encodeControl({ type: "goodbye" });
    const payload = utf8(text);
    const bytes = new Uint8Array(48 + payload.length);
    bytes.set(packet);
    bytes[5] = 8 + payload.length;
    bytes[40] = type === 2 ? 0 : type;
    bytes.set(payload, 48);
    return bytes;
  });
  fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), control), (bytes) => {
    h.fromClient(bytes);
    h.session.handlePacket(bytes, 0);
    h.session.handleTimeout(0);
    h.replies();
  }));
});
