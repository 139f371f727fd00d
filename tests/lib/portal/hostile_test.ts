/** What peers of a portal may send to harm it or others. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { parseUserAgent } from "../../../lib/portal/user_agent.ts";
import { mutatedJson } from "../wire/portal/json_mutation.ts";
import { SEED, World } from "./harness.ts";

Deno.test("Portal forwards candidates once to each peer, however often a sender names it", () => {
  const world = new World();
  const client = world.client();
  const gateway = world.gateway();
  const [clientId, gatewayId] = [
    [...world.portal.presence.clients.keys()][0]!,
    [...world.portal.presence.gateways.keys()][0]!,
  ];
  for (const peer of [client, gateway]) peer.take();
  const candidates = new Array(1000).fill("c".repeat(500));
  client.send("broadcast_ice_candidates", { gateway_ids: new Array(20_000).fill(gatewayId), candidates });
  client.send("broadcast_invalidated_ice_candidates", {
    gateway_ids: [gatewayId, gatewayId],
    candidates: [],
  });
  gateway.send("broadcast_ice_candidates", { client_ids: new Array(20_000).fill(clientId), candidates });
  const toGateway = gateway.take();
  assert.deepEqual(toGateway.map(({ event }) => event), ["ice_candidates", "invalidate_ice_candidates"]);
  assert.equal(toGateway[0]!.payload.candidates.length, 128);
  assert.equal(client.take().length, 1);
});

Deno.test("Portal hangs up on a client that floods a gateway, not on a gateway with many clients", () => {
  const world = new World();
  const client = world.client();
  const gateway = world.gateway();
  const gatewayId = [...world.portal.presence.gateways.keys()][0]!;
  const candidates = new Array(128).fill("c".repeat(500));
  let sent = 0;
  for (; sent < 1000 && client.closeCode === undefined; sent++) {
    client.send("new_gateway_ice_candidates", { gateway_id: gatewayId, candidates });
  }
  assert.ok(sent > 100 && sent < 200, `${sent} frames`);
  assert.equal(client.closeCode, 1013);
  for (let count = 0; count < 2000; count++) {
    gateway.send("broadcast_ice_candidates", { client_ids: [`c${count}`], candidates });
  }
  assert.equal(gateway.closeCode, undefined);
});

Deno.test("Portal takes only ports of relays that are plain numbers", () => {
  const world = new World();
  for (const port of ["", "0", "65536", "1e3", "0x10", " 80", "-1", "3478.0", "99999999999999999999"]) {
    const { refused } = world.dial("/relay/websocket", "relay-token", { ipv4: "203.0.113.40", port });
    assert.equal(refused?.status, 400, JSON.stringify(port));
  }
  assert.equal(world.dial("/relay/websocket", "relay-token", { ipv4: "203.0.113.40" }).refused, undefined);
});

Deno.test("Portal lets in no more than 20,000 peers", () => {
  const world = new World();
  const dial = () => world.dial("/relay/websocket", "relay-token", { ipv4: "203.0.113.40" });
  const first = dial().connection;
  for (let count = 1; count < 20_000; count++) assert.equal(dial().refused, undefined);
  const { refused } = dial();
  assert.equal(refused?.status, 503);
  assert.equal(refused?.headers["retry-after"], "60");
  world.portal.handleClosed(first, world.now);
  assert.equal(dial().refused, undefined);
});

Deno.test("handleAdmin answers any request, and always with a status", () => {
  const nouns = ["accounts", "sites", "actors", "groups", "resources", "policies", "tokens"] as const;
  const inputs = [SEED.account, ...nouns.slice(1).flatMap((noun) => SEED[noun as "sites"] ?? [])];
  const noun = fc.constantFrom(
    ...nouns,
    "devices",
    "memberships",
    "authorizations",
    "clients",
    "status",
    "__proto__",
  );
  const path = fc.oneof(
    fc.string(),
    noun.map((it) => `/v1/${it}`),
    fc.tuple(noun, fc.oneof(fc.string(), fc.constantFrom("Ada", "Wiki", "acme", "constructor"))).map((
      [it, name],
    ) => `/v1/${it}/${name}`),
  );
  const body = fc.oneof(
    fc.constant(undefined),
    fc.jsonValue(),
    fc.constantFrom(...inputs).chain((input) => mutatedJson(input)),
    fc.record({ disabled: fc.boolean(), verified: fc.boolean(), account: fc.constantFrom("acme", 1, null) }, {
      requiredKeys: [],
    }),
  );
  const method = fc.constantFrom("GET", "POST", "PATCH", "DELETE", "PUT", "");
  const requests = fc.array(fc.tuple(method, path, body), { maxLength: 12 });
  fc.assert(
    fc.property(requests, (requests) => {
      const world = new World();
      world.client();
      world.gateway();
      for (const [method, path, body] of requests) {
        const { status } = world.admin(method, path, body);
        assert.ok(status >= 200 && status < 500, `${method} ${path} ${status}`);
      }
    }),
    { numRuns: 200 },
  );
});

Deno.test("parseUserAgent takes any text", () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom("Linux/6.8", "headless-client/1.5.12", "gateway/1.99", "(x)"),
  );
  fc.assert(fc.property(fc.array(word), (words) => {
    const software = parseUserAgent(words.join(" "));
    if (software !== undefined) assert.match(software.version, /^\d+\.\d+\.\d+$/);
  }));
});
