import assert from "node:assert/strict";
import fc from "fast-check";
import { networkPath, type NetworkPathSources } from "../../ffi/linux/network_path.ts";

const HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
const ROUTE = `${HEADER}eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n` +
  "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n" +
  "fz0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n";
const ZERO = "0".repeat(32);
const GATEWAY = "20010db8000000000000000000000001";
const ROUTE6 = `${ZERO} 00 ${ZERO} 00 ${GATEWAY} 00000400 00000001 00000000 00000003     eth0\n` +
  `${ZERO} 00 ${ZERO} 00 ${ZERO} ffffffff 00000001 00000000 00200200       lo\n`;
const INTERFACES = [
  { name: "lo", family: "IPv4", address: "127.0.0.1", cidr: "127.0.0.1/8" },
  { name: "eth0", family: "IPv4", address: "192.0.2.2", cidr: "192.0.2.2/24" },
  { name: "eth0", family: "IPv6", address: "2001:db8::2", cidr: "2001:db8::2/64" },
  { name: "eth0", family: "IPv6", address: "fe80::1", cidr: "fe80::1/64" },
] as const;
const SOURCES: NetworkPathSources = { route: ROUTE, route6: ROUTE6, interfaces: INTERFACES };

Deno.test("networkPath: names default routes and the networks of their interfaces, without the tunnel", () => {
  const path = networkPath(SOURCES, "fz0");
  assert.match(path, /eth0 via 010200C0/);
  assert.match(path, /eth0 via 20010db8/);
  assert.match(path, /eth0 in 192\.0\.2\.2/);
  assert.match(path, /eth0 in 2001:db8:0:0\/64/);
  assert.doesNotMatch(path, /fz0|lo |fe80/);
});

Deno.test("networkPath: changes with the gateway, the IPv4 address or the IPv6 network", () => {
  const path = networkPath(SOURCES, "fz0");
  const interfaces = (from: string, to: string) =>
    INTERFACES.map((entry) => ({ ...entry, address: entry.address.replace(from, to) }));
  assert.notEqual(networkPath({ ...SOURCES, route: ROUTE.replace("010200C0", "FE0200C0") }, "fz0"), path);
  assert.notEqual(networkPath({ ...SOURCES, interfaces: interfaces("192.0.2.2", "192.0.2.3") }, "fz0"), path);
  assert.notEqual(
    networkPath({ ...SOURCES, interfaces: interfaces("2001:db8::2", "2001:db9::2") }, "fz0"),
    path,
  );
});

Deno.test("networkPath: does not change with an address that IPv6 made up for privacy", () => {
  const temporary = {
    name: "eth0",
    family: "IPv6",
    address: "2001:db8::aa:1",
    cidr: "2001:db8::aa:1/64",
  } as const;
  const more = { ...SOURCES, interfaces: [...INTERFACES, temporary] };
  assert.equal(networkPath(more, "fz0"), networkPath(SOURCES, "fz0"));
});

Deno.test("networkPath: is empty without a default route, and never throws", () => {
  assert.equal(networkPath({ route: HEADER, route6: "", interfaces: INTERFACES }, "fz0"), "");
  fc.assert(fc.property(fc.string(), fc.string(), (route, route6) => {
    networkPath({ route, route6, interfaces: INTERFACES }, "fz0");
  }));
});
