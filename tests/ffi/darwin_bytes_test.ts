/** Bytes for Darwin's kernel. Numbers are typed anew from its headers (xnu: net/route.h, sys/sockio.h, netinet6/in6.h, …). */

import assert from "node:assert/strict";
import fc from "fast-check";
import { fromHex, toHex } from "../../lib/base/bytes.ts";
import { IpAddress, IpNetwork, SocketAddress } from "../../lib/base/ip.ts";
import {
  addAddressRequest,
  controlAddress,
  controlIdRequest,
  FIOCLEX,
  mtuRequest,
  removeAddressRequest,
} from "../../ffi/darwin/interface_request.ts";
import { errnoName, faultOf } from "../../ffi/darwin/errno.ts";
import {
  EventFilter,
  EventFlag,
  NOTE_TRIGGER,
  readableDescriptor,
  writeKernelEvent,
} from "../../ffi/darwin/kernel_event.ts";
import { findDestination, writeSource } from "../../ffi/darwin/packet_info.ts";
import {
  decodeRoutes,
  encodeRouteChange,
  isNetworkChange,
  messageTypes,
} from "../../ffi/darwin/route_message.ts";
import {
  linkSockaddr,
  netmaskOf,
  readNetmask,
  readSockaddr,
  sockaddrOf,
  writeSocketAddress,
} from "../../ffi/darwin/sockaddr.ts";
import { utunUnit, writeUtunHeader } from "../../ffi/darwin/utun.ts";
import { encode, Flag } from "./darwin_kernel.ts";

const V4 = IpAddress.from("100.64.0.7");
const V6 = IpAddress.from("fd00:2021:1111::7");

Deno.test("sockaddrOf: has the length first, then Darwin's family, and the scope at the end", () => {
  assert.equal(toHex(sockaddrOf(V4, 52625)), "1002cd91" + "64400007" + "00".repeat(8));
  assert.equal(
    toHex(sockaddrOf(IpAddress.from("fe80::1"), 53, 4)),
    "1c1e0035" + "00000000" + "fe80000000000000" + "0000000000000001" + "04000000",
  );
});

Deno.test("writeSocketAddress: overwrites what was there, and returns the length", () => {
  const bytes = new Uint8Array(40).fill(0xee);
  assert.equal(writeSocketAddress(bytes, 4, SocketAddress.from("192.0.2.1:9")), 16);
  assert.equal(toHex(bytes.subarray(0, 22)), "eeeeeeee" + "10020009" + "c0000201" + "00".repeat(8) + "eeee");
  assert.equal(writeSocketAddress(bytes, 0, SocketAddress.from("[2001:db8::1]:9")), 28);
});

Deno.test("linkSockaddr: names an interface by its index and its name", () => {
  assert.equal(toHex(linkSockaddr(17, "utun5")), "14121100" + "00050000" + "7574756e35" + "00".repeat(7));
});

Deno.test("netmaskOf, readNetmask: agree for every prefix of both families", () => {
  for (const [address, bits] of [["10.0.0.0", 32], ["2001:db8::", 128]] as const) {
    for (let prefix = 0; prefix <= bits; prefix++) {
      const network = new IpNetwork(IpAddress.from(address), prefix);
      assert.equal(readNetmask(netmaskOf(network), network.family), prefix);
    }
  }
  // As the kernel shortens them.
  assert.equal(readNetmask(fromHex("06000000ffff"), 4), 16);
  assert.equal(readNetmask(fromHex("00"), 4), 0);
  assert.equal(readNetmask(fromHex("0a1e000000000000ff80"), 6), 9);
  assert.equal(readNetmask(fromHex("07000000ff00ff"), 4), undefined);
});

Deno.test("readSockaddr: takes the interface out of a link-local address", () => {
  const kame = readSockaddr(
    fromHex("1c1e000000000000" + "fe80000400000000" + "0000000000000001" + "00000000"),
  );
  assert.deepEqual(kame, { type: "ip", address: IpAddress.from("fe80::1"), scopeId: 4 });
  const plain = readSockaddr(sockaddrOf(IpAddress.from("fe80::1"), 0, 9));
  assert.deepEqual(plain, { type: "ip", address: IpAddress.from("fe80::1"), scopeId: 9 });
  assert.deepEqual(readSockaddr(fromHex("14121100")), { type: "link", index: 17 });
  assert.equal(readSockaddr(fromHex("0211")), undefined);
});

Deno.test("encodeRouteChange: is byte for byte what net/route.h says for a network by an interface", () => {
  const bytes = encodeRouteChange({
    type: "add",
    destination: IpNetwork.from("10.1.0.0/16"),
    gateway: linkSockaddr(17, "utun5"),
    isDirect: true,
    sequence: 3,
  });
  assert.equal(
    toHex(bytes),
    // Length 144, version 5, RTM_ADD; index and its gap; UP|STATIC|PROTO1; DST|GATEWAY|NETMASK; pid; sequence.
    "90000501" + "00000000" + "01880000" + "07000000" + "00000000" + "03000000" +
      // Error number, use, inits, and 14 metrics.
      "00".repeat(12) + "00".repeat(56) +
      "100200000a0100000000000000000000" +
      "14121100000500007574756e3500000000000000" +
      "10020000ffff00000000000000000000",
  );
});

