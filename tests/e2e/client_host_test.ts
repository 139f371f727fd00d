import assert from "node:assert/strict";
import { eventually, onNetwork } from "./support/on_network.ts";
import { INTERNET } from "./support/seed.ts";

const SITE_URL = "http://172.20.0.10/";

Deno.test(
  "fz run: keeps its own connections out of a full tunnel",
  onNetwork({ underlay: "dual", resources: [INTERNET] }, async (network, check) => {
    const client = await network.startClient({ args: ["--activate-internet-resource"] });
    const host = network.client;
    const portal = network.uplink("portal").v4!;

    await check("the portal's address, and no other, passes by a rule", async () => {
      await network.curl(SITE_URL);
      const rules = (await host.must(["ip", "rule"])).split("\n").filter((line) => line.startsWith("90:"));
      assert.equal(rules.length, 1);
      assert.match(rules[0]!, new RegExp(`to ${portal} goto 310`));
      const public4 = network.uplink("public").v4!;
      assert.match(await host.must(["ip", "route", "get", public4]), /dev fz0/);
      assert.match(await host.must(["ip", "route", "get", portal]), /dev (?!fz0)/);
    });

    await check("a portal that went away is found again, by its name and past the tunnel", async () => {
      const from = client.events.mark();
      const { process } = network.role("portal");
      process.kill("SIGKILL");
      await process.outcome;
      await client.events.waitFor("portal-lost", { from });
      assert.match(await network.curl(SITE_URL), /hello/);
      await network.startPortal();
      await client.events.waitFor("portal-connected", { from });
    });

    await check("SIGTERM takes every rule back", async () => {
      client.process.kill("SIGTERM");
      assert.equal((await client.process.outcome).code, 0);
      assert.doesNotMatch(await host.must(["ip", "rule"]), /^(90|95|100|200|300|310):/m);
    });
  }),
);

Deno.test(
  "fz run: looks after /etc/resolv.conf",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const host = network.client;
    const original = await host.readFile("/etc/resolv.conf");
    const client = await network.startClient();
    const resolver = network.uplink("public").v4!;

    await check("overwritten by somebody else, it is set again, with the new resolver behind", async () => {
      await host.writeFile("/etc/resolv.conf", `nameserver ${resolver}\nsearch dhcp.test\n`);
      await eventually(
        async () => assert.match(await host.readFile("/etc/resolv.conf"), /100\.100\.111\./),
      );
      assert.match(await network.curl("http://web.site.test/"), /hello/);
      assert.match(await network.curl("http://www.public.test/"), /hello/);
    });

    await check("at the end it is what the other one wrote", async () => {
      client.process.kill("SIGTERM");
      await client.process.outcome;
      const restored = await host.readFile("/etc/resolv.conf");
      assert.equal(restored, `nameserver ${resolver}\nsearch dhcp.test\n`);
      await host.writeFile("/etc/resolv.conf", original);
    });
  }),
);

Deno.test(
  "fz run: says what is missing, with an exit code for each cause, and leaves nothing behind",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const host = network.client;
    const env = network.clientEnv({ FIREZONE_ID: "client" });
    const traces = () =>
      host.must(["sh", "-c", "ip rule; ip route show table all; ip link; cat /etc/resolv.conf"]);
    const clean = await traces();

    await check("8: systemd-resolved is asked for and not there", async () => {
      const { code, stderr } = await network.fz(["run", "--dns-control", "systemd-resolved"], env);
      assert.equal(code, 8, stderr);
      assert.match(stderr, /etc-resolv-conf/);
    });

    await check("7: the device is held by another program", async () => {
      const first = await network.startClient();
      // In a runtime folder of its own, for in the same one a session is refused before it looks at the machine.
      const apart = { ...env, FZ_RUNTIME_DIR: "/run/apart" };
      const { code, stderr } = await network.fz(["run", "--dns-control", "disabled"], apart);
      assert.equal(code, 7, stderr);
      assert.match(stderr, /fz0.*in use/);
      const second = await network.fz(["run", "--dns-control", "disabled", "--tun-name", "fz9"], apart);
      assert.equal(second.code, 7, second.stderr);
      assert.match(second.stderr, /another client.*fz0/);
      // The one that runs is none the worse for it.
      assert.match(await network.curl("http://web.site.test/"), /hello/);
      first.process.kill("SIGTERM");
      await first.process.outcome;
    });

    await check("3: the portal does not know the token", async () => {
      const wrong = { ...env, FIREZONE_TOKEN: "nobody" };
      const { code, stderr } = await network.fz(["run", "--dns-control", "etc-resolv-conf"], wrong);
      assert.equal(code, 3, stderr);
    });

    await check("7: somebody deletes the device while it runs", async () => {
      const client = await network.startClient();
      await host.must(["ip", "link", "del", "fz0"]);
      const { code, stderr } = await client.process.outcome;
      assert.equal(code, 7, stderr);
      assert.match(stderr, /fz0.*gone/);
    });

    assert.equal(await traces(), clean);
  }),
);
