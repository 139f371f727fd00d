/** Forms and values: data-plane.md §2.4, §2.5. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { SocketAddress } from "../../../lib/base/ip.ts";
import {
  type Candidate,
  formatCandidate,
  foundationOf,
  isUsableAddress,
  parseCandidate,
} from "../../../lib/ice/candidate.ts";

function candidate(kind: Candidate["kind"], address: string, ufrag?: string): Candidate {
  const at = SocketAddress.from(address);
  return { kind, address: at, base: at, priority: 2130706175, foundation: "f0", ufrag };
}

function parsed(text: string): Candidate {
  const result = parseCandidate(text);
  assert(result.ok, JSON.stringify(result));
  return result.value;
}

Deno.test("formatCandidate writes exactly the form that positional parsers accept", () => {
  assert.equal(
    formatCandidate(candidate("host", "192.0.2.1:52625", "cccc")),
    "candidate:f0 1 udp 2130706175 192.0.2.1 52625 typ host ufrag cccc",
  );
  assert.equal(
    formatCandidate(candidate("serverReflexive", "192.0.2.1:52625", "cccc")),
    "candidate:f0 1 udp 2130706175 192.0.2.1 52625 typ srflx raddr 0.0.0.0 rport 0 ufrag cccc",
  );
  assert.equal(
    formatCandidate(candidate("relayed", "[2001:db8::1]:50000")),
    "candidate:f0 1 udp 2130706175 2001:db8::1 50000 typ relay raddr :: rport 0",
  );
  assert.equal(
    formatCandidate(candidate("peerReflexive", "192.0.2.1:1")),
    "candidate:f0 1 udp 2130706175 192.0.2.1 1 typ prflx",
  );
});

Deno.test("parseCandidate reads what upstream's clients and browsers write", () => {
  const host = parsed(
    "candidate:fffeff7e5a1c1bbd34ba5cb4 1 udp 2130706175 192.168.1.7 52625 typ host ufrag aaaa",
  );
  assert.equal(host.kind, "host");
  assert.equal(host.priority, 2130706175);
  assert.equal(host.address.toString(), "192.168.1.7:52625");
  assert.equal(host.ufrag, "aaaa");
  const browser = parsed(
    "a=candidate:1 1 UDP 1677729535 203.0.113.1 61764 typ srflx raddr 10.0.0.1 rport 61764 generation 0 network-cost 10",
  );
  assert.equal(browser.kind, "serverReflexive");
  assert.equal(browser.ufrag, undefined);
});

Deno.test("parseCandidate refuses other components and transports, names, bad numbers, unusable addresses", () => {
  const text = (
    component: string,
    transport: string,
    priority: string,
    ip: string,
    port: string,
    kind = "host",
  ) => parseCandidate(`candidate:1 ${component} ${transport} ${priority} ${ip} ${port} typ ${kind}`).ok;
  assert.equal(text("1", "udp", "1", "192.0.2.1", "1"), true);
  assert.equal(text("2", "udp", "1", "192.0.2.1", "1"), false);
  assert.equal(text("1", "tcp", "1", "192.0.2.1", "1"), false);
  assert.equal(text("1", "udp", "4294967296", "192.0.2.1", "1"), false);
  assert.equal(text("1", "udp", "1", "host.local", "1"), false);
  assert.equal(text("1", "udp", "1", "192.0.2.1", "65536"), false);
  assert.equal(text("1", "udp", "1", "192.0.2.1", "0"), false);
  assert.equal(text("1", "udp", "1", "192.0.2.1", "1", "other"), false);
  assert.equal(text("1", "udp", "1", "224.0.0.1", "1"), false);
  assert.equal(parseCandidate("").ok, false);
});

Deno.test("isUsableAddress excludes what no peer can be reached at", () => {
  for (
    const bad of ["169.254.1.1:1", "255.255.255.255:1", "224.0.0.1:1", "0.0.0.0:1", "[::]:1", "[ff02::1]:1"]
  ) {
    assert.equal(isUsableAddress(SocketAddress.from(bad)), false, bad);
  }
  for (const good of ["127.0.0.1:1", "[::1]:1", "10.0.0.1:1", "[fe80::1]:1"]) {
    assert.equal(isUsableAddress(SocketAddress.from(good)), true, good);
  }
});

Deno.test("foundationOf is equal for equal kind and base address only", () => {
  const ip = SocketAddress.from("192.0.2.1:1").ip;
  const other = SocketAddress.from("192.0.2.2:1").ip;
  assert.equal(foundationOf("host", ip), foundationOf("host", ip));
  assert.notEqual(foundationOf("host", ip), foundationOf("relayed", ip));
  assert.notEqual(foundationOf("host", ip), foundationOf("host", other));
});

Deno.test("parseCandidate reads back what formatCandidate wrote", () => {
  const kinds = fc.constantFrom("host", "serverReflexive", "peerReflexive", "relayed") as fc.Arbitrary<
    Candidate["kind"]
  >;
  const addresses = fc.tuple(
    fc.oneof(fc.ipV4(), fc.ipV6().map((ip) => `[${ip}]`)),
    fc.integer({ min: 1, max: 65535 }),
  )
    .map(([ip, port]) => SocketAddress.parse(`${ip}:${port}`))
    .filter((address) => address !== undefined && isUsableAddress(address)) as fc.Arbitrary<SocketAddress>;
  fc.assert(fc.property(kinds, addresses, fc.nat(2 ** 31 - 1), (kind, address, priority) => {
    const original: Candidate = { kind, address, base: address, priority, foundation: "ab", ufrag: "u1" };
    const copy = parsed(formatCandidate(original));
    assert(copy.address.equals(address));
    assert.deepEqual([copy.kind, copy.priority, copy.ufrag], [kind, priority, "u1"]);
  }));
});

Deno.test("parseCandidate never throws", () => {
  fc.assert(fc.property(fc.string({ maxLength: 200 }), (text) => void parseCandidate(text)));
  const word = fc.constantFrom(
    "candidate:1",
    "1",
    "udp",
    "typ",
    "host",
    "ufrag",
    "raddr",
    "::",
    "1.2.3.4",
    "-1",
    " ",
  );
  fc.assert(fc.property(fc.array(word), (words) => void parseCandidate(words.join(" "))));
});
