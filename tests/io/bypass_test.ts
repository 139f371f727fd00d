import assert from "node:assert/strict";
import { IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import { Bypass } from "../../io/bypass.ts";

function record() {
  const calls: string[] = [];
  const bypass = new Bypass({
    setBypass: (addresses) => {
      calls.push(addresses.map(String).sort().join(" "));
      return Promise.resolve();
    },
  });
  return { calls, bypass };
}

const EVERYWHERE = [IpNetwork.from("0.0.0.0/0"), IpNetwork.from("::/0")];
const PORTAL = IpAddress.from("203.0.113.1");

Deno.test("Bypass: asks for rules only where a route would lead into the tunnel", async () => {
  const { calls, bypass } = record();
  await bypass.setPortal([PORTAL]);
  await bypass.setRoutes([IpNetwork.from("10.0.0.0/8")]);
  await bypass.use([IpAddress.from("192.0.2.1")]);
  assert.deepEqual(calls, []);
  await bypass.setRoutes(EVERYWHERE);
  await bypass.setRoutes(EVERYWHERE);
  assert.deepEqual(calls, ["192.0.2.1 203.0.113.1"]);
  await bypass.setRoutes([]);
  assert.deepEqual(calls.slice(1), [""]);
});

Deno.test("Bypass: follows the portal's addresses, never loopback, and keeps a bounded number of others", async () => {
  const { calls, bypass } = record();
  await bypass.setRoutes(EVERYWHERE);
  await bypass.setPortal([PORTAL, IpAddress.from("127.0.0.1"), IpAddress.from("::1")]);
  await bypass.setPortal([IpAddress.from("2001:db8::1")]);
  assert.deepEqual(calls, ["203.0.113.1", "2001:db8::1"]);
  for (let index = 0; index < 100; index++) await bypass.use([IpAddress.from("198.51.100.0").plus(index)]);
  const last = calls.at(-1)!.split(" ");
  assert.equal(last.length, 33);
  assert.ok(last.includes("198.51.100.99") && last.includes("2001:db8::1"));
});

Deno.test("Bypass: lets nobody dial before the rules are in place, also not the second who wants the same", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const bypass = new Bypass({ setBypass: () => promise });
  const story: string[] = [];
  const dialling = [
    bypass.setRoutes(EVERYWHERE),
    bypass.setPortal([PORTAL]).then(() => story.push("first")),
    bypass.use([PORTAL]).then(() => story.push("second")),
  ];
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  story.push("rules");
  resolve();
  await Promise.all(dialling);
  assert.deepEqual(story, ["rules", "first", "second"]);
});

Deno.test("Bypass: asks again for rules that could not be set", async () => {
  let attempts = 0;
  const bypass = new Bypass({
    setBypass: () => ++attempts === 1 ? Promise.reject(new Error("no")) : Promise.resolve(),
  });
  await bypass.setRoutes(EVERYWHERE);
  await assert.rejects(bypass.setPortal([PORTAL]), /no/);
  await bypass.setPortal([PORTAL]);
  assert.equal(attempts, 2);
});
