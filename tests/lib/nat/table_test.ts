import assert from "node:assert/strict";
import * as fc from "fast-check";
import { IpAddress } from "../../../lib/base/ip.ts";
import { MAX_SESSIONS, NatTable } from "../../../lib/nat/table.ts";
import { buildEcho, buildUnreachable, parseQuoted } from "../../../lib/wire/icmp.ts";
import type { IpPacket } from "../../../lib/wire/ip.ts";
import { buildPacket, parsePacket } from "../../../lib/wire/ip.ts";
import { buildTcp, TcpFlag } from "../../../lib/wire/tcp.ts";
import { buildUdp } from "../../../lib/wire/udp.ts";
import { checksumsHold } from "../wire/packets.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const CLIENT = IpAddress.from("100.64.0.1");
const PROXY = IpAddress.from("100.96.0.1");
const PROXY_2 = IpAddress.from("100.96.0.2");
const REAL = IpAddress.from("192.0.2.10");
const REAL_2 = IpAddress.from("192.0.2.11");
const CLIENT_6 = IpAddress.from("fd00:2021:1111::1");
const PROXY_6 = IpAddress.from("fd00:2021:1111:8000::1");
const REAL_6 = IpAddress.from("2001:db8::10");

function load(bytes: Uint8Array): IpPacket {
  const parsed = parsePacket(bytes);
  assert(parsed.ok);
  return parsed.value;
}

function udp(source: IpAddress, destination: IpAddress, sourcePort = 5000, destinationPort = 53): IpPacket {
  return load(buildUdp({ source, destination, sourcePort, destinationPort, payload: new Uint8Array(5) }));
}

function tcp(
  source: IpAddress,
  destination: IpAddress,
  flags: number,
  sourcePort = 5000,
  destinationPort = 443,
): IpPacket {
  return load(
    buildTcp({
      source,
      destination,
      sourcePort,
      destinationPort,
      sequence: 1,
      acknowledgment: 1,
      flags,
      window: 9,
    }),
  );
}

const fromClient = (flags: number) => tcp(CLIENT, PROXY, flags);
const fromServer = (flags: number) => tcp(REAL, CLIENT, flags, 443, 5000);
const { syn, ack, fin, rst } = TcpFlag;

Deno.test("NatTable rewrites the destination going out and the source coming back", () => {
  const cases = [[CLIENT, PROXY, REAL], [CLIENT_6, PROXY_6, REAL_6]] as const;
  for (const [client, proxy, real] of cases) {
    const nat = new NatTable();
    const out = udp(client, proxy);
    assert.equal(nat.translateOutgoing(out, proxy, real, 0), "translated");
    assert(out.destination.equals(real));
    assert(out.source.equals(client));
    assert.equal(out.sourcePort, 5000);
    assert(checksumsHold(out.bytes));

    const back = udp(real, client, 53, 5000);
    assert.equal(nat.translateIncoming(back, 1), "translated");
    assert(back.source.equals(proxy));
    assert.equal(back.destinationPort, 5000);
    assert(checksumsHold(back.bytes));
  }
});

Deno.test("NatTable uses the next free port when two proxies lead to one address", () => {
  const nat = new NatTable();
  nat.translateOutgoing(udp(CLIENT, PROXY), PROXY, REAL, 0);
  const second = udp(CLIENT, PROXY_2);
  nat.translateOutgoing(second, PROXY_2, REAL, 0);
  assert.equal(second.sourcePort, 5001);
  const back = udp(REAL, CLIENT, 53, 5001);
  assert.equal(nat.translateIncoming(back, 1), "translated");
  assert(back.source.equals(PROXY_2));
  assert.equal(back.destinationPort, 5000);
  assert(checksumsHold(back.bytes));
});

Deno.test("NatTable wraps to port 1 after 65535", () => {
  const nat = new NatTable();
  nat.translateOutgoing(udp(CLIENT, PROXY, 65535), PROXY, REAL, 0);
  const second = udp(CLIENT, PROXY_2, 65535);
  nat.translateOutgoing(second, PROXY_2, REAL, 0);
  assert.equal(second.sourcePort, 1);
});

Deno.test("NatTable translates echoes by their identifier", () => {
  const nat = new NatTable();
  const echo = (source: IpAddress, destination: IpAddress, kind: "request" | "reply", identifier: number) =>
    load(buildEcho({ source, destination, kind, identifier, sequence: 1, payload: new Uint8Array(8) }));
  nat.translateOutgoing(echo(CLIENT, PROXY, "request", 7), PROXY, REAL, 0);
  const second = echo(CLIENT, PROXY_2, "request", 7);
  nat.translateOutgoing(second, PROXY_2, REAL, 0);
  assert.equal(second.sourcePort, 8);
  const back = echo(REAL, CLIENT, "reply", 8);
  assert.equal(nat.translateIncoming(back, 1), "translated");
  assert.equal(back.sourcePort, 7);
  assert(back.source.equals(PROXY_2));
  assert(checksumsHold(back.bytes));
});

