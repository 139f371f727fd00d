import assert from "node:assert/strict";
import { Fault } from "../../lib/base/fault.ts";
import { IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import type { Change } from "../../lib/host/journal.ts";
import type { HostNetwork, HostNetworkOptions } from "../../ffi/platform.ts";
import { createHostNetwork } from "../../ffi/linux/host_network.ts";
import { NetlinkRoute } from "../../ffi/linux/netlink/mod.ts";
import type { RouteKernel } from "../../ffi/linux/rules.ts";
import { platform } from "../../ffi/mod.ts";
import { Errno } from "../../ffi/errno.ts";
import { isIsolated } from "../../io/lab/isolation.ts";
import { eventually } from "./support/on_network.ts";

/**
 * These run in the isolated namespace itself, which is the host here: `eth0` and `eth1` are its links, `fz0` is the
 * tunnel.
 */
async function sh(script: string): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("sh", { args: ["-ec", script] }).output();
  const text = new TextDecoder().decode(stdout);
  assert.equal(code, 0, `${script}: ${text}${new TextDecoder().decode(stderr)}`);
  return text;
}

const MARK = 0xfd002021;
const ADDRESSES = { ipv4: IpAddress.from("100.64.0.7"), ipv6: IpAddress.from("fd00:2021:1111::7") };
const ROUTES = [
  "100.64.0.0/11",
  "100.96.0.0/11",
  "100.100.111.0/24",
  "fd00:2021:1111::/107",
  "10.9.0.0/16",
  "2001:db8:9::/48",
].map(IpNetwork.from);
const INTERNET = ["0.0.0.0/0", "::/0"].map(IpNetwork.from);

interface Scene {
  readonly network: HostNetwork;
  readonly warnings: string[];
  /** A process that knows nothing of what the first one did. */
  another(): HostNetwork;
  snapshot(): Promise<string>;
  closeTun(): void;
}

async function onHost(
  options: Partial<Omit<HostNetworkOptions, "log">> & {
    setup?: string;
    cleanup?: string;
    open?: () => RouteKernel;
  },
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  assert.ok(isIsolated(), "run by deno task e2e");
  const host = await platform();
  const warnings: string[] = [];
  const log: Log = {
    trace() {},
    debug() {},
    info() {},
    warn: (message, fields) => warnings.push(`${message} ${JSON.stringify(fields)}`),
    error: (message) => warnings.push(message),
    part: () => log,
  };
  await sh(`ip link set lo up
    ip link add eth0 type veth peer name peer0; ip link add eth1 type veth peer name peer1
    for dev in eth0 peer0 eth1 peer1; do ip link set $dev addrgenmode none; ip link set $dev up; done
    ip addr add 192.0.2.2/24 dev eth0; ip -6 addr add 2001:db8:1::2/64 dev eth0 nodad
    ip addr add 198.51.100.2/24 dev eth1; ip -6 addr add 2001:db8:2::2/64 dev eth1 nodad
    ip route add default via 192.0.2.1; ip -6 route add default via 2001:db8:1::1
    ip route add 172.20.0.0/16 via 192.0.2.9
    ip rule add to 203.0.113.9 lookup main priority 90
    # The kernel adds them some time after the links are up.
    for address in 2001:db8:1::2 2001:db8:2::2; do
      for i in $(seq 200); do ip -6 route show table local | grep -q "$address" && break; sleep 0.05; done
    done
    ${options.setup ?? ""}`);
  const snapshot = () =>
    eventually(async () => {
      const addresses = [...(await sh("ip -6 -o addr show up scope global")).matchAll(/inet6 ([^/ ]+)/g)];
      const text = await sh(
        "ip rule; ip -6 rule; ip route show table all | sort; ip -6 route show table all | sort",
      );
      // The kernel has its own route to an address of IPv6 follow in its own time.
      for (const [, address] of addresses) assert.match(text, new RegExp(`^local ${address} dev`, "m"));
      return text;
    });
  const before = await snapshot();
  const tun = host.openTun({ name: "fz0", mtu: options.mtu ?? 1280 });
  const make = () =>
    createHostNetwork(
      { device: "fz0", mtu: 1280, mark: MARK, routing: "policy", ...options, log },
      options.open,
    );
  const network = make();
  try {
    await body({ network, warnings, another: make, snapshot, closeTun: () => tun.close() });
    await make().undo();
    tun.close();
    assert.equal(await snapshot(), before);
  } finally {
    tun.close();
    await make().undo();
    await sh(`ip link del eth0; ip link del eth1; ip rule del to 203.0.113.9 lookup main priority 90
      ${options.cleanup ?? ""}
      sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0`);
  }
}

