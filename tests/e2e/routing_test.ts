import assert from "node:assert/strict";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { INTERNET } from "./support/seed.ts";

const SITE_URL = "http://172.20.0.10/";
const SNAPSHOT =
  "for f in -4 -6; do ip $f rule; ip $f route show table all | sort; done; cat /etc/resolv.conf";

/** Returns everything that a session must leave as it was. */
async function snapshot(network: Network): Promise<string> {
  return await network.client.must(["sh", "-c", SNAPSHOT]);
}

/** Changes full tunnel as a user does. */
async function internet(network: Network, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await network.fz(["internet", ...args], network.clientEnv());
  assert.equal(code, 0, stderr);
  return stdout;
}

async function deviceTo(network: Network, address: string): Promise<string> {
  const text = await network.client.must(["ip", "route", "get", address]);
  return / dev (\S+)/.exec(text)?.[1] ?? "none";
}

async function answers(network: Network, address: string): Promise<boolean> {
  const { code } = await network.client.run(["ping", "-n", "-c2", "-i0.2", "-W5", address]);
  return code === 0;
}

Deno.test(
  "fz run: full tunnel leaves local networks and static routes alone, as they come and go, and nothing behind",
  onNetwork({ underlay: "dual", resources: [INTERNET] }, async (network, check) => {
    const host = network.client;
    const { v4: public4, v6: public6 } = network.uplink("public");
    // A LAN with a printer, and a network behind the printer that only a static route leads to.
    const printer = await network.lab.host("printer");
    const lan = await network.lab.segment();
    const nic = await lan.attach(host, { v4: "192.168.77.2/24", v6: "fd77::2/64", name: "lan0" });
    const far = await lan.attach(printer, { v4: "192.168.77.10/24", v6: "fd77::10/64", name: "lan0" });
    await printer.must([
      "sh",
      "-ec",
      "for a in 10.77.0.1 10.78.0.1 10.79.0.1; do ip addr add $a/32 dev lo; done",
    ]);
    await printer.must([
      "sh",
      "-ec",
      "ip addr add fd78::1/128 dev lo; ip route add default via 192.168.77.2",
    ]);
    await printer.must(["ip", "-6", "route", "add", "default", "via", "fd77::2"]);
    await host.must(["ip", "route", "add", "10.77.0.0/16", "via", "192.168.77.10"]);
    await host.must(["ip", "-6", "route", "add", "fd79::/64", "via", "fd77::10"]);
    // Rules of somebody else, on both sides of ours.
    await host.must(["sh", "-ec", "ip rule add to 10.250.0.0/16 lookup 77 priority 50"]);
    await host.must(["sh", "-ec", "ip rule add from 10.251.0.0/16 lookup 78 priority 32000"]);
    const before = await snapshot(network);

    const client = await network.startClient({ args: ["--activate-internet-resource"] });

    await check("what is far leaves by the gateway, over both families", async () => {
      const gateway = network.uplink("gateway-1");
      assert.match(await network.curl(`http://${public4}/`), new RegExp(`${gateway.v4}\\b`));
      assert.match(await network.curl(`http://[${public6}]/`), new RegExp(`${gateway.v6}\\b`));
      assert.match(await network.curl(SITE_URL), /hello/);
    });

    await check("the LAN answers, over both families, and what a static route leads to", async () => {
      for (const address of ["192.168.77.10", "fd77::10", "10.77.0.1"]) {
        assert.ok(await answers(network, address), address);
      }
    });

    await check("fz explain tells which is which", async () => {
      const explain = async (address: string) => (await network.fz(["explain", address], {})).stdout;
      assert.match(await explain("192.168.77.10"), /^Network 192\.168\.77\.0\/24 is this machine's own/);
      assert.match(await explain("fd77::10"), /^Network fd77::\/64 is this machine's own/);
      assert.match(await explain("10.77.0.1"), /^Network 10\.77\.0\.0\/16 is this machine's own/);
      assert.match(await explain("fd79::1"), /^Network fd79::\/64 is this machine's own/);
      assert.match(await explain("224.0.0.251"), /^No router passes on what is sent to 224\.0\.0\.0\/4/);
      assert.match(await explain(public4!), /^Resource "Internet" leads there/);
      assert.match(await explain("www.public.test"), /^Resource "Internet" leads there/);
      assert.match(await explain("127.0.0.1"), /^It is an address of this machine itself/);
    });

    await check("what no router passes on stays on the link: link-local, multicast, broadcast", async () => {
      for (
        const address of ["169.254.7.7", "224.0.0.251", "239.255.255.250", "255.255.255.255", "ff02::fb"]
      ) {
        assert.notEqual(await deviceTo(network, address), "fz0", address);
      }
      assert.equal(await deviceTo(network, "192.0.2.1"), "fz0");
    });

    await check("routes that come later count, too", async () => {
      await host.must(["ip", "route", "add", "10.78.0.0/16", "via", "192.168.77.10"]);
      await host.must(["ip", "-6", "route", "add", "fd78::/64", "via", "fd77::10"]);
      assert.ok(await answers(network, "10.78.0.1"));
      assert.ok(await answers(network, "fd78::1"));
      await host.must(["ip", "route", "del", "10.78.0.0/16"]);
      await host.must(["ip", "-6", "route", "del", "fd78::/64"]);
      assert.equal(await deviceTo(network, "10.78.0.1"), "fz0");
    });

    await check("and a LAN that got other addresses", async () => {
      await host.must(["sh", "-ec", `ip addr add 192.168.88.2/24 dev ${nic.name}`]);
      await printer.must(["sh", "-ec", `ip addr add 192.168.88.10/24 dev ${far.name}`]);
      assert.ok(await answers(network, "192.168.88.10"));
      await host.must(["sh", "-ec", `ip addr del 192.168.88.2/24 dev ${nic.name}`]);
      assert.equal(await deviceTo(network, "192.168.88.10"), "fz0");
    });

    await check("--lan deny sends them into the tunnel, --lan allow lets them be", async () => {
      assert.doesNotMatch(await internet(network, "on", "--lan", "deny"), /local networks/);
      assert.equal(await deviceTo(network, "192.168.77.10"), "fz0");
      assert.equal(await deviceTo(network, "10.77.0.1"), "fz0");
      assert.equal(await deviceTo(network, "fd77::10"), "fz0");
      assert.equal(await answers(network, "192.168.77.10"), false);
      assert.match(await network.curl(`http://${public4}/`), /hello/);
      assert.match(await internet(network, "on", "--lan", "allow"), /but for local networks/);
      assert.ok(await answers(network, "192.168.77.10"));
    });

    await check("--exclude keeps a network out, a resource's part of it too", async () => {
      const own = network.uplink("client").v4!;
      await internet(network, "on", "--exclude", `${public4}/32,172.20.0.128/25`);
      assert.match(await network.curl(`http://${public4}/`), new RegExp(`hello .*${own}\\b`));
      assert.notEqual(await deviceTo(network, "172.20.0.200"), "fz0");
      assert.match(await network.curl(SITE_URL), /hello/);
      const { stdout } = await network.fz(["status", "--json"], network.clientEnv());
      const { network: facts } = JSON.parse(stdout);
      assert.deepEqual(facts, { excluded: [`${public4}/32`, "172.20.0.128/25"], lan: "allow", degraded: [] });
    });

    await check("full tunnel off, only resources are left in it", async () => {
      await internet(network, "off");
      await eventually(async () => assert.notEqual(await deviceTo(network, public4!), "fz0"));
      assert.doesNotMatch(await host.must(["ip", "rule"]), /suppress_prefixlength/);
      assert.match(await network.curl(SITE_URL), /hello/);
      await internet(network, "on");
      await eventually(async () => assert.equal(await deviceTo(network, "192.0.2.1"), "fz0"));
    });

    await check("what somebody takes away comes back, and rules of others stay", async () => {
      const running = await snapshot(network);
      await host.must([
        "sh",
        "-c",
        "ip rule del priority 100; ip -6 rule del priority 300; ip route flush table 539098368",
      ]);
      await eventually(async () => assert.equal(await snapshot(network), running));
      assert.match(running, /50:\s+from all to 10\.250\.0\.0\/16 lookup 77/);
    });

    await check("at the end everything is as it was", async () => {
      client.process.kill("SIGTERM");
      assert.equal((await client.process.outcome).code, 0);
      assert.equal(await snapshot(network), before);
    });
  }),
);

Deno.test(
  "fz run: full tunnel works under a strict reverse path filter",
  onNetwork({ underlay: "dual", resources: [INTERNET] }, async (network, check) => {
    const host = network.client;
    await host.must(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter"]);
    const before = await snapshot(network);
    const client = await network.startClient({ args: ["--activate-internet-resource", "--port", "40404"] });
    const public4 = network.uplink("public").v4!;

    await check(
      "packets of peers are taken, and no other rule but of our own port lets them in",
      async () => {
        assert.match(await network.curl(SITE_URL), /hello/);
        assert.match(await network.curl(`http://${public4}/`), /hello/);
        const rules = (await host.must(["ip", "rule"])).split("\n").filter((line) => line.startsWith("95:"));
        assert.equal(rules.length, 1);
        assert.match(rules[0]!, /ipproto udp sport 40404 goto 310/);
      },
    );

    await check("without that rule they are not", async () => {
      const refused = async () => {
        const text = await host.must(["nstat", "-az", "TcpExtIPReversePathFilter"]);
        return Number(/IPReversePathFilter\s+(\d+)/.exec(text)![1]);
      };
      // Or else the session would mend it.
      client.process.kill("SIGSTOP");
      await host.must(["ip", "rule", "del", "priority", "95"]);
      const start = await refused();
      const own = network.uplink("client").v4!;
      const send = `echo x | socat -u - UDP4:${own}:40404,sourceport=52999`;
      await network.host("gateway-1").must(["sh", "-c", send]);
      await eventually(async () => assert.ok(await refused() > start));
      client.process.kill("SIGCONT");
    });

    await check("the machine's resolver is reached past the tunnel, many times", async () => {
      await eventually(async () => assert.match(await host.must(["ip", "rule"]), /sport 40404/));
      for (let round = 0; round < 3; round++) {
        assert.match(await network.curl("http://www.public.test/"), /hello/);
        const answer = await host.must(["dig", "+short", "+time=20", "MX", `public.test`]);
        assert.match(answer, /mail\.public\.test/);
      }
      await eventually(async () => {
        const rules = (await host.must(["ip", "rule"])).split("\n").filter((line) => line.startsWith("95:"));
        assert.equal(rules.length, 1, rules.join("\n"));
      });
    });

    await check("a portal that went away is found again", async () => {
      const from = client.events.mark();
      const { process } = network.role("portal");
      process.kill("SIGKILL");
      await process.outcome;
      await client.events.waitFor("portal-lost", { from });
      await network.startPortal();
      await client.events.waitFor("portal-connected", { from });
    });

    await check("fz doctor has nothing to say against it", async () => {
      const { stdout } = await network.fz(["doctor", "--json"], network.clientEnv());
      const finding = JSON.parse(stdout).findings.find(({ check }: { check: string }) =>
        check === "rp-filter"
      );
      assert.equal(finding.status, "ok", stdout);
    });

    await check("at the end everything is as it was", async () => {
      client.process.kill("SIGTERM");
      assert.equal((await client.process.outcome).code, 0);
      assert.equal(await snapshot(network), before);
    });
  }),
);

Deno.test(
  "fz run: carries smaller packets without IPv6, from any port where the wanted one is taken, and says so",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const host = network.client;
    const holder = host.spawn(["socat", "-u", "UDP4-RECV:40405", "-"]);
    await eventually(async () => assert.match(await host.must(["ss", "-uln"]), /:40405\b/));
    const client = await network.startClient({
      args: ["--mtu", "1200", "--port", "40405", "--tun-name", "office"],
    });

    await check("packets get through", async () => {
      assert.match(await host.must(["ip", "link", "show", "office"]), /mtu 1200/);
      assert.equal((await network.curl(`${SITE_URL}bytes/300000`)).length, 300_000);
      const fits = ["ping", "-n", "-c1", "-W30", "-M", "do", "-s", String(1200 - 28), "172.20.0.10"];
      assert.equal((await host.run(fits)).code, 0);
      const larger = await host.run(fits.with(7, String(1200 - 27)));
      assert.match(larger.stdout + larger.stderr, /too long, mtu=1200/);
    });

    await check("fz status tells", async () => {
      const { stdout } = await network.fz(["status", "--json"], network.clientEnv());
      const { tunnel, network: facts } = JSON.parse(stdout);
      assert.equal(tunnel.mtu, 1200);
      assert.equal(tunnel.device, "office");
      assert.match(facts.degraded.join(), /1200 bytes are too small for IPv6/);
      const text = await network.fz(["status"], network.clientEnv());
      assert.match(text.stdout, /too small for IPv6/);
      assert.match(
        text.stdout,
        /^Limited +UDP port 40405 of IPv4 is in use by another program: .* port \d+$/m,
      );
      assert.doesNotMatch(await host.must(["ip", "address", "show", "office"]), /inet6/);
    });

    assert.match(client.process.stderr, /UDP port is in use.*wanted=40405/);
    await holder.stop();
  }),
);
