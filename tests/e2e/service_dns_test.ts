/** The service's own user sets DNS: by the rule that is installed for it, a real polkit and the real daemons. */

import assert from "node:assert/strict";
import { POLKIT_FILE, polkitRule } from "../../lib/control/service/user.ts";
import { installResolved, startBus, startPolkit, startResolved } from "./support/bus.ts";
import { dnsStatus } from "./support/dns_status.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { AS_SERVICE, AS_STRANGER, AS_USER, makeServiceUser, startService } from "./support/service_user.ts";

Deno.test(
  "polkitRule: the service's user sets DNS by systemd-resolved, and by the rule alone; nobody else does",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const { client } = network;
    await installResolved(client);
    await makeServiceUser(client);
    await startBus(client);
    await startResolved(client);
    const [, uplink] = / dev (\S+)/.exec(await client.must(["ip", "-4", "-o", "route", "show", "default"]))!;
    await client.must(["resolvectl", "dns", uplink!, network.uplink("public").v4!]);
    const before = await client.must(["resolvectl", "dns"]);
    const polkit = await startPolkit(client, "// No rule of ours.\n");

    await check("without the rule: exit code 6, the way out, and nothing changed", async () => {
      const { code, stderr } = await startService(network, "systemd-resolved").outcome;
      assert.equal(code, 6, stderr);
      assert.match(stderr, /polkit does not permit "org\.freedesktop\.resolve1\.set-dns-servers"/);
      assert.match(stderr, /\/etc\/polkit-1\/rules\.d/);
      assert.equal(await client.must(["resolvectl", "dns"]), before);
    });
    await polkit.stop();
    await startPolkit(client, "// No rule of ours.\n");
    await client.must(["sh", "-c", "rm /etc/polkit-1/rules.d/*"]);
    await client.writeFile(POLKIT_FILE, polkitRule());

    await check("with it: names of resources resolve, and DNS is given back at the end", async () => {
      const session = startService(network, "systemd-resolved");
      await eventually(async () => {
        const said = await client.run(["resolvectl", "query", "-4", "web.site.test"]);
        assert.match(said.stdout, /web\.site\.test: 100\./, `${said.stderr}${session.describe()}`);
      });
      assert.match(await network.curl("http://web.site.test/"), /hello/);
      assert.equal((await session.stop()).code, 0, session.describe());
      await eventually(async () => assert.equal(await client.must(["resolvectl", "dns"]), before));
    });
    await check(
      "taken away while it runs: repairs fail, it says so, and succeeds when it is back",
      async () => {
        const session = startService(network, "systemd-resolved");
        const resolves = () =>
          eventually(async () => {
            const said = await client.run(["resolvectl", "query", "-4", "web.site.test"]);
            assert.match(said.stdout, /web\.site\.test: 100\./, `${said.stderr}${session.describe()}`);
          });
        await resolves();
        await client.must(["rm", POLKIT_FILE]);
        // polkit hears of it a moment later; a repair before that would be permitted.
        await eventually(async () => {
          const same = ["resolvectl", "dns", uplink!, network.uplink("public").v4!];
          assert.notEqual((await client.run([...AS_SERVICE, ...same])).code, 0);
        });
        await client.must(["resolvectl", "dns", "fz0", "192.0.2.53"]);
        // Not a question to the session: it tries for some seconds only.
        await session.waitFor(/names do not reach the session reason=.*polkit does not permit/);
        await client.writeFile(POLKIT_FILE, polkitRule());
        await resolves();
        await eventually(async () => assert.equal((await dnsStatus(network)).problem, undefined));
        assert.equal((await session.stop()).code, 0, session.describe());
        await eventually(async () => assert.equal(await client.must(["resolvectl", "dns"]), before));
      },
    );
    await check(
      "with a capability from the file of its runtime: the same, and DNS is given back",
      async () => {
        const folder = await Deno.makeTempDir({ dir: "/var/tmp" });
        try {
          await Deno.chmod(folder, 0o755);
          const runtime = `${folder}/deno`;
          await Deno.copyFile(Deno.execPath(), runtime);
          await Deno.chmod(runtime, 0o755);
          await client.must(["setcap", "cap_net_admin+ep", runtime]);
          const session = startService(network, "systemd-resolved", AS_USER, runtime);
          await eventually(async () => {
            const said = await client.run(["resolvectl", "query", "-4", "web.site.test"]);
            assert.match(said.stdout, /web\.site\.test: 100\./, `${said.stderr}${session.describe()}`);
          });
          assert.match(await network.curl("http://web.site.test/"), /hello/);
          assert.equal((await session.stop()).code, 0, session.describe());
          await eventually(async () => assert.equal(await client.must(["resolvectl", "dns"]), before));
        } finally {
          await Deno.remove(folder, { recursive: true });
        }
      },
    );
    await check("a stranger is refused with the rule there, and so is what it does not name", async () => {
      const stranger = await client.run([...AS_STRANGER, "resolvectl", "dns", uplink!, "192.0.2.1"]);
      assert.notEqual(stranger.code, 0);
      assert.match(stranger.stderr, /[Aa]ccess denied|authentication required/);
      const service = [...AS_SERVICE, "--", "busctl", "call", "org.freedesktop.resolve1"];
      const other = await client.run([
        ...[...service, "/org/freedesktop/resolve1", "org.freedesktop.resolve1.Manager", "RegisterService"],
        ...["sssqqqaa{say}", "x", "x", "_x._tcp", "1", "0", "0", "0"],
      ]);
      assert.match(other.stderr, /[Aa]ccess denied|authentication required/);
      assert.equal(await client.must(["resolvectl", "dns"]), before);
    });
  }),
);
