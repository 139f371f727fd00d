import assert from "node:assert/strict";
import { deviceId, knownDeviceId, machinePath } from "../../io/device_id.ts";

Deno.test("machinePath: is upstream's on each system", () => {
  assert.equal(machinePath("client", "linux"), "/var/lib/dev.firezone.client/config/firezone-id.json");
  const darwin = "/Library/Application Support/dev.firezone.client/config/firezone-id.json";
  assert.equal(machinePath("client", "darwin"), darwin);
  const windows = String.raw`C:\ProgramData\dev.firezone.client\config\firezone-id.json`;
  assert.equal(machinePath("client", "windows"), windows);
  assert.equal(machinePath("gateway", "linux"), "/var/lib/firezone/gateway_id");
});

Deno.test({
  name: "deviceId: what root keeps for the service's user goes through no link of his, and is his",
  ignore: Deno.uid() !== 0 || Deno.build.os !== "linux",
  async fn() {
    const root = await Deno.makeTempDir();
    try {
      const state = `${root}/state`;
      await Deno.mkdir(`${state}/config`, { recursive: true });
      for (const path of [state, `${state}/config`]) await Deno.chown(path, 1234, 1234);
      await Deno.writeTextFile(`${root}/precious`, "as it was");
      const path = `${state}/config/firezone-id.json`;
      await Deno.symlink(`${root}/precious`, `${path}.${Deno.pid}`);
      const id = await deviceId({ role: "client", path, machineIdPath: "/nonexistent" });
      assert.equal(await Deno.readTextFile(`${root}/precious`), "as it was");
      assert.equal(JSON.parse(await Deno.readTextFile(path)).id, id);
      const { uid, isSymlink, mode } = await Deno.lstat(path);
      assert.deepEqual({ uid, isSymlink, mode: mode! & 0o777 }, { uid: 1234, isSymlink: false, mode: 0o640 });
      assert.equal((await Deno.stat(`${root}/precious`)).uid, 0);
      await Deno.mkdir(`${root}/roots`);
      await Deno.remove(`${state}/config`, { recursive: true });
      await Deno.symlink(`${root}/roots`, `${state}/config`);
      const made = deviceId({ role: "client", path, machineIdPath: "/nonexistent" });
      await assert.rejects(made, /Cannot keep the device id/);
      assert.deepEqual([...Deno.readDirSync(`${root}/roots`)], []);
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  },
});

Deno.test("knownDeviceId: believes no file that is longer than an id can be", async () => {
  const path = await Deno.makeTempFile();
  try {
    const known = () => knownDeviceId({ role: "client", path, machineIdPath: "/nonexistent" });
    await Deno.writeTextFile(path, '{"id":"mine"}');
    assert.equal(await known(), "mine");
    await Deno.writeTextFile(path, `{"id":"mine"}${" ".repeat(2 ** 16)}`);
    assert.equal(await known(), undefined);
  } finally {
    await Deno.remove(path);
  }
});
