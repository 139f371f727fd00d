import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type ClientInbound,
  type ClientInboundPayload,
  decodeClientInbound,
  decodeClientOutbound,
  encodeClientInbound,
  encodeClientOutbound,
} from "../../../../lib/wire/portal/client.ts";
import { mutatedJson } from "./json_mutation.ts";

const RESOURCE_ID = "5b0e2a55-8f04-4f32-9c7d-0a2d5f6a1c01";
const RELAY = {
  id: "0e53aae2-eabd-4755-9537-1f862cb885ff",
  type: "turn",
  addr: "203.0.113.40:3478",
  username: "1790000000:xXzDtV05+ab3cvUI44IeCigIIjUsDQ8NJZ+6Y7dNqaA",
  password: "p91gIpyuj36UpTSfR8H7JoU4XakLs6InjAYbyXzvMqg",
  expires_at: 1790000000,
};
const INIT = {
  interface: {
    ipv4: "100.69.12.4",
    ipv6: "fd00:2021:1111::9:c04",
    search_domain: "corp.example",
    upstream_do53: [{ ip: "10.20.0.53" }],
    upstream_doh: [],
    upstream_dns: [{ protocol: "ip_port", address: "10.20.0.53:53" }],
  },
  resources: [{
    id: RESOURCE_ID,
    type: "dns",
    name: "Wiki",
    address: "*.wiki.corp.example",
    address_description: null,
    ip_stack: "dual",
    filters: [{ protocol: "tcp", port_range_start: 443, port_range_end: 443 }],
    sites: [{ id: "c1f4b7de-2c40-4c8c-9a57-6f5fb0a7e001", name: "Paris" }],
  }],
  relays: [RELAY],
  authorizations: [{
    client_id: "9d1e0f7a-51c5-4b8e-8a0e-4a1f0f3d7b02",
    resource_id: "e2b8a2f0-7c1b-4d66-b0f3-1b1f6f1d9c03",
    expires_at: 1789999000,
  }],
  flow_logs: { api_url: "https://flow-api.firezone.dev/", upload_interval_secs: 60, upload_batch_size: 1000 },
};
const GRANT = {
  resource_id: RESOURCE_ID,
  gateway_id: "7b0c1f4e-8a43-4d0e-8f55-2f9d3c7e0b02",
  site_id: "c1f4b7de-2c40-4c8c-9a57-6f5fb0a7e001",
  gateway_public_key: "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=",
  gateway_ipv4: "100.81.7.2",
  gateway_ipv6: "fd00:2021:1111::a:b2",
  preshared_key: "E4U2yP45137Rh/eUU3xwj/Zl5KXQxPNcuyrlfumC0Hg=",
  client_ice_credentials: { username: "o4fd", password: "cmygukd6orah6bakmlpgrg" },
  gateway_ice_credentials: { username: "zmwj", password: "xgld7gxypzac6or2rcxafa" },
  use_iceless: false,
  flow_logs_ingest_token: "a.b.c",
};

function decode<E extends ClientInbound["event"]>(
  event: string,
  payload: unknown,
  name: E,
): ClientInboundPayload<E> {
  const outcome = decodeClientInbound(event, payload);
  assert(outcome.ok, `${event} was refused`);
  assert.equal(outcome.value.event, name);
  return outcome.value.payload as ClientInboundPayload<E>;
}

Deno.test("decodeClientInbound reads the init of the specification", () => {
  const init = decode("init", INIT, "init");
  assert.equal(init.interface.search_domain, "corp.example");
  assert.equal(init.interface.upstream_do53[0]?.ip, "10.20.0.53");
  const resource = init.resources[0];
  assert(resource?.type === "dns");
  assert.equal(resource.sites[0]?.name, "Paris");
  assert.equal(resource.address_description, undefined);
  assert.deepEqual(resource.filters, [{ protocol: "tcp", port_range_start: 443, port_range_end: 443 }]);
  assert.equal(init.flow_logs?.upload_batch_size, 1000);
});

Deno.test("decodeClientInbound reads an init of the seed portal, without the newer fields", () => {
  const init = decode("init", {
    interface: { ipv4: "100.69.12.4", ipv6: "fd00:2021:1111::9:c04", upstream_dns: [] },
    resources: [],
    relays: [],
  }, "init");
  assert.equal(init.flow_logs, undefined);
  assert.deepEqual(init.authorizations, []);
  assert.deepEqual(init.interface.upstream_do53, []);
});

