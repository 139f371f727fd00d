/** Waiting for signals of a service over the ends of the bus. */

import assert from "node:assert/strict";
import { watchService } from "../../ffi/linux/dbus/watch.ts";
import { EMPTY, withFakeBus } from "./fake_bus.ts";

Deno.test("watchService: a bus that ends while it is asked for signals is tried again once, not twice", () =>
  withFakeBus(
    ({ member }, connection) => connection > 1 || member !== "AddMatch" ? EMPTY : "end",
    async (bus) => {
      const told = Promise.withResolvers<void>();
      const watch = watchService("org.example.Service", ["type='signal'"], told.resolve);
      await told.promise;
      // Longer than the pause after the second failure, which never was.
      await new Promise((resolve) => setTimeout(resolve, 2500));
      assert.equal(bus.connections.length, 2);
      watch.close();
    },
  ));

for (const member of ["Hello", "AddMatch"]) {
  Deno.test(`watchService: closing ends a connection whose ${member} is not answered`, async () => {
    const asked = Promise.withResolvers<void>();
    const answer = (call: { member: string }) => {
      if (call.member !== member) return EMPTY;
      asked.resolve();
      return "silence";
    };
    await withPatience(() =>
      withFakeBus(answer, async (bus) => {
        const watch = watchService("org.example.Service", ["type='signal'"], () => {});
        await asked.promise;
        watch.close();
        for (let look = 0; look < 1800 && bus.ended === 0; look++) await pause();
        assert.equal(bus.ended, 1);
      })
    );
  });
}

Deno.test("watchService: closing ends a connection that is not let in", async () => {
  const folder = await Deno.makeTempDir({ prefix: "fz-bus-" });
  const former = Deno.env.get("DBUS_SYSTEM_BUS_ADDRESS");
  Deno.env.set("DBUS_SYSTEM_BUS_ADDRESS", `unix:path=${folder}/socket`);
  using listener = Deno.listen({ transport: "unix", path: `${folder}/socket` });
  await withPatience(async () => {
    const watch = watchService("org.example.Service", [], () => {});
    using socket = await listener.accept();
    const buffer = new Uint8Array(64);
    await socket.read(buffer);
    watch.close();
    let isEnded = false;
    const ending = socket.read(buffer).then((count) => isEnded = count === null);
    for (let look = 0; look < 1800 && !isEnded; look++) await pause();
    assert.equal(isEnded, true);
    await ending;
  });
  if (former === undefined) Deno.env.delete("DBUS_SYSTEM_BUS_ADDRESS");
  else Deno.env.set("DBUS_SYSTEM_BUS_ADDRESS", former);
  await Deno.remove(folder, { recursive: true });
});

/** Runs `body` while all waits of seconds are endless: what ends is not ended by them. */
async function withPatience(body: () => Promise<void>): Promise<void> {
  const { setTimeout } = globalThis;
  const patient = (work: () => void, ms = 0) => setTimeout(work, ms >= 5000 ? 600_000 : ms);
  globalThis.setTimeout = patient as typeof setTimeout;
  try {
    await body();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50));
}