/** Returns the device that a packet to `address` would leave by. */
async function deviceTo(address: string, mark?: number): Promise<string> {
  const marked = mark === undefined ? "" : ` mark 0x${mark.toString(16)}`;
  const text = await sh(`ip ${address.includes(":") ? "-6" : ""} route get ${address}${marked}`);
  return / dev (\S+)/.exec(text)?.[1] ?? "none";
}

Deno.test("HostNetwork: sets addresses, MTU and routes, and undo leaves the machine as it was", () =>
  onHost({}, async ({ network, warnings, snapshot }) => {
    const before = await snapshot();
    await network.configure(ADDRESSES);
    await network.setRoutes(ROUTES);
    const addresses = await sh("ip addr show dev fz0");
    assert.match(addresses, /mtu 1280/);
    assert.match(addresses, /inet 100\.64\.0\.7\/32/);
    assert.match(addresses, /inet6 fd00:2021:1111::7\/128/);
    assert.doesNotMatch(addresses, /fe80/);
    for (const address of ["100.96.0.1", "100.100.111.1", "10.9.8.7", "fd00:2021:1111::9", "2001:db8:9::1"]) {
      assert.equal(await deviceTo(address), "fz0");
    }
    assert.equal(await deviceTo("10.9.8.7", MARK), "eth0");
    assert.equal(await deviceTo("8.8.8.8"), "eth0");
    assert.equal(await deviceTo("192.0.2.77"), "eth0");
    assert.deepEqual(warnings, []);
    const undone = await network.undo();
    assert.equal(undone.length, 4 + ROUTES.length);
    const withoutDevice = (text: string) =>
      text.split("\n").filter((line) => !line.includes("fz0")).join("\n");
    assert.equal(withoutDevice(await snapshot()), withoutDevice(before));
    assert.deepEqual(await network.undo(), []);
  }));

Deno.test("HostNetwork.setRoutes: adds and removes the difference", () =>
  onHost({}, async ({ network }) => {
    await network.configure(ADDRESSES);
    await network.setRoutes(ROUTES);
    await network.setRoutes([IpNetwork.from("10.9.0.0/16"), IpNetwork.from("10.8.0.0/16")]);
    assert.equal(await deviceTo("10.9.0.1"), "fz0");
    assert.equal(await deviceTo("10.8.0.1"), "fz0");
    assert.equal(await deviceTo("100.100.111.1"), "eth0");
    assert.equal(await deviceTo("2001:db8:9::1"), "eth0");
  }));

Deno.test("HostNetwork.setRoutes: with the Internet resource, resources beat the LAN and the LAN beats the tunnel", () =>
  onHost({}, async ({ network, warnings }) => {
    await network.configure(ADDRESSES);
    await network.setRoutes([...ROUTES, ...INTERNET, IpNetwork.from("192.0.2.128/25")]);
    assert.equal(await deviceTo("8.8.8.8"), "fz0");
    assert.equal(await deviceTo("2606:4700::1111"), "fz0");
    assert.equal(await deviceTo("8.8.8.8", MARK), "eth0");
    assert.equal(await deviceTo("192.0.2.77"), "eth0");
    assert.equal(await deviceTo("198.51.100.77"), "eth1");
    assert.equal(await deviceTo("2001:db8:1::77"), "eth0");
    assert.equal(await deviceTo("2001:db8:2::77"), "eth1");
    assert.equal(await deviceTo("192.0.2.200"), "fz0");
    // Behind a router of the LAN, as the machine's own static route says.
    assert.equal(await deviceTo("172.20.1.1"), "eth0");
    await sh(
      "ip link add eth9 type veth peer name peer9; ip link set eth9 up; ip link set peer9 up; ip addr add 203.0.114.2/24 dev eth9",
    );
    assert.equal(await deviceTo("203.0.114.9"), "eth9");
    await sh("ip link del eth9");
    assert.equal(await deviceTo("203.0.114.9"), "fz0");
    await network.setRoutes(ROUTES);
    assert.equal(await deviceTo("8.8.8.8"), "eth0");
    assert.doesNotMatch(await sh("ip rule; ip -6 rule"), /suppress_prefixlength/);
    assert.deepEqual(warnings, []);
  }));