Deno.test("NatTable refuses protocols without ports and flows without target", () => {
  const nat = new NatTable();
  const gre = load(buildPacket({ source: CLIENT, destination: PROXY }, 47, new Uint8Array(8)));
  assert.equal(nat.translateOutgoing(gre, PROXY, REAL, 0), "unsupported");
  assert.equal(nat.translateOutgoing(udp(CLIENT, PROXY), PROXY, undefined, 0), "no-target");
  assert.equal(nat.size, 0);
});

Deno.test("NatTable keeps the target of a session when the name moves", () => {
  const nat = new NatTable();
  nat.translateOutgoing(udp(CLIENT, PROXY), PROXY, REAL, 0);
  const same = udp(CLIENT, PROXY);
  nat.translateOutgoing(same, PROXY, REAL_2, 1);
  assert(same.destination.equals(REAL));
  const other = udp(CLIENT, PROXY, 5001);
  nat.translateOutgoing(other, PROXY, REAL_2, 1);
  assert(other.destination.equals(REAL_2));
});

Deno.test("NatTable does not know packets of no session", () => {
  assert.equal(new NatTable().translateIncoming(udp(REAL, CLIENT, 53, 5000), 0), "unknown");
});

Deno.test("NatTable ends an unanswered session 60 s after its last packet and remembers it", () => {
  const nat = new NatTable();
  nat.translateOutgoing(udp(CLIENT, PROXY), PROXY, REAL, 0);
  nat.translateOutgoing(udp(CLIENT, PROXY), PROXY, REAL, 30 * SECOND);
  nat.handleTimeout(89 * SECOND);
  assert.equal(nat.size, 1);
  nat.handleTimeout(90 * SECOND);
  assert.equal(nat.size, 0);
  assert.equal(nat.translateIncoming(udp(REAL, CLIENT, 53, 5000), 91 * SECOND), "expired");
});

Deno.test("NatTable ends an answered UDP session after 120 s, TCP after 2 h 4 min", () => {
  const nat = new NatTable();
  nat.translateOutgoing(udp(CLIENT, PROXY), PROXY, REAL, 0);
  nat.translateIncoming(udp(REAL, CLIENT, 53, 5000), 0);
  nat.translateOutgoing(fromClient(syn), PROXY, REAL, 0);
  nat.translateIncoming(fromServer(syn | ack), 0);
  nat.handleTimeout(119 * SECOND);
  assert.equal(nat.size, 2);
  nat.handleTimeout(120 * SECOND);
  assert.equal(nat.size, 1);
  nat.handleTimeout(124 * MINUTE - SECOND);
  assert.equal(nat.size, 1);
  nat.handleTimeout(124 * MINUTE);
  assert.equal(nat.size, 0);
});

Deno.test("NatTable keeps a session that only the server feeds", () => {
  const nat = new NatTable();
  nat.translateOutgoing(udp(CLIENT, PROXY), PROXY, REAL, 0);
  for (let at = 0; at < 10 * MINUTE; at += 50 * SECOND) {
    nat.handleTimeout(at);
    assert.equal(nat.translateIncoming(udp(REAL, CLIENT, 53, 5000), at), "translated");
  }
});

Deno.test("NatTable does not let a late packet through even if no timeout was handled", () => {
  const nat = new NatTable();
  nat.translateOutgoing(udp(CLIENT, PROXY), PROXY, REAL, 0);
  assert.equal(nat.translateIncoming(udp(REAL, CLIENT, 53, 5000), 60 * SECOND), "expired");
});

Deno.test("NatTable ends a TCP session 5 s after both FINs, not after one", () => {
  const nat = new NatTable();
  nat.translateOutgoing(fromClient(syn), PROXY, REAL, 0);
  nat.translateIncoming(fromServer(syn | ack), 0);
  nat.translateOutgoing(fromClient(fin | ack), PROXY, REAL, SECOND);
  nat.handleTimeout(60 * SECOND);
  assert.equal(nat.size, 1, "half closed");
  nat.translateIncoming(fromServer(fin | ack), 61 * SECOND);
  nat.translateOutgoing(fromClient(ack), PROXY, REAL, 62 * SECOND);
  nat.handleTimeout(66 * SECOND);
  assert.equal(nat.size, 1);
  nat.handleTimeout(67 * SECOND);
  assert.equal(nat.size, 0);
});

