import assert from "node:assert/strict";
import { eventually, onNetwork } from "./support/on_network.ts";
import type { Network } from "./support/network.ts";
import { SystemdHost } from "./support/systemd.ts";
import { TOKENS } from "./support/seed.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const FZ = [Deno.execPath(), "run", "-A", "--quiet", MAIN];
const PROFILE = "/etc/fz/profiles/default.toml";
const TOKEN = "/etc/dev.firezone.client/token";

Deno.test(
  "fz service: the session under a real systemd, from install to uninstall",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const host = network.client;
    await host.writeFile(PROFILE, `api-url = "${network.portalUrl}"\nname = "client"\n`);
    const systemd = await SystemdHost.start(host);
    // Where no cgroups can be had, systemd cannot run, and there is nothing to test.
    if (typeof systemd === "string") return await check.skip(systemd);
    const fz = (...args: string[]) => systemd.run([...FZ, ...args]);

    await check("status before: not installed, exit code 12", async () => {
      const { code, stdout } = await fz("service", "status");
      assert.equal(code, 12);
      assert.match(stdout, /not installed/);
      assert.match((await fz("service", "start")).stderr, /fz service install/);
    });
    await check("install: written, enabled, and a second time nothing", async () => {
      const { code, stdout, stderr } = await fz("service", "install");
      assert.equal(code, 0, stderr);
      assert.match(stdout, /Wrote \/etc\/systemd\/system\/fz\.service/);
      assert.match(stderr, /fz sign-in/);
      assert.equal(await systemd.property("UnitFileState"), "enabled");
      assert.match((await fz("service", "install")).stdout, /as it should be/);
    });
    await check("start without a credential: lives, and says why it waits", async () => {
      await systemd.must([...FZ, "service", "start"]);
      await eventually(async () => assert.match(await systemd.property("StatusText"), /sign/i));
      assert.equal(await systemd.property("ActiveState"), "activating");
    });
    await check("sign-in revives it: the same process becomes active only with its tunnel", async () => {
      const pid = await systemd.property("MainPID");
      await host.writeFile("/run/token", TOKENS.client, 0o600);
      await systemd.must([...FZ, "sign-in", "--token-file", "/run/token"]);
      await eventually(async () => assert.equal(await systemd.property("ActiveState"), "active"));
      assert.equal(await systemd.property("MainPID"), pid);
      assert.match(await network.curl("http://exact.site.test/"), /hello/);
      assert.match(await systemd.property("StatusText"), /connected/i);
    });
    await check(
      "it gets its watchdog's time, and its credential from systemd at the next start",
      async () => {
        await systemd.must(["systemctl", "restart", "fz"]);
        assert.equal(await systemd.property("ActiveState"), "active");
        assert.match(await network.curl("http://exact.site.test/"), /hello/);
        const stamp = await systemd.property("WatchdogTimestampMonotonic");
        assert.notEqual(stamp, "0");
      },
    );
    await check("kill -9: ExecStopPost cleans up, and systemd starts it anew", async () => {
      const pid = await systemd.property("MainPID");
      // Zero would be this test's own process group.
      assert.match(pid, /^[1-9]\d*$/);
      await systemd.must(["kill", "-9", pid]);
      await eventually(async () => {
        assert.doesNotMatch(await systemd.property("MainPID"), new RegExp(`^(0|${pid})$`));
        assert.equal(await systemd.property("ActiveState"), "active");
      });
      assert.match(await network.curl("http://exact.site.test/"), /hello/);
    });
    await check("fz down stays down; fz up starts the service", async () => {
      await systemd.must([...FZ, "down"]);
      await eventually(async () => assert.equal(await systemd.property("ActiveState"), "inactive"));
      assert.equal((await fz("status")).code, 12);
      await systemd.must([...FZ, "up"]);
      await eventually(async () => assert.equal(await systemd.property("ActiveState"), "active"));
    });
    await check(
      "stopped with DNS that it cannot put back: failed with 8, and put back by the stop hook",
      async () => {
        const pid = await systemd.property("MainPID");
        // For it alone: the stop hook gets mounts of its own.
        await systemd.must(["nsenter", "-t", pid, "-m", "mount", "-o", "remount,bind,ro", "/etc"]);
        await systemd.must(["systemctl", "stop", "fz"]);
        assert.equal(await systemd.property("ActiveState"), "failed");
        assert.equal(await systemd.property("Result"), "exit-code");
        assert.equal(await systemd.property("ExecMainStatus"), "8");
        await assertUntouched(network);
        await systemd.must([...FZ, "up"]);
        await eventually(async () => assert.equal(await systemd.property("ActiveState"), "active"));
      },
    );
    await check("a revoked credential: not restarted over and over", async () => {
      await network.admin("DELETE", "/v1/tokens/client");
      await eventually(async () => assert.match(await systemd.property("StatusText"), /sign/i));
      assert.ok(Number(await systemd.property("NRestarts")) <= 1);
    });
    await check("uninstall: stopped and gone, the machine as before", async () => {
      const { code, stderr } = await fz("service", "uninstall");
      assert.equal(code, 0, stderr);
      assert.equal((await systemd.run(["test", "-e", "/etc/systemd/system/fz.service"])).code, 1);
      await assertUntouched(network);
      assert.match((await fz("service", "uninstall")).stdout, /no service/);
      assert.equal((await host.readFile(TOKEN)).trim(), TOKENS.client);
    });
  }),
);

async function assertUntouched(network: Network): Promise<void> {
  assert.equal(
    await network.client.readFile("/etc/resolv.conf"),
    `nameserver ${network.uplink("public").v4}\n`,
  );
  assert.doesNotMatch(await network.client.must(["ip", "link"]), /fz0/);
  assert.doesNotMatch(await network.client.must(["ip", "rule"]), /fwmark/);
}
