/** Gateways that go away while access through them is being granted. */

import assert from "node:assert/strict";
import { type Peer, World } from "./harness.ts";

function newWorld(): { world: World; client: Peer; gateways: readonly Peer[]; ask: () => Peer } {
  const world = new World();
  const gateways = ["g1", "g2"].map((id) => world.gateway("paris-token", { id }));
  const client = world.client();
  const resource_id = world.portal.directory.find("resources", ({ name }) => name === "Wiki")!.id;
  for (const peer of [client, ...gateways]) peer.take();
  /** Asks for access and returns the gateway that the portal chose. */
  const ask = () => {
    client.send("request_authorization", { resource_id, connected_gateway_ids: [] });
    return chosen(gateways);
  };
  return { world, client, gateways, ask };
}

function chosen(gateways: readonly Peer[]): Peer {
  const asked = gateways.filter(({ frames }) => frames.some(({ event }) => event === "create_authorization"));
  assert.equal(asked.length, 1);
  return asked[0]!;
}

function confirm(gateway: Peer): void {
  gateway.send("authorization_created", { ref: gateway.expect("create_authorization").ref });
}

Deno.test("Portal asks another gateway when the one it asked goes away", () => {
  const { world, client, gateways, ask } = newWorld();
  const first = ask();
  first.take();
  first.drop();
  const second = chosen(gateways);
  assert.notEqual(second, first);
  confirm(second);
  const granted = client.expect("authorization_created");
  const rows = world.portal.directory.all("authorizations");
  assert.deepEqual(rows.map(({ receiverId }) => receiverId), [granted.gateway_id]);
});

Deno.test("Portal asks another gateway when the client asks again before the first has confirmed", () => {
  for (let round = 0; round < 8; round++) {
    const { client, ask } = newWorld();
    const first = ask();
    const late = first.expect("create_authorization").ref;
    const second = ask();
    assert.notEqual(second, first);
    confirm(second);
    client.expect("authorization_created");
    first.send("authorization_created", { ref: late });
    assert.deepEqual(client.take(), []);
  }
});

Deno.test("Portal waits for the only gateway of a site to come back and confirm, or for the time to pass", () => {
  const { world, client, gateways, ask } = newWorld();
  gateways[1]!.drop();
  const only = ask();
  only.drop();
  assert.deepEqual(client.take(), []);
  world.advance(15_100);
  assert.equal(client.expect("authorization_creation_failed").reason, "offline");
});
