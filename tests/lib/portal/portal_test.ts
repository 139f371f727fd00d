import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeClientInbound } from "../../../lib/wire/portal/client.ts";
import { decodeGatewayInbound } from "../../../lib/wire/portal/gateway.ts";
import { type Peer, SEED, START_SECONDS, World } from "./harness.ts";

function resourceId(world: World, name: string): string {
  return world.portal.directory.find("resources", (it) => it.name === name)!.id;
}

function policyId(world: World, resource: string): string {
  return world.portal.directory.find("policies", (it) => it.resourceId === resourceId(world, resource))!.id;
}

function deviceOf(world: World, externalId: string) {
  return world.portal.directory.find("devices", (it) => it.externalId === externalId)!;
}

/** Asks for `resource`, confirms at the gateway, and returns both messages. */
function grant(world: World, client: Peer, gateway: Peer, resource: string) {
  client.take();
  gateway.take();
  client.send("request_authorization", {
    resource_id: resourceId(world, resource),
    connected_gateway_ids: [],
  });
  const request = gateway.expect("create_authorization");
  assert.deepEqual(client.take(), []);
  gateway.send("authorization_created", { ref: request.ref });
  return { request, granted: client.expect("authorization_created") };
}

Deno.test("Portal sends a client its init with every mandatory field", () => {
  const world = new World();
  world.relay();
  const client = world.client();
  assert.deepEqual(client.frames[0], {
    topic: "client",
    event: "phx_reply",
    ref: 0,
    payload: { status: "ok", response: {} },
  });
  const frame = client.frames[1]!;
  assert.equal(frame.ref, null);
  assert(decodeClientInbound(frame.event, frame.payload).ok);
  const init = client.expect("init");
  assert.deepEqual(Object.keys(init), [
    "interface",
    "resources",
    "relays",
    "authorizations",
    "flow_logs",
    "account_slug",
    "actor_name",
  ]);
  assert.equal(init.interface.upstream_do53[0].ip, "10.20.0.53");
  assert.equal(init.interface.upstream_dns[0].address, "10.20.0.53:53");
  assert.equal(init.interface.search_domain, "corp.example");
  assert.equal(init.flow_logs.upload_interval_secs, 0);
  assert.deepEqual(init.resources.map((it: { name: string }) => it.name).sort(), ["Host", "Net", "Wiki"]);
  const host = init.resources.find((it: { name: string }) => it.name === "Host");
  assert.deepEqual([host.type, host.address, host.gateway_groups[0].name], ["cidr", "10.2.0.1/32", "Oslo"]);
  assert.equal("sites" in host, false);
  // Both families of a relay are adjacent and share one id, with the credentials of §8.5.
  assert.deepEqual(init.relays.map((it: { addr: string }) => it.addr), [
    "203.0.113.40:3478",
    "[2001:db8::40]:3478",
  ]);
  assert.equal(init.relays[0].id, "0e53aae2-eabd-4755-9537-1f862cb885ff");
  assert.equal(init.relays[0].username, "2145916800:xXzDtV05+ab3cvUI44IeCigIIjUsDQ8NJZ+6Y7dNqaA");
});

Deno.test("Portal shows users what their groups allow, and service accounts nothing of Everyone", () => {
  const world = new World();
  const names = (peer: Peer) => peer.expect("init").resources.map((it: { name: string }) => it.name);
  assert.deepEqual(names(world.client("bob-token")), ["Wiki"]);
  assert.deepEqual(names(world.client("ci-token")), []);
});

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

