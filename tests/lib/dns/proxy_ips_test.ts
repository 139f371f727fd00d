import assert from "node:assert/strict";
import { IpAddress } from "../../../lib/base/ip.ts";
import { PROXY_RANGES, ProxyIps } from "../../../lib/dns/proxy_ips.ts";
import { isSentinelAddress } from "../../../lib/dns/sentinels.ts";

Deno.test("ProxyIps.assign gives four addresses of each family, upwards from the first of each range", () => {
  const proxies = new ProxyIps();
  const first = proxies.assign("a.example.com");
  const second = proxies.assign("b.example.com");
  assert.deepEqual(first.ipv4.map(String), ["100.96.0.1", "100.96.0.2", "100.96.0.3", "100.96.0.4"]);
  assert.deepEqual(first.ipv6.map(String), [
    "fd00:2021:1111:8000::",
    "fd00:2021:1111:8000::1",
    "fd00:2021:1111:8000::2",
    "fd00:2021:1111:8000::3",
  ]);
  assert.equal(String(second.ipv4[0]), "100.96.0.5");
  assert.equal(String(second.ipv6[0]), "fd00:2021:1111:8000::4");
  assert.deepEqual(proxies.assign("a.example.com"), first);
});

Deno.test("ProxyIps.nameOf finds the name of each address and nothing else", () => {
  const proxies = new ProxyIps();
  for (let index = 0; index < 300; index++) proxies.assign(`n${index}`);
  for (const name of ["n0", "n1", "n255", "n299"]) {
    const { ipv4, ipv6 } = proxies.addresses(name)!;
    for (const address of [...ipv4, ...ipv6]) assert.equal(proxies.nameOf(address.key), name);
  }
  for (
    const text of [
      "100.96.0.0",
      "100.95.255.255",
      "100.96.4.177",
      "8.8.8.8",
      "::",
      "fd00:2021:1111:8000::ffff",
      "fd00:2021:1111:8000:0:1::",
    ]
  ) {
    assert.equal(proxies.nameOf(IpAddress.from(text).key), undefined, text);
  }
});

Deno.test("ProxyIps reuses the addresses of the name unused for longest when full", () => {
  const proxies = new ProxyIps(2);
  const a = proxies.assign("a");
  proxies.assign("b");
  proxies.assign("a");
  proxies.assign("c");
  assert.equal(proxies.addresses("b"), undefined);
  assert.equal(String(proxies.assign("c").ipv4[0]), "100.96.0.5");
  assert.equal(proxies.nameOf(a.ipv4[0]!.key), "a");
  assert.equal(proxies.size, 2);
});

Deno.test("ProxyIps at full size stays inside its ranges and clear of the sentinels", () => {
  const proxies = new ProxyIps();
  for (let index = 0; index < 65_535; index++) proxies.assign(`n${index}`);
  const { ipv4, ipv6 } = proxies.assign("last");
  for (const address of [...ipv4, ...ipv6]) {
    assert.ok(PROXY_RANGES.some((range) => range.contains(address)));
    assert.ok(!isSentinelAddress(address));
    assert.equal(proxies.nameOf(address.key), "last");
  }
});