Deno.test("HostNetwork.setBypass: lets single destinations pass the tunnel by, and touches no rule of others", () =>
  onHost({}, async ({ network, warnings }) => {
    const portal = ["8.8.4.4", "2606:4700::2"].map(IpAddress.from);
    await network.setBypass(portal);
    await network.configure(ADDRESSES);
    await network.setRoutes([...ROUTES, ...INTERNET]);
    assert.equal(await deviceTo("8.8.4.4"), "eth0");
    assert.equal(await deviceTo("2606:4700::2"), "eth0");
    await network.setBypass([IpAddress.from("8.8.8.8")]);
    assert.equal(await deviceTo("8.8.8.8"), "eth0");
    assert.equal(await deviceTo("8.8.4.4"), "fz0");
    assert.match(await sh("ip rule"), /90:.*203\.0\.113\.9/);
    assert.deepEqual(warnings, []);
  }));

Deno.test("HostNetwork.undo: removes what a killed process left, with its device gone", () =>
  onHost({}, async ({ network, another, closeTun, snapshot }) => {
    await network.setBypass([IpAddress.from("8.8.8.8")]);
    await network.configure(ADDRESSES);
    await network.setRoutes([...ROUTES, ...INTERNET]);
    closeTun();
    assert.match(await snapshot(), /lookup 539098368/);
    assert.ok((await another().undo()).some((line) => line.includes("8.8.8.8")));
    assert.doesNotMatch(await snapshot(), /53909836|8\.8\.8\.8/);
  }));

Deno.test("HostNetwork.configure: is content with rules that are there, and replaces addresses", () =>
  onHost({}, async ({ network, another, warnings }) => {
    await network.configure(ADDRESSES);
    const others = { ipv4: IpAddress.from("100.64.0.8"), ipv6: IpAddress.from("fd00:2021:1111::8") };
    await another().configure(others);
    const addresses = await sh("ip addr show dev fz0");
    assert.match(addresses, /100\.64\.0\.8\/32/);
    assert.doesNotMatch(addresses, /100\.64\.0\.7|1111::7/);
    assert.equal((await sh("ip rule")).match(/0xfd002021/g)!.length, 2);
    assert.deepEqual(warnings, []);
  }));

Deno.test("HostNetwork: works on a machine without IPv6, and says so once", () =>
  onHost({}, async ({ network, warnings }) => {
    await sh("echo 1 > /proc/sys/net/ipv6/conf/fz0/disable_ipv6");
    await network.configure(ADDRESSES);
    await network.setRoutes([...ROUTES, ...INTERNET]);
    assert.equal(await deviceTo("10.9.0.1"), "fz0");
    assert.equal(network.degraded.length, 1);
    assert.match(network.degraded[0]!, /IPv6 is turned off on device "fz0" alone: .* goes past the tunnel/);
    assert.equal(warnings.length, 1);
    await sh("ip -6 route del default");
    await network.handleNetworkChanged();
    assert.match(network.degraded[0]!, /This machine has no IPv6: resources are reached by IPv4 alone/);
    await sh("ip -6 route add default via 2001:db8:1::1");
    assert.equal(warnings.length, 2);
    await network.undo();
    assert.deepEqual(network.degraded, []);
  }));

Deno.test("HostNetwork: leaves IPv6 out where packets are too small for it", () =>
  onHost({ mtu: 1200 }, async ({ network }) => {
    await network.configure(ADDRESSES);
    await network.setRoutes([...ROUTES, ...INTERNET]);
    assert.match(await sh("ip addr show dev fz0"), /mtu 1200/);
    assert.doesNotMatch(await sh("ip addr show dev fz0"), /inet6/);
    assert.equal(await deviceTo("10.9.0.1"), "fz0");
    assert.equal(await deviceTo("2001:db8:9::1"), "eth0");
    assert.match(network.degraded.join(), /1200 bytes are too small for IPv6/);
  }));

