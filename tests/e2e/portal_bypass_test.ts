import assert from "node:assert/strict";
import { eventually, onNetwork } from "./support/on_network.ts";
import { INTERNET } from "./support/seed.ts";

const SITE_URL = "http://172.20.0.10/";
const PORTAL = "portal.moving.test";
/** Holds the portal, relays, gateways and everything else that is public here. */
const EVERYTHING = { name: "everything", type: "cidr", address: "198.18.0.0/15", site: "site" } as const;

/** Counts what goes into the tunnel for the portal's port, to every address that it ever has. */
const COUNTER = `table inet watch {
  counter inside { }
  counter outside { }
  chain output {
    type filter hook output priority 0;
    ip daddr 198.18.1.0/24 tcp dport 8081 oifname "fz0" counter name inside
    ip daddr 198.18.1.0/24 tcp dport 8081 oifname != "fz0" counter name outside
  }
}`;

Deno.test(
  "fz run: full tunnel never carries the session's own connection, wherever the portal moves",
  onNetwork({ underlay: "ipv4", resources: [INTERNET, EVERYTHING] }, async (network, check) => {
    const host = network.client;
    const portal = network.host("portal");
    const router = network.host("internet");
    let address = network.uplink("portal").v4!;
    const { name: device } = network.uplink("portal");

    // A resolver at the router, whose answers can be changed.
    const tell = async (to: string) => {
      await router.writeFile("/run/moving/hosts", `${to} ${PORTAL}\n`);
    };
    await router.must(["mkdir", "-p", "/run/moving"]);
    await tell(address);
    const resolver = router.spawn([
      ...["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--addn-hosts=/run/moving/hosts"],
      ...["--user=root", "--group=root", "--pid-file=", "--log-facility=-", "--local=/test/"],
    ]);
    await resolver.waitFor(/started/);
    await host.setResolvers(["198.18.10.1"]);
    await host.nft(COUNTER);
    const count = async (name: string) => {
      const text = await host.must(["nft", "list", "counter", "inet", "watch", name]);
      return Number(/packets (\d+)/.exec(text)![1]);
    };
    const bypassed = async () =>
      (await host.must(["ip", "rule"])).split("\n").filter((line) => line.startsWith("90:"))
        .map((line) => /to (\S+)/.exec(line)![1]).sort();

    const excluded = "198.18.9.0/24";
    const client = await network.startClient({
      args: ["--activate-internet-resource", "--exclude", excluded],
      env: { FIREZONE_API_URL: `ws://${PORTAL}:8081/` },
    });

    /** Gives the portal another address, and its name another answer. */
    const move = async (to: string) => {
      const from = client.events.mark();
      const { process } = network.role("portal");
      process.kill("SIGKILL");
      await process.outcome;
      await portal.must([
        "sh",
        "-ec",
        `ip addr flush dev ${device}; ip addr add ${to}/24 dev ${device}
        ip route replace default via 198.18.1.1`,
      ]);
      await tell(to);
      resolver.kill("SIGHUP");
      address = to;
      await client.events.waitFor("portal-lost", { from });
      await network.startPortal();
      await client.events.waitFor("portal-connected", { from });
    };

    const staysOutside = async () => {
      assert.match((await network.fz(["explain", address], {})).stdout, /^The session itself needs it/);
      assert.deepEqual(await bypassed(), [address, excluded].sort());
      const way = async (to: string) => / dev (\S+)/.exec(await host.must(["ip", "route", "get", to]))?.[1];
      assert.notEqual(await way(address), "fz0");
      assert.equal(await way("198.18.1.77"), "fz0");
      assert.notEqual(await way("198.18.9.2"), "fz0");
      assert.equal(await count("inside"), 0);
    };

    await check("with its address in a resource, and full tunnel", async () => {
      assert.match(await network.curl(SITE_URL), /hello/);
      await staysOutside();
      assert.ok(await count("outside") > 0);
    });

    await check("after it moved", async () => {
      await move("198.18.1.3");
      assert.match(await network.curl(SITE_URL), /hello/);
      await staysOutside();
    });

    await check("after it moved once more, while the Internet was off and came back", async () => {
      const internet = async (...args: string[]) => {
        const { code, stderr } = await network.fz(["internet", ...args], network.clientEnv());
        assert.equal(code, 0, stderr);
      };
      await internet("off");
      await move("198.18.1.4");
      await internet("on");
      await eventually(staysOutside);
      assert.match(await network.curl(SITE_URL), /hello/);
    });

    // The gateway knows the first address alone, so that nothing new is granted from here on.
    await check("a reset dials again, outside", async () => {
      const before = await count("outside");
      const from = client.events.mark();
      client.process.kill("SIGHUP");
      await client.events.waitFor("portal-connected", { from });
      await eventually(staysOutside);
      assert.ok(await count("outside") > before);
    });

    await check("at the end no rule is left", async () => {
      client.process.kill("SIGTERM");
      assert.equal((await client.process.outcome).code, 0);
      assert.doesNotMatch(await host.must(["ip", "rule"]), /proto(col)? 70|goto/);
    });
  }),
);
