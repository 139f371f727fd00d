/** What systemd-resolved is asked while a session runs: it is let be where somebody stops or restarts it. */

import assert from "node:assert/strict";
import { createSystemDns } from "../../ffi/linux/dns.ts";
import { silentLog } from "../../lib/base/log.ts";
import { IpAddress } from "../../lib/base/ip.ts";
import { Variant } from "../../lib/wire/dbus/value.ts";
import { EMPTY, type FakeAnswer, type FakeCall, withFakeBus } from "./fake_bus.ts";

/** The device is only looked at. */
const OPTIONS = {
  control: "systemd-resolved",
  device: "lo",
  isSentinel: () => false,
  log: silentLog,
} as const;

const SENTINEL = IpAddress.from("100.100.111.1");

/** resolved, with one resolver of a link. */
function answer({ member, body }: FakeCall): FakeAnswer {
  switch (member) {
    case "Get":
      return body[1] === "DNS"
        ? { signature: "v", body: [new Variant("a(iiay)", [[7, 2, Uint8Array.of(192, 0, 2, 53)]])] }
        : { signature: "v", body: [new Variant("s", "")] };
    case "GetLink":
      return { signature: "o", body: ["/org/freedesktop/resolve1/link/_37"] };
    default:
      return EMPTY;
  }
}

Deno.test("ResolvedDns: what is asked now and then does not start it, what is set does", () => {
  const starting: string[] = [];
  const asked = (call: FakeCall) => {
    const isOfBus = call.destination === "org.freedesktop.DBus";
    if (!isOfBus && call.noAutoStart !== true && !starting.includes(call.member)) starting.push(call.member);
    return answer(call);
  };
  return withFakeBus(asked, async () => {
    const dns = createSystemDns(OPTIONS);
    await dns.set([SENTINEL], undefined);
    assert(starting.includes("SetLinkDNS"));
    starting.length = 0;
    assert.equal((await dns.upstreams()).length, 1);
    assert.equal(await dns.isInForce(), false);
    await dns.flush();
    assert.equal(await dns.release!(), true);
    assert.deepEqual(starting, []);
    await dns.undo();
  });
});

Deno.test("ResolvedDns.set: searches the account's domain first, then the one for names of one label, and gets every name", () => {
  const domains: unknown[] = [];
  const asked = (call: FakeCall) => {
    if (call.member === "SetLinkDomains") domains.push(call.body[1]);
    return answer(call);
  };
  return withFakeBus(asked, async () => {
    const dns = createSystemDns(OPTIONS);
    await dns.set([SENTINEL], "corp.example", "one.test");
    await dns.set([SENTINEL], undefined, "one.test");
    await dns.set([SENTINEL], undefined, undefined);
    const ROOT = [".", true];
    assert.deepEqual(domains, [
      [["corp.example", false], ["one.test", false], ROOT],
      [["one.test", false], ROOT],
      [ROOT],
    ]);
    await dns.undo();
  });
});

Deno.test("ResolvedDns.upstreams: are those last read while it is away, and none before that", () => {
  let isAway = true;
  return withFakeBus((call) => isAway && call.member !== "Hello" ? "end" : answer(call), async () => {
    const dns = createSystemDns(OPTIONS);
    const read = async () => (await dns.upstreams()).map(({ address }) => String(address));
    assert.deepEqual(await read(), []);
    isAway = false;
    assert.deepEqual(await read(), ["192.0.2.53"]);
    isAway = true;
    assert.deepEqual(await read(), ["192.0.2.53"]);
  });
});