Deno.test("decodeClientInbound skips bad resources one by one and keeps the good", () => {
  const good = INIT.resources[0]!;
  const init = decode("init", {
    ...INIT,
    resources: [
      { ...good, id: "a", type: "quantum" },
      { ...good, id: "b", ip_stack: "ipv5_only" },
      { ...good, id: "c", filters: [{ protocol: "sctp" }] },
      { ...good, id: "c2", filters: [{ protocol: "tcp", port_range_start: 9, port_range_end: 1 }] },
      { id: "d", type: "cidr", name: "n", address: "10.0.0.1/8", filters: [], sites: good.sites },
      null,
      good,
      { id: "e", type: "internet", can_be_disabled: true, gateway_groups: good.sites },
      { id: "f", type: "cidr", name: "n", address: "10.0.0.0/8", filters: [], gateway_groups: good.sites },
    ],
  }, "init");
  assert.deepEqual(init.resources.map((resource) => resource.id), [RESOURCE_ID, "e", "f"]);
  assert.equal(init.resources[1]?.name, "Internet Resource");
});

Deno.test("decodeClientInbound skips unreadable filters, but never to the point of allowing everything", () => {
  const good = INIT.resources[0]!;
  const filters = [{ protocol: "sctp" }, { protocol: "icmp" }];
  const resource = decode("resource_created_or_updated", { ...good, filters }, "resource_created_or_updated");
  assert(resource.type === "dns");
  assert.deepEqual(resource.filters, [{ protocol: "icmp" }]);
  const spoiled = decodeClientInbound("resource_created_or_updated", {
    ...good,
    filters: filters.slice(0, 1),
  });
  assert.deepEqual(spoiled, { ok: false, reason: "malformed" });
});

Deno.test("decodeClientInbound reads both spellings of a site and both names of a grant", () => {
  const { site_id, ...rest } = GRANT;
  const old = decode("flow_created", { ...rest, gateway_group_id: site_id }, "authorization_created");
  const recent = decode("authorization_created", GRANT, "authorization_created");
  assert.deepEqual(old, recent);
});

Deno.test("decodeClientInbound reads resource_deleted, whose payload is a bare string", () => {
  assert.equal(decode("resource_deleted", RESOURCE_ID, "resource_deleted"), RESOURCE_ID);
});

Deno.test("decodeClientInbound strips a netmask from a pool member's addresses", () => {
  const resolved = decode("device_pool_domain_resolved", {
    resource_id: "r",
    domain: "lab-7.devices.corp.example",
    ipv4: "100.70.4.4/32",
    ipv6: "fd00:2021:1111::4:4/128",
  }, "device_pool_domain_resolved");
  assert.equal(resolved.ipv4, "100.70.4.4");
  assert.equal(resolved.ipv6, "fd00:2021:1111::4:4");
});

Deno.test("decodeClientInbound accepts the newer names of candidate messages", () => {
  const payload = { gateway_id: "g", candidates: ["candidate:1 1 udp 1 192.0.2.1 1 typ host", 7] };
  const read = decode("gateway_ice_candidates", payload, "ice_candidates");
  assert.equal(read.candidates.length, 1);
  decode("invalidate_gateway_ice_candidates", payload, "invalidate_ice_candidates");
});

Deno.test("decodeClientInbound returns a value for unknown events, also for names that objects have", () => {
  for (const event of ["brand_new", "constructor", "__proto__", "toString", ""]) {
    assert.deepEqual(decodeClientInbound(event, {}), { ok: false, reason: "unknown-event" });
  }
});

Deno.test("encodeClientInbound spells sites the old way only, and speaks the socket's vocabulary", () => {
  const init = decodeClientInbound("init", INIT);
  assert(init.ok);
  const written = JSON.stringify(encodeClientInbound(init.value, 2));
  assert(written.includes(`"gateway_groups"`) && !written.includes(`"sites"`));
  const grant = decodeClientInbound("authorization_created", GRANT);
  assert(grant.ok);
  const v1 = encodeClientInbound(grant.value, 1);
  assert.equal(v1.event, "flow_created");
  assert(!("site_id" in (v1.payload as object)));
  assert.equal(encodeClientInbound(grant.value, 2).event, "authorization_created");
});

