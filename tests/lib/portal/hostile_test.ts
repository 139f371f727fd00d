/** What peers of a portal may send to harm it or others. */

import assert from "node:assert/strict";
import { World } from "./harness.ts";

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
