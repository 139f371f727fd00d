import assert from "node:assert/strict";
import * as fc from "fast-check";
import { IpAddress } from "../../../lib/base/ip.ts";
import {
  buildEcho,
  buildUnreachable,
  parseEcho,
  parseQuoted,
  translateQuoted,
} from "../../../lib/wire/icmp.ts";
import { buildPacket, IpPacket, parsePacket, Protocol } from "../../../lib/wire/ip.ts";
import { buildTcp } from "../../../lib/wire/tcp.ts";
import { buildUdp } from "../../../lib/wire/udp.ts";
import { addressPair, checksumsHold, ipv4, ipv6, packetBytes, port } from "./packets.ts";

const CLIENT_4 = IpAddress.from("100.64.0.1");
const CLIENT_6 = IpAddress.from("fd00:2021:1111::1");
const SERVER_4 = IpAddress.from("192.0.2.1");
const SERVER_6 = IpAddress.from("2001:db8::1");

function load(bytes: Uint8Array): IpPacket {
  const parsed = parsePacket(bytes);
  assert(parsed.ok, parsed.ok ? "" : parsed.reason);
  return parsed.value;
}

function udp(source: IpAddress, destination: IpAddress, length = 100): Uint8Array {
  return buildUdp({
    source,
    destination,
    sourcePort: 4000,
    destinationPort: 53,
    payload: new Uint8Array(length),
  });
}

Deno.test("buildUnreachable makes the IPv4 answers of data-plane §8.2", () => {
  const original = udp(CLIENT_4, SERVER_4);
  const cases = [["prohibited", 13], ["network", 0]] as const;
  for (const [kind, code] of cases) {
    const answer = buildUnreachable(load(original), kind);
    assert(answer !== undefined);
    const packet = load(answer);
    assert.equal(packet.source.toString(), "192.0.2.1");
    assert.equal(packet.destination.toString(), "100.64.0.1");
    assert.equal(packet.hopLimit, 20);
    assert.deepEqual([...answer.subarray(20, 22)], [3, code]);
    assert.deepEqual(answer.subarray(28), original.subarray(0, 28));
    assert(checksumsHold(answer));
    assert.equal(packet.isIcmpError, true);
  }
});

Deno.test("buildUnreachable makes the IPv6 answers of data-plane §8.2, quoting what fits into 1280 bytes", () => {
  const original = udp(CLIENT_6, SERVER_6, 1280 - 48);
  const cases = [["prohibited", 1], ["network", 3]] as const;
  for (const [kind, code] of cases) {
    const answer = buildUnreachable(load(original), kind);
    assert(answer !== undefined);
    assert.equal(answer.length, 1280);
    assert.deepEqual([...answer.subarray(40, 42)], [1, code]);
    assert.deepEqual(answer.subarray(48), original.subarray(0, 1232));
    assert.equal(load(answer).hopLimit, 20);
    assert(checksumsHold(answer));
  }
});

Deno.test("buildUnreachable never answers an error, a multicast packet or an unspecified source", () => {
  const error = buildUnreachable(load(udp(CLIENT_4, SERVER_4)), "network");
  assert(error !== undefined);
  assert.equal(buildUnreachable(load(error), "network"), undefined);
  assert.equal(buildUnreachable(load(udp(CLIENT_4, IpAddress.from("224.0.0.1"))), "network"), undefined);
  assert.equal(buildUnreachable(load(udp(IpAddress.from("::"), SERVER_6)), "network"), undefined);
});

Deno.test("parseQuoted reads back what buildUnreachable quotes, translateQuoted rewrites it with right checksums", () => {
  fc.assert(fc.property(packetBytes, addressPair, port, (bytes, [proxy], insidePort) => {
    const original = load(bytes);
    const answer = buildUnreachable(original, "network");
    fc.pre(answer !== undefined && proxy.family === original.family);
    const error = load(answer);
    const quoted = parseQuoted(error);
    assert(quoted !== undefined);
    assert.equal(quoted.destinationKey, original.destinationKey);
    assert.equal(quoted.sourcePort, original.sourcePort);
    assert.equal(quoted.destinationPort, original.destinationPort);
    assert.equal(quoted.transport, original.transport);

    assert(translateQuoted(error, { destination: proxy, sourcePort: insidePort }));
    assert(checksumsHold(answer));
    assert(error.source.equals(proxy));
    assert.equal(error.hopLimit, 20);
    const translated = parseQuoted(error);
    assert(translated !== undefined);
    assert(translated.destination.equals(proxy));
    assert.equal(translated.sourcePort, insidePort);
    assert(translated.source.equals(original.source));
  }));
});

