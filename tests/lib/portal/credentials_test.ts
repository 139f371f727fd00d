import assert from "node:assert/strict";
import { toBase64 } from "../../../lib/base/bytes.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import {
  freeAddress,
  isReserved,
  TUNNEL_NETWORK_4,
  TUNNEL_NETWORK_6,
} from "../../../lib/portal/addresses.ts";
import { IpAddress, IpNetwork } from "../../../lib/base/ip.ts";
import {
  clientPresharedKey,
  gatewayPresharedKey,
  iceCredentials,
  relayId,
  turnCredentials,
} from "../../../lib/portal/credentials.ts";
import { parseUserAgent } from "../../../lib/portal/user_agent.ts";

const CLIENT = {
  id: "0d3f6d2e-51f5-4c6f-9a52-6f1f1c1f0a01",
  publicKey: "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
  pskBase: toBase64(new Uint8Array(32).fill(0x11)),
};
const GATEWAY = {
  id: "7b0c1f4e-8a43-4d0e-8f55-2f9d3c7e0b02",
  publicKey: "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=",
  pskBase: toBase64(new Uint8Array(32).fill(0x22)),
};
const STAMP_SECRET = "5a".repeat(32);

Deno.test("iceCredentials gives the values of portal-protocol §8.5 and data-plane §11", () => {
  assert.deepEqual(iceCredentials(CLIENT, GATEWAY), {
    initiator: { username: "o4fd", password: "cmygukd6orah6bakmlpgrg" },
    receiver: { username: "zmwj", password: "xgld7gxypzac6or2rcxafa" },
  });
  assert.deepEqual(
    iceCredentials(
      { id: "2b1524e6-239e-4570-bc73-70a188e12101", publicKey: "AAAA" },
      { id: "8e4d8c40-0000-4000-8000-000000000001", publicKey: "BBBB" },
    ),
    {
      initiator: { username: "4pzu", password: "wuugkga52bztqdk5hfgi5r" },
      receiver: { username: "kmzr", password: "z34tovpfnsx4uxahf7r65q" },
    },
  );
});

Deno.test("gatewayPresharedKey gives the values of portal-protocol §8.5 and data-plane §11", () => {
  assert.equal(gatewayPresharedKey(CLIENT, GATEWAY), "E4U2yP45137Rh/eUU3xwj/Zl5KXQxPNcuyrlfumC0Hg=");
  const base = (text: string) => toBase64(new TextEncoder().encode(text));
  assert.equal(
    gatewayPresharedKey(
      { id: "c", publicKey: "CPK", pskBase: base("clientbase") },
      { id: "g", publicKey: "GPK", pskBase: base("gatewaybase") },
    ),
    "xweV2h4mpZ2n8FX9vvvFAIY5IcHfsR/wwRCedm+hUg8=",
  );
});

Deno.test("clientPresharedKey depends on who initiates", () => {
  assert.notEqual(clientPresharedKey(CLIENT, GATEWAY), clientPresharedKey(GATEWAY, CLIENT));
  assert.notEqual(clientPresharedKey(CLIENT, GATEWAY), gatewayPresharedKey(CLIENT, GATEWAY));
});

Deno.test("turnCredentials and relayId give the values of portal-protocol §8.5", () => {
  assert.deepEqual(turnCredentials(CLIENT.publicKey, STAMP_SECRET, 1790000000), {
    username: "1790000000:xXzDtV05+ab3cvUI44IeCigIIjUsDQ8NJZ+6Y7dNqaA",
    password: "p91gIpyuj36UpTSfR8H7JoU4XakLs6InjAYbyXzvMqg",
  });
  assert.equal(relayId(STAMP_SECRET), "0e53aae2-eabd-4755-9537-1f862cb885ff");
});

Deno.test("freeAddress stays inside the network, off its ends, and off used addresses", () => {
  const small = IpNetwork.from("100.64.0.0/29");
  const used = new Set<string>();
  for (let count = 0; count < 6; count++) used.add(freeAddress(small, used, seededRng(count)));
  assert.deepEqual([...used].sort(), [1, 2, 3, 4, 5, 6].map((host) => `100.64.0.${host}`));
  for (let seed = 0; seed < 50; seed++) {
    const address = freeAddress(TUNNEL_NETWORK_6, new Set(), seededRng(seed));
    assert(TUNNEL_NETWORK_6.contains(IpAddress.from(address)));
    assert(
      TUNNEL_NETWORK_4.contains(IpAddress.from(freeAddress(TUNNEL_NETWORK_4, new Set(), seededRng(seed)))),
    );
  }
});

Deno.test("isReserved finds overlaps in both directions", () => {
  assert(isReserved(IpNetwork.from("100.64.0.0/16")));
  assert(isReserved(IpNetwork.from("100.0.0.0/8")));
  assert(isReserved(IpNetwork.from("fd00:2021:1111::/64")));
  assert(!isReserved(IpNetwork.from("10.0.0.0/8")));
});

Deno.test("parseUserAgent reads the user agents of the specification", () => {
  assert.deepEqual(parseUserAgent("Ubuntu/24.04 headless-client/1.5.12 (x86_64; 6.8.0-45-generic)"), {
    component: "headless-client",
    version: "1.5.12",
    osName: "Ubuntu",
    osVersion: "24.04",
  });
  assert.equal(parseUserAgent("Ubuntu/24.04 connlib/1.5.4 (x86_64)")?.component, "connlib");
  assert.equal(parseUserAgent("relay/0.1.0")?.osName, undefined);
  assert.equal(parseUserAgent("Mozilla/5.0 (X11)"), undefined);
});