Deno.test("HostNetwork: uses the main table for a gateway, without any rule", () =>
  onHost({ routing: "main" }, async ({ network, snapshot, closeTun }) => {
    const rules = await sh("ip rule; ip -6 rule");
    await network.configure(ADDRESSES);
    await network.setRoutes(ROUTES.slice(0, 1));
    assert.equal(await deviceTo("100.64.0.9"), "fz0");
    assert.equal(await sh("ip rule; ip -6 rule"), rules);
    await network.undo();
    assert.doesNotMatch(await snapshot(), /100\.64\.0\.0\/11/);
    await network.configure(ADDRESSES);
    await network.setRoutes(ROUTES.slice(0, 1));
    assert.match(await snapshot(), /100\.64\.0\.0\/11/);
    // As after a kill: routes go with their device.
    closeTun();
    assert.doesNotMatch(await snapshot(), /100\.64\.0\.0\/11/);
  }));

/** The kernel, as one without rules would be. */
function withoutRules(): RouteKernel {
  const kernel = NetlinkRoute.open();
  return {
    link: (name) => kernel.link(name),
    links: () => kernel.links(),
    routes: (filter) => kernel.routes(filter),
    rules: () => [],
    lookUp: () => undefined,
    close: () => kernel.close(),
    apply: (edits) =>
      edits.map((edit) =>
        edit.type === "add-rule"
          ? { errno: Errno.EOPNOTSUPP, text: "operation not supported" }
          : kernel.apply([edit])[0]
      ),
  };
}

Deno.test("HostNetwork: has resources in the main table where the kernel has no rules, and leaves the Internet out", () =>
  onHost({ open: withoutRules }, async ({ network, warnings, snapshot }) => {
    await network.setBypass([IpAddress.from("10.9.3.3")]);
    await network.configure(ADDRESSES);
    await network.setRoutes([...ROUTES, ...INTERNET]);
    assert.equal(await deviceTo("10.9.8.7"), "fz0");
    assert.equal(await deviceTo("2001:db8:9::1"), "fz0");
    assert.equal(await deviceTo("10.9.3.3"), "eth0");
    assert.equal(await deviceTo("8.8.8.8"), "eth0");
    await network.setExcluded([IpNetwork.from("10.9.128.0/17")]);
    assert.equal(await deviceTo("10.9.128.1"), "eth0");
    assert.equal(await deviceTo("10.9.8.7"), "fz0");
    assert.equal(network.degraded.length, 2);
    assert.match(network.degraded[0]!, /no routing rules for IPv4.*the Internet resource is left out/);
    assert.equal(warnings.length, 2);
    assert.ok((await network.undo()).length > 0);
    assert.doesNotMatch(await snapshot(), /10\.9\./);
  }));

Deno.test("HostNetwork: takes no route of others in the main table for its own", () =>
  onHost(
    { routing: "main", setup: "ip route add 100.64.0.0/11 via 192.0.2.9 metric 50" },
    async ({ network }) => {
      await network.configure(ADDRESSES);
      await network.setRoutes(ROUTES.slice(0, 1));
      assert.equal(await deviceTo("100.64.0.9"), "fz0");
      await network.undo();
      assert.equal(await deviceTo("100.64.0.9"), "eth0");
    },
  ));

Deno.test("HostNetwork.setExcluded: lets networks pass the tunnel by, as the rules of others say", () =>
  onHost({
    excluded: [IpNetwork.from("10.9.1.0/24"), IpNetwork.from("2001:db8:9:1::/64")],
    cleanup: `ip rule del priority 5270; ip rule del priority 32000
      ip route flush table 77; ip route flush table 78`,
    setup: `ip rule add to 10.9.1.128/25 lookup 77 priority 5270; ip route add default dev eth1 table 77
      ip rule add to 10.9.0.0/16 lookup 78 priority 32000; ip route add unreachable default table 78`,
  }, async ({ network, warnings }) => {
    await network.configure(ADDRESSES);
    await network.setRoutes([...ROUTES, ...INTERNET]);
    assert.equal(await deviceTo("10.9.2.1"), "fz0");
    assert.equal(await deviceTo("10.9.1.200"), "eth1");
    assert.equal(await deviceTo("2001:db8:9:1::1"), "eth0");
    assert.equal(await deviceTo("2001:db8:9:2::1"), "fz0");
    // Somebody else says no: that is his to say, and no reason to go into the tunnel.
    await assert.rejects(deviceTo("10.9.1.1"), /unreachable|No route/);
    await network.setExcluded([IpNetwork.from("8.8.8.0/24")]);
    assert.equal(await deviceTo("8.8.8.8"), "eth0");
    assert.equal(await deviceTo("10.9.1.200"), "fz0");
    // Stand-ins and resolvers are what names need.
    await network.setExcluded([IpNetwork.from("100.64.0.0/10"), IpNetwork.from("8.8.8.0/24")]);
    assert.equal(await deviceTo("8.8.8.8"), "eth0");
    assert.equal(await deviceTo("100.70.0.1"), "eth0");
    assert.equal(await deviceTo("100.96.0.1"), "fz0");
    assert.equal(await deviceTo("100.96.0.1", MARK), "eth0");
    assert.equal(await deviceTo("100.100.111.1"), "fz0");
    await network.setExcluded([]);
    assert.equal(await deviceTo("8.8.8.8"), "fz0");
    assert.doesNotMatch(await sh("ip rule"), /^(88|90):.*goto/m);
    assert.deepEqual(warnings, []);
  }));

