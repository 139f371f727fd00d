import assert from "node:assert/strict";
import { Harness, INTERNET, KEY_PAIR, OFFICE, OWN_4, OWN_6, parsed, syn, udp, WIKI } from "./harness.ts";

Deno.test("ClientSession tells how the interface must be set up after init", () => {
  const harness = new Harness();
  harness.session.handlePortalJoined(0);
  harness.init([OFFICE], { search_domain: "corp.example", upstream_do53: [{ ip: "10.20.0.53" }] });
  const [event] = harness.takeEvents().filter((each) => each.type === "interface");
  assert.deepEqual(JSON.parse(JSON.stringify(event)), {
    type: "interface",
    config: {
      ipv4: OWN_4.toString(),
      ipv6: OWN_6.toString(),
      routes: [
        "100.64.0.0/11",
        "fd00:2021:1111::/107",
        "100.96.0.0/11",
        "fd00:2021:1111:8000::/107",
        "100.100.111.0/24",
        "fd00:2021:1111:8000:100:100:111:0/120",
        "10.20.0.0/16",
      ],
      dns: { sentinels: ["100.100.111.1"], searchDomain: "corp.example" },
    },
  });
});

Deno.test("ClientSession tells of the interface only when it changes", () => {
  const harness = Harness.started([OFFICE]);
  harness.init([OFFICE]);
  assert.deepEqual(harness.takeEvents(), []);
  harness.portal("resource_deleted", OFFICE.id);
  assert.deepEqual(harness.takeEvents().map(({ type }) => type), ["resources-changed", "interface"]);
});

Deno.test("ClientSession asks for access with the first packet, again only after two seconds, and only with packets", () => {
  const harness = Harness.started([OFFICE]);
  assert.equal(harness.send(syn("10.20.1.1")), false);
  assert.deepEqual(harness.takePortal(), [{
    event: "request_authorization",
    payload: { resource_id: OFFICE.id, connected_gateway_ids: [] },
  }]);
  harness.now += 1999;
  harness.send(syn("10.20.1.1"));
  assert.deepEqual(harness.takeRequests(), []);
  harness.now += 1;
  harness.send(syn("10.20.1.1"));
  assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
  harness.now += 60_000;
  harness.session.handleTimeout(harness.now);
  assert.deepEqual(harness.takeRequests(), []);
});

Deno.test("ClientSession holds packets for a CIDR resource until its gateway is connected, one SYN a connection", () => {
  const harness = Harness.started([OFFICE]);
  harness.send(syn("10.20.1.1", 443, 50_000, 1));
  harness.send(syn("10.20.1.1", 443, 50_000, 1));
  harness.send(syn("10.20.1.1", 80, 50_001, 1));
  harness.grant(OFFICE.id, "g1");
  harness.send(syn("10.20.1.1", 22, 50_002, 1));
  assert.deepEqual(harness.takeSent(), []);
  harness.connect("g1");
  assert.deepEqual(harness.takeSent(), [
    "g1 tcp 10.20.1.1:443",
    "g1 tcp 10.20.1.1:80",
    "g1 tcp 10.20.1.1:22",
  ]);
  assert.equal(harness.send(syn("10.20.9.9")), true);
  let flushed = 0;
  while (harness.session.pollDatagram() !== undefined) flushed++;
  assert.equal(flushed, 3);
});

Deno.test("ClientSession sends several resources of one gateway through one connection", () => {
  const lab = { ...OFFICE, id: "r-lab", address: "10.30.0.0/16" };
  const harness = Harness.started([OFFICE, lab]);
  connected(harness, OFFICE.id, "10.20.0.1");
  harness.send(syn("10.30.0.1"));
  const [request] = harness.takePortal();
  assert.deepEqual(request?.payload, { resource_id: "r-lab", connected_gateway_ids: ["g1"] });
  harness.grant("r-lab", "g1");
  assert.deepEqual(harness.takeSent(), ["g1 tcp 10.30.0.1:443"]);
});

