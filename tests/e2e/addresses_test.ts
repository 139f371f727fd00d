import assert from "node:assert/strict";
import { Fault } from "../../lib/base/fault.ts";
import { IpAddress } from "../../lib/base/ip.ts";
import { type Log, silentLog } from "../../lib/base/log.ts";
import { configureDevice } from "../../ffi/linux/addresses.ts";
import { openTun } from "../../ffi/linux/tun.ts";
import { isIsolated } from "../../io/lab/isolation.ts";

/** These run in the isolated namespace itself, which is the host here. */
function sh(script: string): string {
  const { code, stdout, stderr } = new Deno.Command("sh", { args: ["-ec", script] }).outputSync();
  const text = new TextDecoder().decode(stdout);
  assert.equal(code, 0, `${script}: ${text}${new TextDecoder().decode(stderr)}`);
  return text;
}

const ADDRESSES = { ipv4: IpAddress.from("100.64.0.7"), ipv6: IpAddress.from("fd00:2021:1111::7") };

function withTun(body: () => void): void {
  assert.ok(isIsolated(), "run by deno task e2e");
  const tun = openTun({ name: "fz0", mtu: 1280 });
  try {
    body();
  } finally {
    tun.close();
    sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0");
  }
}

/** Returns the addresses of the device, with their prefix lengths. */
function shown(): string[] {
  return [...sh("ip addr show dev fz0").matchAll(/inet6? (\S+)/g)].map((match) => match[1]!);
}

Deno.test("configureDevice: sets MTU, queue and both addresses, and leaves none that was there before", () =>
  withTun(() => {
    sh(`ip link set fz0 up; ip addr add 100.64.0.3/32 dev fz0; ip addr add 100.64.0.7/24 dev fz0
      ip addr add 10.0.0.1 peer 10.0.0.2/32 dev fz0; ip -6 addr add fd00::1/64 dev fz0 nodad`);
    sh("ip link set fz0 down");
    assert.deepEqual(configureDevice("fz0", 1300, ADDRESSES, silentLog), [4, 6]);
    assert.deepEqual(shown(), ["100.64.0.7/32", "fd00:2021:1111::7/128"]);
    const [link] = JSON.parse(sh("ip -j -d link show dev fz0"));
    assert.deepEqual([link.mtu, link.txqlen, link.inet6_addr_gen_mode], [1300, 1000, "none"]);
    assert.ok(link.flags.includes("UP"));
    assert.deepEqual(configureDevice("fz0", 1280, { ...ADDRESSES, ipv6: undefined }, silentLog), [4]);
    assert.deepEqual(shown(), ["100.64.0.7/32"]);
  }));

Deno.test("configureDevice: leaves out the family that the machine has turned off, and says why", () =>
  withTun(() => {
    sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
    const lines: string[] = [];
    const log: Log = { ...silentLog, info: (message, fields) => lines.push(`${message} ${fields!.reason}`) };
    assert.deepEqual(configureDevice("fz0", 1280, ADDRESSES, log), [4]);
    assert.deepEqual(shown(), ["100.64.0.7/32"]);
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /^leaving out an address family .*IPv6 is disabled/);
    assert.throws(
      () => configureDevice("fz0", 1280, { ...ADDRESSES, ipv4: undefined }, log),
      (error) => error instanceof Fault && error.code === "tun" && /IPv6 is disabled/.test(error.message),
    );
  }));

Deno.test("configureDevice: fails on a device that does not exist, and on an MTU that cannot be", () =>
  withTun(() => {
    const isTun = (error: unknown) => error instanceof Fault && error.code === "tun";
    assert.throws(() => configureDevice("fz7", 1280, ADDRESSES, silentLog), isTun);
    assert.throws(() => configureDevice("fz0", 7, ADDRESSES, silentLog), isTun);
  }));
