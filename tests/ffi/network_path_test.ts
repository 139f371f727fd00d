import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import type { Address, Link, OperState, Route } from "../../ffi/linux/netlink/mod.ts";
import { networkPath, type NetworkPathSources, readNetworkPath } from "../../ffi/linux/network_path.ts";

function link(index: number, name: string, changes: Partial<Link> = {}): Link {
  return {
    index,
    name,
    isUp: true,
    hasCarrier: true,
    isLoopback: name === "lo",
    operState: "up",
    mtu: 1500,
    txQueueLength: 1000,
    ...changes,
  };
}

function address(index: number, text: string, changes: Partial<Address> = {}): Address {
  const address = IpAddress.from(text);
  return {
    family: address.family,
    index,
    address,
    prefix: address.family === 4 ? 24 : 64,
    scope: address.isLinkLocal ? 253 : 0,
    flags: 0x80,
    ...changes,
  };
}

function route(destination: string, index: number, gateway?: string, changes: Partial<Route> = {}): Route {
  const network = IpNetwork.from(destination);
  return {
    family: network.family,
    destination: network,
    table: 254,
    protocol: 3,
    scope: 0,
    type: "unicast",
    isDead: false,
    index,
    ...(gateway === undefined ? {} : { gateway: IpAddress.from(gateway) }),
    ...changes,
  };
}

const LINKS = [
  link(1, "lo", { operState: "unknown" }),
  link(2, "eth0"),
  link(3, "wlan0"),
  link(9, "fz0", { operState: "unknown" }),
];
const ADDRESSES = [
  address(1, "127.0.0.1", { scope: 254 }),
  address(2, "192.0.2.2"),
  address(2, "2001:db8::2"),
  address(2, "fe80::1"),
  address(3, "198.51.100.3"),
  address(9, "100.64.0.7"),
];
const ROUTES = [
  route("0.0.0.0/0", 2, "192.0.2.1", { metric: 100 }),
  route("0.0.0.0/0", 3, "198.51.100.1", { metric: 600 }),
  route("0.0.0.0/0", 9),
  route("0.0.0.0/0", 9, undefined, { table: 0x2021fd02 }),
  route("192.0.2.0/24", 2),
  route("::/0", 2, "2001:db8::1", { metric: 1024 }),
  route("::/0", 1, undefined, { type: "unreachable", metric: 1 }),
];
const SOURCES: NetworkPathSources = { links: LINKS, addresses: ADDRESSES, routes: ROUTES };
const PATH = "eth0 in 192.0.2.2; eth0 in 2001:db8::/64; eth0 via 192.0.2.1; eth0 via 2001:db8::1";
const WIRELESS = "eth0 in 2001:db8::/64; eth0 via 2001:db8::1; wlan0 in 198.51.100.3; wlan0 via 198.51.100.1";

Deno.test("networkPath: names the best default route of each family and the addresses of its link, without the tunnel", () => {
  assert.equal(networkPath(SOURCES, "fz0"), PATH);
});

Deno.test("networkPath: goes by the route of the lowest metric whose link works", () => {
  const states: (Partial<Link> & { readonly works: boolean })[] = [
    { isUp: false, works: false },
    { hasCarrier: false, works: false },
    ...(["down", "lower-layer-down", "dormant", "testing", "not-present"] as const).map((
      operState: OperState,
    ) => ({
      operState,
      works: false,
    })),
    { operState: "unknown", works: true },
  ];
  for (const { works, ...changes } of states) {
    const links = LINKS.map((entry) => entry.name === "eth0" ? { ...entry, ...changes } : entry);
    const wireless = "wlan0 in 198.51.100.3; wlan0 via 198.51.100.1";
    assert.equal(networkPath({ ...SOURCES, links }, "fz0"), works ? PATH : wireless, JSON.stringify(changes));
  }
  const dead = ROUTES.map((entry) => entry.metric === 100 ? { ...entry, isDead: true } : entry);
  assert.equal(networkPath({ ...SOURCES, routes: dead }, "fz0"), WIRELESS);
  const dearer = ROUTES.map((entry) => entry.metric === 100 ? { ...entry, metric: 700 } : entry);
  assert.equal(networkPath({ ...SOURCES, routes: dearer }, "fz0"), WIRELESS);
});

Deno.test("networkPath: changes with the gateway, the IPv4 address or the IPv6 network", () => {
  const other = (index: number, changed: Route) => ROUTES.with(index, changed);
  const changes: Partial<NetworkPathSources>[] = [
    { routes: other(0, route("0.0.0.0/0", 2, "192.0.2.254", { metric: 100 })) },
    { routes: other(0, route("0.0.0.0/0", 2, undefined, { metric: 100 })) },
    { routes: other(5, route("::/0", 2, "2001:db8::9", { metric: 1024 })) },
    { addresses: ADDRESSES.with(1, address(2, "192.0.2.3")) },
    { addresses: ADDRESSES.with(2, address(2, "2001:db9::2")) },
  ];
  for (const change of changes) assert.notEqual(networkPath({ ...SOURCES, ...change }, "fz0"), PATH);
});

