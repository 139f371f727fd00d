/** Search domains and scopes: the portal's beside the host's, and resolvers that need an interface, by the real services. */

import assert from "node:assert/strict";
import { NETWORK_MANAGER, RESOLVED } from "./support/dns_managers.ts";
import { dnsStatus } from "./support/dns_status.ts";
import { eventually, onNetwork } from "./support/on_network.ts";

for (const manager of [RESOLVED, NETWORK_MANAGER]) {
  Deno.test(
    `fz run: the portal's search domain joins the host's with ${manager.name}, changes with it, and goes`,
    onNetwork({ underlay: "ipv4", searchDomain: "site.test" }, async (network, check) => {
      const { client } = network;
      await manager.prepare(network);
      const before = await manager.state(client);
      const search = async () =>
        /^search (.*)$/m.exec(await client.readFile("/etc/resolv.conf"))?.[1]?.split(" ") ?? [];
      const { process } = await network.startClient({ dnsControl: manager.control });

      await check("both are searched, ours first where there is an order", async () => {
        await eventually(async () =>
          assert.deepEqual((await search()).toSorted(), ["corp.test", "site.test"])
        );
        if (manager === NETWORK_MANAGER) assert.equal((await search())[0], "site.test");
        assert.match(await client.must(["getent", "ahostsv4", "web"]), /^100\./);
        assert.match(await network.curl("http://web/"), /hello/);
      });

      await check("the account gets another one", async () => {
        await network.admin("POST", "/v1/accounts", { slug: "lab", search_domain: "wild.site.test" });
        await eventually(
          async () => assert.deepEqual((await search()).toSorted(), ["corp.test", "wild.site.test"]),
        );
        await eventually(async () =>
          assert.match(await client.must(["getent", "ahostsv4", "anything"]), /^100\./)
        );
      });

      await check("at the end the host's is alone", async () => {
        assert.equal((await process.stop()).code, 0);
        await eventually(async () => assert.equal(await manager.state(client), before));
      });
    }),
  );
}

Deno.test(
  "ResolvedDns.upstreams: a link-local resolver is asked by its own interface",
  onNetwork({}, async (network) => {
    const { client } = network;
    await RESOLVED.prepare(network);
    const route = await client.must(["ip", "-6", "-o", "route", "show", "default"]);
    const [, device] = / dev (\S+)/.exec(route)!;
    const host = network.host("internet");
    const neighbour =
      / dev (\S+)/.exec(await host.must(["ip", "-6", "-o", "route", "get", await globalOf(device!)]))![1];
    const own = await host.must(["ip", "-6", "-o", "address", "show", "dev", neighbour!, "scope", "link"]);
    const [, address] = /inet6 (fe80:[0-9a-f:]+)/.exec(own)!;
    host.spawn([
      ...[
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
      ],
      ...["--group=root", "--pid-file=", "--log-facility=-", "--host-record=scoped.test,192.0.2.77"],
    ]);
    await client.must(["resolvectl", "dns", device!, address!]);
    await network.startClient({ dnsControl: "systemd-resolved" });
    assert.deepEqual((await dnsStatus(network)).systemResolvers, [`${address}%${device}`]);
    await eventually(
      async () => assert.match(await client.must(["getent", "ahostsv4", "scoped.test"]), /^192\.0\.2\.77/),
    );

    async function globalOf(link: string): Promise<string> {
      const text = await client.must(["ip", "-6", "-o", "address", "show", "dev", link, "scope", "global"]);
      return /inet6 ([^/]+)/.exec(text)![1]!;
    }
  }),
);
