import assert from "node:assert/strict";
import fc from "fast-check";
import { fromHex, toHex } from "../../../lib/base/bytes.ts";
import { Attribute, decodeStun, Method, StunWriter } from "../../../lib/wire/stun.ts";
import {
  addAdditionalIpv6,
  addChannelNumber,
  addRequestedTransport,
  addressFamily,
  channelNumber,
  channelOf,
  channelPayload,
  isChannelData,
  lifetimeSeconds,
  requestedTransport,
  writeChannelHeader,
} from "../../../lib/wire/turn.ts";

const ID = fromHex("0102030405060708090a0b0c");

function decoded(writer: StunWriter) {
  const result = decodeStun(writer.finish());
  assert(result.ok);
  return result.value;
}

Deno.test("addRequestedTransport, addAdditionalIpv6 and addChannelNumber write the bytes of RFC 8656 §18", () => {
  const writer = new StunWriter(Method.Allocate, "request", ID);
  addChannelNumber(addAdditionalIpv6(addRequestedTransport(writer)), 0x4001);
  assert.equal(
    toHex(writer.finish()),
    "000300182112a4420102030405060708090a0b0c" + "0019000411000000" + "8000000402000000" + "000c000440010000",
  );
});

Deno.test("getters return what the attributes say", () => {
  const writer = new StunWriter(Method.Allocate, "request", ID);
  addChannelNumber(addAdditionalIpv6(addRequestedTransport(writer)), 0x4fff);
  writer.addU32(Attribute.Lifetime, 600).addU32(Attribute.RequestedAddressFamily, 0x01000000);
  const message = decoded(writer);
  assert.equal(requestedTransport(message), 17);
  assert.equal(addressFamily(message, Attribute.AdditionalAddressFamily), 6);
  assert.equal(addressFamily(message, Attribute.RequestedAddressFamily), 4);
  assert.equal(channelNumber(message), 0x4fff);
  assert.equal(lifetimeSeconds(message), 600);
});

Deno.test("addressFamily tells absent from malformed", () => {
  const message = decoded(
    new StunWriter(Method.Allocate, "request", ID).add(
      Attribute.RequestedAddressFamily,
      Uint8Array.of(3, 0, 0, 0),
    ),
  );
  assert.equal(addressFamily(message, Attribute.RequestedAddressFamily), "unknown");
  assert.equal(addressFamily(message, Attribute.AdditionalAddressFamily), undefined);
});

Deno.test("writeChannelHeader and channelPayload are inverse", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0x4000, max: 0x7fff }),
      fc.uint8Array({ maxLength: 1400 }),
      (channel, data) => {
        const frame = new Uint8Array(4 + data.length);
        writeChannelHeader(frame, 0, channel, data.length);
        frame.set(data, 4);
        assert(isChannelData(frame));
        assert.equal(channelOf(frame), channel);
        assert.deepEqual(channelPayload(frame, "invalid"), data);
      },
    ),
  );
});

Deno.test("channelPayload takes trailing bytes only where they are ignored", () => {
  const frame = fromHex("40000002aabbccdd");
  assert.equal(channelPayload(frame, "invalid"), undefined);
  assert.equal(toHex(channelPayload(frame, "ignored")!), "aabb");
  assert.equal(channelPayload(fromHex("40000005aabbccdd"), "ignored"), undefined);
});

Deno.test("isChannelData never takes STUN, and any bytes are safe", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
    if (!isChannelData(bytes)) return;
    assert.equal(decodeStun(bytes).ok, false);
    channelOf(bytes);
    channelPayload(bytes, "invalid");
    channelPayload(bytes, "ignored");
  }));
});
