/** Machines that other programs have made odd: other VPNs, servers, containers, rules in unusual places. */

import assert from "node:assert/strict";
import type { Host } from "../../io/lab/host.ts";
import type { LabProcess } from "../../io/lab/process.ts";
import type { Network, Role } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { INTERNET } from "./support/seed.ts";

const SITE_URL = "http://172.20.0.10/";
const STATE = `for f in -4 -6; do ip $f rule; ip $f route show table all | sort; done
ip -brief link; ip -brief address; cat /etc/resolv.conf; nft list ruleset`;

/** Returns everything that a session must leave as it was. */
async function state(network: Network): Promise<string> {
  return await network.client.must(["sh", "-c", STATE]);
}

async function internet(network: Network, ...args: string[]): Promise<void> {
  const { code, stderr } = await network.fz(["internet", ...args], network.clientEnv());
  assert.equal(code, 0, stderr);
}

/** Returns what the machine cannot do, as `fz status` tells it. */
async function limits(network: Network): Promise<string> {
  const { stdout, stderr } = await network.fz(["status", "--json"], network.clientEnv());
  assert.notEqual(stdout, "", stderr);
  return (JSON.parse(stdout).network.degraded as string[]).join("\n");
}

async function stop({ process }: Role): Promise<void> {
  process.kill("SIGTERM");
  assert.equal((await process.outcome).code, 0, process.describe());
}

/** Who the public server sees when the client asks it. */
async function seen(network: Network, family: 4 | 6): Promise<string> {
  const { v4, v6 } = network.uplink("public");
  const text = await network.curl(family === 4 ? `http://${v4}/` : `http://[${v6}]/`, "--max-time", "10");
  return text.trim().replace("hello ", "").replace("::ffff:", "");
}

async function isSeenAs(network: Network, v4: string, v6: string): Promise<void> {
  assert.deepEqual([await seen(network, 4), await seen(network, 6)], [v4, v6]);
}

/** Sets up a WireGuard server on the router of the internet, and returns switches of the client's full tunnel to it. */
async function wireGuard(network: Network): Promise<{ up(): Promise<void>; down(): Promise<void> }> {
  const { client } = network;
  const router = network.host("internet");
  const keys = async () => {
    const secret = (await client.must(["wg", "genkey"])).trim();
    return { secret, open: (await client.must(["wg", "pubkey"], { input: `${secret}\n` })).trim() };
  };
  const [server, own] = [await keys(), await keys()];
  await router.writeFile(
    "/etc/wireguard/far.conf",
    `[Interface]\nPrivateKey=${server.secret}\nListenPort=51820\nAddress=10.66.0.1/24,fd66::1/64
[Peer]\nPublicKey=${own.open}\nAllowedIPs=10.66.0.2/32,fd66::2/128\n`,
  );
  await client.writeFile(
    "/etc/wireguard/other.conf",
    `[Interface]\nPrivateKey=${own.secret}\nAddress=10.66.0.2/32,fd66::2/128
[Peer]\nPublicKey=${server.open}\nEndpoint=198.18.10.1:51820\nAllowedIPs=0.0.0.0/0,::/0\n`,
  );
  const quick = async (host: Host, ...args: string[]) => {
    const env = {
      WG_QUICK_USERSPACE_IMPLEMENTATION: "wireguard-go",
      WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD: "1",
    };
    await host.must(["wg-quick", ...args], { env });
  };
  await quick(router, "up", "far");
  return { up: () => quick(client, "up", "other"), down: () => quick(client, "down", "other") };
}

