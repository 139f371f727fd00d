/** Other programs that write /etc/resolv.conf while a session runs. */

import assert from "node:assert/strict";
import { dnsStatus, stop } from "./support/dns_status.ts";
import { fz } from "./support/fz.ts";
import { NameLoop } from "./support/name_loop.ts";
import { onNetwork } from "./support/on_network.ts";

const PUBLIC_NAME = "www.public.test";

Deno.test(
  "fz run: sets DNS again when it is overwritten, tells of it, and ends a fight",
  onNetwork({ underlay: "dual" }, async (network, check) => {
    const host = network.client;
    const theirs = `nameserver ${network.uplink("public").v4!}\nsearch dhcp.test\n`;
    const client = await network.startClient();
    const rewrite = `printf '%s' "$1" >/etc/resolv.conf.dhcp && mv /etc/resolv.conf.dhcp /etc/resolv.conf`;

    await check("once: mended, with their resolver and search list", async () => {
      const names = new NameLoop(host, PUBLIC_NAME);
      await host.must(["sh", "-c", rewrite, "dhcp", theirs]);
      await client.events.waitFor("dns-repaired");
      assert.match(await host.readFile("/etc/resolv.conf"), /^search dhcp\.test$/m);
      assert.match(await network.curl("http://web.site.test/"), /hello/);
      const { repairs, problem } = await dnsStatus(network);
      assert.equal(repairs, 1);
      assert.equal(problem, undefined);
      const { stdout } = await fz(network, "dns", "status");
      assert.match(stdout, /Because\s+it was asked for by dns-control, and fits/);
      assert.match(stdout, /Set again\s+1 time,/);
      await names.stop();
    });

    await check("over and over: given up, and said by status, doctor and events", async () => {
      const fighter = host.spawn(["sh", "-c", `while :; do ${rewrite}; sleep 0.2; done`, "dhcp", theirs]);
      const { reason } = await client.events.waitFor("dns-problem");
      assert.match(reason, /Another program keeps changing/);
      assert.equal((await dnsStatus(network)).repairs, 5);
      const doctor = await fz(network, "doctor");
      assert.match(doctor.stdout, /problem\s+names do not reach the session/);
      await fighter.stop();
      // Names of the others are found as they want it.
      assert.match(await host.must(["getent", "hosts", PUBLIC_NAME]), /www/);
    });

    await check("at the end it is theirs", async () => {
      await stop(client);
      assert.equal(await host.readFile("/etc/resolv.conf"), theirs);
    });
  }),
);
