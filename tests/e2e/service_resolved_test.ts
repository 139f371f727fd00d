/** The service as on a server of Ubuntu or Fedora: real systemd, with dbus, polkit and systemd-resolved as its units. */

import assert from "node:assert/strict";
import { dig } from "./support/dig.ts";
import { RESOLVED } from "./support/dns_managers.ts";
import { eventually, onNetwork, sleep } from "./support/on_network.ts";
import { startResolvedServer } from "./support/resolved_server.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const FZ = [Deno.execPath(), "run", "-A", "--quiet", MAIN];
const SAVED_BY_RESOLVED = "/run/systemd/resolve/netif";

Deno.test(
  "fz service: with systemd, dbus, polkit and systemd-resolved as units, over restarts of each",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const { client } = network;
    const upstream = network.uplink("public").v4!;
    const server = await startResolvedServer(network);
    // Where no cgroups can be had, systemd cannot run, and there is nothing to test.
    if (typeof server === "string") return await check.skip(server);
    const { systemd, before, setUplink } = server;
    const stub = async (name: string) => (await dig(client, "@127.0.0.53", name, "A")).data;
    const resolves = (name: string, address: RegExp) =>
      eventually(async () => assert.match((await stub(name))[0] ?? "", address));
    const isActive = () =>
      eventually(async () => assert.equal(await systemd.property("ActiveState"), "active"));
    const repairs = async () =>
      (JSON.parse(await systemd.must([...FZ, "dns", "status", "--json"])) as { repairs: number }).repairs;

    await check("install: finds resolved, makes the user and the rule", async () => {
      const said = await systemd.must([...FZ, "service", "install", "--start"]);
      assert.match(said, /Made the user fz/);
      assert.match(said, /Wrote \/etc\/polkit-1\/rules\.d\/49-fz\.rules/);
      assert.equal(await systemd.property("User"), "fz");
      await isActive();
    });

    await check("names of resources by the stub, the machine's own names, its search domain", async () => {
      await resolves("web.site.test", /^100\.(9[6-9]|1[01]\d|12[0-7])\./);
      await resolves("www.public.test", new RegExp(`^${upstream}$`));
      assert.match(await client.must(["getent", "ahostsv4", "web.site.test"]), /^100\./);
      assert.match(await network.curl("http://web.site.test/"), /hello/);
      assert.match(await client.readFile("/etc/resolv.conf"), /^search .*corp\.test/m);
    });

    await check("our link is the way of all names, and asks no neighbours", async () => {
      const setting = async (verb: string) =>
        (await systemd.must(["resolvectl", verb, "fz0"])).trim().replace(/^Link \d+ \(fz0\): */, "");
      assert.equal(await setting("default-route"), "yes");
      for (const verb of ["llmnr", "mdns", "dnssec", "dnsovertls"]) {
        assert.equal(await setting(verb), "no", verb);
      }
      assert.match(await setting("dns"), /^100\.100\.111\.\d+$/);
      assert.equal(await setting("domain"), "~.");
    });

    await check(
      "resolved is restarted, then stopped and left so, and then without its memory: set again",
      async () => {
        await systemd.must(["systemctl", "restart", "systemd-resolved"]);
        await resolves("web.site.test", /^100\./);
        await systemd.must(["systemctl", "stop", "systemd-resolved"]);
        // The session looks at it a moment after it went, which must not start it.
        await sleep(1000);
        const { stdout } = await systemd.run(["systemctl", "is-active", "systemd-resolved"]);
        assert.equal(stdout.trim(), "inactive");
        await systemd.must(["rm", "-rf", SAVED_BY_RESOLVED]);
        await systemd.must(["systemctl", "start", "systemd-resolved"]);
        await setUplink();
        await resolves("web.site.test", /^100\./);
        await resolves("www.public.test", new RegExp(`^${upstream}$`));
        await isActive();
      },
    );

    await check("the bus is restarted: the session lives, and hears what happens after it", async () => {
      const pid = await systemd.property("MainPID");
      await systemd.must(["systemctl", "restart", "dbus.socket", "dbus.service"]);
      // It stays on the bus that is gone, as on any machine.
      await systemd.must(["systemctl", "restart", "systemd-resolved", "polkit"]);
      await resolves("web.site.test", /^100\./);
      const count = await repairs();
      await eventually(() => systemd.must(["resolvectl", "dns", "fz0", "192.0.2.53"]));
      await resolves("web.site.test", /^100\./);
      await eventually(async () => assert.ok(await repairs() > count));
      assert.equal(await systemd.property("MainPID"), pid);
    });

    await check("kill -9: the machine's own names at once, then the service again", async () => {
      const pid = await systemd.property("MainPID");
      assert.match(pid, /^[1-9]\d*$/);
      await systemd.must(["kill", "-9", pid]);
      await resolves("www.public.test", new RegExp(`^${upstream}$`));
      await eventually(async () => {
        assert.doesNotMatch(await systemd.property("MainPID"), new RegExp(`^(0|${pid})$`));
      });
      await isActive();
      await resolves("web.site.test", /^100\./);
    });

    await check("stopped: resolved is exactly as it was", async () => {
      await systemd.must([...FZ, "service", "stop"]);
      assert.equal(await systemd.property("ActiveState"), "inactive");
      await eventually(async () => assert.equal(await RESOLVED.state(client), before));
      assert.deepEqual(await stub("www.public.test"), [upstream]);
    });
  }),
);
