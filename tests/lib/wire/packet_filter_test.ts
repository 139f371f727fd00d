import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress } from "../../../lib/base/ip.ts";
import { parsePacketFilter } from "../../../lib/wire/packet_filter.ts";
import { buildPacket } from "../../../lib/wire/ip.ts";

const findResource = (name: string) =>
  name === "git lab" ? (remote: IpAddress) => `${remote}` === "10.0.0.9" : undefined;

function packet(source: string, destination: string, protocol: number, ports: [number, number]): Uint8Array {
  const segment = new Uint8Array(protocol === 6 ? 20 : 8);
  new DataView(segment.buffer).setUint16(0, ports[0]);
  new DataView(segment.buffer).setUint16(2, ports[1]);
  if (protocol === 6) segment[12] = 0x50;
  if (protocol === 17) segment[5] = 8;
  return buildPacket(
    { source: IpAddress.from(source), destination: IpAddress.from(destination) },
    protocol,
    segment,
  );
}

const HTTPS = packet("100.64.0.1", "10.0.0.9", 6, [50_000, 443]);
const DNS = packet("100.64.0.1", "100.100.111.1", 17, [40_000, 53]);
const PING6 = packet("fd00:2021:1111::1", "2001:db8::9", 58, [0x8000, 0]);

/** Returns which of the three packets `text` means, all on their way out. */
function meant(text: string, direction: "in" | "out" = "out"): string {
  const filter = parsePacketFilter(text, findResource);
  assert.ok(filter.ok, text);
  const names = [["https", HTTPS], ["dns", DNS], ["ping6", PING6]] as const;
  return names.filter(([, bytes]) => filter.value(bytes, direction)).map(([name]) => name).join(" ");
}

Deno.test("parsePacketFilter: means the packets that it says", () => {
  const table: [text: string, names: string][] = [
    ["", "https dns ping6"],
    ["tcp", "https"],
    ["icmp", "ping6"],
    ["proto 17", "dns"],
    ["ip6", "ping6"],
    ["ip", "https dns"],
    ["host 10.0.0.9", "https"],
    ["dst host 100.64.0.1", ""],
    ["src host 100.64.0.1", "https dns"],
    ["net 100.100.0.0/16", "dns"],
    ["net 2001:db8::/32", "ping6"],
    ["port 443", "https"],
    ["src port 443", ""],
    ["port 50-500", "https dns"],
    ["portrange 50-500", "https dns"],
    ['resource "git lab"', "https"],
    ["not tcp", "dns ping6"],
    ["not not tcp", "https"],
    ["! tcp && ! udp", "ping6"],
    ["tcp or udp and port 9", "https"],
    ["(tcp or udp) and port 53", "dns"],
    ["(tcp or udp)port 53", "dns"],
    ["tcp port 443", "https"],
    ["out", "https dns ping6"],
    ["in", ""],
    ["icmp || port 53", "dns ping6"],
  ];
  for (const [text, names] of table) assert.equal(meant(text), names, text);
  assert.equal(meant('resource "git lab"', "in"), "");
});

Deno.test("parsePacketFilter: says where and what is wrong", () => {
  const table: [text: string, position: number, reason: RegExp][] = [
    ["tcp and", 8, /^a term is missing$/],
    ["host", 5, /^an address is missing$/],
    ["host 10.0.0.300", 6, /"10\.0\.0\.300" is no IP address/],
    ["host 10.0.0.0/8", 6, /no IP address/],
    ["net elsewhere", 5, /"elsewhere" is no network/],
    ["tcp port 70000", 10, /"70000" is neither a port/],
    ["port 9-8", 6, /"9-8"/],
    ["proto sctp", 7, /"sctp"/],
    ["(tcp or udp", 12, /"\)" is missing/],
    ["tcp )", 5, /"\)" has no "\(" before it/],
    ["frob 1", 1, /"frob" is none of: host, net/],
    ["resource nas", 10, /"nas" is no resource/],
    ['tcp or resource "nas', 17, /quotation mark/],
    ["(".repeat(40) + "tcp", 18, /too many parentheses/],
  ];
  for (const [text, position, reason] of table) {
    const filter = parsePacketFilter(text, findResource);
    assert.ok(!filter.ok, text);
    assert.equal(filter.reason.position, position, text);
    assert.match(filter.reason.reason, reason);
  }
  assert.equal(parsePacketFilter(Array(100).fill("tcp").join(" ")).ok, false);
});

Deno.test("parsePacketFilter: never throws, for any text and any packet", () => {
  const words = fc.constantFrom(
    "tcp",
    "not",
    "(",
    ")",
    "or",
    "port",
    "53",
    "host",
    "::1",
    '"',
    "resource",
    "in",
  );
  fc.assert(
    fc.property(fc.array(words), fc.string(), fc.uint8Array({ maxLength: 90 }), (some, text, bytes) => {
      parsePacketFilter(text);
      const filter = parsePacketFilter(some.join(" "), findResource);
      if (filter.ok) filter.value(bytes, "in");
    }),
  );
  const any = parsePacketFilter("port 1 or tcp or host ::1 or resource 'git lab'", findResource);
  assert.ok(any.ok);
  fc.assert(fc.property(fc.constantFrom(0x45, 0x60), fc.uint8Array({ maxLength: 90 }), (first, rest) => {
    any.value(Uint8Array.of(first, ...rest), "out");
  }));
});