Deno.test("NatTable ends a TCP session within a second of a RST from either side", () => {
  for (const direction of ["out", "in"]) {
    const nat = new NatTable();
    nat.translateOutgoing(fromClient(syn), PROXY, REAL, 0);
    if (direction === "out") nat.translateOutgoing(fromClient(rst), PROXY, REAL, 10 * SECOND);
    else assert.equal(nat.translateIncoming(fromServer(rst), 10 * SECOND), "translated");
    assert.equal(nat.pollTimeout()?.at, 11 * SECOND);
    nat.handleTimeout(11 * SECOND);
    assert.equal(nat.size, 0);
  }
});

Deno.test("NatTable starts over when a closed connection's port is used again", () => {
  const nat = new NatTable();
  nat.translateOutgoing(fromClient(syn), PROXY, REAL, 0);
  nat.translateOutgoing(fromClient(fin | ack), PROXY, REAL, 1);
  nat.translateIncoming(fromServer(fin | ack), 2);
  const again = fromClient(syn);
  assert.equal(nat.translateOutgoing(again, PROXY, REAL_2, 3), "translated");
  assert(again.destination.equals(REAL_2));
  nat.handleTimeout(30 * SECOND);
  assert.equal(nat.size, 1);
});

Deno.test("NatTable translates ICMP errors back to what the client sent", () => {
  const nat = new NatTable();
  nat.translateOutgoing(udp(CLIENT, PROXY), PROXY, REAL, 0);
  const sent = udp(CLIENT, PROXY_2);
  nat.translateOutgoing(sent, PROXY_2, REAL, 0);
  assert.equal(sent.sourcePort, 5001);
  const answer = buildUnreachable(sent, "network");
  assert(answer !== undefined);
  const error = load(answer);
  error.setSource(IpAddress.from("198.51.100.1").bytes); // a router on the way
  assert.equal(nat.translateIncoming(error, 1), "translated");
  assert(error.source.equals(PROXY_2));
  assert.equal(error.hopLimit, 20);
  assert(checksumsHold(error.bytes));
  const quoted = parseQuoted(error);
  assert(quoted !== undefined && quoted.destination.equals(PROXY_2));
  assert.equal(quoted.sourcePort, 5000);
  assert(quoted.source.equals(CLIENT));
});

Deno.test("NatTable does not know ICMP errors about foreign packets", () => {
  const nat = new NatTable();
  const answer = buildUnreachable(udp(CLIENT, REAL), "network");
  assert(answer !== undefined);
  assert.equal(nat.translateIncoming(load(answer), 0), "unknown");
});

Deno.test("NatTable is bounded and works again when sessions have ended", () => {
  const nat = new NatTable();
  for (let index = 0; index < MAX_SESSIONS; index++) {
    assert.equal(nat.translateOutgoing(udp(CLIENT, PROXY, index + 1), PROXY, REAL, 0), "translated");
  }
  assert.equal(nat.translateOutgoing(udp(CLIENT, PROXY, 60000), PROXY, REAL, 1), "full");
  nat.handleTimeout(60 * SECOND);
  assert.equal(nat.translateOutgoing(udp(CLIENT, PROXY, 60000), PROXY, REAL, 60 * SECOND), "translated");
});

Deno.test("NatTable round-trips any mix of flows, each to its own port and proxy", () => {
  const flow = fc.record({
    port: fc.integer({ min: 0, max: 65535 }),
    proxy: fc.constantFrom(PROXY, PROXY_2),
    real: fc.constantFrom(REAL, REAL_2),
    kind: fc.constantFrom("tcp", "udp"),
  });
  fc.assert(fc.property(fc.array(flow, { maxLength: 30 }), (flows) => {
    const nat = new NatTable();
    const make = (kind: string, source: IpAddress, destination: IpAddress, from: number, to: number) =>
      kind === "udp" ? udp(source, destination, from, to) : tcp(source, destination, ack, from, to);
    for (const { port, proxy, real, kind } of flows) {
      const out = make(kind, CLIENT, proxy, port, 99);
      assert.equal(nat.translateOutgoing(out, proxy, real, 0), "translated");
      const back = make(kind, out.destination, CLIENT, 99, out.sourcePort);
      assert.equal(nat.translateIncoming(back, 0), "translated");
      assert(back.source.equals(proxy));
      assert.equal(back.destinationPort, port);
      assert(checksumsHold(out.bytes) && checksumsHold(back.bytes));
    }
  }));
});
