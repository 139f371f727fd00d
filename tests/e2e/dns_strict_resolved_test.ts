/** DNS by a systemd-resolved that demands signatures and TLS of every server that it knows (resolved.conf(5)). */

import assert from "node:assert/strict";
import { installResolved, startBus, startResolved } from "./support/bus.ts";
import { eventually, onNetwork } from "./support/on_network.ts";

/** In a zone that is signed, unlike ".test". */
const NAME = "db.example.com";
const RESOURCE = { name: "db", type: "dns", address: NAME, site: "site" } as const;
const ONE_LABEL = { name: "git", type: "dns", address: "gitlab", site: "site" } as const;

Deno.test(
  "ResolvedDns: names of resources resolve where DNSSEC and DNS over TLS are demanded of all links",
  onNetwork({ underlay: "ipv4", resources: [RESOURCE, ONE_LABEL] }, async (network, check) => {
    const { client } = network;
    await installResolved(client);
    await client.must(["sh", "-c", OWN_FOLDER]);
    await client.writeFile("/etc/systemd/resolved.conf", `[Resolve]\n${SETTINGS}`);
    await startBus(client);
    await startResolved(client);
    const [, uplink] = / dev (\S+)/.exec(await client.must(["ip", "-4", "-o", "route", "show", "default"]))!;
    await client.must(["resolvectl", "dns", uplink!, network.uplink("public").v4!]);
    // One that gets no answer waits for two minutes.
    const query = async (name = NAME) =>
      await client.run(["timeout", "3", "resolvectl", "query", "-4", name]);
    const settings = async () =>
      (await Promise.all(["dnssec", "dnsovertls"].map((verb) => client.must(["resolvectl", verb])))).join("");
    const before = await settings();
    assert.match(before, /\(eth\d+\): yes[^]*\(eth\d+\): yes/);
    const session = await network.startClient({ dnsControl: "systemd-resolved" });

    await check("unsigned answers in plain text are taken from our link, and from no other", async () => {
      await eventually(async () => assert.match((await query()).stdout, /db\.example\.com: 100\./));
      assert.match(await settings(), /\(eth\d+\): yes[^]*\(eth\d+\): yes/);
    });
    await check(
      "a resource of one label is found where resolved.conf has such names asked of DNS servers, too",
      async () => {
        assert.match((await query(ONE_LABEL.address)).stdout, /gitlab: 100\./);
      },
    );
    await check("unsigned answers are refused where our link is as strict as the others", async () => {
      await client.must(["resolvectl", "dnssec", "fz0", "yes"]);
      await client.must(["resolvectl", "flush-caches"]);
      assert.notEqual((await query()).code, 0);
      await client.must(["resolvectl", "dnssec", "fz0", "no"]);
      await client.must(["resolvectl", "dnsovertls", "fz0", "yes"]);
      await client.must(["resolvectl", "flush-caches"]);
      assert.notEqual((await query()).code, 0);
    });
    await check("at the end all is as strict as before", async () => {
      assert.equal((await session.process.stop()).code, 0);
      await eventually(async () => assert.equal(await settings(), before));
    });
  }),
);

/** With the last, resolved asks DNS servers for names of one label as they are. */
const SETTINGS = "DNSSEC=yes\nDNSOverTLS=yes\nResolveUnicastSingleLabel=yes\n";
/** The host's folder is a link into the machine's. */
const OWN_FOLDER = "if [ -L /etc/systemd ]; then rm /etc/systemd; fi; mkdir -p /etc/systemd";