Deno.test("HostNetwork.setExcluded: leads nowhere rather than into the tunnel when the machine has no route", () =>
  onHost({ excluded: [IpNetwork.from("8.8.8.0/24")] }, async ({ network }) => {
    await network.configure(ADDRESSES);
    await network.setRoutes([...ROUTES, ...INTERNET]);
    await sh("ip route del default");
    await assert.rejects(deviceTo("8.8.8.8"), /unreachable/);
    assert.equal(await deviceTo("8.8.4.4"), "fz0");
    await sh("ip route add default via 192.0.2.1");
  }));

Deno.test("HostNetwork.setLan: leads local networks into the tunnel, or lets them be", () =>
  onHost({ lan: "deny" }, async ({ network, warnings }) => {
    await network.configure(ADDRESSES);
    await network.setRoutes([...ROUTES, ...INTERNET]);
    const local = ["192.0.2.77", "172.20.1.1", "2001:db8:1::77"];
    for (const address of local) assert.equal(await deviceTo(address), "fz0");
    assert.equal(await deviceTo("192.0.2.1", MARK), "eth0");
    assert.equal(await deviceTo("8.8.8.8", MARK), "eth0");
    await network.setLan("allow");
    for (const address of local) assert.equal(await deviceTo(address), "eth0");
    assert.equal(await deviceTo("8.8.8.8"), "fz0");
    await network.setLan("deny");
    for (const address of local) assert.equal(await deviceTo(address), "fz0");
    assert.deepEqual(warnings, []);
  }));

Deno.test("HostNetwork.setLocalPorts: needs rules only where the reverse path filter is strict", () =>
  onHost({}, async ({ network, warnings }) => {
    await network.configure(ADDRESSES);
    await network.setLocalPorts([52625, 4444]);
    assert.doesNotMatch(await sh("ip rule"), /sport/);
    await sh("sysctl -qw net.ipv4.conf.eth0.rp_filter=1");
    try {
      await network.handleNetworkChanged();
      assert.match(await sh("ip rule"), /95:.*ipproto udp sport 52625 goto 310/);
      await network.setLocalPorts([4444]);
      assert.doesNotMatch(await sh("ip rule"), /sport 52625/);
      assert.match(await sh("ip rule"), /sport 4444/);
      assert.doesNotMatch(await sh("ip -6 rule"), /sport/);
      assert.deepEqual(warnings, []);
      assert.deepEqual(network.degraded, []);
    } finally {
      await sh("sysctl -qw net.ipv4.conf.eth0.rp_filter=0");
    }
  }));

Deno.test("HostNetwork.handleNetworkChanged: puts back what somebody else took away", () =>
  onHost({ excluded: [IpNetwork.from("8.8.8.0/24")] }, async ({ network, snapshot, warnings }) => {
    await network.configure(ADDRESSES);
    await network.setRoutes([...ROUTES, ...INTERNET]);
    const before = await snapshot();
    // As systemd-networkd does with rules of others at its start.
    for (const priority of [90, 100, 200, 300, 310]) {
      for (const family of [4, 6]) {
        await sh(`ip -${family} rule del priority ${priority} protocol 70 || true`);
      }
    }
    await sh(`ip route flush table ${0x2021fd00}; ip -6 route flush table ${0x2021fd02}`);
    assert.notEqual(await snapshot(), before);
    await network.handleNetworkChanged();
    assert.equal(await snapshot(), before);
    assert.deepEqual(warnings, []);
  }));

