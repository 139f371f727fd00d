import assert from "node:assert/strict";
import * as fc from "fast-check";
import { fromHex, toHex, utf8 } from "../../../lib/base/bytes.ts";
import { IpAddress } from "../../../lib/base/ip.ts";
import { parsePacket } from "../../../lib/wire/ip.ts";
import type { ControlMessage } from "../../../lib/wire/p2p_control.ts";
import { decodeControl, encodeControl } from "../../../lib/wire/p2p_control.ts";

const RESOURCE = "00000000-0000-0000-0000-000000000065";

function decode(bytes: Uint8Array): ReturnType<typeof decodeControl> {
  const parsed = parsePacket(bytes);
  assert(parsed.ok && parsed.value.isControl);
  return decodeControl(parsed.value);
}

function control(eventType: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(48 + payload.length);
  bytes.set([0x60, 0, 0, 0, (8 + payload.length) >> 8, (8 + payload.length) & 255, 0xff]);
  bytes[40] = eventType;
  bytes.set(payload, 48);
  return bytes;
}

Deno.test("encodeControl writes the goodbye of data-plane §11", () => {
  const expected = "600000000008ff00" + "0".repeat(64) + "0200000000000000";
  assert.equal(toHex(encodeControl({ type: "goodbye" })), expected);
});

Deno.test("encodeControl writes the domain status of data-plane §11", () => {
  const expected = "600000000064ff00" + "00".repeat(32) + "0100000000000000" +
    "7b227265736f75726365223a2230303030303030302d303030302d303030302d303030302d303030303030303030303635" +
    "222c22646f6d61696e223a226578616d706c652e636f6d222c22737461747573223a22416374697665227d";
  const message: ControlMessage = {
    type: "domain-status",
    resourceId: RESOURCE,
    domain: "example.com",
    status: "active",
  };
  const bytes = encodeControl(message);
  assert.equal(bytes.length, 140);
  assert.equal(toHex(bytes), expected);
  assert.deepEqual(decode(fromHex(expected)), { ok: true, value: message });
});

Deno.test("decodeControl reads assigned addresses as upstream's serde writes them", () => {
  const json =
    `{"resource":"${RESOURCE}","domain":"a.example.com.","proxy_ips":["100.96.0.1","fd00:2021:1111:8000::"],"new":1}`;
  const decoded = decode(control(0, utf8(json)));
  assert(decoded.ok && decoded.value.type === "assigned-ips");
  assert.equal(decoded.value.resourceId, RESOURCE);
  assert.equal(decoded.value.domain, "a.example.com");
  assert.deepEqual(decoded.value.proxyIps.map(String), ["100.96.0.1", "fd00:2021:1111:8000::"]);
});

Deno.test("encodeControl and decodeControl are inverse for assigned addresses", () => {
  const message: ControlMessage = {
    type: "assigned-ips",
    resourceId: RESOURCE,
    domain: "example.com",
    proxyIps: ["100.96.0.1", "100.96.0.2", "fd00::1", "fd00::2"].map(IpAddress.from),
  };
  assert.deepEqual(decode(encodeControl(message)), { ok: true, value: message });
});

Deno.test("decodeControl reads unknown statuses as inactive", () => {
  const decoded = decode(control(1, utf8(`{"resource":"${RESOURCE}","domain":"x","status":"Whatever"}`)));
  assert(decoded.ok && decoded.value.type === "domain-status");
  assert.equal(decoded.value.status, "inactive");
});

Deno.test("decodeControl names unknown events, so that they can be ignored", () => {
  assert.deepEqual(decode(control(3, new Uint8Array(0))), { ok: false, reason: "unknown-event" });
});

Deno.test("decodeControl refuses more than 8 addresses", () => {
  const ips = JSON.stringify(Array.from({ length: 9 }, (_, index) => `100.96.0.${index}`));
  const decoded = decode(control(0, utf8(`{"resource":"${RESOURCE}","domain":"x","proxy_ips":${ips}}`)));
  assert.equal(decoded.ok, false);
});

Deno.test("decodeControl refuses to assign addresses to what is no name", () => {
  for (const domain of ["", ".", "a b", "a..b", "x".repeat(64), "\\u0000", "a\\n.example"]) {
    const decoded = decode(
      control(0, utf8(`{"resource":"r","domain":"${domain}","proxy_ips":["100.96.0.1"]}`)),
    );
    assert.deepEqual(decoded, { ok: false, reason: "bad-domain" }, domain);
  }
});

Deno.test("decodeControl never throws on random payloads", () => {
  const payload = fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.json().map(utf8));
  fc.assert(fc.property(fc.nat(4), payload, (eventType, bytes) => {
    decode(control(eventType, bytes));
  }));
});