Deno.test("Portal speaks the old vocabulary on the old sockets, mixed with the new one", () => {
  const world = new World();
  const gateway = world.gateway("paris-token", { version: 1 });
  const client = world.client("ada-token", { version: 1 });
  client.take();
  client.send("create_flow", { resource_id: resourceId(world, "Wiki"), connected_gateway_ids: [] });
  const { ref } = gateway.expect("authorize_flow");
  gateway.send("flow_authorized", { ref });
  assert.equal(client.expect("flow_created").resource_id, resourceId(world, "Wiki"));
  client.send("create_flow", { resource_id: resourceId(world, "Host"), connected_gateway_ids: [] });
  assert.equal(client.expect("flow_creation_failed").reason, "offline");
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

Deno.test("Portal rejects at the gateway at once when a policy is revoked, before it tells the client", () => {
  const world = new World();
  const [gateway, client] = [world.gateway(), world.client()];
  grant(world, client, gateway, "Net");
  assert.equal(world.admin("DELETE", `/v1/policies/${policyId(world, "Net")}`).status, 200);
  assert.deepEqual(gateway.expect("reject_access"), {
    client_id: deviceOf(world, "ada-token").id,
    resource_id: resourceId(world, "Net"),
  });
  assert.deepEqual(client.take().map(({ event, payload }) => [event, payload]), [
    ["resource_deleted", resourceId(world, "Net")],
  ]);
  assert.deepEqual(world.portal.directory.all("authorizations"), []);
});

Deno.test("Portal rejects when a membership, a token, an actor, an account or a site goes", () => {
  const changes: ((world: World) => unknown)[] = [
    (world) => world.admin("POST", "/v1/groups", { name: "Engineering", members: [] }),
    (world) => world.admin("DELETE", "/v1/tokens/client Ada"),
    (world) => world.admin("PATCH", "/v1/actors/Ada", { disabled: true }),
    (world) => world.admin("DELETE", "/v1/actors/Ada"),
    (world) => world.admin("PATCH", `/v1/policies/${policyId(world, "Net")}`, { disabled: true }),
    (world) => world.admin("DELETE", "/v1/resources/Net"),
    (world) => world.admin("DELETE", "/v1/groups/Engineering"),
    (world) =>
      world.admin("POST", "/v1/resources", {
        name: "Net",
        type: "cidr",
        address: "10.9.0.0/16",
        site: "Paris",
      }),
    (world) =>
      world.admin("POST", "/v1/policies", {
        group: "Engineering",
        resource: "Net",
        expires_at: START_SECONDS + 60,
      }),
    (world) => world.admin("DELETE", "/v1/devices/ada-token"),
    (world) =>
      world.admin("DELETE", `/v1/authorizations/${world.portal.directory.all("authorizations")[0]!.id}`),
  ];
  for (const [index, change] of changes.entries()) {
    const world = new World();
    const [gateway, client] = [world.gateway(), world.client()];
    grant(world, client, gateway, "Net");
    change(world);
    gateway.expect("reject_access");
    assert.deepEqual(world.portal.directory.all("authorizations"), [], `change ${index}`);
  }
});

Deno.test("Portal leaves authorizations alone when only names and descriptions change", () => {
  const world = new World();
  const [gateway, client] = [world.gateway(), world.client()];
  grant(world, client, gateway, "Net");
  world.admin("POST", "/v1/resources", {
    name: "Net",
    type: "cidr",
    address: "10.1.0.0/16",
    address_description: "lab",
  });
  world.admin("POST", "/v1/policies", { group: "Engineering", resource: "Net", description: "for work" });
  world.admin("POST", "/v1/actors", { name: "Ada", email: "ada@new.example" });
  assert.deepEqual(gateway.take(), []);
  assert.deepEqual(client.take().map(({ event }) => event), ["resource_created_or_updated"]);
});

Deno.test("Portal makes a client ask again when another policy still grants a revoked resource", () => {
  const world = new World();
  world.admin("POST", "/v1/policies", { group: "Everyone", resource: "Net" });
  const [gateway, client] = [world.gateway(), world.client()];
  grant(world, client, gateway, "Net");
  const { policyId: used } = world.portal.directory.all("authorizations")[0]!;
  world.admin("DELETE", `/v1/policies/${used}`);
  gateway.expect("reject_access");
  assert.deepEqual(client.take().map(({ event }) => event), [
    "resource_deleted",
    "resource_created_or_updated",
  ]);
});

Deno.test("Portal tells all gateways about new filters, and clients about new resources", () => {
  const world = new World();
  const [gateway, client] = [world.gateway(), world.client()];
  gateway.take();
  client.take();
  world.admin("POST", "/v1/resources", {
    name: "Wiki",
    type: "dns",
    address: "*.wiki.corp.example",
    filters: ["icmp", "udp/53"],
  });
  assert.deepEqual(gateway.expect("resource_updated").filters, [
    { protocol: "icmp" },
    { protocol: "udp", port_range_start: 53, port_range_end: 53 },
  ]);
  assert.equal(client.expect("resource_created_or_updated").filters.length, 2);
  world.admin("POST", "/v1/resources", { name: "New", type: "dns", address: "new.example", site: "Paris" });
  assert.deepEqual(client.take(), []);
  world.admin("POST", "/v1/policies", { group: "Everyone", resource: "New" });
  assert.equal(client.expect("resource_created_or_updated").name, "New");
});

Deno.test("Portal removes before it adds", () => {
  const world = new World();
  const client = world.client();
  client.take();
  world.portal.change((directory) => {
    directory.remove("resources", resourceId(world, "Net"));
    const wiki = directory.find("resources", (it) => it.name === "Wiki")!;
    directory.put("resources", { ...wiki, address: "other.example" });
  }, world.now);
  world.deliver();
  assert.deepEqual(client.take().map(({ event }) => event), [
    "resource_deleted",
    "resource_created_or_updated",
  ]);
});

Deno.test("Portal pushes config_changed when the account's resolvers change", () => {
  const world = new World();
  const client = world.client();
  client.take();
  world.admin("POST", "/v1/accounts", { slug: "acme", dns: "secure:quad9" });
  const { interface: changed } = client.expect("config_changed");
  assert.deepEqual(changed.upstream_doh, [{ url: "https://dns.quad9.net/dns-query" }]);
  assert.deepEqual(changed.upstream_do53, []);
});

Deno.test("Portal opens and shuts time windows by itself", () => {
  // START is a Wednesday, 12:00 UTC.
  const world = new World({
    ...SEED,
    policies: [{
      group: "Everyone",
      resource: "Wiki",
      conditions: [{
        property: "current_utc_datetime",
        operator: "is_in_day_of_week_time_ranges",
        values: ["W/12:02-12:10/UTC"],
      }],
    }],
  });
  const [gateway, client] = [world.gateway(), world.client()];
  assert.deepEqual(client.expect("init").resources, []);
  world.advance(180_000);
  client.expect("resource_created_or_updated");
  const { request } = grant(world, client, gateway, "Wiki");
  assert.equal(request.expires_at, START_SECONDS + 600);
  world.advance(480_000);
  client.expect("resource_deleted");
});

Deno.test("Portal forwards candidates as they are, to peers of the account, with the sender's id", () => {
  const world = new World();
  const [gateway, client] = [world.gateway(), world.client()];
  const [clientId, gatewayId] = [deviceOf(world, "ada-token").id, deviceOf(world, "paris-token").id];
  const candidates = ["candidate:1 1 udp 2 192.0.2.1 3 typ host"];
  gateway.take();
  client.take();
  client.send("new_gateway_ice_candidates", { gateway_id: gatewayId, candidates });
  client.send("broadcast_ice_candidates", { gateway_ids: [gatewayId, "nobody"], candidates });
  client.send("invalidate_gateway_ice_candidates", { gateway_id: gatewayId, candidates });
  client.send("broadcast_invalidated_ice_candidates", { gateway_ids: [gatewayId], candidates });
  assert.deepEqual(gateway.take().map(({ event, payload }) => [event, payload]), [
    ["ice_candidates", { client_id: clientId, candidates }],
    ["ice_candidates", { client_id: clientId, candidates }],
    ["invalidate_ice_candidates", { client_id: clientId, candidates }],
    ["invalidate_ice_candidates", { client_id: clientId, candidates }],
  ]);
  gateway.send("broadcast_ice_candidates", { client_ids: [clientId], candidates });
  gateway.send("broadcast_invalidated_ice_candidates", { client_ids: [clientId], candidates });
  assert.deepEqual(client.take().map(({ event, payload }) => [event, payload]), [
    ["ice_candidates", { gateway_id: gatewayId, candidates }],
    ["invalidate_ice_candidates", { gateway_id: gatewayId, candidates }],
  ]);
});

Deno.test("Portal announces relays a second after they come, and says which have gone", () => {
  const world = new World();
  const client = world.client();
  assert.deepEqual(client.expect("init").relays, []);
  client.send("no_relays", {});
  assert.deepEqual(client.expect("relays_presence"), { disconnected_ids: [], connected: [] });
  const relay = world.relay();
  assert.deepEqual(relay.take().map(({ event, payload }) => [event, payload]), [["init", {}]]);
  world.advance(900);
  assert.deepEqual(client.take(), []);
  world.advance(200);
  const presence = client.expect("relays_presence");
  assert.equal(presence.connected.length, 2);
  assert.deepEqual(presence.disconnected_ids, []);
  relay.drop();
  world.relay("6b".repeat(32), 3479);
  world.advance(1_100);
  const next = client.expect("relays_presence");
  assert.deepEqual(next.disconnected_ids, [presence.connected[0].id]);
  assert.equal(next.connected[0].addr, "203.0.113.40:3479");
  // Two relays are enough: a third is nobody's news.
  world.relay("7c".repeat(32), 3480);
  world.advance(1_100);
  client.take();
  world.relay("8d".repeat(32), 3481);
  world.advance(1_100);
  assert.deepEqual(client.take(), []);
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

Deno.test("Portal forgets authorizations that were revoked while it was down", () => {
  const world = new World();
  const gateway = world.gateway();
  grant(world, world.client(), gateway, "Net");
  world.store.remove("policies", policyId(world, "Net"));
  world.restart();
  assert.deepEqual(world.gateway().expect("init").authorizations, []);
});

Deno.test("Portal lets the last connection of a client win, and signs out a stranger with its identity", () => {
  const world = new World();
  const first = world.client("ada-token", { key: 1 });
  const second = world.client("ada-token", { key: 1 });
  assert.equal(first.closeCode, 1000);
  assert(!first.take().some(({ event }) => event === "disconnect"));
  const third = world.client("ada-token", { key: 9 });
  assert.deepEqual(second.expect("disconnect"), { reason: "token_expired", cause: "replaced" });
  assert.equal(third.closeCode, undefined);
  assert.equal(world.portal.presence.clients.size, 1);
});

Deno.test("Portal lets the first of two gateways win, unless the second is the same process", () => {
  const world = new World();
  const first = world.gateway("paris-token", { key: 2 });
  const query = {
    external_id: "paris-token",
    name: "x",
    public_key: "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=",
  };
  const { refused } = world.dial("/gateway/v2/websocket", "paris-token", query);
  assert.equal(refused?.status, 409);
  assert.match(refused.body, /gateway_already_connected/);
  world.gateway("paris-token", { key: 2 });
  assert.equal(first.closeCode, 1000);
  assert.equal(world.portal.presence.gateways.size, 1);
});

Deno.test("Portal disconnects when a token expires or is deleted", () => {
  const world = new World();
  const [bob, ada] = [world.client("bob-token"), world.client()];
  world.advance(3_599_000);
  assert.equal(bob.closeCode, undefined);
  world.advance(1_000);
  assert.deepEqual(bob.expect("disconnect"), { reason: "token_expired", cause: "expired" });
  assert.equal(world.dial("/client/v2/websocket", "bob-token").refused?.status, 401);
  assert.equal(ada.closeCode, undefined);
  world.admin("DELETE", "/v1/tokens/client Ada");
  assert.deepEqual(ada.expect("disconnect"), { reason: "token_expired", cause: "revoked" });
});

Deno.test("Portal closes silent peers after 41 s, not before", () => {
  const world = new World();
  const client = world.client();
  world.now = 40_900;
  world.portal.handleTimeout(world.now);
  world.deliver();
  assert.equal(client.closeCode, undefined);
  world.now = 41_000;
  world.portal.handleTimeout(world.now);
  world.deliver();
  assert.notEqual(client.closeCode, undefined);
});

Deno.test("Portal refuses with the right status, code and headers", () => {
  const world = new World();
  const query = { external_id: "x", public_key: "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=" };
  const refusals: [string, string | undefined, Record<string, string>, number, string][] = [
    ["/nowhere", "ada-token", query, 404, "not_found"],
    ["/client/v2/websocket", undefined, query, 401, "missing_token"],
    ["/client/v2/websocket", "wrong", query, 401, "invalid_token"],
    ["/gateway/v2/websocket", "ada-token", query, 401, "invalid_token"],
    ["/relay/websocket", "paris-token", query, 401, "invalid_token"],
    ["/client/v2/websocket", "ada-token", {}, 400, "invalid_connect_params"],
    ["/client/v2/websocket", "ada-token", { ...query, public_key: "short" }, 400, "invalid_connect_params"],
    ["/client/v2/websocket", "ada-token", { ...query, name: "x".repeat(256) }, 400, "invalid_connect_params"],
    ["/relay/websocket", "relay-token", { port: "1" }, 400, "invalid_connect_params"],
    ["/relay/websocket", "relay-token", { ipv4: "x", port: "1" }, 400, "invalid_connect_params"],
  ];
  for (const [path, token, parameters, status, code] of refusals) {
    const { refused } = world.dial(path, token, parameters);
    assert.equal(refused?.status, status, `${path} ${token}`);
    assert.equal(JSON.parse(refused.body).code, code);
    assert.match(refused.headers["content-type"]!, /^application\/problem\+json/);
  }
  const browser = world.dial("/client/v2/websocket", "ada-token", query, { "user-agent": "Mozilla/5.0" });
  assert.match(browser.refused?.body ?? "", /user_agent is invalid/);
  assert.equal(
    world.dial("/client/websocket", undefined, { ...query, token: "ada-token" }).refused,
    undefined,
  );
  const long = { ...query, name: "ß".repeat(255), external_id: "y".repeat(255) };
  assert.equal(world.dial("/client/v2/websocket", "ada-token", long).refused, undefined);
});

Deno.test("Portal answers a second connect within a second with 503 and Retry-After", () => {
  const world = new World(SEED, 1000);
  const query = { external_id: "x", public_key: "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=" };
  assert.equal(world.dial("/client/v2/websocket", "ada-token", query).refused, undefined);
  world.now = 500;
  const { refused } = world.dial("/client/v2/websocket", "ada-token", query);
  assert.equal(refused?.status, 503);
  assert.equal(refused.headers["retry-after"], "1");
  assert.equal(world.dial("/client/v2/websocket", "bob-token", query).refused, undefined);
  world.now = 1000;
  assert.equal(world.dial("/client/v2/websocket", "ada-token", query).refused, undefined);
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

Deno.test("Portal keeps a bounded number of devices for each owner", () => {
  const world = new World();
  const account = world.portal.directory.all("accounts")[0]!;
  const actor = world.portal.directory.find("actors", (it) => it.name === "Ada")!;
  for (let count = 0; count < 1005; count++) {
    const identity = { accountId: account.id, role: "client", ownerId: actor.id } as const;
    world.portal.directory.device({ ...identity, externalId: `box-${count}`, name: "box" }, count);
  }
  const devices = world.portal.directory.all("devices");
  assert.equal(devices.length, 1000);
  assert(!devices.some(({ externalId }) => externalId === "box-4"));
  assert(devices.some(({ externalId }) => externalId === "box-5"));
});

Deno.test("Portal survives hostile upgrades", () => {
  const world = new World();
  const text = fc.oneof(fc.string(), fc.constantFrom("ada-token", "Bearer ada-token", "3478", "127.0.0.1"));
  const path = fc.oneof(
    fc.string(),
    fc.constantFrom("/client/v2/websocket", "/gateway/websocket", "/relay/websocket"),
  );
  const keys = fc.constantFrom(
    "token",
    "external_id",
    "public_key",
    "name",
    "ipv4",
    "ipv6",
    "port",
    "__proto__",
  );
  fc.assert(fc.property(path, fc.dictionary(keys, text), text, text, (path, query, token, agent) => {
    const { refused } = world.dial(path, token, query, { "user-agent": agent });
    if (refused !== undefined) assert(refused.status >= 400);
  }));
});

Deno.test("Portal.shutdown closes everybody with 1012 and lets nobody in", () => {
  const world = new World();
  const client = world.client();
  world.portal.shutdown();
  world.deliver();
  assert.equal(client.closeCode, 1012);
  assert.equal(world.dial("/client/v2/websocket", "ada-token").refused?.status, 503);
});

Deno.test("Portal answers unknown messages with unknown_message and survives hostile ones", () => {
  const world = new World();
  const client = world.client();
  client.send("request_device_access", {});
  assert.deepEqual(client.frames.at(-1)!.payload, {
    status: "error",
    response: { reason: "unknown_message" },
  });
  const relay = world.relay();
  relay.send("anything", {});
  assert.equal(relay.frames.at(-1)!.payload.response.reason, "unknown_message");
  const gateway = world.gateway();
  const events = fc.constantFrom(
    "request_authorization",
    "broadcast_ice_candidates",
    "new_client_ice_candidates",
    "authorization_created",
    "no_relays",
    "phx_join",
    "phx_leave",
  );
  fc.assert(fc.property(events, fc.jsonValue(), (event, payload) => {
    client.send(event, payload);
    gateway.send(event, payload);
    for (const peer of world.peers.values()) peer.take();
  }));
});