Deno.test("ClientSession ignores grants that it did not ask for", () => {
  const harness = Harness.started([OFFICE]);
  harness.grant(OFFICE.id, "g1");
  harness.grant("r-unknown", "g1");
  assert.equal(harness.node.connections.size, 0);
});

Deno.test("ClientSession delivers packets only from sources authorized through the gateway, to its own addresses", () => {
  const harness = Harness.started([OFFICE]);
  connected(harness, OFFICE.id, "10.20.0.1");
  assert.ok(harness.receive("g1", udp("10.20.3.4:80", `${OWN_4}:99`)));
  assert.ok(harness.receive("g1", udp("100.81.7.1:53535", `${OWN_4}:99`)));
  for (const source of ["10.21.0.1:80", "8.8.8.8:53", "100.100.111.1:53", "100.81.7.2:1", "100.96.0.1:80"]) {
    assert.equal(harness.receive("g1", udp(source, `${OWN_4}:99`)), undefined, source);
  }
  assert.equal(harness.receive("g1", udp("10.20.3.4:80", "100.69.12.5:99")), undefined);
  assert.equal(harness.receive("g2", udp("10.20.3.4:80", `${OWN_4}:99`)), undefined);
  assert.deepEqual(harness.session.status(harness.now).drops, {
    "not-allowed-source": 5,
    "not-for-us": 1,
    "unknown-gateway": 1,
  });
});

Deno.test("ClientSession drops what applications must not send", () => {
  const harness = Harness.started([OFFICE]);
  const packets: [string, Uint8Array][] = [
    ["multicast", udp(`${OWN_4}:1`, "224.0.0.251:5353")],
    ["foreign-source", udp("192.168.0.2:1", "10.20.0.1:1")],
    ["own-destination", udp(`${OWN_4}:1`, `${OWN_4}:2`)],
    ["unknown-peer", udp(`${OWN_4}:1`, "100.64.0.9:2")],
    ["unknown-resource", udp(`${OWN_4}:1`, "8.8.8.8:2")],
    ["unknown-proxy-ip", udp(`${OWN_4}:1`, "100.96.0.1:2")],
    ["truncated", new Uint8Array([0x45, 0, 0])],
  ];
  for (const [reason, packet] of packets) {
    assert.equal(harness.send(packet), false);
    assert.equal(harness.session.status(harness.now).drops[reason], 1, reason);
  }
  assert.deepEqual([harness.takePortal(), harness.takePackets()], [[], []]);
});

Deno.test("ClientSession answers what filters forbid with prohibited, without asking for access", () => {
  const web = { ...OFFICE, filters: [{ protocol: "tcp", port_range_start: 443, port_range_end: 443 }] };
  const harness = Harness.started([web]);
  harness.send(syn("10.20.1.1", 22));
  const [answer] = harness.takePackets();
  assert.equal(answer?.source.toString(), "10.20.1.1");
  assert.deepEqual([...answer!.bytes.subarray(20, 22)], [3, 13]);
  assert.deepEqual(harness.takeRequests(), []);
  harness.send(syn("10.20.1.1", 443));
  assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
  assert.deepEqual(harness.takeEvents()[0], { type: "filtered", resourceId: OFFICE.id });
});

Deno.test("ClientSession prefers the overlapping resource that permits a packet, then the longer prefix", () => {
  const narrow = {
    ...OFFICE,
    id: "r-narrow",
    address: "10.20.1.0/24",
    filters: [{ protocol: "tcp", port_range_start: 22, port_range_end: 22 }],
  };
  const harness = Harness.started([OFFICE, narrow]);
  harness.send(syn("10.20.1.1", 443));
  harness.send(syn("10.20.1.1", 22));
  assert.deepEqual(harness.takeRequests(), [OFFICE.id, "r-narrow"]);
});