Deno.test("networkPath: does not change with addresses made up for privacy, other links, tables and order", () => {
  const changes: Partial<NetworkPathSources>[] = [
    { addresses: [...ADDRESSES, address(2, "2001:db8::aa:1", { flags: 0x1 })] },
    { addresses: ADDRESSES.with(2, address(2, "2001:db8::bb:1", { flags: 0x1 })) },
    { addresses: [...ADDRESSES, address(3, "198.51.100.4"), address(9, "100.64.0.8")] },
    // Deprecated, tentative, a duplicate.
    ...[0x20, 0x40, 0x48].map((flags) => ({
      addresses: [...ADDRESSES, address(2, "2001:db8:5::2", { flags })],
    })),
    { addresses: ADDRESSES.toReversed(), routes: ROUTES.toReversed(), links: LINKS.toReversed() },
    { routes: [...ROUTES, route("0.0.0.0/0", 3, "198.51.100.9", { table: 77 })] },
    { routes: [...ROUTES, route("::/0", 3, "2001:db8:7::1", { from: IpNetwork.from("2001:db8:7::/48") })] },
  ];
  for (const change of changes) assert.equal(networkPath({ ...SOURCES, ...change }, "fz0"), PATH);
});

Deno.test("networkPath: names every way of a route that has several, those that work", () => {
  const hop = (index: number, gateway: string, isDead = false) => ({
    index,
    gateway: IpAddress.from(gateway),
    weight: 1,
    isDead,
  });
  const { index: _, ...several } = route("0.0.0.0/0", 0);
  const nextHops = [hop(2, "192.0.2.1"), hop(3, "198.51.100.1"), hop(3, "198.51.100.9", true)];
  assert.equal(
    networkPath({ ...SOURCES, routes: [{ ...several, nextHops }] }, "fz0"),
    "eth0 in 192.0.2.2; eth0 via 192.0.2.1; wlan0 in 198.51.100.3; wlan0 via 198.51.100.1",
  );
});

Deno.test("networkPath: tells where rules lead our packets another way, and nothing more where they do not", () => {
  const LINKS_TOO = [...LINKS, link(5, "wg0", { operState: "unknown" })];
  const by = (...taken: Route[]) => networkPath({ ...SOURCES, links: LINKS_TOO, taken }, "fz0");
  const direct = route("198.41.0.4/32", 2, "192.0.2.1", { source: IpAddress.from("192.0.2.2") });
  assert.equal(by(direct), PATH);
  const other = { ...route("198.41.0.4/32", 5), source: IpAddress.from("10.66.0.2") };
  assert.equal(by(other), `${PATH}; wg0 in 10.66.0.2; wg0 via nothing by a rule`);
  assert.equal(
    by(route("198.41.0.4/32", 9), route("198.41.0.4/32", 1, undefined, { type: "unreachable" })),
    PATH,
  );
  const alone = networkPath({ links: LINKS_TOO, addresses: ADDRESSES, routes: [], taken: [other] }, "fz0");
  assert.equal(alone, "wg0 in 10.66.0.2; wg0 via nothing by a rule");
});

Deno.test("networkPath: a family has no way for as long as the kernel follows routes of a link that was unplugged", () => {
  const links = LINKS.map((entry) => entry.name === "eth0" ? { ...entry, hasCarrier: false } : entry);
  const by = (...taken: Route[]) => networkPath({ ...SOURCES, links, taken }, "fz0");
  const wireless = "wlan0 in 198.51.100.3; wlan0 via 198.51.100.1";
  assert.equal(by(route("198.41.0.4/32", 2, "192.0.2.1")), "");
  assert.equal(by(route("198.41.0.4/32", 3, "198.51.100.1")), wireless);
  // Of the other family only.
  assert.equal(by(route("2001:7fd::1/128", 2, "2001:db8::1")), wireless);
  assert.equal(by(route("198.41.0.4/32", 2, undefined, { type: "unreachable" })), wireless);
  // Where rules are missing it may lead into the tunnel.
  assert.equal(by(route("198.41.0.4/32", 9)), wireless);
});

Deno.test("networkPath: is empty without a default route, and never throws", () => {
  assert.equal(networkPath({ ...SOURCES, routes: ROUTES.slice(4, 5) }, "fz0"), "");
  assert.equal(networkPath({ links: [], addresses: [], routes: [] }, "fz0"), "");
  fc.assert(
    fc.property(
      fc.subarray(LINKS),
      fc.subarray(ADDRESSES),
      fc.subarray(ROUTES),
      (links, addresses, routes) =>
        assert.doesNotMatch(networkPath({ links, addresses, routes }, "fz0"), /fz0|lo /),
    ),
  );
});

Deno.test("readNetworkPath: tells that the kernel did not tell, which is not that there is no way", async () => {
  // In a process that may open few files, and has opened them all.
  const script = `
    import { readNetworkPath } from ${JSON.stringify(import.meta.resolve("../../ffi/linux/network_path.ts"))};
    const before = await readNetworkPath("fz0");
    const files = [];
    try {
      for (;;) files.push(Deno.openSync("/dev/null"));
    } catch { /* No more. */ }
    const meanwhile = await readNetworkPath("fz0");
    for (const file of files) file.close();
    const after = await readNetworkPath("fz0");
    console.log(JSON.stringify([typeof before, typeof meanwhile, after === before, files.length > 0]));
  `;
  const command = new Deno.Command("sh", {
    args: ["-c", 'ulimit -n 100; exec "$0" "$@"', Deno.execPath(), "run", "--quiet", "-A", "-"],
    cwd: new URL("../..", import.meta.url),
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  });
  const child = command.spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(script));
  await writer.close();
  const { stdout } = await child.output();
  assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), ["string", "undefined", true, true]);
  assert.equal(typeof await readNetworkPath("fz0"), "string");
});
