/** What NetworkManager is told, by what its documents say of the types. */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type NmSettings,
  readConfiguration,
  readSettings,
  withDns,
  withoutDns,
} from "../../ffi/linux/network_manager_settings.ts";
import { IpAddress } from "../../lib/base/ip.ts";
import { encodeValues, Variant } from "../../lib/wire/dbus/value.ts";
import type { DBusValue } from "../../lib/wire/dbus/value.ts";

const ADDRESSES = [
  { address: IpAddress.from("100.64.0.5"), prefix: 32 },
  { address: IpAddress.from("fd00:2021:1111::5"), prefix: 128 },
  { address: IpAddress.from("fe80::1"), prefix: 64 },
];
/** As NetworkManager 1.42 makes it of a device that has got its IPv4 address and not yet the other. */
const APPLIED: NmSettings = new Map([
  ["connection", new Map([["id", new Variant("s", "fz0")]])],
  ["ipv4", new Map([["method", new Variant("s", "manual")], ["addresses", new Variant("aau", [])]])],
  ["ipv6", new Map([["method", new Variant("s", "disabled")]])],
]);
const SENTINELS = ["100.100.111.1", "fd00:2021:1111:8000:100:100:111:0"].map(IpAddress.from);

Deno.test("withDns puts our resolvers into one family, and keeps the addresses of both", () => {
  const settings = withDns(APPLIED, {
    sentinels: SENTINELS,
    searchDomains: ["ours.test", "corp.test"],
    addresses: ADDRESSES,
  });
  const ipv4 = settings.get("ipv4")!;
  assert.deepEqual(
    encodeValues("v", [ipv4.get("dns")!]),
    Uint8Array.from([
      ...[2, 0x61, 0x75, 0],
      ...[4, 0, 0, 0],
      ...[100, 100, 111, 1],
    ]),
  );
  assert.deepEqual(ipv4.get("dns-search")!.value, ["ours.test", "corp.test", "~."]);
  assert.equal(ipv4.get("dns-priority")!.value, -50);
  assert.equal(ipv4.has("addresses"), false);
  const ipv6 = settings.get("ipv6")!;
  assert.equal(ipv6.has("dns"), false);
  assert.equal(ipv6.get("method")!.value, "manual");
  assert.deepEqual(ipv6.get("address-data")!.value, [
    new Map<string, Variant>([
      ["address", new Variant("s", "fd00:2021:1111::5")],
      ["prefix", new Variant("u", 128)],
    ]),
  ]);
  encodeValues("a{sa{sv}}", [settings as unknown as DBusValue]);
  assert.equal(APPLIED.get("ipv4")!.has("dns"), false, "what came in is as it was");
});

Deno.test("withDns takes IPv6 where the tunnel has no IPv4", () => {
  const only6 = ADDRESSES.filter(({ address }) => address.family === 6);
  const settings = withDns(APPLIED, { sentinels: SENTINELS, searchDomains: [], addresses: only6 });
  assert.equal(settings.get("ipv4")!.has("dns"), false);
  assert.deepEqual(settings.get("ipv6")!.get("dns")!.value, [SENTINELS[1]!.bytes]);
});

Deno.test("withoutDns takes back what withDns put in, but the addresses", () => {
  const set = withDns(APPLIED, { sentinels: SENTINELS, searchDomains: [], addresses: ADDRESSES });
  assert.deepEqual(withoutDns(set, ADDRESSES), withoutDns(APPLIED, ADDRESSES));
});

Deno.test("readConfiguration reads servers with zones, ports, protocols and names", () => {
  const entry = new Map([
    ["interface", new Variant("s", "eth0")],
    [
      "nameservers",
      new Variant("as", [
        ...["192.0.2.1", "fe80::1%eth0", "2001:db8::1"],
        ...["dns+udp://192.0.2.2:53", "dns+tls://[2001:db8::2]:853#dns.example", "no address"],
      ]),
    ],
    ["domains", new Variant("as", ["corp.test", "~.", "~only.test", ""])],
  ]);
  assert.deepEqual(readConfiguration([entry]), [{
    device: "eth0",
    nameservers: [
      { address: IpAddress.from("192.0.2.1"), zone: undefined },
      { address: IpAddress.from("fe80::1"), zone: "eth0" },
      { address: IpAddress.from("2001:db8::1"), zone: undefined },
      { address: IpAddress.from("192.0.2.2"), zone: undefined },
      { address: IpAddress.from("2001:db8::2"), zone: undefined },
    ],
    domains: ["corp.test"],
  }]);
});

Deno.test("readConfiguration, readSettings: values of any shape do not throw", () => {
  const value: fc.Arbitrary<DBusValue> = fc.letrec<{ any: DBusValue }>((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<DBusValue>("interface", "nameservers", "domains", 1, 2n, true, new Uint8Array(3)),
      fc.array(tie("any"), { maxLength: 3 }),
      tie("any").map((inner) => new Variant("v", inner)),
      fc.array(fc.tuple(fc.constantFrom("interface", "nameservers", "domains"), tie("any"))).map((entries) =>
        new Map(entries)
      ),
    ),
  })).any;
  fc.assert(fc.property(value, (any) => {
    for (const { device, nameservers } of readConfiguration(any)) {
      assert.equal(typeof device, "string");
      assert.ok(nameservers.every(({ address }) => address instanceof IpAddress));
    }
    const settings = readSettings(any);
    assert.ok(settings === undefined || settings instanceof Map);
  }));
});