Deno.test("ClientSession asks anew at once when a gateway says goodbye, and no longer prefers that gateway", () => {
  const harness = Harness.started([OFFICE]);
  connected(harness, OFFICE.id, "10.20.0.1");
  harness.now += 10;
  harness.control("g1", { type: "goodbye" });
  assert.deepEqual(harness.takeEvents().at(-1), {
    type: "gateway-lost",
    gatewayId: "g1",
    reason: "goodbye",
    detail: undefined,
  });
  assert.equal(harness.node.hasConnection("g1"), false);
  assert.deepEqual(harness.node.goodbyes, []);
  harness.send(syn("10.20.1.1"));
  assert.deepEqual(harness.takePortal(), [{
    event: "request_authorization",
    payload: { resource_id: OFFICE.id, connected_gateway_ids: [] },
  }]);
  harness.grant(OFFICE.id, "g2");
  harness.connect("g2");
  assert.deepEqual(harness.takeSent(), ["g2 tcp 10.20.1.1:443"]);
});

Deno.test("ClientSession says goodbye to a gateway when its last resource goes", () => {
  const lab = { ...OFFICE, id: "r-lab", address: "10.30.0.0/16" };
  const harness = Harness.started([OFFICE, lab]);
  connected(harness, OFFICE.id, "10.20.0.1");
  harness.send(syn("10.30.0.1"));
  harness.grant("r-lab", "g1");
  harness.portal("resource_deleted", OFFICE.id);
  assert.deepEqual(harness.node.goodbyes, []);
  assert.equal(harness.receive("g1", udp("10.20.3.4:80", `${OWN_4}:99`)), undefined);
  harness.portal("resource_deleted", "r-lab");
  assert.deepEqual(harness.node.goodbyes, ["g1"]);
});

Deno.test("ClientSession forgets an authorization when a resource changes, but not when only its name does", () => {
  const harness = Harness.started([OFFICE]);
  connected(harness, OFFICE.id, "10.20.0.1");
  harness.portal("resource_created_or_updated", { ...OFFICE, name: "Bureau" });
  assert.deepEqual(harness.node.goodbyes, []);
  harness.portal("resource_created_or_updated", { ...OFFICE, filters: [{ protocol: "icmp" }] });
  assert.deepEqual(harness.node.goodbyes, ["g1"]);
});

Deno.test("ClientSession takes init as the whole truth about resources", () => {
  const harness = Harness.started([OFFICE, WIKI]);
  connected(harness, OFFICE.id, "10.20.0.1");
  harness.init([WIKI]);
  assert.deepEqual(harness.node.goodbyes, ["g1"]);
  assert.deepEqual(harness.session.status(harness.now).resources.map(({ id }) => id), [WIKI.id]);
});

Deno.test("ClientSession shows a site offline for five minutes after the portal said so", () => {
  const harness = Harness.started([OFFICE]);
  harness.send(syn("10.20.1.1"));
  harness.takeEvents();
  harness.portal("authorization_creation_failed", { resource_id: OFFICE.id, reason: "offline" });
  assert.deepEqual(harness.takeEvents(), [
    { type: "authorization-denied", resourceId: OFFICE.id, reason: "offline", violatedProperties: [] },
    { type: "site-offline", siteId: "site-paris", name: "Paris" },
  ]);
  assert.equal(harness.session.status(harness.now).resources[0]?.state, "offline");
  harness.takePortal();
  harness.send(syn("10.20.1.1"));
  assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
  harness.now += 300_000;
  assert.equal(harness.session.status(harness.now).resources[0]?.state, "unknown");
});

Deno.test("ClientSession keeps waiting after other refusals and remembers what the portal said", () => {
  const harness = Harness.started([OFFICE]);
  harness.send(syn("10.20.1.1"));
  harness.portal("authorization_creation_failed", {
    resource_id: OFFICE.id,
    reason: "forbidden",
    violated_properties: ["remote_ip"],
  });
  harness.takePortal();
  harness.now += 2000;
  harness.send(syn("10.20.1.1", 80));
  assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
  assert.deepEqual(harness.session.status(harness.now).resources[0]?.denial, {
    reason: "forbidden",
    violatedProperties: ["remote_ip"],
    agoMs: 2000,
  });
  harness.grant(OFFICE.id, "g1");
  harness.connect("g1");
  assert.equal(harness.takeSent().length, 2);
  assert.equal(harness.session.status(harness.now).resources[0]?.denial, undefined);
});

