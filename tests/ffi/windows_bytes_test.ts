/** What Windows is told and what it answers, byte by byte as on a 64-bit system; offsets are those of Microsoft's headers. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { fromHex, toHex } from "../../lib/base/bytes.ts";
import { IpAddress, IpNetwork, SocketAddress } from "../../lib/base/ip.ts";
import { readAdapters } from "../../ffi/windows/adapters.ts";
import { CONTROL_CAPACITY, findDestination, Message, writeSource } from "../../ffi/windows/message.ts";
import {
  changeInterfaceRow,
  decodeForwardTable,
  encodeAddressRow,
  encodeForwardRow,
  interfaceQuery,
  readInterfaceRow,
  tableLength,
} from "../../ffi/windows/rows.ts";
import { readAddress, writeSocketAddress } from "../../ffi/windows/sockaddr.ts";
import { adapterGuid, adapterName, guidBytes, isTunnelDescription } from "../../ffi/windows/tunnel_name.ts";
import { errorName, faultOf } from "../../ffi/windows/win32.ts";
import { noWintun, wintunPaths } from "../../ffi/windows/wintun_library.ts";
import { adapterChain } from "./windows_kernel.ts";

const zeros = (count: number) => "00".repeat(count);

Deno.test("encodeForwardRow: is MIB_IPFORWARD_ROW2 of 104 bytes, IPv4 over a gateway", () => {
  const row = encodeForwardRow({
    destination: IpNetwork.from("203.0.113.0/24"),
    gateway: IpAddress.from("192.168.1.1"),
    gatewayScope: 0,
    index: 4,
    metric: 0x2021,
    protocol: 3,
  });
  assert.equal(
    toHex(row),
    [
      zeros(8), // InterfaceLuid
      "04000000", // InterfaceIndex
      "0200" + "0000" + "cb007100" + zeros(20), // DestinationPrefix.Prefix
      "18" + zeros(3), // DestinationPrefix.PrefixLength
      "0200" + "0000" + "c0a80101" + zeros(20), // NextHop
      "00" + zeros(3), // SitePrefixLength
      "ffffffff", // ValidLifetime
      "ffffffff", // PreferredLifetime
      "21200000", // Metric
      "03000000", // Protocol
      "00" + "00" + "00" + "01", // Loopback, AutoconfigureAddress, Publish, Immortal
      "00000000", // Age
      "00000000", // Origin
    ].join(""),
  );
  assert.equal(row.length, 104);
});

Deno.test("encodeForwardRow: names the family of a next hop that is the interface itself, and the zone of one that needs it", () => {
  const direct = encodeForwardRow({
    destination: IpNetwork.from("2001:db8::/32"),
    gateway: undefined,
    gatewayScope: 0,
    index: 0x1234,
    metric: 0,
    protocol: 3,
  });
  assert.equal(
    toHex(direct.subarray(8, 72)),
    "34120000" + "1700" + "0000" + "00000000" + "20010db8" + zeros(12) + "00000000" + "20000000" + "1700" +
      zeros(26),
  );
  const scoped = encodeForwardRow({
    destination: IpNetwork.from("2001:db8::9/128"),
    gateway: IpAddress.from("fe80::1"),
    gatewayScope: 4,
    index: 4,
    metric: 0,
    protocol: 3,
  });
  assert.equal(
    toHex(scoped.subarray(44, 72)),
    "1700" + "0000" + "00000000" + "fe80" + zeros(13) + "01" + "04000000",
  );
});

Deno.test("decodeForwardTable: begins at a multiple of eight, gives back what was encoded, and never reads beyond", () => {
  const routes = [
    {
      destination: IpNetwork.from("10.1.0.0/16"),
      gateway: undefined,
      gatewayScope: 0,
      index: 7,
      metric: 5,
      protocol: 3,
    },
    {
      destination: IpNetwork.from("::/0"),
      gateway: IpAddress.from("fe80::1"),
      gatewayScope: 4,
      index: 4,
      metric: 256,
      protocol: 2,
    },
  ];
  const table = new Uint8Array(8 + 2 * 104);
  table[0] = 2;
  for (const [index, route] of routes.entries()) table.set(encodeForwardRow(route), 8 + index * 104);
  assert.equal(tableLength(table.subarray(0, 8), 104), table.length);
  const decoded = decodeForwardTable(table);
  assert.deepEqual(decoded.map(({ isLoopback: _, ...route }) => route), routes);
  // Cut off, and a count that lies.
  assert.equal(decodeForwardTable(table.subarray(0, 8 + 103)).length, 0);
  table.fill(0xff, 0, 4);
  assert.equal(decodeForwardTable(table).length, 2);
  // A prefix that no address has.
  table[8 + 40] = 33;
  assert.deepEqual(decodeForwardTable(table).map(({ destination }) => String(destination)), ["::/0"]);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => void decodeForwardTable(bytes)));
});

Deno.test("encodeAddressRow: is MIB_UNICASTIPADDRESS_ROW of 80 bytes, an address alone that is in use at once", () => {
  assert.equal(
    toHex(encodeAddressRow(17, IpAddress.from("100.64.0.7"))),
    [
      "0200" + "0000" + "64400007" + zeros(20), // Address
      zeros(4),
      zeros(8), // InterfaceLuid
      "11000000", // InterfaceIndex
      "10000000", // PrefixOrigin: unchanged
      "10000000", // SuffixOrigin: unchanged
      "ffffffff", // ValidLifetime
      "ffffffff", // PreferredLifetime
      "20" + "00" + "0000", // OnLinkPrefixLength, SkipAsSource
      "04000000", // DadState: preferred
      "00000000", // ScopeId
      zeros(8), // CreationTimeStamp
    ].join(""),
  );
  const six = encodeAddressRow(17, IpAddress.from("fd00:2021:1111::7"));
  assert.equal(six.length, 80);
  assert.equal(
    toHex(six.subarray(0, 28)),
    "1700" + zeros(6) + "fd00202111110000" + zeros(7) + "07" + zeros(4),
  );
  assert.equal(six[60], 128);
});

Deno.test("changeInterfaceRow: changes MIB_IPINTERFACE_ROW of 168 bytes where it has to, and nothing else", () => {
  const query = interfaceQuery(6, 17);
  assert.equal(toHex(query), "1700" + zeros(6) + zeros(8) + "11000000" + zeros(148));
  const before = Uint8Array.from({ length: 168 }, () => 0x55);
  before.set([2, 0], 0);
  const after = before.slice();
  changeInterfaceRow(after, { mtu: 1280, metric: 0 });
  const changed = [...after.keys()].filter((at) => after[at] !== before[at]);
  assert.deepEqual(changed, [
    44, // UseAutomaticMetric
    ...[52, 53, 54, 55], // RouterDiscoveryBehavior
    ...[56, 57, 58, 59], // DadTransmits
    ...[144, 145, 146, 147], // SitePrefixLength
    ...[148, 149, 150, 151], // Metric
    ...[152, 153, 154, 155], // NlMtu
  ]);
  assert.deepEqual(readInterfaceRow(after), { metric: 0, mtu: 1280, isConnected: true });
  const six = before.slice();
  six.set([23, 0], 0);
  changeInterfaceRow(six, { mtu: 1280, metric: 7 });
  assert.equal(toHex(six.subarray(144, 156)), "55555555" + "07000000" + "00050000");
  six[156] = 0;
  assert.deepEqual(readInterfaceRow(six), { metric: 7, mtu: 1280, isConnected: false });
  assert.equal(readInterfaceRow(six.subarray(1)), undefined);
});

Deno.test("writeSocketAddress: is SOCKADDR_IN and SOCKADDR_IN6, the port in network byte order, the zone in the machine's", () => {
  const bytes = new Uint8Array(28).fill(0xee);
  assert.equal(writeSocketAddress(bytes, 0, SocketAddress.from("192.0.2.1:3478")), 16);
  assert.equal(toHex(bytes.subarray(0, 16)), "0200" + "0d96" + "c0000201" + zeros(8));
  assert.equal(writeSocketAddress(bytes, 0, new SocketAddress(IpAddress.from("fe80::1"), 53, 4)), 28);
  assert.equal(toHex(bytes), "1700" + "0035" + "00000000" + "fe80" + zeros(13) + "01" + "04000000");
  assert.deepEqual(readAddress(bytes, 0), { address: IpAddress.from("fe80::1"), scopeId: 4 });
  assert.equal(readAddress(bytes, 1), undefined);
  assert.equal(readAddress(bytes.subarray(0, 27), 0), undefined);
  assert.equal(readAddress(Uint8Array.of(1, 0, ...new Array(26).fill(0)), 0), undefined);
});

Deno.test("writeSource: is IN_PKTINFO and IN6_PKTINFO behind a WSACMSGHDR, which findDestination reads", () => {
  const bytes = new Uint8Array(CONTROL_CAPACITY);
  assert.equal(writeSource(bytes, 8, IpAddress.from("192.0.2.7"), 4), 24);
  assert.equal(
    toHex(bytes.subarray(8, 32)),
    "1800000000000000" + "00000000" + "13000000" + "c0000207" + "04000000",
  );
  const view = new DataView(bytes.buffer);
  assert.equal(findDestination(view, 8, 24, 4), 24);
  assert.equal(findDestination(view, 8, 23, 4), undefined);
  assert.equal(findDestination(view, 8, 24, 6), undefined);
  assert.equal(writeSource(bytes, 0, IpAddress.from("2001:db8::7"), 4), 40);
  assert.equal(
    toHex(bytes.subarray(0, 36)),
    "2400000000000000" + "29000000" + "13000000" + "20010db8" + zeros(11) + "07" + "04000000",
  );
  assert.equal(findDestination(view, 0, 40, 6), 16);
  // Behind something else.
  const two = new Uint8Array(64);
  two.set(fromHex("1400000000000000" + "00000000" + "08000000" + "01000000"), 0);
  writeSource(two, 24, IpAddress.from("192.0.2.7"), 0);
  assert.equal(findDestination(new DataView(two.buffer), 0, 48, 4), 40);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (control) => {
      const data = new DataView(control.buffer, control.byteOffset, control.length);
      const at = findDestination(data, 0, control.length, 6);
      assert.ok(at === undefined || at + 20 <= control.length);
    }),
  );
  assert.deepEqual(Message, {
    name: 0,
    nameLength: 8,
    buffers: 16,
    bufferCount: 24,
    controlLength: 32,
    control: 40,
    flags: 48,
    length: 56,
  });
});

Deno.test("readAdapters: follows the chain of IP_ADAPTER_ADDRESSES, with zones, within its buffer", () => {
  const chain = adapterChain([
    {
      index: 4,
      name: "Büro",
      description: "Intel(R) Ethernet",
      guid: "{AAAAAAAA-0000-0000-0000-000000000004}",
      metric: 25,
      unicast: ["192.168.1.5", "fe80::5%4"],
      resolvers: ["192.168.1.1", "fe80::1%4"],
    },
    { index: 9, name: "off", description: "Modem", isUp: false, type: 23 },
  ], 0x1_0000_0000n);
  const [first, second, ...others] = readAdapters(chain);
  assert.deepEqual(first, {
    index: 4,
    guid: "{AAAAAAAA-0000-0000-0000-000000000004}",
    name: "Büro",
    description: "Intel(R) Ethernet",
    type: 6,
    isUp: true,
    unicast: [
      { address: IpAddress.from("192.168.1.5"), scopeId: 0 },
      { address: IpAddress.from("fe80::5"), scopeId: 4 },
    ],
    resolvers: [
      { address: IpAddress.from("192.168.1.1"), scopeId: 0 },
      { address: IpAddress.from("fe80::1"), scopeId: 4 },
    ],
    metric: 25,
  });
  assert.deepEqual([second?.name, second?.isUp, second?.resolvers, others], ["off", false, [], []]);
  // Pointers beyond the buffer, and one that leads back.
  assert.equal(readAdapters({ ...chain, base: 0n }).length, 1);
  new DataView(chain.bytes.buffer).setBigUint64(8, chain.base, true);
  assert.ok(readAdapters(chain).length <= 1024);
  assert.deepEqual(readAdapters({ bytes: new Uint8Array(), base: 0n }), []);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 440, maxLength: 1200 }), fc.nat(2000), (bytes, at) => {
      readAdapters({ bytes, base: BigInt(at) });
      const spoilt = chain.bytes.slice();
      spoilt.set(bytes.subarray(0, Math.max(0, spoilt.length - at)), Math.min(at, spoilt.length));
      readAdapters({ bytes: spoilt, base: chain.base });
    }),
    { numRuns: 50 },
  );
});

Deno.test("adapterGuid: is the same for a name always, another for another, and laid out as C does", () => {
  assert.match(
    adapterGuid("fz0"),
    /^\{[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}\}$/,
  );
  assert.equal(adapterGuid("fz0"), adapterGuid("FZ0"));
  assert.equal(adapterGuid("fz%d"), adapterGuid("fz0"));
  assert.notEqual(adapterGuid("fz0"), adapterGuid("fz1"));
  assert.equal(adapterName("n".repeat(300)).length, 127);
  assert.equal(
    toHex(guidBytes("{00112233-4455-6677-8899-AABBCCDDEEFF}")),
    "33221100" + "5544" + "7766" + "8899aabbccddeeff",
  );
  for (
    const [description, isOurs] of [["fz Tunnel", true], ["Firezone Tunnel #2", true], [
      "WireGuard Tunnel",
      false,
    ]]
  ) {
    assert.equal(isTunnelDescription(String(description)), isOurs);
  }
});

Deno.test("wintunPaths: beside the program, then the system's folder, or what FZ_WINTUN names alone", () => {
  const env = (values: Record<string, string>) => (name: string) => values[name];
  const program = "C:\\Program Files\\fz\\deno.exe";
  assert.deepEqual(wintunPaths({ program, env: env({ SystemRoot: "D:\\Windows" }) }), [
    "C:\\Program Files\\fz\\wintun.dll",
    "D:\\Windows\\System32\\wintun.dll",
  ]);
  assert.deepEqual(wintunPaths({ program, env: env({ FZ_WINTUN: "E:/tools/" }) }), ["E:/tools\\wintun.dll"]);
  assert.deepEqual(wintunPaths({ program, env: env({ FZ_WINTUN: "E:\\w.DLL" }) }), ["E:\\w.DLL"]);
  const fault = noWintun(["C:\\fz\\wintun.dll"]);
  assert.equal(fault.code, "tun");
  assert.match(fault.message, /no Wintun at "C:\\fz\\wintun\.dll"/);
  assert.match(fault.next ?? "", /https:\/\/www\.wintun\.net/);
});

Deno.test("faultOf: says in words what is known, and the number of what is not", () => {
  assert.equal(faultOf("Cannot x", 5).code, "privilege");
  assert.match(faultOf("Cannot x", 10_013).next ?? "", /administrator/);
  assert.equal(faultOf("Cannot x", 10_048).message, "Cannot x: the address is in use by another program");
  const unknown = faultOf("Cannot x", 1450, { code: "tun", next: "Wait." });
  assert.deepEqual([unknown.message, unknown.code, unknown.next], [
    "Cannot x: Windows error 1450",
    "tun",
    "Wait.",
  ]);
  assert.deepEqual([10_051, 10_065, 12_345].map(errorName), ["ENETUNREACH", "EHOSTUNREACH", "E12345"]);
});
