/** The client's uplink is cut where nobody on its machine can see it: the way out looks as before, and all are silent. */

import assert from "node:assert/strict";
import type { NatKind } from "../sim/nat.ts";
import { World } from "../sim/world.ts";

const SEEDS = [1, 2, 3, 4, 5, 6];
const NATS: readonly (NatKind | undefined)[] = [undefined, "port-restricted", "symmetric"];

for (const seconds of [12, 25, 90, 400]) {
  Deno.test(`scenario: after ${seconds} s without any network streams go on, through the same gateway`, () => {
    for (const seed of SEEDS) {
      const nat = NATS[seed % NATS.length];
      const world = new World({ seed, gateways: 3, relays: 2, clientNat: nat, gatewayNat: nat });
      world.echo("10.1.2.3:7", "before");
      const first = world.gatewayOf("Net");
      const mend = world.cutClient();
      talk(world, seconds * 1000);
      mend();
      const took = comeBack(world);
      assert.ok(
        world.gatewayOf("Net") === first,
        `seed ${seed}: another gateway is another address to servers`,
      );
      assert.ok(took <= 12_000, `seed ${seed}: took ${took} ms`);
    }
  });
}

Deno.test("scenario: a gateway that is still silent after an outage is left for another", () => {
  const world = new World({ gateways: 2, relays: 2 });
  world.echo("10.1.2.3:7", "before");
  const first = world.gatewayOf("Net");
  const mend = world.cutClient();
  talk(world, 25_000);
  // Pulled, not stopped: the portal still believes in it.
  first.host.isOn = false;
  mend();
  comeBack(world, 60_000);
  assert.ok(world.gatewayOf("Net") !== first);
});

Deno.test("scenario: a gateway that falls silent together with all relays is left for another when they are back", () => {
  const world = new World({ gateways: 2, relays: 1 });
  world.echo("10.1.2.3:7", "before");
  const first = world.gatewayOf("Net");
  first.host.isOn = false;
  const [relay] = world.relays;
  relay!.host.isOn = false;
  world.simulation.schedule(60_000, () => relay!.host.isOn = true);
  world.echo("10.1.2.3:7", "after", 120_000);
  assert.ok(world.gatewayOf("Net") !== first);
});

Deno.test("scenario: a gateway that vanishes is left at its first failure, whether packets flow or not", () => {
  for (const seed of SEEDS) {
    const world = new World({ seed, gateways: 2, relays: 2 });
    world.echo("10.1.2.3:7", "before");
    const first = world.gatewayOf("Net");
    if (seed % 2 === 0) world.simulation.runFor(300_000);
    first.host.isOn = false;
    const failed = () =>
      world.client.events.some((event) => event.type === "gateway-lost" && event.reason === "failed");
    if (seed % 2 === 0) assert.ok(world.simulation.runUntil(failed, 200_000) !== undefined);
    const took = world.echo("10.1.2.3:7", "after", 60_000);
    assert.ok(took <= 25_000, `seed ${seed}: took ${took} ms`);
    assert.ok(world.gatewayOf("Net") !== first, `seed ${seed}`);
  }
});

/** An application goes on to send. */
function talk(world: World, duration: number): void {
  for (let elapsed = 0; elapsed < duration; elapsed += 500) {
    world.client.say("10.1.2.3:7", "anybody?");
    world.simulation.runFor(500);
  }
}

/** Waits until an application is heard again; returns how long that took. */
function comeBack(world: World, limit = 30_000): number {
  const { client } = world;
  const started = world.now;
  // As soon as a relay answers, the client calls the portal: what was said to it meanwhile is lost.
  const hasRelay = () => client.status.relays.some(({ state }) => state === "allocated");
  for (let elapsed = 0; elapsed < limit && !hasRelay(); elapsed += 500) talk(world, 500);
  client.use((session, now) => session.handlePortalLost(now));
  client.link.redial();
  world.echo("10.1.2.3:7", `after ${started}`, limit);
  return world.now - started;
}