Deno.test("ClientSession uses the Internet resource only while it is switched on", () => {
  const harness = Harness.started([INTERNET, OFFICE]);
  const routes = () => harness.session.status(harness.now).interface!.routes.map(String);
  harness.send(syn("8.8.8.8"));
  assert.deepEqual(harness.takeRequests(), []);
  assert.ok(!routes().includes("0.0.0.0/0"));
  harness.session.setInternetResource(true, harness.now);
  assert.ok(routes().includes("0.0.0.0/0") && routes().includes("::/0"));
  connected(harness, INTERNET.id, "8.8.8.8");
  assert.ok(harness.receive("g1", udp("9.9.9.9:53", `${OWN_4}:99`)));
  assert.equal(harness.receive("g1", udp("100.100.111.1:53", `${OWN_4}:99`)), undefined);
  assert.equal(harness.receive("g1", udp("100.64.3.3:53", `${OWN_4}:99`)), undefined);
  harness.session.setInternetResource(false, harness.now);
  assert.deepEqual(harness.node.goodbyes, ["g1"]);
  assert.ok(!routes().includes("0.0.0.0/0"));
});

Deno.test("ClientSession holds candidates while the portal is away and sends them when it is back", () => {
  const harness = Harness.started([OFFICE]);
  harness.send(syn("10.20.1.1"));
  harness.grant(OFFICE.id, "g1");
  harness.takePortal();
  harness.session.handlePortalLost(harness.now);
  harness.node.events.push({ type: "candidate", peerId: "g1", candidate: "candidate:2" });
  harness.node.events.push({ type: "candidate", peerId: "g1", candidate: "candidate:3" });
  harness.node.events.push({ type: "candidate-invalidated", peerId: "g1", candidate: "candidate:2" });
  harness.session.handleTimeout(harness.now);
  assert.deepEqual(harness.takePortal(), []);
  harness.session.handlePortalJoined(harness.now);
  assert.deepEqual(harness.takePortal(), [
    {
      event: "new_gateway_ice_candidates",
      payload: { gateway_id: "g1", candidates: ["candidate:2", "candidate:3"] },
    },
    {
      event: "invalidate_gateway_ice_candidates",
      payload: { gateway_id: "g1", candidates: ["candidate:2"] },
    },
  ]);
});

Deno.test("ClientSession repeats requests that the portal never saw after it is back", () => {
  const harness = Harness.started([OFFICE]);
  harness.session.handlePortalLost(harness.now);
  harness.send(syn("10.20.1.1"));
  assert.deepEqual(harness.takeRequests(), []);
  harness.session.handlePortalJoined(harness.now);
  harness.init([OFFICE]);
  assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
});

Deno.test("ClientSession passes the gateway's candidates on", () => {
  const harness = Harness.started([OFFICE]);
  harness.portal("gateway_ice_candidates", { gateway_id: "g1", candidates: ["candidate:x"] });
  harness.portal("invalidate_ice_candidates", { gateway_id: "g1", candidates: ["candidate:x"] });
  assert.deepEqual(harness.node.remoteCandidates, ["g1 candidate:x", "g1 -candidate:x"]);
});

Deno.test("ClientSession asks for relays when a grant finds none, and for access when they come", () => {
  const harness = Harness.started([OFFICE]);
  harness.node.hasRelay = false;
  harness.send(syn("10.20.1.1"));
  harness.takePortal();
  harness.grant(OFFICE.id, "g1");
  assert.deepEqual(harness.takePortal(), [{ event: "no_relays", payload: {} }]);
  harness.send(syn("10.20.1.1"));
  assert.deepEqual(harness.takeRequests(), []);
  harness.node.hasRelay = true;
  harness.portal("relays_presence", { disconnected_ids: [], connected: [] });
  assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
});

