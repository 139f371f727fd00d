/** What a client's UDP sockets meet on real machines, provoked in a real kernel: none of it ends the session. */

import assert from "node:assert/strict";
import type { StatusDocument } from "../../lib/control/api.ts";
import { fz } from "./support/fz.ts";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork, sleep } from "./support/on_network.ts";
import { Stream } from "./support/stream.ts";

const WEB = "http://172.20.0.10/";

Deno.test(
  "UDP sockets: what cannot be sent is counted and survived",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const { client } = network;
    const holder = client.spawn(["socat", "-u", "UDP4-RECV:52625", "STDOUT"]);
    await eventually(async () => assert.match(await client.must(["ss", "-Hlun"]), /:52625/));
    await network.startClient({ dnsControl: "disabled" });
    const stream = await Stream.start(network, { keepAlive: false });

    await check("the usual port is taken: another one is", async () => {
      const { underlay } = await status(network);
      const [v4] = underlay?.sockets ?? [];
      assert.match(v4 ?? "", /^0\.0\.0\.0:\d+$/);
      assert.notEqual(v4, "0.0.0.0:52625");
      assert.deepEqual(underlay?.sendErrors, {});
      await holder.stop();
    });

    await check("a firewall of this machine forbids: EPERM", async () => {
      await client.nft(`table inet forbid {
        chain output { type filter hook output priority 0; meta l4proto udp oifname "eth0" drop; }
      }`);
      await eventually(async () => assert.ok(await errors(network, "EPERM") > 0));
      await client.must(["nft", "delete", "table", "inet", "forbid"]);
      await goesOn(network, stream);
    });

    await check("no route: ENETUNREACH", async () => {
      const route = (await client.must(["ip", "route", "show", "default"])).trim().split(" ");
      await client.must(["ip", "route", "delete", "default"]);
      await eventually(async () => assert.ok(await errors(network, "ENETUNREACH") > 0));
      await client.must(["ip", "route", "add", ...route]);
      await goesOn(network, stream);
    });

    await check("routes that say no: host unreachable and prohibited", async () => {
      const { v4 } = network.uplink("gateway-1");
      for (const [kind, error] of [["unreachable", "EHOSTUNREACH"], ["prohibit", "EACCES"]] as const) {
        await client.must(["ip", "route", "add", kind, `${v4}/32`]);
        await eventually(async () => assert.ok(await errors(network, error) > 0));
        await client.must(["ip", "route", "delete", `${v4}/32`]);
      }
      await goesOn(network, stream);
    });

    await check("a queue that is always full", async () => {
      const queue = ["tbf", "rate", "64kbit", "burst", "1600", "limit", "1600"];
      await client.must(["tc", "qdisc", "add", "dev", "eth0", "root", ...queue]);
      const load = client.run(["ping", "-q", "-c", "300", "-i", "0.005", "-s", "1100", "172.20.0.10"]);
      await load;
      await client.must(["tc", "qdisc", "delete", "dev", "eth0", "root"]);
      await goesOn(network, stream);
    });

    await check("ICMP from peers: port, host and network unreachable", async () => {
      await network.role("relay-1").process.stop();
      const { v4 } = network.uplink("relay-1");
      for (const answer of ["host-unreachable", "net-unreachable", "admin-prohibited"]) {
        await network.host("internet").nft(`table ip refuse {
          chain forward {
            type filter hook forward priority 0;
            ip daddr ${v4} meta l4proto udp reject with icmp type ${answer}
          }
        }`);
        await sleep(1000);
        await network.host("internet").must(["nft", "delete", "table", "ip", "refuse"]);
      }
      await stream.advance(10);
      await network.startRelay(1);
      await eventually(async () => {
        const { relays } = await status(network);
        assert.deepEqual(relays.map(({ state }) => state), ["allocated"]);
      });
      await goesOn(network, stream);
    });

    await check("fz metrics tells how often", async () => {
      const { stdout } = await fz(network, "metrics");
      for (const error of ["EPERM", "ENETUNREACH", "EHOSTUNREACH"]) {
        assert.match(stdout, new RegExp(`^fz_send_errors_total\\{error="${error}"\\} [1-9]`, "m"));
      }
    });

    await check("through all of it one connection, and not a byte is missing", () => stream.finish());
  }),
);

Deno.test(
  "UDP sockets: without IPv6, and before there is any network",
  onNetwork({ underlay: "dual" }, async (network, check) => {
    const { client } = network;
    await client.must(["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"]);
    await client.must(["ip", "link", "set", "eth0", "down"]);
    const env = network.programEnv();
    const process = client.spawn(network.command(["run", "--dns-control", "disabled"]), { env });

    await check("the session waits while there is no network", async () => {
      await eventually(async () => {
        const { state, underlay, problem } = await status(network);
        assert.equal(state, "connecting");
        assert.equal(underlay?.hasPath, false);
        assert.equal(problem?.code, "unreachable");
      });
      assert.ok(!process.ended, process.describe());
    });

    await check("it connects when there is one, by the family that there is", async () => {
      await client.must(["ip", "link", "set", "eth0", "up"]);
      await client.setDefaultRoute("198.18.10.1");
      await eventually(async () => assert.equal((await status(network)).state, "connected"));
      await eventually(() => network.curl(WEB));
      const { gateways, underlay } = await status(network);
      assert.match(gateways[0]?.path?.local ?? "", /^198\.18\.10\.2:/);
      assert.ok(underlay?.hasPath);
    });
    await process.stop();
  }),
);

async function status(network: Network): Promise<StatusDocument> {
  const { stdout, stderr } = await fz(network, "status", "--json");
  assert.ok(stdout.startsWith("{"), stderr);
  return JSON.parse(stdout);
}

/** Returns how many datagrams the kernel has refused with `name` so far. */
async function errors(network: Network, name: string): Promise<number> {
  return (await status(network)).underlay?.sendErrors[name] ?? 0;
}

async function goesOn(network: Network, stream: Stream): Promise<void> {
  await stream.advance(10);
  assert.equal((await status(network)).state, "connected");
  assert.match(await network.curl(WEB), /hello/);
}
