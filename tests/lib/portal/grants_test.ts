/** Access as it is granted: who is asked, who confirms, who is told what. */

import assert from "node:assert/strict";
import { decodeGatewayInbound } from "../../../lib/wire/portal/gateway.ts";
import { deviceOf, grant, resourceId, SEED, World } from "./harness.ts";

Deno.test("Portal grants in order: gateway, confirmation, client", () => {
  const world = new World();
  const gateway = world.gateway();
  const client = world.client();
  const { request, granted } = grant(world, client, gateway, "Wiki");
  const wire = decodeGatewayInbound("create_authorization", request);
  assert(wire.ok);
  assert.equal(granted.gateway_id, deviceOf(world, "paris-token").id);
  assert.equal(granted.preshared_key, request.client.preshared_key);
  assert.deepEqual(granted.client_ice_credentials, request.client_ice_credentials);
  assert.deepEqual(granted.gateway_ice_credentials, request.gateway_ice_credentials);
  assert.equal(request.client.id, deviceOf(world, "ada-token").id);
  assert.equal(request.client.version, "1.5.12");
  assert.equal(request.resource.address, "*.wiki.corp.example");
  assert.equal("gateway_group_id" in granted && !("site_id" in granted), true);
  assert.equal(request.use_iceless, false);
  assert.equal(request.expires_at, 2145916800);
  for (
    const [token, role] of [[granted.flow_logs_ingest_token, "initiator"], [
      request.flow_logs_ingest_token,
      "responder",
    ]]
  ) {
    const [header, claims, signature] = token.split(".");
    const decode = (part: string) =>
      JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(part, { alphabet: "base64url" })));
    assert.equal(decode(header).alg, "HS256");
    assert.notEqual(signature, "");
    assert.equal(decode(claims).role, role);
    for (
      const claim of [
        "account_id",
        "initiator_device_id",
        "responder_device_id",
        "policy_authorization_id",
        "policy_id",
        "resource_id",
        "resource_name",
        "initiator_actor_id",
        "initiator_actor_name",
        "device_id",
        "actor_id",
        "actor_name",
        "authorized_at",
        "authorization_expires_at",
      ]
    ) {
      assert.equal(typeof decode(claims)[claim], "string", claim);
    }
    assert.equal(decode(claims).uploads_enabled, false);
  }
});

Deno.test("Portal gives the same secrets for a second resource behind the same gateway", () => {
  const world = new World();
  const [gateway, client] = [world.gateway(), world.client()];
  const first = grant(world, client, gateway, "Wiki").granted;
  const second = grant(world, client, gateway, "Net").granted;
  assert.equal(first.preshared_key, second.preshared_key);
  assert.deepEqual(first.client_ice_credentials, second.client_ice_credentials);
});

Deno.test("Portal refuses what does not exist, is not allowed, or has no gateway", () => {
  const world = new World();
  const client = world.client("bob-token");
  const ask = (resource_id: string) => {
    client.take();
    client.send("request_authorization", { resource_id });
    return client.expect("authorization_creation_failed").reason;
  };
  assert.equal(ask("5b0e2a55-8f04-4f32-9c7d-0a2d5f6a1c01"), "not_found");
  assert.equal(ask(resourceId(world, "Net")), "not_found");
  assert.equal(ask(resourceId(world, "Wiki")), "offline");
});

Deno.test("Portal says which conditions were violated", () => {
  const world = new World({
    ...SEED,
    policies: [{
      group: "Everyone",
      resource: "Wiki",
      conditions: [{ property: "remote_ip", operator: "is_in_cidr", values: ["10.0.0.0/8"] }],
    }],
  });
  world.gateway();
  const client = world.client();
  assert.deepEqual(client.expect("init").resources, []);
  client.send("request_authorization", { resource_id: resourceId(world, "Wiki") });
  const { reason, violated_properties } = client.expect("authorization_creation_failed");
  assert.deepEqual([reason, violated_properties], ["forbidden", ["remote_ip"]]);
});

Deno.test("Portal prefers a gateway that the client is connected to", () => {
  const world = new World();
  for (const id of ["g1", "g2", "g3", "g4"]) world.gateway("paris-token", { id });
  const client = world.client();
  const wanted = deviceOf(world, "g3").id;
  for (let round = 0; round < 8; round++) {
    client.send("request_authorization", {
      resource_id: resourceId(world, "Wiki"),
      connected_gateway_ids: [wanted],
    });
    const asked = [...world.peers.values()].filter((peer) =>
      peer.take().some((it) => it.event === "create_authorization")
    );
    assert.equal(asked.length, 1);
  }
  const rows = world.portal.directory.all("authorizations");
  assert.deepEqual(rows.map((row) => row.receiverId), [wanted]);
});

