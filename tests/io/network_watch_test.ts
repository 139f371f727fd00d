import assert from "node:assert/strict";
import { NetworkWatch } from "../../io/network_watch.ts";

/** Shows the watch one path after the other and returns how often it spoke. */
async function changes(paths: readonly string[]): Promise<number> {
  let spoken = 0;
  let at = 0;
  const done = Promise.withResolvers<void>();
  const watch = new NetworkWatch({
    read: () => {
      if (at === paths.length) done.resolve();
      return Promise.resolve(paths[Math.min(at++, paths.length - 1)]!);
    },
    onChange: () => spoken++,
    intervalMs: 1,
  });
  await watch.start();
  await done.promise;
  watch.stop();
  return spoken;
}

Deno.test("NetworkWatch: speaks once of a change that lasts", async () => {
  assert.equal(await changes(["a", "a", "b", "b", "b", "b"]), 1);
  assert.equal(await changes(["a", "b", "b", "a", "a"]), 2);
});

Deno.test("NetworkWatch: is silent when the way flaps, vanishes, or comes back as it was", async () => {
  assert.equal(await changes(["a", "b", "a", "b", "a", "a"]), 0);
  assert.equal(await changes(["a", "", "", "", ""]), 0);
  assert.equal(await changes(["a", "", "", "a", "a"]), 0);
});

Deno.test("NetworkWatch: speaks when another way comes after none, also at the start", async () => {
  assert.equal(await changes(["a", "", "", "b", "b"]), 1);
  assert.equal(await changes(["", "", "b", "b"]), 1);
});