Deno.test("encodeClientInbound writes what decodeClientInbound reads", () => {
  for (const [event, payload] of [["init", INIT], ["authorization_created", GRANT]] as const) {
    const first = decodeClientInbound(event, payload);
    assert(first.ok);
    for (const version of [1, 2] as const) {
      const wire = encodeClientInbound(first.value, version);
      const again = decodeClientInbound(wire.event, JSON.parse(JSON.stringify(wire.payload)));
      assert(again.ok);
      assert.deepEqual(JSON.parse(JSON.stringify(again.value)), JSON.parse(JSON.stringify(first.value)));
    }
  }
});

Deno.test("encodeClientOutbound says create_flow on the old socket, decodeClientOutbound reads it", () => {
  const message = decodeClientOutbound("request_authorization", { resource_id: RESOURCE_ID });
  assert(message.ok);
  assert.equal(encodeClientOutbound(message.value, 1).event, "create_flow");
  assert.equal(encodeClientOutbound(message.value).event, "request_authorization");
  assert.deepEqual(decodeClientOutbound("create_flow", { resource_id: RESOURCE_ID }), message);
});

Deno.test("decodeClientInbound leaves out a search domain that is no name: it goes into files of the system", () => {
  const searchDomain = (search_domain: unknown) => {
    const message = decodeClientInbound("init", { ...INIT, interface: { ...INIT.interface, search_domain } });
    assert.ok(message.ok && message.value.event === "init");
    return message.value.payload.interface.search_domain;
  };
  assert.equal(searchDomain("corp.example."), "corp.example");
  for (
    const odd of [
      "",
      null,
      "a b",
      "x\nnameserver 192.0.2.66",
      "-o",
      "a..b",
      "a.".repeat(200),
      "\u001b[31mred",
      "~.",
    ]
  ) {
    assert.equal(searchDomain(odd), undefined, JSON.stringify(odd));
  }
});

Deno.test("decodeClientInbound refuses times, credentials and candidates that nobody could use", () => {
  const relays = (relay: object) => {
    const message = decodeClientInbound("init", { ...INIT, relays: [{ ...RELAY, ...relay }] });
    assert.ok(message.ok && message.value.event === "init");
    return message.value.payload.relays.length;
  };
  assert.equal(relays({ expires_at: 8.64e12 }), 1);
  for (const expires_at of [8.64e12 + 1, 1e300, -1, Infinity, NaN]) assert.equal(relays({ expires_at }), 0);
  for (const text of ["", "x".repeat(509)]) {
    assert.equal(relays({ username: text }), 0);
    assert.equal(relays({ password: text }), 0);
  }
  for (const password of ["", "x".repeat(257)]) {
    const gateway_ice_credentials = { username: "zmwj", password };
    assert.ok(!decodeClientInbound("flow_created", { ...GRANT, gateway_ice_credentials }).ok);
  }
  const candidates = [...new Array(200).fill("candidate:1"), "x".repeat(513)];
  const message = decodeClientInbound("ice_candidates", { gateway_id: "g", candidates });
  assert.ok(message.ok && message.value.event === "ice_candidates");
  assert.equal(message.value.payload.candidates.length, 128);
  const long = decodeClientInbound("ice_candidates", { gateway_id: "g", candidates: candidates.slice(-1) });
  assert.ok(long.ok && long.value.event === "ice_candidates");
  assert.deepEqual(long.value.payload.candidates, []);
});

Deno.test("decodeClientInbound and decodeClientOutbound never throw on hostile JSON", () => {
  const events = fc.constantFrom(
    "init",
    "config_changed",
    "resource_created_or_updated",
    "resource_deleted",
    "flow_created",
    "authorization_creation_failed",
    "relays_presence",
    "client_device_access_authorized",
    "request_authorization",
    "set_snownet_capabilities",
    "no_relays",
    "__proto__",
  );
  fc.assert(fc.property(events, fc.jsonValue(), (event, payload) => {
    decodeClientInbound(event, payload);
    decodeClientOutbound(event, payload);
  }));
  fc.assert(fc.property(mutatedJson(INIT), (payload) => void decodeClientInbound("init", payload)));
  fc.assert(fc.property(mutatedJson(GRANT), (payload) => void decodeClientInbound("flow_created", payload)));
});