Deno.test("Portal answers offline after 15 s without confirmation, and makes the gateway shut the door", () => {
  const world = new World();
  const [gateway, client] = [world.gateway(), world.client()];
  client.send("request_authorization", { resource_id: resourceId(world, "Wiki") });
  const { ref } = gateway.expect("create_authorization");
  client.take();
  world.advance(14_900);
  assert.deepEqual(client.take(), []);
  world.advance(200);
  assert.equal(client.expect("authorization_creation_failed").reason, "offline");
  assert.equal(gateway.expect("reject_access").resource_id, resourceId(world, "Wiki"));
  // A late confirmation changes nothing.
  gateway.send("authorization_created", { ref });
  assert.deepEqual(gateway.frames.at(-1)!.payload, { status: "error", response: { reason: "invalid_ref" } });
  assert.deepEqual(client.take(), []);
});

Deno.test("Portal lets no gateway confirm another gateway's grant", () => {
  const world = new World();
  const [paris, oslo, client] = [world.gateway(), world.gateway("oslo-token"), world.client()];
  client.take();
  client.send("request_authorization", { resource_id: resourceId(world, "Wiki") });
  const { ref } = paris.expect("create_authorization");
  oslo.send("authorization_created", { ref });
  assert.deepEqual(client.take(), []);
  paris.send("authorization_created", { ref });
  client.expect("authorization_created");
  paris.send("authorization_created", { ref });
  assert.equal(paris.frames.at(-1)!.payload.status, "error");
});

Deno.test("Portal lists live authorizations in a gateway's init, after its reconnect and its own restart", () => {
  const world = new World();
  let gateway = world.gateway();
  const client = world.client();
  grant(world, client, gateway, "Wiki");
  const expected = [{
    client_id: deviceOf(world, "ada-token").id,
    resource_id: resourceId(world, "Wiki"),
    expires_at: 2145916800,
  }];
  gateway.drop();
  gateway = world.gateway();
  assert.deepEqual(gateway.expect("init").authorizations, expected);
  const before = deviceOf(world, "paris-token");
  world.restart();
  gateway = world.gateway();
  const frames = gateway.take();
  assert.deepEqual(frames[0]!.payload.authorizations, expected);
  assert.equal(frames[0]!.payload.interface.ipv4, before.ipv4);
  assert.equal(frames[1]!.event, "resource_updated");
  assert(decodeGatewayInbound(frames[0]!.event, frames[0]!.payload).ok);
});

Deno.test("Portal grants access between clients: target first, then initiator", () => {
  const world = new World();
  const [ada, bob] = [world.client(), world.client("bob-token")];
  world.admin("POST", "/v1/resources", {
    name: "Lab",
    type: "static_device_pool",
    devices: ["bob-token"],
    filters: ["tcp/22"],
  });
  world.admin("POST", "/v1/policies", { group: "Engineering", resource: "Lab" });
  const pool = ada.expect("resource_created_or_updated");
  const target = deviceOf(world, "bob-token");
  assert.deepEqual(pool.devices, [{
    client_id: target.id,
    ipv4: `${target.ipv4}/32`,
    ipv6: `${target.ipv6}/128`,
  }]);
  ada.send("request_authorization", { resource_id: pool.id, connected_gateway_ids: [], ipv4: target.ipv4 });
  const inbound = bob.expect("client_device_access_authorized");
  const outbound = ada.expect("client_device_access_authorized");
  assert.deepEqual([inbound.ice_role, outbound.ice_role], ["controlled", "controlling"]);
  assert.equal(inbound.preshared_key, outbound.preshared_key);
  assert.deepEqual(inbound.local_ice_credentials, outbound.remote_ice_credentials);
  assert.deepEqual(inbound.resource.filters, [{ protocol: "tcp", port_range_start: 22, port_range_end: 22 }]);
  assert.equal("resource" in outbound, false);
  ada.send("new_client_ice_candidates", { client_id: target.id, candidates: ["candidate:x"] });
  assert.equal(bob.expect("client_ice_candidates").client_id, deviceOf(world, "ada-token").id);
  world.admin("POST", "/v1/resources", { name: "Lab", type: "static_device_pool", devices: [] });
  assert.equal(bob.expect("reject_access").resource_id, pool.id);
  assert.equal(ada.expect("client_device_access_denied").reason, "forbidden");
});
