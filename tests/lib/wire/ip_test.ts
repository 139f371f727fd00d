import assert from "node:assert/strict";
import * as fc from "fast-check";
import { fromHex, writeU16 } from "../../../lib/base/bytes.ts";
import { IpAddress } from "../../../lib/base/ip.ts";
import { IpPacket, parsePacket } from "../../../lib/wire/ip.ts";
import { buildEcho } from "../../../lib/wire/icmp.ts";
import { buildTcp } from "../../../lib/wire/tcp.ts";
import { buildUdp, udpPayload } from "../../../lib/wire/udp.ts";
import { addressPair, checksumsHold, packetBytes, port } from "./packets.ts";

const A4 = IpAddress.from("100.64.0.1");
const B4 = IpAddress.from("192.0.2.1");
const A6 = IpAddress.from("fd00:2021:1111::1");
const B6 = IpAddress.from("2001:db8::1");

function load(bytes: Uint8Array): IpPacket {
  const parsed = parsePacket(bytes);
  assert(parsed.ok, parsed.ok ? "" : parsed.reason);
  return parsed.value;
}

function udp4(payloadLength = 4): Uint8Array {
  const payload = new Uint8Array(payloadLength);
  return buildUdp({ source: A4, destination: B4, sourcePort: 1000, destinationPort: 53, payload });
}

function faultOf(bytes: Uint8Array): string | undefined {
  const parsed = parsePacket(bytes);
  return parsed.ok ? undefined : parsed.reason;
}

Deno.test("parsePacket reads a real IPv4 TCP packet", () => {
  const packet = load(
    fromHex(
      "4500003c1c4640004006b1e6ac100a63ac100a0c" + "00500051000000010000000250100001" + "0000".repeat(12),
    ),
  );
  assert.equal(packet.family, 4);
  assert.equal(packet.transport, "tcp");
  assert.equal(packet.sourcePort, 80);
  assert.equal(packet.destinationPort, 81);
  assert.equal(packet.source.toString(), "172.16.10.99");
  assert.equal(packet.destination.toString(), "172.16.10.12");
  assert.equal(packet.destinationKey, IpAddress.from("172.16.10.12").key);
  assert.equal(packet.hopLimit, 64);
});

Deno.test("parsePacket cuts off what lies behind the packet", () => {
  const bytes = new Uint8Array(100);
  bytes.set(udp4());
  assert.equal(load(bytes).length, 32);
});

Deno.test("parsePacket admits 1280 bytes and not one more", () => {
  assert.equal(faultOf(udp4(1280 - 28)), undefined);
  assert.equal(faultOf(udp4(1281 - 28)), "too-long");
});

Deno.test("parsePacket rejects what data-plane §6.1 excludes", () => {
  const change = (offset: number, value: number) => {
    const bytes = udp4();
    writeU16(bytes, offset, value);
    return faultOf(bytes);
  };
  assert.equal(faultOf(new Uint8Array(0)), "empty");
  assert.equal(faultOf(new Uint8Array([0x40])), "truncated");
  assert.equal(faultOf(new Uint8Array(40).fill(0x50)), "bad-version");
  assert.equal(change(6, 0x2000), "fragment", "more fragments");
  assert.equal(change(6, 0x0001), "fragment", "offset");
  assert.equal(change(6, 0x4000), undefined, "don't fragment");
  assert.equal(change(2, 33), "truncated");
  assert.equal(change(2, 19), "bad-length");
  assert.equal(change(2, 27), "bad-transport");
  assert.equal(change(24, 7), "bad-transport", "UDP length below its header");
  assert.equal(change(24, 13), "bad-transport", "UDP length beyond the packet");
});

Deno.test("parsePacket walks IPv6 extension headers but admits neither fragments nor routing headers", () => {
  const plain = buildUdp({
    source: A6,
    destination: B6,
    sourcePort: 7,
    destinationPort: 9,
    payload: new Uint8Array(2),
  });
  const withHeader = (type: number) => {
    const bytes = new Uint8Array(plain.length + 8);
    bytes.set(plain.subarray(0, 40));
    bytes.set(plain.subarray(40), 48);
    writeU16(bytes, 4, bytes.length - 40);
    bytes[6] = type;
    bytes[40] = 17;
    return bytes;
  };
  assert.equal(load(withHeader(0)).destinationPort, 9);
  assert.equal(load(withHeader(60)).transportOffset, 48);
  assert.equal(faultOf(withHeader(44)), "fragment");
  assert.equal(faultOf(withHeader(43)), "source-routed");
});