Deno.test("HostNetwork.undo: removes the rules and copied routes of upstream's client, and no rule of others", () =>
  onHost({}, async ({ another, snapshot }) => {
    const before = await snapshot();
    const tables = [0x2021fd00, 0x2021fd01, 0x2021fd02];
    for (const family of [4, 6]) {
      for (const [index, table] of tables.entries()) {
        const priority = 100 * (index + 1);
        await sh(
          `ip -${family} rule add not fwmark ${MARK} lookup ${table} priority ${priority} protocol kernel`,
        );
      }
    }
    await sh(`ip route add 192.0.2.0/24 dev eth0 table ${tables[1]} protocol kernel
      ip rule add to 8.8.8.8 lookup main priority 90 protocol 70`);
    assert.equal((await another().present()).length, 8);
    assert.equal((await another().undo()).length, 8);
    assert.equal(await snapshot(), before);
  }));

Deno.test("HostNetwork.undo: leaves a client of upstream's that was started later what it works with", () =>
  onHost({}, async ({ network, another, snapshot }) => {
    await network.configure(ADDRESSES);
    await network.setRoutes(ROUTES);
    await sh(
      `ip link add tun-other type veth peer name far-other; ip link set far-other up; ip link set tun-other up
      ip rule add priority 100 not fwmark 0xfd002021 lookup 0x2021fd00 protocol kernel
      ip rule add priority 300 not fwmark 0xfd002021 lookup 0x2021fd02 protocol kernel
      ip route add 10.55.0.0/16 dev tun-other table 0x2021fd00`,
    );
    await another().undo();
    const left = await snapshot();
    assert.match(left, /^100:\tnot from all fwmark 0xfd002021 lookup 539098368\s*$/m);
    assert.match(left, /10\.55\.0\.0\/16 dev tun-other table 539098368/);
    assert.doesNotMatch(left, /proto 70/);
    await sh("ip link del tun-other");
  }));

Deno.test("HostNetwork: leads to this machine's own addresses also where its rule for them comes late", () =>
  onHost({
    setup: "ip rule add priority 1000 lookup local; ip rule del priority 0",
    cleanup: "ip rule add priority 0 lookup local; ip rule del priority 1000",
  }, async ({ network }) => {
    await network.configure(ADDRESSES);
    await network.setRoutes([...ROUTES, ...INTERNET, IpNetwork.from("192.0.2.0/24")]);
    assert.equal(await deviceTo("192.0.2.2"), "lo");
    assert.equal(await deviceTo("192.0.2.9"), "fz0");
  }));

Deno.test("HostNetwork: notes in the journal before it changes anything, and forgets what it took back", () => {
  const entries: string[] = [];
  const journal = {
    note: ({ id }: Change) => void entries.push(`note ${id}: ${ruleCount()}`),
    forget: (id: Change["id"]) => void entries.push(`forget ${id}: ${ruleCount()}`),
  };
  return onHost({ journal }, async ({ network }) => {
    const none = ruleCount();
    await network.configure(ADDRESSES);
    await network.setRoutes(ROUTES);
    await network.undo();
    assert.deepEqual(entries, [`note network: ${none}`, `forget network: ${none}`]);
  });
});

function ruleCount(): number {
  const kernel = NetlinkRoute.open();
  const count = kernel.rules(4).length + kernel.rules(6).length;
  kernel.close();
  return count;
}

Deno.test("HostNetwork.configure: names the privilege that is missing", () =>
  onHost({}, async () => {
    const script = `import { platform } from "${import.meta.resolve("../../ffi/mod.ts")}";
      const log = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
      const network = (await platform()).createHostNetwork({ device: "fz0", mtu: 1280, mark: 1, routing: "policy", log });
      try { await network.configure({ ipv4: undefined, ipv6: undefined }); } catch (error) { console.log(error.code); }`;
    const { stdout } = await new Deno.Command("setpriv", {
      args: ["--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "deno", "eval", script],
      cwd: import.meta.dirname!,
    }).output();
    assert.equal(new TextDecoder().decode(stdout), "privilege\n");
  }));

Deno.test("HostNetwork.configure: fails on a device that does not exist", () =>
  onHost({}, async ({ network, closeTun }) => {
    closeTun();
    await assert.rejects(
      network.configure(ADDRESSES),
      (error) => error instanceof Fault && error.code === "tun",
    );
  }));
