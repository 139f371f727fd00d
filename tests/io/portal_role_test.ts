import assert from "node:assert/strict";
import { SocketAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import { runPortal } from "../../io/portal_role.ts";

Deno.test("runPortal shows tokens that it made, once, and serves until it is stopped", async () => {
  const folder = await Deno.makeTempDir();
  const config = {
    listen: SocketAddress.from("127.0.0.1:0"),
    seedFile: `${folder}/seed.json`,
    databaseFile: `${folder}/portal.db`,
    adminSocket: undefined,
  };
  await Deno.writeTextFile(
    config.seedFile,
    `{ "account": { "slug": "acme" }, "tokens": [{ "kind": "relay", "name": "r" }] }`,
  );
  const shown: string[] = [];
  for (const expected of [1, 1]) {
    const running = await runPortal(config, silentLog, (line) => shown.push(line));
    await running.ready;
    assert.equal(shown.length, expected);
    await running.stop();
    await running.done;
  }
  assert.match(shown[0]!, /^relay token "r": fz_relay_[\w-]{43}$/);
  await Deno.remove(folder, { recursive: true });
});
