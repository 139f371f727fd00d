import assert from "node:assert/strict";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import { Sentinels, type UpstreamSources } from "../../../lib/dns/sentinels.ts";

const NONE: UpstreamSources = { portalDo53: [], portalDoh: [], system: [] };

Deno.test("Sentinels.update prefers the portal's servers, then its DoH, then the system's", () => {
  const system = addresses("192.168.1.1:53");
  const sentinels = new Sentinels();
  sentinels.update({
    ...NONE,
    portalDo53: addresses("1.1.1.1:53"),
    portalDoh: ["https://dns.google/dns-query"],
    system,
  });
  assert.deepEqual(described(sentinels), ["100.100.111.1 1.1.1.1:53 portal"]);
  sentinels.update({ ...NONE, portalDoh: ["https://dns.google/dns-query"], system });
  assert.deepEqual(described(sentinels), ["100.100.111.2 https://dns.google/dns-query portal"]);
  sentinels.update({ ...NONE, system });
  assert.deepEqual(described(sentinels), ["100.100.111.1 192.168.1.1:53 system"]);
});

Deno.test("Sentinels.update gives each server a sentinel of its family and drops duplicates and sentinels", () => {
  const sentinels = new Sentinels();
  sentinels.update({
    ...NONE,
    system: addresses("1.1.1.1:53", "[2606:4700::1111]:53", "100.100.111.1:53", "1.1.1.1:53", "8.8.8.8:53"),
  });
  assert.deepEqual(described(sentinels), [
    "100.100.111.1 1.1.1.1:53 system",
    "fd00:2021:1111:8000:100:100:111:0 [2606:4700::1111]:53 system",
    "100.100.111.2 8.8.8.8:53 system",
  ]);
  assert.equal(sentinels.get(IpAddress.from("100.100.111.2").key)?.address.toString(), "100.100.111.2");
});

Deno.test("Sentinels.update changes nothing for the same servers and avoids old sentinels for new ones", () => {
  const sentinels = new Sentinels();
  assert.equal(sentinels.update(NONE), false);
  assert.equal(sentinels.update({ ...NONE, system: addresses("1.1.1.1:53", "8.8.8.8:53") }), true);
  assert.equal(sentinels.update({ ...NONE, system: addresses("1.1.1.1:53", "8.8.8.8:53") }), false);
  assert.equal(sentinels.update({ ...NONE, system: addresses("8.8.8.8:53") }), true);
  assert.deepEqual(described(sentinels), ["100.100.111.3 8.8.8.8:53 system"]);
  assert.equal(sentinels.update({ ...NONE, portalDo53: addresses("8.8.8.8:53") }), true);
  assert.equal(sentinels.update(NONE), true);
  assert.deepEqual(described(sentinels), []);
});

function addresses(...texts: string[]): SocketAddress[] {
  return texts.map((text) => SocketAddress.from(text));
}

function described(sentinels: Sentinels): string[] {
  return sentinels.entries.map(({ address, upstream, fromPortal }) =>
    `${address} ${upstream.type === "do53" ? upstream.address : upstream.url} ${
      fromPortal ? "portal" : "system"
    }`
  );
}