Deno.test("ClientSession hands relays to the node, those it can use", () => {
  const harness = Harness.started([]);
  const relay = { id: "relay", addr: "203.0.113.9:3478" };
  harness.portal("relays_presence", {
    disconnected_ids: [],
    connected: [{ ...relay, type: "turn", username: "u", password: "p", expires_at: 5 }, {
      ...relay,
      type: "stun",
    }],
  });
  assert.deepEqual(harness.node.relays.map(({ id, addr, expiresAt }) => [id, String(addr), expiresAt]), [
    ["relay", "203.0.113.9:3478", 5],
  ]);
});

Deno.test("ClientSession.reset forgets all paths but not what waits, and asks anew after joining", () => {
  const harness = Harness.started([OFFICE, WIKI]);
  connected(harness, OFFICE.id, "10.20.0.1");
  harness.session.reset(KEY_PAIR, harness.now);
  assert.equal(harness.node.resets, 1);
  assert.deepEqual(harness.node.goodbyes, []);
  harness.send(syn("10.20.1.1"));
  assert.deepEqual(harness.takePortal(), []);
  harness.session.handlePortalJoined(harness.now);
  harness.init([OFFICE, WIKI]);
  assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
});

Deno.test("ClientSession.reset asks anew for who only listens, and prefers the gateway that it was", () => {
  const harness = Harness.started([OFFICE, WIKI]);
  connected(harness, OFFICE.id, "10.20.0.1");
  harness.fail("g1");
  harness.takeRequests();
  harness.session.reset(KEY_PAIR, harness.now);
  harness.session.handlePortalJoined(harness.now);
  harness.init([OFFICE, WIKI]);
  assert.deepEqual(harness.takePortal(), [{
    event: "request_authorization",
    payload: { resource_id: OFFICE.id, connected_gateway_ids: ["g1"] },
  }]);
});

Deno.test("ClientSession forgets everything authorized through a gateway that came back with another key", () => {
  const lab = { ...OFFICE, id: "r-lab", address: "10.30.0.0/16" };
  const harness = Harness.started([OFFICE, lab]);
  connected(harness, OFFICE.id, "10.20.0.1");
  harness.send(syn("10.30.0.1"));
  harness.takePortal();
  harness.grant("r-lab", "g1", { gateway_public_key: "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=" });
  harness.send(syn("10.20.0.1"));
  assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
});

Deno.test("ClientSession moves to a gateway that the portal names anew and releases the old one", () => {
  const harness = Harness.started([OFFICE]);
  harness.send(syn("10.20.1.1"));
  harness.grant(OFFICE.id, "g1");
  harness.connect("g1");
  harness.takeSent();
  assert.equal(harness.session.requestAccess(OFFICE.id, harness.now), "granted");
  harness.fail("g1");
  assert.equal(harness.session.requestAccess(OFFICE.id, harness.now), "pending");
  harness.grant(OFFICE.id, "g2");
  harness.connect("g2");
  assert.equal(harness.send(syn("10.20.1.1")), true);
  assert.deepEqual(harness.takeSent(), ["g2 tcp 10.20.1.1:443"]);
  assert.equal(harness.session.requestAccess("nothing", harness.now), "unknown-resource");
});

Deno.test("ClientSession says goodbye to everybody at shutdown", () => {
  const harness = Harness.started([OFFICE]);
  connected(harness, OFFICE.id, "10.20.0.1");
  harness.session.shutdown(harness.now);
  assert.deepEqual(harness.node.goodbyes, ["g1"]);
  assert.equal(harness.node.closed, true);
});

Deno.test("ClientSession drops connections when its own addresses change", () => {
  const harness = Harness.started([OFFICE]);
  connected(harness, OFFICE.id, "10.20.0.1");
  harness.init([OFFICE], { ipv4: "100.69.12.99" });
  assert.deepEqual(harness.node.goodbyes, ["g1"]);
});

