import assert from "node:assert/strict";
import { SocketAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import { askPortal } from "../../io/portal_admin.ts";
import { runPortal } from "../../io/portal_role.ts";

Deno.test("runPortal shows tokens that it made, once, and serves until it is stopped", async () => {
  const folder = await Deno.makeTempDir();
  const config = {
    listen: SocketAddress.from("127.0.0.1:0"),
    seedFile: `${folder}/seed.json`,
    databaseFile: `${folder}/portal.db`,
    adminSocket: `${folder}/admin.sock`,
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

Deno.test("runPortal serves administrators at the usual place, and takes it from no other portal", async () => {
  const folder = await Deno.makeTempDir();
  Deno.env.set("FZ_RUNTIME_DIR", `${folder}/run`);
  const config = {
    listen: SocketAddress.from("127.0.0.1:0"),
    seedFile: undefined,
    databaseFile: undefined,
    adminSocket: undefined,
  };
  const status = { method: "GET", path: "/v1/status", body: undefined };
  try {
    await assert.rejects(askPortal(undefined, status), {
      code: "not-running",
      message: `Cannot ask the portal at "${folder}/run/portal.sock": no portal serves there`,
    });
    const first = await runPortal(config, silentLog);
    assert.equal((await Deno.stat(`${folder}/run/portal.sock`)).mode! & 0o777, 0o600);
    const made = { method: "POST", path: "/v1/accounts", body: { slug: "acme" } };
    assert.equal((await askPortal(undefined, made)).status, 200);
    const second = await runPortal(config, silentLog);
    await assert.rejects(
      runPortal({ ...config, adminSocket: `${folder}/run/portal.sock` }, silentLog),
      /another portal serves there/,
    );
    await second.stop();
    const { body } = await askPortal(undefined, status);
    assert.deepEqual(body, {
      clients: 0,
      gateways: 0,
      relays: 0,
      accounts: [{ slug: "acme", name: "acme", actors: 0, sites: 0, resources: 0, policies: 0, tokens: 0 }],
    });
    await first.stop();
  } finally {
    Deno.env.delete("FZ_RUNTIME_DIR");
    await Deno.remove(folder, { recursive: true });
  }
});
