/** Who may connect, who stays connected, and who is told to go. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { SEED, World } from "./harness.ts";

Deno.test("Portal announces relays at once to who has none, else after a second, and says which have gone", () => {
  const world = new World();
  const client = world.client();
  assert.deepEqual(client.expect("init").relays, []);
  client.send("no_relays", {});
  assert.deepEqual(client.expect("relays_presence"), { disconnected_ids: [], connected: [] });
  const relay = world.relay();
  assert.deepEqual(relay.take().map(({ event, payload }) => [event, payload]), [["init", {}]]);
  const presence = client.expect("relays_presence");
  assert.equal(presence.connected.length, 2);
  assert.deepEqual(presence.disconnected_ids, []);
  relay.drop();
  world.relay("6b".repeat(32), 3479);
  world.advance(900);
  assert.deepEqual(client.take(), []);
  world.advance(200);
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
