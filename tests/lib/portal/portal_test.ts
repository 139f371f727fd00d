/** What peers are told: at their start, about changes, and by each other. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeClientInbound } from "../../../lib/wire/portal/client.ts";
import { deviceOf, type Peer, resourceId, World } from "./harness.ts";

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
