import assert from "node:assert/strict";
import { below, type Rng, seededRng } from "../../lib/base/rng.ts";
import { World } from "../sim/world.ts";

const SEEDS = 12;
const STEPS = 12;

for (let seed = 1; seed <= SEEDS; seed++) {
  Deno.test(`scenario: whatever happened before, access works in the end (seed ${seed})`, () => {
    const rng = seededRng(seed * 1000);
    const world = new World({
      seed,
      gateways: 2,
      relays: 2,
      gatewayNat: below(rng, 2) === 0 ? undefined : "port-restricted",
    });
    world.client.resolve("main.wiki.corp.example");
    keepTalking(world);
    const history: string[] = [];
    for (let step = 0; step < STEPS; step++) {
      history.push(disturb(world, rng));
      world.simulation.runFor(below(rng, 12_000));
    }
    repair(world);
    world.simulation.runFor(5000);
    try {
      world.echo("10.1.2.3:7", "address", 60_000);
      world.echo("100.96.0.1:7", "name", 60_000);
    } catch (error) {
      assert.fail(`seed ${seed}: ${history.join(", ")}: ${error}`);
    }
  });
}

function keepTalking(world: World): void {
  world.client.say("10.1.2.3:7", "tick");
  world.client.say("100.96.0.1:7", "tock");
  world.simulation.schedule(500, () => keepTalking(world));
}

/** Does something that happens to networks; returns its name. */
function disturb(world: World, rng: Rng): string {
  const pick = <T>(list: readonly T[]): T => list[below(rng, list.length)]!;
  const disturbances: [string, () => void][] = [
    ["portal of the client away", () => world.client.link.unplug()],
    ["portal of the client back", () => world.client.link.plug()],
    ["portal of a gateway flaps", () => pick(world.gateways).link.break()],
    ["portal restarts", () => world.portal.restart()],
    ["a gateway shuts down", () => world.restartGateway(below(rng, world.gateways.length), true)],
    ["a gateway crashes", () => world.restartGateway(below(rng, world.gateways.length), false)],
    ["the client roams", () => {
      world.moveClient(`192.0.2.${100 + below(rng, 100)}`);
      world.client.roam();
    }],
    ["the client moves unnoticed", () => world.moveClient(`192.0.2.${100 + below(rng, 100)}`)],
    ["loss", () => {
      world.internet.loss = 0.3;
      world.simulation.schedule(3000, () => world.internet.loss = 0);
    }],
    ["a relay is off for a while", () => {
      const { host } = pick(world.relays);
      host.isOn = false;
      world.simulation.schedule(8000, () => host.isOn = true);
    }],
    ["a name is asked again", () => void world.client.resolve("main.wiki.corp.example")],
  ];
  const [name, action] = pick(disturbances);
  action();
  return name;
}

function repair(world: World): void {
  world.internet.loss = 0;
  world.client.link.plug();
  for (const { link } of world.gateways) link.plug();
  for (const { host } of world.relays) host.isOn = true;
}
