/** Resources whose names are one label, by the real systemd-resolved, which asks DNS servers for no such name. */

import assert from "node:assert/strict";
import { installResolved, startBus, startResolved } from "./support/bus.ts";
import { dig } from "./support/dig.ts";
import { RESOLVED } from "./support/dns_managers.ts";
import { eventually, onNetwork } from "./support/on_network.ts";

const GIT = { name: "git", type: "dns", address: "gitlab", site: "site" } as const;
const STAND_IN = /^100\.(9[6-9]|1[01]\d|12[0-7])\./;

Deno.test(
  "fz run: a resource of one label is found behind systemd-resolved, and no other name is lost or sent anywhere",
  onNetwork({}, async (network, check) => {
    const { client } = network;
    const gateway = network.host("gateway-1");
    await gateway.must(["sh", "-c", "echo 172.20.0.10 gitlab >>/etc/hosts"]);
    await RESOLVED.prepare(network);
    const [, uplink] = / dev (\S+)/.exec(await client.must(["ip", "-4", "-o", "route", "show", "default"]))!;
    const llmnr = (mode: string) => client.must(["resolvectl", "llmnr", uplink!, mode]);
    await client.must(["resolvectl", "domain", uplink!, "public.test"]);
    await llmnr("no");
    await client.must(["sh", "-c", "echo 192.0.2.9 printer >>/etc/hosts"]);
    // A neighbour who tells his name to the local network.
    const neighbour = network.host("internet");
    await installResolved(neighbour);
    await startBus(neighbour);
    await startResolved(neighbour);
    const before = await RESOLVED.state(client);
    const capture = network.host("public").spawn(["tcpdump", "-i", "any", "-nn", "-l", "udp dst port 53"]);
    await eventually(() => assert.match(capture.stderr, /listening/));
    const { process } = await network.startClient({ dnsControl: "systemd-resolved" });
    const search = async () =>
      /^search (.*)$/m.exec(await client.readFile("/etc/resolv.conf"))?.[1]?.split(" ") ?? [];
    const query = async (name: string) => (await client.run(["resolvectl", "query", name])).stdout;
    const getent = async (database: string, name: string) =>
      (await client.run(["getent", database, name])).stdout;

    await check("without such a resource nothing is searched that was not", async () => {
      await eventually(async () => assert.match(await query("web.site.test"), /web\.site\.test: /));
      assert.deepEqual(await search(), ["public.test"]);
      assert.equal(await getent("ahosts", "gitlab"), "");
    });

    let id = "";
    await check(
      "it comes: both families, by the bus, the C library and the stub, and what is behind",
      async () => {
        const added = await network.admin("POST", "/v1/resources", GIT);
        await network.admin("POST", "/v1/policies", { group: "robots", resource: GIT.name });
        id = (added as { id: string }).id;
        await eventually(async () => assert.match(await query("gitlab"), /^gitlab: /));
        for (const [family, address] of [["-4", STAND_IN], ["-6", /^fd00:2021:1111:8000:/]] as const) {
          const stdout = await client.must(["resolvectl", "query", family, "gitlab"]);
          assert.match(/^gitlab: (\S+)/.exec(stdout)![1]!, address);
        }
        assert.match(await getent("ahostsv4", "gitlab"), STAND_IN);
        assert.match(await getent("ahostsv6", "gitlab"), /^fd00:2021:1111:8000:/);
        assert.match((await dig(client, "+search", "gitlab", "A")).data[0]!, STAND_IN);
        assert.match((await dig(client, "+search", "gitlab", "AAAA")).data[0]!, /^fd00:2021:1111:8000:/);
        assert.match(await network.curl("http://gitlab/"), /hello/);
      },
    );

    await check(
      "the machine's own names of one label: its files, its search domain, its neighbours",
      async () => {
        assert.match(await getent("ahostsv4", "printer"), /^192\.0\.2\.9 /);
        assert.match(await query("printer"), /^printer: 192\.0\.2\.9/);
        const { v4, v6 } = network.uplink("public");
        const www = await query("www");
        for (const address of [v4!, v6!]) assert.ok(www.includes(` ${address}`), www);
        assert.ok((await getent("ahostsv4", "www")).startsWith(`${v4} `));
        await llmnr("yes");
        await eventually(async () => assert.match(await query("internet"), /via protocol LLMNR/));
        await llmnr("no");
      },
    );

    await check("a name of nobody is asked of nobody but the search domain's server", async () => {
      assert.equal(await getent("ahosts", "nosuch"), "");
      assert.notEqual((await client.run(["resolvectl", "query", "nosuch"])).code, 0);
      assert.notEqual(
        (await client.run(["resolvectl", "query", "web.site.test.one-label.fz.internal"])).code,
        0,
      );
      await eventually(() => assert.match(capture.stdout, / A\? nosuch\.public\.test\. /));
      await capture.stop();
      const names = [...capture.stdout.matchAll(/ \w+\? (\S+)\. /g)].map(([, name]) => name!);
      assert.deepEqual(names.filter((name) => !name.includes(".") || name.endsWith(".internal")), []);
    });

    await check("it goes, and what was searched for it goes, too", async () => {
      await network.admin("DELETE", `/v1/resources/${id}`);
      await eventually(async () => assert.deepEqual(await search(), ["public.test"]));
      assert.equal(await getent("ahosts", "gitlab"), "");
    });

    await check("at the end all is as before", async () => {
      assert.equal((await process.stop()).code, 0);
      await eventually(async () => assert.equal(await RESOLVED.state(client), before));
    });
  }),
);
