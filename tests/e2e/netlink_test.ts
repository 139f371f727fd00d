import assert from "node:assert/strict";
import { IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import {
  type Edit,
  type Link,
  MainTable,
  NetlinkRoute,
  type RouteFilter,
  type RuleSpec,
} from "../../ffi/linux/netlink/mod.ts";
import { isIsolated } from "../../io/lab/isolation.ts";
import { assertSame, ip, sh } from "./support/ip_listing.ts";

/** These run in the isolated namespace itself, which is the host here; `eth0` and `eth1` are its links. */
async function onHost(
  body: (netlink: NetlinkRoute, eth0: Link, eth1: Link) => void | Promise<void>,
): Promise<void> {
  assert.ok(isIsolated(), "run by deno task e2e");
  const before = sh("ip rule; ip -6 rule; ip route show table all; ip -6 route show table all | sort");
  sh(`ip link add eth0 type veth peer name peer0; ip link add eth1 type veth peer name peer1
    for dev in eth0 peer0 eth1 peer1; do ip link set $dev addrgenmode none; ip link set $dev up; done
    ip addr add 192.0.2.2/24 dev eth0; ip -6 addr add 2001:db8:1::2/64 dev eth0 nodad
    ip addr add 198.51.100.2/24 dev eth1; ip -6 addr add 2001:db8:2::2/64 dev eth1 nodad`);
  const netlink = NetlinkRoute.open();
  try {
    await body(netlink, netlink.link("eth0")!, netlink.link("eth1")!);
  } finally {
    netlink.close();
    sh(
      "ip link del eth0; ip link del eth1; for family in 4 6; do ip -$family route flush table 77 2>/dev/null || :; done",
    );
    for (const family of [4, 6]) {
      for (const { priority } of ip(`-${family} rule`)) {
        if (Number(priority) > 0 && Number(priority) < 32766) {
          sh(`ip -${family} rule del priority ${priority}`);
        }
      }
      sh(`for type in blackhole unreachable prohibit; do ip -${family} route flush type $type; done`);
    }
    sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0");
  }
  assert.equal(sh("ip rule; ip -6 rule; ip route show table all; ip -6 route show table all | sort"), before);
}

/** Does `script` again and again, until it is asked to end; then it ends between two times. */
function churning(script: string): Deno.ChildProcess {
  const loop = `trap 'isOver=yes' TERM; until [ -n "$isOver" ]; do ${script}; done`;
  return new Deno.Command("sh", { args: ["-c", loop] }).spawn();
}

Deno.test("NetlinkRoute: lists links, addresses, routes and rules of every shape as ip does", () =>
  onHost((netlink) => {
    sh(`ip addr add 10.5.5.5 peer 10.5.5.6/32 dev eth1; ip addr add 10.5.6.1/24 scope link dev eth1
      ip route add default via 192.0.2.1 metric 100; ip route add default dev eth1 metric 200
      ip route add 10.1.0.0/16 nexthop via 192.0.2.1 weight 3 nexthop via 198.51.100.1 dev eth1
      ip route add blackhole 10.2.0.0/16 metric 5; ip route add unreachable 10.3.0.0/16
      ip route add prohibit 10.3.1.0/24; ip route add throw 10.3.2.0/24 table 77
      ip route add 10.4.0.0/16 via 192.0.2.9 src 192.0.2.2 mtu 1400 advmss 1300 table 539098368 proto 70
      ip route add 10.6.0.0/16 via inet6 2001:db8:1::9 dev eth0; ip route add 10.7.0.0/16 tos 0x10 dev eth0
      ip nexthop add id 7 via 192.0.2.7 dev eth0; ip nexthop add id 8 via 192.0.2.8 dev eth0
      ip nexthop add id 9 group 7/8,5; ip route add 10.8.0.0/16 nhid 7; ip route add 10.9.0.0/16 nhid 9
      ip -6 route add default via 2001:db8:1::1; ip -6 route add default dev eth1 metric 2000
      ip -6 route add 2001:db8:a::/48 nexthop via 2001:db8:1::1 nexthop via 2001:db8:2::1 weight 2
      ip -6 route add blackhole 2001:db8:b::/48; ip -6 route add unreachable 2001:db8:c::/48
      ip -6 route add prohibit default table 77
      ip -6 route add 2001:db8:d::/48 from 2001:db8:1::/64 dev eth0 metric 7
      ip -6 route add 2001:db8:e::/48 via 2001:db8:1::5 src 2001:db8:1::2 mtu 1300 proto 70
      ip route add 10.10.0.0/16 dev eth1
      for family in 4 6; do
        ip -$family rule add fwmark 0/0xf lookup 5 priority 88
        ip -$family rule add from all iif eth0 oif lo lookup 77 priority 91
        ip -$family rule add fwmark 5/0xff blackhole priority 92
        ip -$family rule add prohibit uidrange 5-10 priority 94
        ip -$family rule add ipproto udp sport 53 dport 1000-2000 lookup 77 priority 95 protocol 70
        ip -$family rule add goto 32766 priority 96; ip -$family rule add nop priority 97
        ip -$family rule add not fwmark 0xfd002021 lookup main suppress_prefixlength 0 priority 98
        ip -$family rule add l3mdev priority 99
      done
      ip rule add tos 0x10 lookup 5 priority 89; ip rule add from 10.0.0.0/8 lookup 539098368 priority 100
      ip rule add to 203.0.113.9 lookup main priority 90; ip rule add unreachable to 10.0.0.0/8 priority 93
      ip -6 rule add to 2001:db8:9::9 lookup main priority 90
      ip -6 rule add from 2001:db8::/32 lookup 539098368 priority 100`);
    assertSame(netlink);
    sh("ip link set peer1 down");
    assertSame(netlink);
    sh("ip link set eth1 down");
    assertSame(netlink);
  }));

Deno.test("NetlinkRoute.routes: lists the same where the kernel does not choose", () =>
  onHost((netlink, { index }) => {
    sh(`ip route add 10.1.0.0/16 dev eth0 table 77; ip -6 route add 2001:db8:9::/48 dev eth0 table 539098368
      ip route add default via 192.0.2.1; ip -6 route add default via 2001:db8:1::1`);
    using old = NetlinkRoute.open({ isStrict: false });
    const filters = [{}, { table: 77 }, { table: 0x2021fd00 }, { table: 254, prefix: 0 }, { family: 6 }, {
      table: 5,
    }];
    const counts = filters.map((filter) => {
      const found = netlink.routes(filter as RouteFilter);
      assert.deepEqual(old.routes(filter as RouteFilter), found);
      return found.length;
    });
    assert.deepEqual(counts.slice(1, 4), [1, 1, 2]);
    assert.equal(counts[5], 0);
    assert.equal(netlink.routes({ table: 77 })[0]!.index, index);
    assertSame(old);
  }));

Deno.test("NetlinkRoute.links, addresses: are whole while others come and go", () =>
  onHost(async (netlink) => {
    const names = Array.from({ length: 100 }, (_, n) => `many${n}`);
    const added = names.map((name, n) =>
      `link add ${name} type veth peer name other${n}\naddr add 10.77.${n}.1/24 dev ${name}`
    );
    sh(`printf '${added.join("\\n")}\\n' | ip -batch -`);
    const churn = churning("ip link add brief0 type veth peer name brief1; ip link del brief0");
    try {
      for (let round = 0; round < 40; round++) {
        const links = netlink.links().map(({ name }) => name).filter((name) => name.startsWith("many"));
        assert.deepEqual(links.sort(), names.toSorted());
        const addresses = netlink.addresses().filter(({ address }) => String(address).startsWith("10.77."));
        assert.equal(addresses.length, names.length);
      }
    } finally {
      churn.kill("SIGTERM");
      await churn.status;
      sh(`${names.map((name) => `ip link del ${name}`).join("; ")}`);
    }
  }));

Deno.test("NetlinkRoute.addRoute, removeRoute: ip shows what was added, until it is removed", () =>
  onHost((netlink, { index }) => {
    const shown = () => [4, 6].map((family) => sh(`ip -d -${family} route show table 77`)).join("").trim();
    const own = { table: 77, protocol: 70 };
    const to = IpNetwork.from;
    const cases = [
      [{ ...own, destination: to("10.9.0.0/16"), index }, "unicast 10.9.0.0/16 dev eth0 proto 70 scope link"],
      [
        { ...own, destination: to("0.0.0.0/0"), index, metric: 9 },
        "unicast default dev eth0 proto 70 scope link metric 9",
      ],
      [
        {
          ...own,
          destination: to("10.8.0.0/16"),
          gateway: IpAddress.from("192.0.2.1"),
          source: IpAddress.from("192.0.2.2"),
        },
        "unicast 10.8.0.0/16 via 192.0.2.1 dev eth0 proto 70 scope global src 192.0.2.2",
      ],
      [
        { ...own, destination: to("10.7.0.0/16"), gateway: IpAddress.from("2001:db8:1::1"), index },
        "unicast 10.7.0.0/16 via inet6 2001:db8:1::1 dev eth0 proto 70 scope global",
      ],
      [
        { ...own, destination: to("10.6.6.6/32"), type: "blackhole" },
        "blackhole 10.6.6.6 proto 70 scope global",
      ],
      [
        { ...own, destination: to("::/0"), index },
        "unicast default dev eth0 proto 70 scope global metric 1024 pref medium",
      ],
      [
        { ...own, destination: to("2001:db8:9::/48"), gateway: IpAddress.from("2001:db8:1::1"), metric: 5 },
        "unicast 2001:db8:9::/48 via 2001:db8:1::1 dev eth0 proto 70 scope global metric 5 pref medium",
      ],
    ] as const;
    for (const [route, text] of cases) {
      assert.equal(netlink.addRoute(route), undefined);
      assert.equal(shown().replace(/ +/g, " "), text);
      assert.deepEqual(netlink.addRoute(route)?.errno, 17);
      assert.equal(netlink.addRoute(route, { replace: true }), undefined);
      assert.equal(netlink.routes({ table: 77 }).length, 1);
      assert.equal(netlink.removeRoute({ ...route, protocol: 71 })?.errno, 3);
      assert.equal(netlink.removeRoute(netlink.routes({ table: 77 })[0]!), undefined);
      assert.equal(shown(), "");
      assert.equal(netlink.removeRoute(route)?.errno, 3);
    }
  }));

Deno.test("NetlinkRoute.addRule, removeRule: ip shows what was added, until it is removed", () =>
  onHost((netlink) => {
    for (const family of [4, 6] as const) {
      const own = { family, table: MainTable.main, protocol: 70 };
      const address = family === 4 ? "203.0.113.9" : "2001:db8::9";
      const wide = family === 4 ? "203.0.113.0/24" : "2001:db8::/32";
      const cases: (readonly [RuleSpec, string])[] = [
        [
          { ...own, priority: 100, table: 0x2021fd00, mark: 0xfd002021, not: true },
          "100: not from all fwmark 0xfd002021 lookup 539098368 proto 70",
        ],
        [
          { ...own, priority: 200, suppressPrefixLength: 0 },
          "200: from all lookup main suppress_prefixlength 0 proto 70",
        ],
        [
          { ...own, priority: 90, destination: IpNetwork.from(address) },
          `90: from all to ${address} lookup main proto 70`,
        ],
        [
          { ...own, priority: 91, source: IpNetwork.from(wide), inputLink: "eth0", outputLink: "eth1" },
          `91: from ${wide} iif eth0 oif eth1 lookup main proto 70`,
        ],
        [
          { ...own, priority: 95, ipProtocol: 17, sourcePort: { first: 52625, last: 52625 } },
          "95: from all ipproto udp sport 52625 lookup main proto 70",
        ],
        [
          {
            ...own,
            priority: 96,
            ipProtocol: 6,
            destinationPort: { first: 1, last: 1023 },
            mark: 1,
            mask: 3,
          },
          "96: from all fwmark 0x1/0x3 ipproto tcp dport 1-1023 lookup main proto 70",
        ],
        [{ ...own, priority: 97, table: 0, action: "unreachable" }, "97: from all unreachable proto 70"],
      ];
      for (const [rule, text] of cases) {
        assert.equal(netlink.addRule(rule), undefined);
        const lines = sh(`ip -${family} rule show priority ${rule.priority}`).trim().replace(/[\t ]+/g, " ");
        assert.equal(lines, text);
        assert.deepEqual(
          netlink.rules(family).filter(({ protocol }) => protocol === 70),
          [{ action: "lookup", not: false, ...rule }],
        );
        assert.equal(netlink.addRule(rule)?.errno, 17);
        assert.equal(netlink.removeRule({ ...rule, protocol: 71 })?.errno, 2);
        assert.equal(netlink.removeRule(rule), undefined);
        assert.equal(netlink.removeRule(rule)?.errno, 2);
      }
    }
    assertSame(netlink);
  }));

Deno.test("NetlinkRoute.setLink, addAddress, removeAddress: ip shows what was set", () =>
  onHost((netlink, { index }) => {
    sh("ip link set eth0 down; ip link set eth0 addrgenmode eui64");
    assert.equal(
      netlink.setLink({ index, up: true, mtu: 1280, txQueueLength: 77, addrGenModeNone: true }),
      undefined,
    );
    const [link] = ip("link show dev eth0");
    assert.deepEqual([link!.mtu, link!.txqlen, link!.inet6_addr_gen_mode], [1280, 77, "none"]);
    assert.ok((link!.flags as string[]).includes("UP"));
    const ipv4 = { index, address: IpAddress.from("100.64.0.7"), prefix: 32 };
    const ipv6 = { index, address: IpAddress.from("fd00:2021:1111::7"), prefix: 128, nodad: true };
    for (const address of [ipv4, ipv6, ipv4, ipv6]) assert.equal(netlink.addAddress(address), undefined);
    const text = sh("ip addr show dev eth0");
    assert.match(text, /inet 100\.64\.0\.7\/32 scope global eth0/);
    assert.match(text, /inet6 fd00:2021:1111::7\/128 scope global nodad/);
    assert.doesNotMatch(text, /tentative|fe80/);
    for (const address of [ipv4, ipv6]) assert.equal(netlink.removeAddress(address), undefined);
    assert.doesNotMatch(sh("ip addr show dev eth0"), /100\.64|1111::7/);
    assert.equal(netlink.removeAddress(ipv4)?.errno, 99);
    assert.equal(netlink.setLink({ index, up: false }), undefined);
    assert.equal(netlink.link("eth0")!.isUp, false);
    assert.equal(netlink.link("eth7"), undefined);
  }));

Deno.test("NetlinkRoute.apply: makes every change, and says which the kernel refused, in its words", () =>
  onHost((netlink, { index }) => {
    const route = (text: string, gateway: string): Edit => ({
      type: "add-route",
      route: {
        destination: IpNetwork.from(text),
        gateway: IpAddress.from(gateway),
        table: 77,
        protocol: 70,
        index,
      },
    });
    const refusals = netlink.apply([
      route("10.1.0.0/16", "192.0.2.1"),
      route("10.2.0.0/16", "203.0.113.1"),
      route("10.3.0.0/16", "192.0.2.1"),
      { type: "remove-rule", rule: { family: 4, priority: 5, table: 77 } },
      { type: "set-link", link: { index, mtu: 5 } },
    ]);
    assert.deepEqual(refusals.map((refusal) => refusal?.errno), [undefined, 101, undefined, 2, 22]);
    assert.equal(refusals[1]!.text, "Nexthop has invalid gateway");
    assert.match(refusals[4]!.text, /mtu/i);
    assert.equal(netlink.routes({ family: 4, table: 77 }).length, 2);
    assert.equal(
      netlink.addRoute({ destination: IpNetwork.from("10.9.0.0/16"), table: 77, protocol: 70, index: 999 })
        ?.errno,
      19,
    );
  }));

Deno.test("NetlinkRoute: says that a privilege is missing, and lists without it", () =>
  onHost((_, { index }) => {
    const script = `import { NetlinkRoute } from "${import.meta.resolve("../../ffi/linux/netlink/mod.ts")}";
      const netlink = NetlinkRoute.open();
      console.log(JSON.stringify(netlink.setLink({ index: ${index}, mtu: 1400 })));
      console.log(netlink.links().length, netlink.routes().length > 5, netlink.rules(4).length);`;
    const { stdout } = new Deno.Command("setpriv", {
      args: ["--bounding-set", "-net_admin", "--inh-caps", "-net_admin", Deno.execPath(), "eval", script],
    }).outputSync();
    assert.equal(
      new TextDecoder().decode(stdout),
      '{"errno":1,"text":"operation not permitted"}\n5 true 3\n',
    );
  }));

Deno.test("NetlinkRoute: with IPv6 turned off, refuses its addresses and goes on with IPv4", () =>
  onHost((netlink, { index }) => {
    sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
    const address = IpAddress.from("fd00:2021:1111::7");
    const refusal = netlink.addAddress({ index, address, prefix: 128, nodad: true });
    assert.equal(refusal?.errno, 13);
    assert.match(refusal.text, /IPv6 is disabled/);
    assert.equal(netlink.addAddress({ index, address: IpAddress.from("100.64.0.7"), prefix: 32 }), undefined);
    assertSame(netlink);
  }));

Deno.test("NetlinkRoute.routes: returns 20000 routes whole, while others come and go", () =>
  onHost(async (netlink, { index }) => {
    const destinations = Array.from({ length: 20_000 }, (_, n) => IpAddress.from("10.0.0.0").plus(n * 256));
    const edits = destinations.map((address): Edit => ({
      type: "add-route",
      route: { destination: new IpNetwork(address, 24), table: 77, protocol: 70, index },
    }));
    assert.ok(netlink.apply(edits).every((refusal) => refusal === undefined));
    const expected = destinations.map((address) => `${address}/24`);
    const listed = () => netlink.routes({ table: 77 }).map(({ destination }) => String(destination));
    assert.deepEqual(listed(), expected);
    assert.equal(sh("ip route show table 77 | wc -l").trim(), "20000");
    assert.equal(netlink.routes({ table: 78 }).length, 0);
    assert.ok(netlink.routes({ table: MainTable.main }).length < 20);
    const churn = churning(
      "ip route replace 11.0.0.0/24 dev eth0 table 77; ip route del 11.0.0.0/24 dev eth0 table 77",
    );
    try {
      for (let round = 0; round < 10; round++) {
        assert.deepEqual(listed().filter((text) => text.startsWith("10.")), expected);
      }
    } finally {
      churn.kill("SIGTERM");
      await churn.status;
    }
  }));