Deno.test("encodeRouteChange: is without a netmask for a host, and by a gateway", () => {
  const bytes = encodeRouteChange({
    type: "delete",
    destination: IpNetwork.from("203.0.113.9/32"),
    gateway: sockaddrOf(IpAddress.from("192.168.1.1")),
    isDirect: false,
    sequence: 1,
  });
  assert.equal(bytes.length, 92 + 16 + 16);
  // UP|GATEWAY|HOST|STATIC|PROTO1; DST|GATEWAY.
  assert.equal(toHex(bytes.subarray(0, 16)), "7c000502" + "00000000" + "07880000" + "03000000");
  assert.equal(
    toHex(bytes.subarray(92)),
    "10020000cb007109" + "00".repeat(8) + "10020000c0a80101" + "00".repeat(8),
  );
});

Deno.test("decodeRoutes: reads a table as the kernel dumps it", () => {
  const table = [
    encode({ destination: IpNetwork.from("0.0.0.0/0"), via: "192.168.1.1", index: 4, flags: 0x803 }),
    encode({ destination: IpNetwork.from("192.168.1.0/24"), via: undefined, index: 4, flags: 0x101 }),
    encode({ destination: IpNetwork.from("192.168.1.7/32"), via: undefined, index: 4, flags: 0x20405 }),
    encode({ destination: IpNetwork.from("::/0"), via: "fe80::1%4", index: 4, flags: 0x803 }),
  ];
  const dump = new Uint8Array(table.flatMap((message) => [...message]));
  const routes = decodeRoutes(dump);
  assert.deepEqual(routes.map(({ destination, gateway, index }) => `${destination} ${gateway} ${index}`), [
    "0.0.0.0/0 192.168.1.1 4",
    "192.168.1.0/24 undefined 4",
    "192.168.1.7/32 undefined 4",
    "::/0 fe80::1 4",
  ]);
  // The next hop is kept as it came, the interface in it too.
  assert.equal(toHex(routes[3]!.gatewayBytes).slice(16, 24), "fe800004");
  assert.equal(routes[0]!.flags & Flag.gateway, Flag.gateway);
});

Deno.test("decodeRoutes, messageTypes: never throw, whatever the bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
    decodeRoutes(bytes);
    messageTypes(bytes);
  }));
  const message = encode({
    destination: IpNetwork.from("10.0.0.0/8"),
    via: "192.168.1.1",
    index: 4,
    flags: 3,
  });
  fc.assert(
    fc.property(fc.nat(message.length - 1), fc.integer({ min: 0, max: 255 }), (at, value) => {
      const broken = message.slice();
      broken[at] = value;
      decodeRoutes(broken);
      decodeRoutes(broken.subarray(0, at));
    }),
    { numRuns: 2000 },
  );
});

Deno.test("messageTypes, isNetworkChange: tell what changed from what was only asked", () => {
  const message = (type: number) => Uint8Array.from([8, 0, 5, type, 0, 0, 0, 0]);
  const bytes = new Uint8Array([1, 4, 7, 0xc, 0xe].flatMap((type) => [...message(type)]));
  assert.deepEqual(messageTypes(bytes), [1, 4, 7, 0xc, 0xe]);
  // RTM_ADD, DELETE, CHANGE, NEWADDR, DELADDR, IFINFO; not GET, MISS, RESOLVE, NEWMADDR.
  assert.deepEqual([1, 2, 3, 0xc, 0xd, 0xe].map(isNetworkChange), new Array(6).fill(true));
  assert.deepEqual([4, 7, 0xb, 0xf].map(isNetworkChange), new Array(4).fill(false));
});

Deno.test("interface requests: carry the numbers that ifconfig uses, which have the size of the structure in them", () => {
  assert.equal(addAddressRequest("utun5", V4).request, 0x8040691a);
  assert.equal(addAddressRequest("utun5", V6).request, 0x8080691a);
  assert.equal(removeAddressRequest("utun5", V4).request, 0x80206919);
  assert.equal(removeAddressRequest("utun5", V6).request, 0x81206919);
  assert.equal(mtuRequest("utun5", 1280).request, 0x80206934);
  assert.equal(controlIdRequest("com.apple.net.utun_control").request, 0xc0644e03);
  assert.equal(FIOCLEX, 0x20006601);
});

