import assert from "node:assert/strict";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";

Deno.test("SocketAddress: names the interface of a link-local address, and is equal without it", () => {
  const bare = new SocketAddress(IpAddress.from("fe80::1"), 53);
  const scoped = new SocketAddress(IpAddress.from("fe80::1"), 53, 3);
  assert.equal(String(scoped), "[fe80::1%3]:53");
  assert.equal(String(bare), "[fe80::1]:53");
  assert.ok(scoped.equals(bare));
});