Deno.test("translateQuoted restores the quoted packet byte for byte", () => {
  for (
    const [client, server, proxy] of [[CLIENT_4, SERVER_4, "100.96.0.1"], [
      CLIENT_6,
      SERVER_6,
      "fd00::1",
    ]] as const
  ) {
    const asSent = udp(client, IpAddress.from(proxy), 0);
    const asSeen = asSent.slice();
    const seen = load(asSeen);
    seen.setDestination(server.bytes);
    seen.setSourcePort(4001);
    const answer = buildUnreachable(seen, "network");
    assert(answer !== undefined);
    assert(translateQuoted(load(answer), { destination: IpAddress.from(proxy), sourcePort: 4000 }));
    assert.deepEqual(answer.subarray(client.family === 4 ? 28 : 48), asSent);
  }
});

Deno.test("parseQuoted finds nothing in errors that quote too little or protocols without ports", () => {
  const tooShort = buildPacket(
    { source: SERVER_4, destination: CLIENT_4 },
    Protocol.icmp,
    new Uint8Array([3, 0, 0, 0, 0, 0, 0, 0, 0x45]),
  );
  assert.equal(parseQuoted(load(tooShort)), undefined);
  const gre = buildPacket({ source: CLIENT_4, destination: SERVER_4 }, 47, new Uint8Array(20));
  const answer = buildUnreachable(load(gre), "prohibited");
  assert(answer !== undefined);
  assert.equal(parseQuoted(load(answer)), undefined);
});

Deno.test("parseEcho returns what buildEcho wrote", () => {
  fc.assert(
    fc.property(
      addressPair,
      port,
      port,
      fc.uint8Array({ maxLength: 50 }),
      ([source, destination], identifier, sequence, payload) => {
        const packet = load(buildEcho({ source, destination, kind: "reply", identifier, sequence, payload }));
        assert.deepEqual(parseEcho(packet), { kind: "reply", identifier, sequence, payload });
      },
    ),
  );
});

Deno.test("parseQuoted and translateQuoted never throw on random ICMP messages", () => {
  const address = fc.oneof(fc.tuple(ipv4, ipv4), fc.tuple(ipv6, ipv6));
  fc.assert(
    fc.property(
      address,
      fc.uint8Array({ minLength: 8, maxLength: 100 }),
      fc.nat(12),
      ([source, destination], message, type) => {
        message[0] = type;
        const isV4 = source.family === 4;
        if (message.length > 8) message[8] = (message[8]! & 0x0f) | (isV4 ? 0x40 : 0x60);
        const bytes = buildPacket({ source, destination }, isV4 ? Protocol.icmp : Protocol.icmpv6, message);
        const packet = load(bytes);
        parseQuoted(packet);
        translateQuoted(packet, { destination: source, sourcePort: 9 });
      },
    ),
    { numRuns: 1000 },
  );
});

Deno.test("parseQuoted reads a TCP packet of which only 8 bytes were quoted", () => {
  const tcp = buildTcp({
    source: CLIENT_4,
    destination: SERVER_4,
    sourcePort: 5000,
    destinationPort: 443,
    sequence: 1,
    acknowledgment: 0,
    flags: 2,
    window: 100,
  });
  const answer = buildUnreachable(load(tcp), "network");
  assert(answer !== undefined);
  assert.equal(answer.length, 20 + 8 + 28);
  const quoted = parseQuoted(load(answer));
  assert.equal(quoted?.sourcePort, 5000);
  assert.equal(quoted?.destinationPort, 443);
});