Deno.test("parsePacket rejects IPv4 source routes and tolerates other options", () => {
  const plain = udp4();
  const withOption = (option: number) => {
    const bytes = new Uint8Array(plain.length + 4);
    bytes.set(plain.subarray(0, 20));
    bytes.set(plain.subarray(20), 24);
    bytes[0] = 0x46;
    writeU16(bytes, 2, bytes.length);
    bytes.set([option, 3, 4, 0], 20);
    return bytes;
  };
  assert.equal(faultOf(withOption(131)), "source-routed");
  assert.equal(faultOf(withOption(137)), "source-routed");
  assert.equal(load(withOption(7)).destinationPort, 53);
});

Deno.test("IpPacket.isControl needs protocol 255 and both addresses unspecified", () => {
  const bytes = fromHex("600000000008ff00" + "00".repeat(32) + "0200000000000000");
  assert.equal(load(bytes).isControl, true);
  bytes[39] = 1;
  assert.equal(load(bytes).isControl, false);
});

Deno.test("IpPacket tells echoes from ICMP errors in both families", () => {
  const echo = (source: IpAddress, destination: IpAddress) =>
    load(
      buildEcho({
        source,
        destination,
        kind: "request",
        identifier: 77,
        sequence: 1,
        payload: new Uint8Array(3),
      }),
    );
  for (const packet of [echo(A4, B4), echo(A6, B6)]) {
    assert.equal(packet.isEcho, true);
    assert.equal(packet.isIcmpError, false);
    assert.equal(packet.sourcePort, 77);
    assert.equal(packet.destinationPort, 77);
  }
});

Deno.test("ICMP of the other family is no transport we know", () => {
  const bytes = buildEcho({
    source: A4,
    destination: B4,
    kind: "request",
    identifier: 1,
    sequence: 1,
    payload: new Uint8Array(0),
  });
  bytes[9] = 58;
  assert.equal(load(bytes).transport, "other");
});

Deno.test("builders make packets whose checksums hold", () => {
  fc.assert(fc.property(packetBytes, (bytes) => {
    assert(checksumsHold(bytes));
    assert.equal(faultOf(bytes), undefined);
  }));
});

Deno.test("rewriting addresses and ports keeps every checksum right", () => {
  fc.assert(fc.property(packetBytes, addressPair, port, port, (bytes, [source, destination], from, to) => {
    const packet = load(bytes);
    fc.pre(packet.family === source.family);
    packet.setSource(source.bytes);
    packet.setDestination(destination.bytes);
    packet.setSourcePort(from);
    packet.setDestinationPort(packet.isEcho ? from : to);
    packet.setHopLimit(5);
    assert(checksumsHold(bytes));
    assert(packet.source.equals(source));
    assert(packet.destination.equals(destination));
    assert.equal(packet.sourcePort, from);
    assert.equal(packet.destinationPort, packet.isEcho ? from : to);
    assert.equal(packet.hopLimit, 5);
  }));
});

Deno.test("rewriting leaves a UDP packet without checksum without one", () => {
  const bytes = udp4();
  writeU16(bytes, 26, 0);
  const packet = load(bytes);
  packet.setDestination(A4.bytes);
  packet.setSourcePort(4);
  assert.deepEqual([bytes[26], bytes[27]], [0, 0]);
});

Deno.test("rewriting leaves a wrong checksum wrong", () => {
  const bytes = buildTcp({
    source: A4,
    destination: B4,
    sourcePort: 1,
    destinationPort: 2,
    sequence: 3,
    acknowledgment: 4,
    flags: 2,
    window: 5,
  });
  bytes[36] = bytes[36]! ^ 0x55;
  load(bytes).setDestination(A4.bytes);
  assert.equal(checksumsHold(bytes), false);
});

Deno.test("udpPayload returns the declared length", () => {
  assert.equal(udpPayload(load(udp4(9)))?.length, 9);
});

Deno.test("parsePacket and all accessors never throw on random or damaged bytes", () => {
  const damaged = fc.tuple(
    packetBytes,
    fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 6 }),
    fc.nat(260),
  ).map(
    ([bytes, changes, length]) => {
      for (const [offset, value] of changes) if (offset < bytes.length) bytes[offset] = value;
      return bytes.slice(0, length);
    },
  );
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged), (bytes) => {
      const parsed = parsePacket(bytes);
      if (!parsed.ok) return;
      const packet = parsed.value;
      void [packet.source, packet.destination, packet.sourceKey, packet.destinationKey, packet.isControl];
      void [packet.sourcePort, packet.destinationPort, packet.isIcmpError, packet.isMulticast];
      packet.setSource(packet.destination.bytes);
      packet.setSourcePort(1);
      packet.setDestinationPort(2);
      packet.refreshTransportChecksum();
      assert(packet.transportOffset <= packet.length);
    }),
    { numRuns: 1000 },
  );
});