Deno.test("interface requests: have an address alone on its link, without end", () => {
  const name = "7574756e35" + "00".repeat(11);
  const own = "10020000" + "64400007" + "00".repeat(8);
  const mask = "10020000" + "ffffffff" + "00".repeat(8);
  assert.equal(toHex(addAddressRequest("utun5", V4).bytes), name + own + own + mask);
  const own6 = "1c1e000000000000" + "fd002021111100000000000000000007" + "00000000";
  const mask6 = "1c1e000000000000" + "ff".repeat(16) + "00000000";
  assert.equal(
    toHex(addAddressRequest("utun5", V6).bytes),
    // No other end; no duplicate detection; two times, and two lifetimes without end.
    name + own6 + "00".repeat(28) + mask6 + "20000000" + "00".repeat(16) + "ffffffffffffffff",
  );
  assert.equal(toHex(mtuRequest("utun5", 1280).bytes), name + "00050000" + "00".repeat(12));
  assert.equal(toHex(removeAddressRequest("utun5", V4).bytes), name + own);
});

Deno.test("controlAddress, controlIdRequest: are sockaddr_ctl and ctl_info", () => {
  assert.equal(toHex(controlAddress(5, 18)), "20200200" + "05000000" + "12000000" + "00".repeat(20));
  const { bytes } = controlIdRequest("com.apple.net.utun_control");
  assert.equal(bytes.length, 100);
  assert.equal(new TextDecoder().decode(bytes.subarray(4, 30)), "com.apple.net.utun_control");
});

Deno.test("utunUnit: asks for the interface that is named, else for any", () => {
  assert.deepEqual(["utun0", "utun17", "fz0", "utun", "utun%d", "xutun3"].map(utunUnit), [1, 18, 0, 0, 0, 0]);
});

Deno.test("writeUtunHeader: is the family in network byte order, and refuses what is no IP", () => {
  const data = new DataView(new ArrayBuffer(8));
  assert.ok(writeUtunHeader(data, 0, fromHex("45")));
  assert.equal(data.getUint32(0), 2);
  assert.ok(writeUtunHeader(data, 4, fromHex("60")));
  assert.equal(data.getUint32(4), 30);
  assert.ok(!writeUtunHeader(data, 0, fromHex("00")));
  assert.ok(!writeUtunHeader(data, 0, new Uint8Array()));
});

Deno.test("writeSource: is a cmsghdr of 12 bytes and the address where each family has it", () => {
  const bytes = new Uint8Array(40).fill(0xee);
  assert.equal(writeSource(bytes, 4, V4), 24);
  assert.equal(
    toHex(bytes.subarray(4, 29)),
    "18000000" + "00000000" + "1a000000" + "00000000" + "64400007" + "00000000" + "ee",
  );
  assert.equal(writeSource(bytes, 0, V6), 32);
  assert.equal(
    toHex(bytes.subarray(0, 32)),
    "20000000" + "29000000" + "2e000000" + toHex(V6.bytes) + "00000000",
  );
});

Deno.test("findDestination: finds the address that a datagram came to, behind other control data", () => {
  const other = "0d000000" + "ffff0000" + "01000000" + "07000000";
  const v4 = other + "18000000" + "00000000" + "1a000000" + "04000000" + "00000000" + "c0a80102";
  const view = (hex: string) => new DataView(fromHex(hex).buffer as ArrayBuffer);
  assert.equal(findDestination(view(v4), 0, 40, 4), 36);
  assert.equal(findDestination(view(v4), 0, 40, 6), undefined);
  assert.equal(findDestination(view(v4), 0, 39, 4), undefined);
  const v6 = "20000000" + "29000000" + "2e000000" + toHex(V6.bytes) + "04000000";
  assert.equal(findDestination(view(v6), 0, 32, 6), 12);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
    findDestination(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length, 4);
  }));
});

Deno.test("kernel events: lie in 32 bytes with the filter as a negative number", () => {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(40, 0xffffffff);
  writeKernelEvent(data, 32, { identifier: 9, filter: EventFilter.read, flags: EventFlag.add });
  assert.equal(
    toHex(new Uint8Array(data.buffer, 32)),
    "0900000000000000" + "ffff" + "0100" + "00".repeat(20),
  );
  assert.equal(readableDescriptor(data, 32), 9);
  writeKernelEvent(data, 0, { identifier: 0, filter: EventFilter.user, flags: 0, filterFlags: NOTE_TRIGGER });
  assert.equal(toHex(new Uint8Array(data.buffer, 0, 16)), "0000000000000000" + "f6ff" + "0000" + "00000001");
  assert.equal(readableDescriptor(data, 0), undefined);
  writeKernelEvent(data, 0, { identifier: 9, filter: EventFilter.read, flags: EventFlag.error });
  assert.equal(readableDescriptor(data, 0), undefined);
});

Deno.test("faultOf: has Darwin's numbers, and words for a Mac", () => {
  assert.deepEqual([35, 48, 51, 55, 65, 99].map(errnoName), [
    "EAGAIN",
    "EADDRINUSE",
    "ENETUNREACH",
    "ENOBUFS",
    "EHOSTUNREACH",
    "E99",
  ]);
  const fault = faultOf("Cannot make a TUN device", 1);
  assert.equal(fault.code, "privilege");
  assert.match(fault.next!, /sudo/);
  assert.doesNotMatch(fault.next!, /CAP_/);
  assert.equal(faultOf("Cannot open it", 16, { code: "tun" }).code, "tun");
});
