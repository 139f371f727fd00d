/** DNS by resolvconf(8): Debian's and openresolv, the real programs. */

import assert from "node:assert/strict";
import type { Host } from "../../io/lab/host.ts";
import { dnsStatus, stop } from "./support/dns_status.ts";
import { fz } from "./support/fz.ts";
import { NameLoop } from "./support/name_loop.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { type PackageName, usePackages } from "./support/packages.ts";

interface Flavour {
  readonly name: PackageName & ("resolvconf" | "openresolv");
  /** Does what the package's scripts and the start of the machine do. */
  readonly prepare: string;
  /** Where it keeps its records. */
  readonly folder: string;
  readonly record: string;
}

const FLAVOURS: readonly Flavour[] = [
  {
    name: "resolvconf",
    prepare:
      "mkdir -p /run/resolvconf/interface && ln -sf ../run/resolvconf/resolv.conf /etc/resolv.conf && " +
      "resolvconf --enable-updates",
    folder: "/run/resolvconf/interface",
    record: "tun.fz0",
  },
  {
    name: "openresolv",
    prepare: "resolvconf -u",
    folder: "/run/resolvconf/interfaces",
    record: "fz0.fz",
  },
];

for (const flavour of FLAVOURS) {
  Deno.test(
    `fz run: sets DNS by ${flavour.name}, and takes it back`,
    onNetwork({ underlay: "dual", searchDomain: "site.test" }, async (network, check) => {
      const host = network.client;
      const { v4, v6 } = network.uplink("public");
      await usePackages(host, [flavour.name]);
      await host.must(["sh", "-c", flavour.prepare]);
      const tell = (server: string) =>
        host.must(["resolvconf", "-a", "eth0.dhclient"], {
          input: `nameserver ${server}\nsearch corp.test\n`,
        });
      await tell(v4!);
      const before = await stateOf(host);

      await check("it is chosen, and why is said", async () => {
        const { lines } = await fz(network, "dns", "status", "--json");
        const [{ control, reason }] = lines as unknown as [{ control: string; reason: string }];
        assert.equal(control, "resolvconf");
        assert.match(reason, /resolv(conf)? writes/);
      });

      // openresolv empties the file before it writes it.
      const names = new NameLoop(host, "www.public.test", flavour.name === "openresolv" ? 10 : 1);
      let client = await network.startClient({ dnsControl: "resolvconf" });
      await check("ours is asked first, and the search lists are both there", async () => {
        const file = await host.readFile("/etc/resolv.conf");
        assert.match(/^nameserver (\S+)$/m.exec(file)![1]!, /^100\.100\.111\./);
        assert.match(file, /^search site\.test corp\.test$/m);
        if (flavour.name === "openresolv") assert.doesNotMatch(file, new RegExp(`nameserver ${v4}`));
        assert.match(await network.curl("http://web.site.test/"), /hello/);
        assert.deepEqual((await dnsStatus(network)).systemResolvers, [v4]);
      });

      await check("another resolver of the network is taken over", async () => {
        await tell(v6!);
        await eventually(
          async () => assert.deepEqual((await dnsStatus(network)).systemResolvers, [v6]),
        );
        await eventually(() => network.curl("http://www.public.test/"));
        assert.match(await network.curl("http://web.site.test/"), /hello/);
        await tell(v4!);
        await eventually(
          async () => assert.deepEqual((await dnsStatus(network)).systemResolvers, [v4]),
        );
        // What is set for it would mend the next step's damage unasked.
        await eventually(
          async () => assert.match(await host.readFile("/etc/resolv.conf"), /^nameserver 100\.100\.111\./m),
        );
      });

      await check("somebody takes our record away: it comes back", async () => {
        const from = client.events.mark();
        await host.must(["resolvconf", "-d", flavour.record]);
        await client.events.waitFor("dns-repaired", { from });
        assert.match(await network.curl("http://web.site.test/"), /hello/);
      });

      await check("at the end all is as it was", async () => {
        await stop(client);
        await names.stop();
        assert.equal(await stateOf(host), before);
      });

      await check(
        "a killed session: the next one starts from what was before, and so does fz cleanup",
        async () => {
          for (const finish of ["next", "cleanup"] as const) {
            client = await network.startClient({ dnsControl: "resolvconf" });
            client.process.kill("SIGKILL");
            await client.process.outcome;
            if (finish === "next") {
              client = await network.startClient({ dnsControl: "resolvconf" });
              assert.deepEqual((await dnsStatus(network)).systemResolvers, [v4]);
              await stop(client);
            } else {
              const { code, stderr } = await fz(network, "cleanup");
              assert.equal(code, 0, stderr);
            }
            assert.equal(await stateOf(host), before);
          }
        },
      );
    }),
  );
}

Deno.test(
  "fz run: does not take systemd's resolvconf for one",
  onNetwork({ underlay: "ipv4" }, async (network) => {
    await usePackages(network.client, ["systemd-resolved"]);
    const { code, stderr } = await network.fz(["run", "--dns-control", "resolvconf"], network.clientEnv());
    assert.equal(code, 8, stderr);
    assert.match(stderr, /only a name of resolvectl/);
  }),
);

/** Returns the file, and the records, in words. */
async function stateOf(host: Host): Promise<string> {
  return await host.must([
    "sh",
    "-c",
    "ls -l /etc/resolv.conf | cut -c1-10; readlink /etc/resolv.conf; cat /etc/resolv.conf; " +
    "cd /run/resolvconf && find . -type f ! -name '*lock*' | sort | grep -v resolv.conf; grep -r . interface*",
  ]);
}
