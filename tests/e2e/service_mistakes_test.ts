/** What an administrator does wrong, and does to a service that is there: told where he looks, and undone as he says. */

import assert from "node:assert/strict";
import { RESOLVED } from "./support/dns_managers.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { startResolvedServer } from "./support/resolved_server.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const FZ = [Deno.execPath(), "run", "-A", "--quiet", MAIN];
const REFUSED = /polkit does not permit "org\.freedesktop\.resolve1\.set-dns-servers"/;

Deno.test(
  "fz service: a start that fails is explained by every command; install, restart and uninstall over a session",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const { client } = network;
    const server = await startResolvedServer(network);
    // Where no cgroups can be had, systemd cannot run, and there is nothing to test.
    if (typeof server === "string") return await check.skip(server);
    const { systemd, before } = server;
    const isActive = () =>
      eventually(async () => assert.equal(await systemd.property("ActiveState"), "active"));
    await systemd.must([...FZ, "service", "install"]);

    await check("the rule is taken away: told by every command, tried again, ended by fz down", async () => {
      await systemd.must(["rm", "/etc/polkit-1/rules.d/49-fz.rules"]);
      const up = await systemd.run([...FZ, "up"]);
      assert.equal(up.code, 6, up.stderr);
      assert.match(up.stderr, REFUSED);
      await eventually(async () => assert.match((await systemd.run([...FZ, "status"])).stderr, REFUSED));
      await eventually(async () =>
        assert.match((await systemd.run([...FZ, "service", "status"])).stdout, REFUSED)
      );
      assert.equal(await RESOLVED.state(client), before);
      await systemd.run([...FZ, "down"]);
      await eventually(async () => assert.equal(await systemd.property("ActiveState"), "inactive"));
    });

    await check("given back by install, whose changes a running session is not silent about", async () => {
      assert.match(await systemd.must([...FZ, "service", "install", "--start"]), /Wrote \S+49-fz\.rules/);
      await isActive();
      const pid = await systemd.property("MainPID");
      await systemd.must(["sed", "-i", "s/^RestartSec=.*/RestartSec=60/", "/etc/systemd/system/fz.service"]);
      const { stdout, stderr } = await systemd.run([...FZ, "service", "install"]);
      assert.match(stdout, /Wrote \S+fz\.service/);
      assert.match(stderr, /fz service restart/);
      assert.equal(await systemd.property("MainPID"), pid);
      await systemd.must([...FZ, "service", "restart"]);
      await isActive();
      assert.notEqual(await systemd.property("MainPID"), pid);
    });

    await check(
      "uninstall while it runs: stopped, resolved as it was, user, rule and folder gone",
      async () => {
        const said = await systemd.must([...FZ, "service", "uninstall"]);
        assert.match(said, /Removed the user fz/);
        await eventually(async () => assert.equal(await RESOLVED.state(client), before));
        for (const path of ["/etc/polkit-1/rules.d/49-fz.rules", "/run/fz"]) {
          assert.equal((await systemd.run(["test", "-e", path])).code, 1, path);
        }
        assert.doesNotMatch(await client.must(["ip", "link"]), /fz0/);
      },
    );

    await check("uninstalled between two tries: nothing of it is left either", async () => {
      await systemd.must([...FZ, "service", "install"]);
      await systemd.must(["rm", "/etc/polkit-1/rules.d/49-fz.rules"]);
      assert.equal((await systemd.run([...FZ, "up"])).code, 6);
      await systemd.must([...FZ, "service", "uninstall"]);
      assert.equal((await systemd.run(["test", "-e", "/run/fz"])).code, 1);
      assert.equal((await systemd.run(["id", "fz"])).code, 1);
    });
  }),
);
