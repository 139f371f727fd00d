import assert from "node:assert/strict";
import { IpAddress } from "../../../lib/base/ip.ts";
import { ProxyMap } from "../../../lib/nat/proxy_map.ts";

const ips = (...texts: string[]) => texts.map((text) => IpAddress.from(text));
const PROXIES = ips(
  "100.96.0.1",
  "100.96.0.2",
  "100.96.0.3",
  "100.96.0.4",
  "fd00:2021:1111:8000::",
  "fd00:2021:1111:8000::1",
  "fd00:2021:1111:8000::2",
  "fd00:2021:1111:8000::3",
);

function assign(
  map: ProxyMap,
  domain: string,
  ipv4: string[],
  ipv6: string[],
  resourceId = "r1",
  proxyIps = PROXIES,
) {
  return map.assign({ domain, resourceId, proxyIps, resolved: { ipv4: ips(...ipv4), ipv6: ips(...ipv6) } });
}

function target(map: ProxyMap, proxy: string): string | undefined {
  return map.get(IpAddress.from(proxy).key)?.target?.toString();
}

Deno.test("ProxyMap assigns sorted addresses of a family in turn", () => {
  const map = new ProxyMap();
  assert.equal(
    assign(map, "example.com", ["192.0.2.20", "192.0.2.3", "10.0.0.1"], ["2001:db8::2", "2001:db8::1"]),
    "assigned",
  );
  assert.deepEqual(PROXIES.map((proxy) => target(map, proxy.toString())), [
    "10.0.0.1",
    "192.0.2.3",
    "192.0.2.20",
    "10.0.0.1",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8::1",
    "2001:db8::2",
  ]);
});

Deno.test("ProxyMap leaves a family without addresses without target", () => {
  const map = new ProxyMap();
  assign(map, "example.com", ["192.0.2.1"], []);
  assert.equal(target(map, "100.96.0.1"), "192.0.2.1");
  assert.equal(target(map, "fd00:2021:1111:8000::"), undefined);
  assert(map.get(IpAddress.from("fd00:2021:1111:8000::").key) !== undefined);
});

Deno.test("ProxyMap replaces the targets of a name that is assigned again, for any resource", () => {
  const map = new ProxyMap();
  assign(map, "example.com", ["192.0.2.1"], []);
  assert.equal(assign(map, "EXAMPLE.com", ["192.0.2.2"], [], "r2"), "assigned");
  assert.equal(target(map, "100.96.0.1"), "192.0.2.2");
  assert.deepEqual([...map.get(PROXIES[0]!.key)!.resourceIds], ["r1", "r2"]);
});

Deno.test("ProxyMap forgets everything when an address moves to another name", () => {
  const map = new ProxyMap();
  assign(map, "example.com", ["192.0.2.1"], []);
  assert.equal(assign(map, "example.org", ["192.0.2.9"], [], "r1", PROXIES.slice(3, 4)), "reset");
  assert.equal(map.size, 1);
  assert.equal(target(map, "100.96.0.1"), undefined);
  assert.equal(target(map, "100.96.0.4"), "192.0.2.9");
});

Deno.test("ProxyMap refuses addresses outside the proxy networks", () => {
  assert.equal(assign(new ProxyMap(), "example.com", ["192.0.2.1"], [], "r1", ips("192.0.2.200")), "refused");
});

Deno.test("ProxyMap.retainDomains keeps the address known but not reachable through the resource", () => {
  const map = new ProxyMap();
  assign(map, "example.com", ["192.0.2.1"], []);
  map.retainDomains("r1", (domain) => domain === "example.com");
  assert.equal(map.get(PROXIES[0]!.key)?.resourceIds.size, 1);
  map.retainDomains("r1", () => false);
  assert.equal(map.get(PROXIES[0]!.key)?.resourceIds.size, 0);
});
