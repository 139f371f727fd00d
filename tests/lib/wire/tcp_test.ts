import assert from "node:assert/strict";
import * as fc from "fast-check";
import { parsePacket } from "../../../lib/wire/ip.ts";
import {
  buildTcp,
  tcpAcknowledgment,
  tcpFlags,
  tcpMaximumSegmentSize,
  tcpPayload,
  tcpSequence,
  tcpWindow,
} from "../../../lib/wire/tcp.ts";
import { addressPair, checksumsHold, port } from "./packets.ts";

const u32 = fc.integer({ min: 0, max: 0xffffffff });

Deno.test("buildTcp writes what the accessors read", () => {
  fc.assert(fc.property(
    addressPair,
    port,
    u32,
    u32,
    fc.nat(63),
    fc.option(port, { nil: undefined }),
    fc.uint8Array({ maxLength: 99 }),
    ([source, destination], number, sequence, acknowledgment, flags, maximumSegmentSize, payload) => {
      const bytes = buildTcp({
        source,
        destination,
        sourcePort: number,
        destinationPort: 80,
        sequence,
        acknowledgment,
        flags,
        window: number,
        ...(maximumSegmentSize === undefined ? {} : { maximumSegmentSize }),
        payload,
      });
      assert(checksumsHold(bytes));
      const parsed = parsePacket(bytes);
      assert(parsed.ok);
      const packet = parsed.value;
      assert.equal(packet.sourcePort, number);
      assert.equal(tcpSequence(packet), sequence);
      assert.equal(tcpAcknowledgment(packet), acknowledgment);
      assert.equal(tcpFlags(packet), flags);
      assert.equal(tcpWindow(packet), number);
      assert.equal(tcpMaximumSegmentSize(packet), maximumSegmentSize);
      assert.deepEqual(tcpPayload(packet), payload);
    },
  ));
});

Deno.test("tcpMaximumSegmentSize ends on malformed options", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 40, maxLength: 40 }), (options) => {
    const bytes = new Uint8Array(100);
    bytes[0] = 0x45;
    bytes[3] = 100;
    bytes[9] = 6;
    bytes[32] = 0xf0;
    bytes.set(options, 40);
    const parsed = parsePacket(bytes);
    assert(parsed.ok);
    tcpMaximumSegmentSize(parsed.value);
  }));
});
