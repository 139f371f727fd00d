/** DNS by /etc/resolv.conf, whatever that is: the file before and after, and names at every moment between. */

import assert from "node:assert/strict";
import type { Host } from "../../io/lab/host.ts";
import { dnsStatus, stop } from "./support/dns_status.ts";
import { fz } from "./support/fz.ts";
import { NameLoop } from "./support/name_loop.ts";
import { eventually, onNetwork } from "./support/on_network.ts";

const PUBLIC_NAME = "www.public.test";

Deno.test(
  "fz run: puts /etc/resolv.conf back as it was, and names are found all the time",
  onNetwork({ underlay: "dual", searchDomain: "site.test" }, async (network, check) => {
    const host = network.client;
    const resolver = network.uplink("public").v4!;
    const text = `# mine\nsearch corp.test lan.test\nnameserver ${resolver}\noptions ndots:2 timeout:3\n`;

    await check(
      "a regular file: bytes, inode, mode and owner; its search list and options hold meanwhile",
      async () => {
        await host.writeFile("/etc/resolv.conf", text, 0o640);
        await host.must(["chown", "0:0", "/etc/resolv.conf"]);
        await unchanged(host, async () => {
          const names = new NameLoop(host, PUBLIC_NAME);
          const client = await network.startClient();
          const ours = await host.readFile("/etc/resolv.conf");
          assert.match(ours, /^nameserver 100\.100\.111\.\d+$/m);
          assert.match(ours, /^search site\.test corp\.test lan\.test$/m);
          assert.match(ours, /^options ndots:2 timeout:3$/m);
          assert.match(await network.curl("http://web.site.test/"), /hello/);
          // By the search domain, which old settings do not know.
          assert.match(await host.must(["getent", "hosts", "web"]), /web\.site\.test/);
          await names.foundAgain();
          await stop(client);
          await names.stop();
        });
      },
    );

    await check("a file that nobody may write", async () => {
      await host.writeFile("/etc/resolv.conf", text, 0o444);
      await unchanged(host, async () => {
        const client = await network.startClient();
        assert.match(await network.curl("http://web.site.test/"), /hello/);
        await stop(client);
      });
    });

    await check("a symbolic link: replaced itself, and its owner may go on writing", async () => {
      await host.writeFile("/run/manager/resolv.conf", text);
      await host.must(["ln", "-sf", "../run/manager/resolv.conf", "/etc/resolv.conf"]);
      await unchanged(host, async () => {
        const names = new NameLoop(host, PUBLIC_NAME);
        const client = await network.startClient();
        assert.equal((await host.run(["test", "-L", "/etc/resolv.conf"])).code, 1);
        const other = network.uplink("public").v6!;
        await host.writeFile("/run/manager/resolv.conf.new", text.replace(resolver, other));
        await host.must(["mv", "/run/manager/resolv.conf.new", "/run/manager/resolv.conf"]);
        await eventually(async () => assert.deepEqual((await dnsStatus(network)).systemResolvers, [other]));
        await eventually(async () =>
          assert.match(await host.readFile("/etc/resolv.conf"), /nameserver fd00:/)
        );
        await names.foundAgain();
        await host.writeFile("/run/manager/resolv.conf.new", text);
        await host.must(["mv", "/run/manager/resolv.conf.new", "/run/manager/resolv.conf"]);
        await stop(client);
        await names.stop();
      });
    });

    await check("a bind mount, as container engines make it", async () => {
      await host.must(["rm", "/etc/resolv.conf"]);
      await host.writeFile("/etc/resolv.conf", "");
      await host.writeFile("/run/bound.conf", text);
      await host.must(["mount", "--bind", "/run/bound.conf", "/etc/resolv.conf"]);
      await unchanged(host, async () => {
        const names = new NameLoop(host, PUBLIC_NAME);
        const outlook = await fz(network, "dns", "status", "--json");
        const [{ control, evidence }] = outlook.lines as [{ control: string; evidence: string[] }];
        assert.equal(control, "etc-resolv-conf");
        assert.match(evidence[0]!, /mounted/);
        const client = await network.startClient();
        assert.match(await host.readFile("/run/bound.conf"), /100\.100\.111\./);
        assert.match(await network.curl("http://web.site.test/"), /hello/);
        await stop(client);
        await names.stop();
      });
      await host.must(["umount", "/etc/resolv.conf"]);
    });

    await check("killed with -9 and started again: the same file at the end", async () => {
      await host.writeFile("/etc/resolv.conf", text);
      await unchanged(host, async () => {
        for (let round = 0; round < 2; round++) {
          const client = await network.startClient();
          client.process.kill("SIGKILL");
          await client.process.outcome;
        }
        await stop(await network.startClient());
      });
    });

    await check("a read-only file: found before anything is changed, and said", async () => {
      await host.writeFile("/run/bound.conf", text);
      await host.must(["mount", "--bind", "/run/bound.conf", "/etc/resolv.conf"]);
      await host.must(["mount", "-o", "remount,ro,bind", "/etc/resolv.conf"]);
      await unchanged(host, async () => {
        const env = network.clientEnv();
        const forced = await network.fz(["run", "--dns-control", "etc-resolv-conf"], env);
        assert.equal(forced.code, 8, forced.stderr);
        assert.match(forced.stderr, /Cannot write \/etc\/resolv\.conf.*read-only/);
        const outlook = await fz(network, "dns", "status");
        assert.match(outlook.stdout, /Names would come by\s+nothing/);
        assert.match(outlook.stdout, /cannot be written, not even by root/);
      });
      await host.must(["umount", "/etc/resolv.conf"]);
    });

    await check(
      "one that cannot be put back: 8, for whoever ends the session, until fz cleanup can",
      async () => {
        for (const way of ["signal", "down"] as const) {
          await unchanged(host, async () => {
            const client = await network.startClient();
            const freeze = "mount --bind $0 $0 && mount -o remount,ro,bind $0";
            await host.must(["sh", "-ec", freeze, "/etc/resolv.conf"]);
            if (way === "signal") client.process.kill("SIGTERM");
            const asked = way === "signal" ? await client.process.outcome : await fz(network, "down");
            assert.equal(asked.code, 8, asked.stderr);
            assert.match(asked.stderr, /The session has ended, but this machine's DNS is not as it was/);
            assert.match(asked.stderr, /Then run `fz cleanup`/);
            // A supervisor would start it again after a failure.
            if (way === "down") assert.equal((await client.process.outcome).code, 0);
            assert.match((await fz(network, "status")).stderr, /this machine's DNS is not as it was/);
            assert.equal((await fz(network, "cleanup")).code, 8);
            await host.must(["umount", "/etc/resolv.conf"]);
            assert.equal((await fz(network, "cleanup")).code, 0);
          });
        }
      },
    );

    await check(
      "one of ours that nobody kept the original of: fz dns status says what fz run says",
      async () => {
        const ours = "# Written by fz: all names are asked through the tunnel.\nnameserver 100.100.111.1\n";
        await host.writeFile("/etc/resolv.conf", ours);
        const outlook = await fz(network, "dns", "status");
        assert.match(outlook.stdout, /^Problem +.*backup \/etc\/resolv\.conf\.before-fz.*write it anew/m);
        const refused = await network.fz(["run"], network.clientEnv());
        assert.equal(refused.code, 8, refused.stderr);
        await host.writeFile("/etc/resolv.conf", text);
        assert.doesNotMatch((await fz(network, "dns", "status")).stdout, /^Problem/m);
      },
    );

    await check("a pipe: fz dns status says so, and does not wait for somebody who writes", async () => {
      await host.must(["sh", "-ec", "mkfifo /run/pipe; mount --bind /run/pipe /etc/resolv.conf"]);
      assert.match((await fz(network, "dns", "status")).stdout, /^Because +.*not a regular file/m);
      await host.must(["umount", "/etc/resolv.conf"]);
    });

    await check("ways of other systems, and of services that are not here, are refused at once", async () => {
      for (const [control, code] of [["scutil", 2], ["nrpt", 2], ["resolvconf", 8]] as const) {
        const outcome = await network.fz(["run", "--dns-control", control], network.clientEnv());
        assert.equal(outcome.code, code, outcome.stderr);
      }
      // Such a profile may have come from another machine.
      await host.writeFile("/etc/fz/profiles/default.toml", 'dns-control = "nrpt"\n');
      const outcome = await network.fz(["run"], network.clientEnv());
      await host.must(["rm", "-r", "/etc/fz"]);
      assert.equal(outcome.code, 2, outcome.stderr);
      assert.match(
        outcome.stderr,
        /"dns-control": "nrpt" is a way of another system; on this one it is .*"resolvconf"/,
      );
      assert.match(outcome.stderr, /fz config unset dns-control/);
      assert.doesNotMatch(await host.must(["ip", "link"]), /fz0/);
    });
  }),
);

Deno.test(
  "fz run: makes /etc/resolv.conf where there is none, and removes it",
  onNetwork({ underlay: "ipv4", dns: ["198.18.250.1"] }, async (network) => {
    const host = network.client;
    await host.must(["rm", "/etc/resolv.conf"]);
    const client = await network.startClient();
    assert.match(await network.curl("http://web.site.test/"), /hello/);
    await stop(client);
    assert.notEqual((await host.run(["test", "-e", "/etc/resolv.conf"])).code, 0);
    assert.equal((await host.must(["sh", "-c", "ls -a /etc | grep resolv.conf || true"])).trim(), "");
  }),
);

Deno.test(
  "fz run: finds names of resources on a machine that names no resolver, and asks it for the others",
  onNetwork({ underlay: "ipv4" }, async (network) => {
    const host = network.client;
    await host.writeFile("/etc/resolv.conf", "# none\n");
    await unchanged(host, async () => {
      const client = await network.startClient();
      assert.match(await network.curl("http://web.site.test/"), /hello/);
      // Nobody is there: that is said, not waited for.
      assert.match(await host.must(["dig", "+time=20", "+tries=1", "own.test"]), /status: SERVFAIL/);
      const dnsmasq = host.spawn([
        ...["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"],
        ...["--user=root", "--group=root", "--pid-file=", "--log-facility=-", "--bind-interfaces"],
        ...["--listen-address=127.0.0.1", "--host-record=local.test,203.0.113.7"],
      ]);
      await dnsmasq.waitFor(/started/);
      assert.match(await host.must(["getent", "ahostsv4", "local.test"]), /203\.0\.113\.7/);
      await dnsmasq.stop();
      await stop(client);
    });
  }),
);

Deno.test(
  "fz run: asks a link-local resolver on its link",
  onNetwork({ underlay: "dual" }, async (network) => {
    const host = network.client;
    const { name } = network.uplink("client");
    const router = network.host("internet");
    const via = (await host.must(["ip", "-6", "route", "show", "default"])).split(" ")[2]!;
    const found = await router.must(["ip", "-o", "-6", "addr", "show", "to", via]);
    const device = found.trim().split(/\s+/)[1]!.replace(/@.*/, "");
    await router.must(["ip", "addr", "add", "fe80::53/64", "dev", device]);
    const dnsmasq = router.spawn([
      ...[
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
      ],
      ...["--group=root", "--pid-file=", "--log-facility=-", "--bind-dynamic", `--interface=${device}`],
      "--host-record=scoped.test,198.18.99.99",
    ]);
    await dnsmasq.waitFor(/started/);
    await host.writeFile("/etc/resolv.conf", `nameserver fe80::53%${name}\n`);
    await unchanged(host, async () => {
      const client = await network.startClient();
      assert.deepEqual((await dnsStatus(network)).systemResolvers, [`fe80::53%${name}`]);
      assert.match(await host.must(["getent", "ahostsv4", "scoped.test"]), /198\.18\.99\.99/);
      assert.match(await host.must(["dig", "+tcp", "+short", "scoped.test"]), /198\.18\.99\.99/);
      await stop(client);
    });
  }),
);

/** Fails if `body` leaves /etc/resolv.conf, what it leads to, or a file beside it other than they were. */
async function unchanged(host: Host, body: () => Promise<void>): Promise<void> {
  const look =
    "ls -a /etc | grep resolv.conf; stat -c '%n %F %a %u %g' /etc/resolv.conf; readlink /etc/resolv.conf; " +
    "cat /etc/resolv.conf; [ -L /etc/resolv.conf ] || stat -c %i /etc/resolv.conf";
  const before = await host.must(["sh", "-c", look]);
  await body();
  assert.equal(await host.must(["sh", "-c", look]), before);
}
