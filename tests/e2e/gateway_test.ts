/** What a gateway changes on its host, and that nothing of it stays. */

import assert from "node:assert/strict";
import type { Host } from "../../io/lab/host.ts";
import { inLab } from "../../io/lab/lab.ts";

const PROCESS = new URL("./gateway_process.ts", import.meta.url).pathname;

function start(host: Host) {
  const env = Object.fromEntries(
    ["HOME", "DENO_DIR"].flatMap((name) => {
      const value = Deno.env.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
  return host.spawn([Deno.execPath(), "run", "-A", "--quiet", "--no-check", PROCESS], { env });
}

async function snapshot(host: Host): Promise<string> {
  return await host.must([
    "sh",
    "-c",
    "ip -o link | wc -l; ip rule; ip route show table all | sort; ip -6 route show table all | sort; " +
    "nft list ruleset; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding; " +
    "grep . /proc/sys/net/ipv6/conf/*/accept_ra; cat /etc/resolv.conf",
  ]);
}

async function assertConfigured(host: Host): Promise<void> {
  const addresses = await host.must(["ip", "-br", "addr", "show", "dev", "tun-firezone"]);
  assert.match(addresses, /100\.64\.0\.2\/32/);
  assert.match(addresses, /fd00:2021:1111::2\/128/);
  const link = await host.must(["ip", "link", "show", "dev", "tun-firezone"]);
  assert.match(link, /mtu 1280/);
  assert.match(await host.must(["ip", "route", "get", "100.64.0.9"]), /dev tun-firezone/);
  assert.match(await host.must(["ip", "-6", "route", "get", "fd00:2021:1111::9"]), /dev tun-firezone/);
  const table = await host.must(["nft", "list", "table", "inet", "fz-gateway"]);
  assert.match(table, /oifname != "tun-firezone" ip saddr 100\.64\.0\.0\/11 masquerade/);
  assert.match(table, /oifname != "tun-firezone" ip6 saddr fd00:2021:1111::\/107 masquerade/);
  assert.equal((await host.readFile("/proc/sys/net/ipv4/ip_forward")).trim(), "1");
  assert.equal((await host.readFile("/proc/sys/net/ipv6/conf/all/forwarding")).trim(), "1");
}

Deno.test("gateway: makes its host a router and undoes everything at SIGTERM", () =>
  inLab(async (lab) => {
    const [host, other] = await Promise.all([lab.host("gw"), lab.host("other")]);
    await lab.link([host, { v4: "192.0.2.2/24", v6: "2001:db8::2/64" }], [other, {
      v4: "192.0.2.1/24",
      v6: "2001:db8::1/64",
    }]);
    await host.setDefaultRoute("192.0.2.1");
    await host.setResolvers(["192.0.2.1"]);
    const before = await snapshot(host);
    const gateway = start(host);
    await gateway.waitFor(/^ready/m);
    assert.match(gateway.stdout, /dialled \/gateway\/v2\/websocket/);
    await assertConfigured(host);
    gateway.kill("SIGTERM");
    await gateway.waitFor(/^stopped/m);
    assert.match(gateway.stdout, /closed 1000/);
    assert.equal((await gateway.outcome).code, 0, gateway.describe());
    assert.equal(await snapshot(host), before);
  }));

Deno.test("gateway: starts over leftovers of a killed one and undoes those too", () =>
  inLab(async (lab) => {
    const host = await lab.host("gw");
    // As Docker leaves a machine.
    await host.nft(
      "table ip filter {\n chain FORWARD { type filter hook forward priority filter; policy drop; }\n}\n",
    );
    const before = await snapshot(host);
    const killed = start(host);
    await killed.waitFor(/^ready/m);
    killed.kill("SIGKILL");
    await killed.outcome;
    const gateway = start(host);
    await gateway.waitFor(/^ready/m);
    await assertConfigured(host);
    const chain = await host.must(["nft", "list", "chain", "ip", "filter", "FORWARD"]);
    assert.equal(chain.match(/"tun-firezone" accept/g)?.length, 2, chain);
    gateway.kill("SIGTERM");
    await gateway.outcome;
    assert.equal(await snapshot(host), before);
  }));