Deno.test(
  "fz run: lives beside wg-quick's full tunnel, started before and after it, and while it goes",
  onNetwork({ underlay: "dual", resources: [INTERNET] }, async (network, check) => {
    const { client } = network;
    const direct = network.uplink("client");
    const gateway = network.uplink("gateway-1");
    const other = await wireGuard(network);
    const alone = await state(network);

    await check(
      "started after it: resources by ours, the rest by the other, or by ours if asked to",
      async () => {
        await other.up();
        const before = await state(network);
        const role = await network.startClient();
        assert.match(await network.curl(SITE_URL), /hello/);
        await isSeenAs(network, "10.66.0.2", "fd66::2");
        await internet(network, "on");
        await isSeenAs(network, gateway.v4!, gateway.v6!);
        assert.match(await network.curl(SITE_URL), /hello/);
        assert.equal(await limits(network), "");
        await internet(network, "off");
        await stop(role);
        assert.equal(await state(network), before);
      },
    );

    const role = await network.startClient({ args: ["--activate-internet-resource"] });
    await check("when it goes, what went through it finds another way", async () => {
      await isSeenAs(network, gateway.v4!, gateway.v6!);
      await other.down();
      await eventually(async () => {
        assert.match(await network.curl(SITE_URL, "--max-time", "2"), /hello/);
        await isSeenAs(network, gateway.v4!, gateway.v6!);
      });
      await internet(network, "off");
      await isSeenAs(network, direct.v4!, direct.v6!);
    });

    await check("started before it, its rules are the first: they are left alone, and told of", async () => {
      await other.up();
      await isSeenAs(network, "10.66.0.2", "fd66::2");
      await eventually(async () => {
        assert.match(await limits(network), /come before the tunnel's, and lead to device "other"/);
      });
      await other.down();
      await eventually(async () => {
        assert.equal(await limits(network), "");
        assert.match(await network.curl(SITE_URL, "--max-time", "2"), /hello/);
      });
    });

    await check("at the end everything is as it was", async () => {
      await stop(role);
      assert.equal(await state(network), alone);
      assert.doesNotMatch(await client.must(["ip", "rule"]), /51820/);
    });
  }),
);

/** Connects to port 2222 of `address` on a host and says something every now and then; what comes back is its output. */
function visit(visitor: Host, address: string): LabProcess {
  const target = address.includes(":") ? `TCP6:[${address}]:2222` : `TCP4:${address}:2222`;
  const talk =
    `(for i in $(seq 3000); do echo line $i; sleep 0.1; done) | socat - ${target},connect-timeout=60`;
  return visitor.spawn(["sh", "-c", talk]);
}

/** Waits until the visit has got more answers. */
async function goesOn(visit: LabProcess): Promise<void> {
  const before = visit.stdout.length;
  await eventually(() => assert.ok(visit.stdout.length > before + 20, visit.describe()));
}

Deno.test(
  "fz run: full tunnel leaves servers of this machine reachable from everywhere, and its containers a way out",
  onNetwork({ underlay: "dual", resources: [INTERNET] }, async (network, check) => {
    const { client } = network;
    const visitor = network.host("public");
    const { v4, v6 } = network.uplink("client");
    const gateway = network.uplink("gateway-1");
    // As Docker sets up its bridge.
    const container = await network.lab.host("container");
    await network.lab.link([client, { v4: "172.17.0.1/16", name: "docker0" }], [container, {
      v4: "172.17.0.2/16",
    }]);
    await container.setDefaultRoute("172.17.0.1");
    await client.enableForwarding();
    await client.nft(`table ip nat {
      chain post { type nat hook postrouting priority 100; ip saddr 172.17.0.0/16 oifname != "docker0" masquerade; }
    }`);
    const server = client.spawn(["socat", "TCP6-LISTEN:2222,fork,reuseaddr,ipv6only=0", "EXEC:cat"]);
    await eventually(async () => assert.match(await client.must(["ss", "-tln"]), /:2222\b/));
    const before = await state(network);
    const role = await network.startClient();

    const [old4, old6] = [visit(visitor, v4!), visit(visitor, v6!)];
    await Promise.all([goesOn(old4), goesOn(old6)]);

    await check("sessions from outside go on, and others begin", async () => {
      await internet(network, "on");
      const later = visit(visitor, v4!);
      await Promise.all([goesOn(old4), goesOn(old6), goesOn(later)]);
      await later.stop();
    });

    await check("what the machine asks for itself goes into the tunnel all the same", async () => {
      await isSeenAs(network, gateway.v4!, gateway.v6!);
      assert.match(await network.curl(SITE_URL), /hello/);
      const rules = await client.must(["ip", "rule"]);
      assert.match(rules, /^250:\tfrom all iif lo ipproto tcp sport 2222 goto 310/m);
    });

    await check("what its containers ask for, too", async () => {
      for (
        const [url, source] of [[SITE_URL, "172.20.0.1"], [
          `http://${network.uplink("public").v4}/`,
          gateway.v4!,
        ]]
      ) {
        assert.match(
          await container.must(["curl", "-sS", "--fail", "--max-time", "60", url!]),
          new RegExp(`${source}\\b`),
        );
      }
    });

    await check("also where the reverse path filter is strict", async () => {
      await client.must(["sh", "-c", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 >$f; done"]);
      // The session looks at it when the network changes.
      await client.must(["ip", "address", "add", "10.98.0.1/32", "dev", "lo"]);
      await eventually(async () => assert.match(await client.must(["ip", "rule"]), /^95:/m));
      const later = visit(visitor, v4!);
      await Promise.all([goesOn(old4), goesOn(old6), goesOn(later)]);
      await later.stop();
      await client.must(["sh", "-c", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done"]);
      await client.must(["ip", "address", "delete", "10.98.0.1/32", "dev", "lo"]);
    });

    await check("--lan deny sends answers into the tunnel, --lan allow brings them back", async () => {
      await internet(network, "on", "--lan", "deny");
      assert.doesNotMatch(await client.must(["ip", "rule"]), /sport 2222/);
      await internet(network, "on", "--lan", "allow");
      await Promise.all([goesOn(old4), goesOn(old6)]);
    });

    await check("a server that ends takes its rule along", async () => {
      await Promise.all([old4.stop(), old6.stop(), server.stop()]);
      await eventually(
        async () => assert.doesNotMatch(await client.must(["ip", "rule"]), /sport 2222/),
      );
    });

    await check("at the end everything is as it was", async () => {
      await stop(role);
      assert.equal(await state(network), before);
    });
  }),
);

/** Each is done, undone, and what it does to a session with full tunnel. */
const ODDITIES: readonly { name: string; make: string; unmake: string; told?: RegExp; isPast?: boolean }[] = [
  {
    name: "rules and a table as Tailscale has them",
    make: `for f in -4 -6; do
      ip $f rule add priority 5210 fwmark 0x80000/0xff0000 lookup main
      ip $f rule add priority 5250 fwmark 0x80000/0xff0000 unreachable
      ip $f rule add priority 5270 lookup 52; done
      ip route add 100.64.0.0/10 dev odd0 table 52`,
    unmake:
      "for f in -4 -6; do for p in 5210 5250 5270; do ip $f rule del priority $p; done; done; ip route flush table 52",
  },
  {
    name: "a table for each address, as cloud images have it",
    make: `ip rule add priority 10 from 198.18.10.2 lookup 1001
      ip route add default via 198.18.10.1 table 1001; ip route add 198.18.10.0/24 dev eth0 table 1001`,
    unmake: "ip rule del priority 10; ip route flush table 1001",
  },
  {
    name: "the machine's own addresses looked up late, as with VRFs",
    make: "for f in -4 -6; do ip $f rule add priority 1000 lookup local; ip $f rule del priority 0; done",
    unmake: "for f in -4 -6; do ip $f rule add priority 0 lookup local; ip $f rule del priority 1000; done",
  },
  {
    name: "routes to both halves of the Internet, as OpenVPN has them",
    make:
      "ip route add 198.18.0.0/15 via 198.18.10.1; ip route add 0.0.0.0/1 dev odd0; ip route add 128.0.0.0/1 dev odd0",
    unmake: "ip route del 198.18.0.0/15; ip route del 0.0.0.0/1; ip route del 128.0.0.0/1",
    told: /lead the Internet to device "odd0": it does not all go into the tunnel/,
    isPast: true,
  },
  {
    name: "an uplink that carries 1280 bytes, and a second default route",
    make: "ip link set eth0 mtu 1280; ip route add default via 10.99.0.1 metric 600",
    unmake: "ip link set eth0 mtu 1500; ip route del default via 10.99.0.1",
  },
];

Deno.test(
  "fz run: full tunnel works beside odd rules and routes, and touches none of them",
  onNetwork({ underlay: "dual", resources: [INTERNET] }, async (network, check) => {
    const { client } = network;
    const { v4, v6 } = network.uplink("gateway-1");
    await client.must([
      "sh",
      "-ec",
      `ip link add odd0 type veth peer name odd1; ip link set odd1 up; ip link set odd0 up
      ip addr add 10.99.0.2/24 dev odd0`,
    ]);
    for (const { name, make, unmake, told, isPast = false } of ODDITIES) {
      await check(name, async () => {
        const pristine = await state(network);
        await client.must(["sh", "-ec", make]);
        const before = await state(network);
        const role = await network.startClient({ args: ["--activate-internet-resource"] });
        assert.match(await network.curl(SITE_URL), /hello/);
        if (!isPast) await isSeenAs(network, v4!, v6!);
        const text = await limits(network);
        if (told === undefined) assert.equal(text, "");
        else assert.match(text, told);
        await stop(role);
        assert.equal(await state(network), before);
        await client.must(["sh", "-ec", unmake]);
        assert.equal(await state(network), pristine);
      });
    }

    await check("a full disk under /run is named, and nothing is changed", async () => {
      const full =
        "mkdir -p /run/fz && mount -t tmpfs -o size=4k,mode=755 full /run/fz && head -c 4096 /dev/zero >/run/fz/full";
      await client.must(["sh", "-c", full]);
      const before = await state(network);
      const { code, stderr } = await network.fz(["run"], network.clientEnv());
      assert.notEqual(code, 0);
      assert.match(stderr, /\/run\/fz.*[Nn]o space/);
      assert.doesNotMatch(stderr, /[Uu]nexpected/);
      assert.equal(await state(network), before);
      await client.must(["umount", "/run/fz"]);
    });

    await check("a device of that name is somebody else's: refused, and left alone", async () => {
      await client.must(["ip", "link", "add", "fz0", "type", "veth", "peer", "name", "fz0p"]);
      const before = await state(network);
      const { code, stderr } = await network.fz(["run"], network.clientEnv());
      assert.equal(code, 7, stderr);
      assert.match(stderr, /device "fz0"/);
      assert.equal(await state(network), before);
    });
  }),
);