Deno.test("ClientSession refuses traffic for devices of pools", () => {
  const pool = {
    type: "static_device_pool",
    id: "r-pool",
    name: "Lab",
    filters: [],
    devices: [{ client_id: "c1", ipv4: "100.70.1.9/32", ipv6: "fd00:2021:1111::1:9/128" }],
  };
  const harness = Harness.started([pool]);
  harness.send(syn("100.70.1.9"));
  assert.equal(harness.takePackets().length, 1);
  assert.deepEqual(harness.takeEvents(), [{ type: "device-access-refused", resourceId: "r-pool" }]);
  assert.deepEqual(harness.session.status(0).resources[0]?.devices.map(({ ipv4 }) => String(ipv4)), [
    "100.70.1.9",
  ]);
});

Deno.test("ClientSession.status lists resources, the Internet first, with access, gateway and path", () => {
  const harness = Harness.started([OFFICE, WIKI, INTERNET]);
  connected(harness, OFFICE.id, "10.20.0.1");
  const status = harness.session.status(harness.now);
  assert.deepEqual(status.resources.map(({ id, access, state, isActive }) => [id, access, state, isActive]), [
    [INTERNET.id, "none", "online", false],
    [OFFICE.id, "connected", "online", true],
    [WIKI.id, "none", "online", true],
  ]);
  assert.deepEqual(
    status.gateways.map(({ id, state, path, resourceIds }) => [id, state, path?.rttMs, resourceIds]),
    [
      ["g1", "connected", 3, [OFFICE.id]],
    ],
  );
  assert.doesNotThrow(() => JSON.stringify(status));
});

Deno.test("ClientSession.explain tells which resources match and what happens", () => {
  const harness = Harness.started([OFFICE, WIKI]);
  const verdict = (target: string) => {
    const { verdict, role, resources } = harness.session.explain(target, harness.now);
    return [verdict, role, resources.map(({ id }) => id)];
  };
  assert.deepEqual(verdict("10.20.3.3"), ["resource", undefined, [OFFICE.id]]);
  assert.deepEqual(verdict("Main.Wiki.corp.example."), ["resource", undefined, [WIKI.id]]);
  assert.deepEqual(verdict("example.org"), ["not-tunnelled", undefined, []]);
  assert.deepEqual(verdict("8.8.8.8"), ["not-tunnelled", undefined, []]);
  assert.deepEqual(verdict("100.100.111.1"), ["dns", "sentinel", []]);
  assert.deepEqual(verdict("100.70.0.1"), ["refused", "peer", []]);
  harness.ask("main.wiki.corp.example");
  assert.deepEqual(verdict("100.96.0.1"), ["resource", "proxy", [WIKI.id]]);
  connected(harness, OFFICE.id, "10.20.0.1");
  assert.deepEqual(verdict("100.81.7.1"), ["gateway", "gateway", []]);
});

Deno.test("ClientSession survives arbitrary packets from either side", () => {
  const harness = Harness.started([OFFICE, WIKI]);
  connected(harness, OFFICE.id, "10.20.0.1");
  let state = 1;
  const dice = () => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 16;
  const valid = [
    syn("10.20.1.1"),
    syn("100.100.111.1", 53),
    udp(`${OWN_4}:9`, "100.100.111.1:53", new Uint8Array(30)),
  ];
  for (let round = 0; round < 3000; round++) {
    const bytes = valid[dice() % valid.length]!.slice();
    for (let count = dice() % 4; count > 0; count--) bytes[dice() % bytes.length] = dice();
    harness.session.handlePacket(bytes, harness.now);
    harness.receive("g1", bytes.slice());
    harness.takePackets().forEach((packet) => parsed(packet.bytes));
    harness.now += 10;
    harness.session.handleTimeout(harness.now);
  }
});

function connected(harness: Harness, resourceId: string, address: string): void {
  harness.send(syn(address));
  harness.grant(resourceId, "g1");
  harness.connect("g1");
  harness.takeSent();
  harness.takePortal();
  harness.takeEvents();
}
