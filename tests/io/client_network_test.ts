import assert from "node:assert/strict";
import type { ChannelTrouble } from "../../lib/channel/client.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { RelayStatus } from "../../lib/node/relays.ts";
import { ClientNetwork } from "../../io/client_network.ts";
import { eventually, sleep } from "../e2e/support/on_network.ts";

/** A machine, its relays and its portal, all made here. */
class World {
  path = "wifi";
  offset = 0;
  relays: RelayStatus["state"][] = ["allocated"];
  /** When the portal will be dialled again; undefined while it is there. */
  retryAt: number | undefined;
  redials = 0;
  follows = 0;
  readonly starts: string[] = [];
  tell: () => void = () => {};
  readonly network: ClientNetwork;

  constructor() {
    this.network = new ClientNetwork({
      platform: {
        networkPath: () => Promise.resolve(this.path),
        watchNetwork: (onChange) => {
          this.tell = onChange;
          return { close: () => {} };
        },
      },
      device: "fz0",
      trouble: () =>
        this.retryAt === undefined ? undefined : { retryAt: this.retryAt } as unknown as ChannelTrouble,
      redial: () => {
        this.redials++;
        this.retryAt = undefined;
      },
      relays: () => this.relays.map((state) => ({ state })),
      startOver: (change) => this.starts.push(change),
      follow: () => {
        this.follows++;
        return Promise.resolve();
      },
      log: silentLog,
      clock: { now: () => this.now },
    });
  }

  static async running(): Promise<World> {
    const world = new World();
    await world.network.start();
    return world;
  }

  get now(): number {
    return performance.now() + this.offset;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.network.stop();
    await sleep(0);
  }
}

Deno.test("ClientNetwork starts over on another path, and follows what else changes", async () => {
  await using world = await World.running();
  world.tell();
  await eventually(() => assert.equal(world.follows, 1));
  assert.deepEqual(world.starts, []);
  world.path = "ethernet";
  world.tell();
  await eventually(() => assert.deepEqual(world.starts, ["moved"]));
});

Deno.test("ClientNetwork calls a portal that waits for its turn when something changes, unless there is no way out", async () => {
  await using world = await World.running();
  world.tell();
  await eventually(() => assert.equal(world.follows, 1));
  assert.equal(world.redials, 0, "nobody waits");
  world.path = "";
  world.retryAt = world.now + 60_000;
  world.tell();
  await eventually(() => assert.equal(world.follows, 2));
  assert.equal(world.redials, 0);
  assert.ok(!world.network.hasPath);
  world.path = "wifi";
  world.tell();
  await eventually(() => assert.equal(world.redials, 1));
});

Deno.test("ClientNetwork.maintain calls the portal when relays are back after a while, without being asked again", async () => {
  await using world = await World.running();
  world.network.maintain();
  world.relays = ["waiting", "probing"];
  world.network.maintain();
  world.offset += 1000;
  world.relays = ["waiting", "allocated"];
  world.network.maintain();
  assert.equal(world.redials, 0, "a moment is nothing");
  world.relays = ["waiting", "probing"];
  world.network.maintain();
  world.offset += 4500;
  world.relays = ["waiting", "allocated"];
  await eventually(() => assert.equal(world.redials, 1));
  world.network.maintain();
  assert.equal(world.redials, 1, "once");
});

Deno.test("ClientNetwork.maintain counts anew after a new start", async () => {
  await using world = await World.running();
  world.relays = ["probing"];
  world.network.maintain();
  world.offset += 5000;
  world.network.handleReset();
  world.relays = ["allocated"];
  world.network.maintain();
  assert.equal(world.redials, 0);
});
