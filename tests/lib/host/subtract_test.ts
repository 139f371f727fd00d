import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress, IpNetwork } from "../../../lib/base/ip.ts";
import { hostNetwork, overlaps, subtractNetworks } from "../../../lib/host/subtract.ts";

const cut = (network: string, ...holes: string[]) =>
  subtractNetworks(IpNetwork.from(network), holes.map(IpNetwork.from)).map(String);

Deno.test("subtractNetworks: returns what is left, in the fewest networks", () => {
  assert.deepEqual(cut("10.0.0.0/8"), ["10.0.0.0/8"]);
  assert.deepEqual(cut("10.0.0.0/8", "192.168.0.0/16"), ["10.0.0.0/8"]);
  assert.deepEqual(cut("10.0.0.0/30", "10.0.0.1/32"), ["10.0.0.0/32", "10.0.0.2/31"]);
  assert.deepEqual(cut("10.0.0.0/30", "10.0.0.0/8"), []);
  assert.deepEqual(cut("10.0.0.0/30", "10.0.0.0/31", "10.0.0.3/32"), ["10.0.0.2/32"]);
  assert.deepEqual(cut("2001:db8::/126", "2001:db8::3/128"), ["2001:db8::/127", "2001:db8::2/128"]);
  assert.equal(cut("::/0", "2001:db8::1/128").length, 128);
});

Deno.test("subtractNetworks: holds exactly the addresses outside of the holes", () => {
  const network = fc.tuple(fc.nat(255), fc.integer({ min: 24, max: 32 })).map(([low, prefix]) =>
    new IpNetwork(IpAddress.from("10.0.0.0").plus(low), prefix)
  );
  fc.assert(fc.property(network, fc.array(network, { maxLength: 4 }), fc.nat(255), (whole, holes, low) => {
    const ip = IpAddress.from("10.0.0.0").plus(low);
    const left = subtractNetworks(whole, holes).filter((piece) => piece.contains(ip)).length;
    assert.equal(left, whole.contains(ip) && !holes.some((hole) => hole.contains(ip)) ? 1 : 0);
  }));
});

Deno.test("overlaps: tells whether two networks share an address", () => {
  const meet = (one: string, other: string) => overlaps(IpNetwork.from(one), IpNetwork.from(other));
  assert.ok(meet("10.0.0.0/8", "10.1.0.0/16"));
  assert.ok(meet("10.1.0.0/16", "10.0.0.0/8"));
  assert.ok(!meet("10.1.0.0/16", "10.2.0.0/16"));
  assert.ok(!meet("0.0.0.0/0", "::/0"));
  assert.equal(String(hostNetwork(IpAddress.from("fd00::1"))), "fd00::1/128");
});
