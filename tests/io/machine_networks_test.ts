import assert from "node:assert/strict";
import fc from "fast-check";
import { IpNetwork } from "../../lib/base/ip.ts";
import { localNetworks, parseIpv6Routes } from "../../io/machine_networks.ts";

// As Linux 6.1 wrote it: a default route, a network of a link, a static one by a router, one that is refused, and the
// machine's own addresses.
const ROUTES = `
00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8001000000000000000000001 00000400 00000003 00000000 00000003     eth0
20010db8001000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000002 00000000 00000001     eth0
20010db8aaaa00000000000000000000 30 00000000000000000000000000000000 00 20010db8001000000000000000000001 00000400 00000002 00000000 00000003     eth0
20010db8bbbb00000000000000000000 30 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00200200       lo
00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000003 00000000 80200001       lo
20010db8001000000000000000000002 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000004 00000000 80200001     eth0
20010db8001000000000000000000000 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000003 00000000 00300001     eth0
`;

Deno.test("parseIpv6Routes: returns the networks behind links and routers, not what is refused or the machine's own", () => {
  assert.deepEqual(
    parseIpv6Routes(ROUTES).map(({ device, network }) => [device, String(IpNetwork.from(network))]),
    [["eth0", "::/0"], ["eth0", "2001:db8:10::/64"], ["eth0", "2001:db8:aaaa::/48"]],
  );
});

Deno.test("parseIpv6Routes: makes networks of what is one, whatever the text", () => {
  const word = fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f]{32}$/), fc.stringMatching(/^[0-9a-f]{2}$/));
  fc.assert(fc.property(fc.array(word, { maxLength: 24 }), (words) => {
    for (const { device, network } of parseIpv6Routes(words.join(" "))) {
      assert.notEqual(device, "");
      assert.match(network, /^[0-9a-f]{4}(:[0-9a-f]{4}){7}\/\d+$/);
    }
  }));
});

Deno.test("localNetworks: has neither a default route nor a device's that is left out", async () => {
  for (const network of await localNetworks("lo")) assert.ok(network.prefix > 0);
});
