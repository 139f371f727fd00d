import assert from "node:assert/strict";
import fc from "fast-check";
import {
  decodeGatewayInbound,
  decodeGatewayOutbound,
  encodeGatewayInbound,
  encodeGatewayOutbound,
} from "../../../../lib/wire/portal/gateway.ts";
import { decodeRelayInbound, decodeRelayJoin } from "../../../../lib/wire/portal/relay.ts";
import { mutatedJson } from "./json_mutation.ts";

const GRANT = {
  ref: "opaque-string",
  expires_at: 1789999000,
  use_iceless: false,
  flow_logs_ingest_token: "a.b.c",
  client: {
    id: "0d3f6d2e-51f5-4c6f-9a52-6f1f1c1f0a01",
    public_key: "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
    preshared_key: "E4U2yP45137Rh/eUU3xwj/Zl5KXQxPNcuyrlfumC0Hg=",
    ipv4: "100.69.12.4",
    ipv6: "fd00:2021:1111::9:c04",
    version: "1.5.12",
    device_os_name: "Ubuntu",
    device_os_version: "24.04",
    device_serial: null,
    device_uuid: null,
    identifier_for_vendor: null,
    firebase_installation_id: null,
  },
  resource: {
    id: "5b0e2a55-8f04-4f32-9c7d-0a2d5f6a1c01",
    type: "dns",
    name: "Wiki",
    address: "*.wiki.corp.example",
    filters: [],
  },
  client_ice_credentials: { username: "o4fd", password: "cmygukd6orah6bakmlpgrg" },
  gateway_ice_credentials: { username: "zmwj", password: "xgld7gxypzac6or2rcxafa" },
  subject: { actor_id: "x", actor_name: "Ada", ip_lat: 48.8 },
};
const INIT = {
  interface: { ipv4: "100.81.7.2", ipv6: "fd00:2021:1111::a:b2" },
  account_slug: "acme",
  config: { ipv4_masquerade_enabled: true, ipv6_masquerade_enabled: true },
  relays: [],
  authorizations: [{ client_id: "c", resource_id: "r", expires_at: 1789999000 }],
  flow_logs: { api_url: "https://flow-api.firezone.dev/", upload_interval_secs: 60, upload_batch_size: 1000 },
};

Deno.test("decodeGatewayInbound reads the init of the specification", () => {
  const outcome = decodeGatewayInbound("init", INIT);
  assert(outcome.ok && outcome.value.event === "init");
  assert.deepEqual(outcome.value.payload.authorizations, INIT.authorizations);
  assert.equal(outcome.value.payload.account_slug, "acme");
});

Deno.test("decodeGatewayInbound tells no list of authorizations from an empty one", () => {
  const { authorizations: _, ...rest } = INIT;
  const without = decodeGatewayInbound("init", rest);
  assert(without.ok && without.value.event === "init");
  assert.equal(without.value.payload.authorizations, undefined);
});

Deno.test("decodeGatewayInbound reads a grant under both names", () => {
  const recent = decodeGatewayInbound("create_authorization", GRANT);
  assert(recent.ok && recent.value.event === "create_authorization");
  assert.equal(recent.value.payload.ref, "opaque-string");
  assert.equal(recent.value.payload.client.device_serial, undefined);
  assert.deepEqual(decodeGatewayInbound("authorize_flow", GRANT), recent);
});

Deno.test("decodeGatewayInbound reads a grant of the seed portal, with five fields of the client", () => {
  const { id, public_key, preshared_key, ipv4, ipv6 } = GRANT.client;
  const { ref, resource, client_ice_credentials, gateway_ice_credentials } = GRANT;
  const outcome = decodeGatewayInbound("authorize_flow", {
    ref,
    resource,
    client_ice_credentials,
    gateway_ice_credentials,
    expires_at: null,
    client: { id, public_key, preshared_key, ipv4, ipv6 },
  });
  assert(outcome.ok && outcome.value.event === "create_authorization");
  assert.equal(outcome.value.payload.expires_at, null);
});

Deno.test("encodeGatewayInbound and encodeGatewayOutbound speak the socket's vocabulary", () => {
  const grant = decodeGatewayInbound("create_authorization", GRANT);
  const confirmation = decodeGatewayOutbound("flow_authorized", { ref: "x" });
  assert(grant.ok && confirmation.ok);
  assert.equal(encodeGatewayInbound(grant.value, 1).event, "authorize_flow");
  assert.equal(encodeGatewayInbound(grant.value, 2).event, "create_authorization");
  assert.equal(encodeGatewayOutbound(confirmation.value, 1).event, "flow_authorized");
  assert.equal(encodeGatewayOutbound(confirmation.value).event, "authorization_created");
});

Deno.test("decodeGatewayInbound and decodeGatewayOutbound never throw on hostile JSON", () => {
  const events = fc.constantFrom(
    "init",
    "create_authorization",
    "reject_access",
    "resource_updated",
    "ice_candidates",
    "authorization_created",
    "broadcast_ice_candidates",
    "__proto__",
  );
  fc.assert(fc.property(events, fc.jsonValue(), (event, payload) => {
    decodeGatewayInbound(event, payload);
    decodeGatewayOutbound(event, payload);
    decodeRelayInbound(event, payload);
    decodeRelayJoin(payload);
  }));
  fc.assert(
    fc.property(mutatedJson(GRANT), (payload) => void decodeGatewayInbound("authorize_flow", payload)),
  );
  fc.assert(fc.property(mutatedJson(INIT), (payload) => void decodeGatewayInbound("init", payload)));
});

Deno.test("decodeRelayJoin reads the stamp secret", () => {
  assert.deepEqual(decodeRelayJoin({ stamp_secret: "5a".repeat(32) }), { stamp_secret: "5a".repeat(32) });
  assert.equal(decodeRelayJoin(null), undefined);
});
