import assert from "node:assert/strict";
import { NetworkWatch } from "../../io/network_watch.ts";
import { eventually, sleep } from "../e2e/support/on_network.ts";

/** A machine whose paths, events and clock are made here. */
class World {
  path = "wifi";
  reads = 0;
  offset = 0;
  touches = 0;
  blind = 0;
  isClosed = false;
  readonly changes: string[] = [];
  tell: () => void = () => {};
  onTouched: () => Promise<void> = () => Promise.resolve();
  readonly watch: NetworkWatch;

  constructor(
    { hasEvents = true, read }: {
      hasEvents?: boolean | Error;
      read?: () => Promise<string | undefined>;
    } = {},
  ) {
    this.watch = new NetworkWatch({
      read: () => {
        this.reads++;
        return read?.() ?? Promise.resolve(this.path);
      },
      subscribe: (onChange) => {
        if (hasEvents instanceof Error) throw hasEvents;
        if (!hasEvents) return undefined;
        this.tell = onChange;
        return { close: () => this.isClosed = true };
      },
      onChange: (change) => this.changes.push(change),
      onTouched: () => {
        this.touches++;
        return this.onTouched();
      },
      onBlind: (count) => this.blind = count,
      clock: { now: () => performance.now() + this.offset },
    });
  }

  static async running(options?: ConstructorParameters<typeof World>[0]): Promise<World> {
    const world = new World(options);
    await world.watch.start();
    return world;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.watch.stop();
    await sleep(0);
  }
}

Deno.test("NetworkWatch: an event and another path are a change", async () => {
  await using world = await World.running();
  world.path = "ethernet";
  world.tell();
  await eventually(() => assert.deepEqual(world.changes, ["moved"]));
});

for (const hasEvents of [false, new Error("too many open files")]) {
  Deno.test(`NetworkWatch: without events (${hasEvents || "none"}) it looks every second`, async () => {
    await using world = await World.running({ hasEvents });
    world.path = "ethernet";
    await eventually(() => assert.deepEqual(world.changes, ["moved"]));
  });
}

Deno.test("NetworkWatch: events that leave the path alone reset nothing, but are passed on", async () => {
  await using world = await World.running();
  for (let count = 0; count < 100; count++) world.tell();
  await eventually(() => assert.equal(world.touches, 1));
  // Besides the one it has every second.
  assert.ok(world.reads <= 20, `${world.reads} looks`);
  await sleep(200);
  assert.deepEqual([world.changes, world.touches], [[], 1]);
});

Deno.test("NetworkWatch: what is provoked by being told is told in turn, never at once", async () => {
  await using world = await World.running();
  let running = 0;
  let most = 0;
  world.onTouched = async () => {
    most = Math.max(most, ++running);
    world.tell();
    await sleep(50);
    world.tell();
    running--;
  };
  world.tell();
  await eventually(() => assert.ok(world.touches >= 2));
  assert.equal(most, 1);
});

Deno.test("NetworkWatch: a clock that jumped means that the machine slept", async () => {
  await using world = await World.running();
  world.offset = 8000;
  await eventually(() => assert.deepEqual(world.changes, ["woken"]));
});

Deno.test("NetworkWatch: says nothing after the owner has started over by itself, or stopped it", async () => {
  let path = "wifi";
  let onLook = () => {};
  const world = await World.running({
    read: () => {
      onLook();
      return Promise.resolve(path);
    },
  });
  path = "ethernet";
  // After the look, and before anything can come of it.
  onLook = () => setTimeout(() => world.watch.handleReset());
  world.tell();
  await eventually(() => assert.ok(world.reads >= 2));
  await sleep(700);
  assert.deepEqual(world.changes, []);
  path = "lte";
  world.tell();
  world.watch.stop();
  assert.ok(world.isClosed);
  await sleep(700);
  assert.deepEqual(world.changes, []);
});

const BLIND: readonly (readonly [name: string, read: () => Promise<undefined>])[] = [
  ["tells nothing", () => Promise.resolve(undefined)],
  ["fails", () => Promise.reject(new Error("no buffer space available"))],
  ["fails at once", () => {
    throw new Error("too many open files");
  }],
];
for (const [name, read] of BLIND) {
  Deno.test(`NetworkWatch: keeps what it knew while the system ${name}, counts it, and looks again soon`, async () => {
    let isBlind = false;
    let path = "wifi";
    await using world = await World.running({ read: () => isBlind ? read() : Promise.resolve(path) });
    isBlind = true;
    world.tell();
    // Without another event, and sooner than for want of trust in events.
    await eventually(() => assert.ok(world.blind >= 2));
    assert.deepEqual([world.watch.hasPath, world.changes], [true, []]);
    path = "ethernet";
    isBlind = false;
    await eventually(() => assert.deepEqual(world.changes, ["moved"]));
  });
}

Deno.test("NetworkWatch: starts blind, and takes the first path that it sees for the one to compare with", async () => {
  let path: string | undefined;
  await using world = await World.running({ read: () => Promise.resolve(path) });
  assert.deepEqual([world.watch.hasPath, world.blind], [true, 1]);
  path = "wifi";
  const { reads } = world;
  await eventually(() => assert.ok(world.reads > reads));
  await sleep(300);
  assert.deepEqual(world.changes, []);
  path = "ethernet";
  world.tell();
  await eventually(() => assert.deepEqual(world.changes, ["moved"]));
});
