/** Access as it ends: what takes it back, and who hears of it in which order. */

import assert from "node:assert/strict";
import { deviceOf, grant, policyId, resourceId, SEED, START_SECONDS, World } from "./harness.ts";

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

Deno.test("Portal forgets authorizations that were revoked while it was down", () => {
  const world = new World();
  const gateway = world.gateway();
  grant(world, world.client(), gateway, "Net");
  world.store.remove("policies", policyId(world, "Net"));
  world.restart();
  assert.deepEqual(world.gateway().expect("init").authorizations, []);
});
