/** Services that give a plain string where the path of an object belongs. */

import assert from "node:assert/strict";
import { Bus } from "../../ffi/linux/dbus/bus.ts";
import { createSystemDns } from "../../ffi/linux/dns.ts";
import { Fault } from "../../lib/base/fault.ts";
import { silentLog } from "../../lib/base/log.ts";
import { IpAddress } from "../../lib/base/ip.ts";
import { Variant } from "../../lib/wire/dbus/value.ts";
import { EMPTY, type FakeAnswer, type FakeCall, withFakeBus } from "./fake_bus.ts";

const NO_PATH: FakeAnswer = { signature: "s", body: ["no path"] };

/** The device is only looked at. */
const OPTIONS = { device: "lo", isSentinel: () => false, log: silentLog } as const;

function answer({ member, body }: FakeCall): FakeAnswer {
  switch (member) {
    case "Get":
      return body[1] === "DNS"
        ? { signature: "v", body: [new Variant("a(iiay)", [[7, 2, Uint8Array.of(192, 0, 2, 53)]])] }
        : { signature: "v", body: [new Variant("s", "")] };
    case "GetLink":
    case "GetDeviceByIpIface":
      return NO_PATH;
    default:
      return EMPTY;
  }
}

Deno.test("ResolvedDns.upstreams: does without a link whose path is none", () =>
  withFakeBus(answer, async () => {
    const dns = createSystemDns({ ...OPTIONS, control: "systemd-resolved" });
    assert.deepEqual((await dns.upstreams()).map(({ address }) => String(address)), ["192.0.2.53"]);
  }));

Deno.test("ResolvedDns.isInForce: takes a path that is none for a service that is away", () =>
  withFakeBus(answer, async () => {
    const dns = createSystemDns({ ...OPTIONS, control: "systemd-resolved" });
    await dns.set([IpAddress.from("100.100.111.1")], undefined);
    assert.equal(await dns.isInForce(), true);
    await dns.undo();
  }));

Deno.test("NetworkManagerDns.set: says so when it is given a path that is none", () =>
  withFakeBus(answer, async () => {
    const dns = createSystemDns({ ...OPTIONS, control: "network-manager" });
    await assert.rejects(
      dns.set([IpAddress.from("100.100.111.1")], undefined),
      (error) => error instanceof Fault && error.code === "dns" && /another shape/.test(error.message),
    );
  }));

Deno.test("Bus.call: a mistake of the caller leaves no call behind", () =>
  withFakeBus(answer, async () => {
    const bus = await Bus.open();
    assert.ok(bus.ok);
    const { value } = bus;
    const call = { destination: "a.b", path: "no path", interface: "a.b", member: "C" };
    for (let attempt = 0; attempt < 100; attempt++) assert.throws(() => void value.call(call), /object path/);
    value.close();
  }));
