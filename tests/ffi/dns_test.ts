import assert from "node:assert/strict";
import fc from "fast-check";
import { Fault } from "../../lib/base/fault.ts";
import { IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { DnsControl } from "../../ffi/platform.ts";
import { createSystemDns } from "../../ffi/linux/dns.ts";
import { observeDns } from "../../ffi/linux/dns_observe.ts";
import { chooseDnsControl } from "../../lib/host/dns_choice.ts";
import { parseResolvers } from "../../ffi/linux/dns_resolvectl.ts";
import { parseResolvConf } from "../../ffi/linux/resolv_conf.ts";

const ORIGINAL =
  "# by DHCP\nnameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch corp.test\noptions ndots:2 edns0\n";
const SENTINELS = [IpAddress.from("100.100.111.1"), IpAddress.from("fd00:2021:1111:8000:100:100:111:1")];
const SENTINEL_NETWORK = IpNetwork.from("100.100.111.0/24");

interface Scene {
  readonly folder: string;
  readonly path: string;
  readonly backup: string;
  /** A new process, as it were. */
  dns(control?: DnsControl): ReturnType<typeof createSystemDns>;
  read(): Promise<string>;
}

async function scene(body: (scene: Scene) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/resolv.conf`;
  await Deno.writeTextFile(path, ORIGINAL);
  try {
    await body({
      folder,
      path,
      backup: `${path}.before-fz`,
      dns: (control = "etc-resolv-conf") =>
        createSystemDns({
          control,
          device: "fz0",
          isSentinel: (address) => SENTINEL_NETWORK.contains(address),
          log: silentLog,
          resolvConfPath: path,
        }),
      read: () => Deno.readTextFile(path),
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function names(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
}

Deno.test("ResolvConfDns.set: names our resolvers, keeps the host's search list and options", () =>
  scene(async ({ dns, read, folder }) => {
    const control = dns();
    await control.set(SENTINELS, "fz.test");
    const conf = parseResolvConf(await read());
    assert.deepEqual(conf.nameservers.map(({ address }) => String(address)), SENTINELS.map(String));
    assert.deepEqual(conf.search, ["fz.test", "corp.test"]);
    assert.deepEqual(conf.options, ["ndots:2", "edns0"]);
    assert.equal(await control.isInForce(), true);
    assert.deepEqual((await control.upstreams()).map(({ address }) => String(address)), [
      "192.0.2.53",
      "2001:db8::53",
    ]);
    await control.undo();
    assert.equal(await read(), ORIGINAL);
    assert.deepEqual(await names(folder), ["resolv.conf"]);
  }));

Deno.test("ResolvConfDns.set: writes in place, because containers mount the file", () =>
  scene(async ({ dns, path, read }) => {
    const { ino } = await Deno.stat(path);
    const control = dns();
    await control.set(SENTINELS, undefined);
    await control.set(SENTINELS.slice(0, 1), undefined);
    assert.deepEqual(parseResolvConf(await read()).nameservers.map(({ address }) => String(address)), [
      "100.100.111.1",
    ]);
    await control.undo();
    assert.equal((await Deno.stat(path)).ino, ino);
    assert.equal(await read(), ORIGINAL);
  }));

Deno.test("ResolvConfDns.undo: restores after a killed process, once", () =>
  scene(async ({ dns, read, path, folder }) => {
    await dns().set(SENTINELS, undefined);
    const next = dns();
    assert.deepEqual((await next.upstreams()).map(({ address }) => String(address)), [
      "192.0.2.53",
      "2001:db8::53",
    ]);
    await next.undo();
    assert.equal(await read(), ORIGINAL);
    const changed = "nameserver 198.51.100.1\n";
    await Deno.writeTextFile(path, changed);
    await dns().undo();
    assert.equal(await read(), changed);
    assert.deepEqual(await names(folder), ["resolv.conf"]);
  }));

Deno.test("ResolvConfDns.set: starts anew over a killed process's file, without taking it for the original", () =>
  scene(async ({ dns, read }) => {
    await dns().set(SENTINELS, undefined);
    const next = dns();
    await next.set(SENTINELS.slice(0, 1), undefined);
    await next.undo();
    assert.equal(await read(), ORIGINAL);
  }));

Deno.test("ResolvConfDns.undo: leaves a file alone that somebody else wrote meanwhile", () =>
  scene(async ({ dns, read, path, folder }) => {
    const control = dns();
    await control.set(SENTINELS, undefined);
    const dhcp = "nameserver 203.0.113.1\n";
    await Deno.writeTextFile(path, dhcp);
    assert.equal(await control.isInForce(), false);
    assert.deepEqual((await control.upstreams()).map(({ address }) => String(address)), ["203.0.113.1"]);
    await control.set(SENTINELS, undefined);
    assert.equal(await control.isInForce(), true);
    await control.undo();
    assert.equal(await read(), dhcp);
    await control.set(SENTINELS, undefined);
    await Deno.writeTextFile(path, dhcp);
    await control.undo();
    assert.equal(await read(), dhcp);
    assert.deepEqual(await names(folder), ["resolv.conf"]);
  }));

Deno.test("ResolvConfDns.undo: restores what a power cut left empty or half written", () =>
  scene(async ({ dns, read, path }) => {
    await dns().set(SENTINELS, undefined);
    await Deno.writeTextFile(path, "");
    await dns().undo();
    assert.equal(await read(), ORIGINAL);
    await dns().set(SENTINELS, undefined);
    await Deno.writeTextFile(
      path,
      ORIGINAL + "n stops.\n# After a crash, the next start of fz puts it back.\nnameserver 100.100.111.1\n",
    );
    await dns().undo();
    assert.equal(await read(), ORIGINAL);
  }));

Deno.test("ResolvConfDns: replaces a symbolic link, and puts it back", () =>
  scene(async ({ dns, read, path, folder }) => {
    await Deno.rename(path, `${folder}/stub.conf`);
    await Deno.symlink("stub.conf", path);
    const control = dns();
    await control.set(SENTINELS, undefined);
    assert.equal(await Deno.readTextFile(`${folder}/stub.conf`), ORIGINAL);
    assert.deepEqual((await control.upstreams()).map(({ address }) => String(address)), [
      "192.0.2.53",
      "2001:db8::53",
    ]);
    await dns().undo();
    assert.equal(await Deno.readLink(path), "stub.conf");
    assert.equal(await read(), ORIGINAL);
    assert.deepEqual(await names(folder), ["resolv.conf", "stub.conf"]);
  }));

Deno.test("ResolvConfDns.undo: says so when the backup is gone", () =>
  scene(async ({ dns, backup }) => {
    await dns().set(SENTINELS, undefined);
    await Deno.remove(backup);
    await assert.rejects(dns().undo(), (error) => error instanceof Fault && error.code === "dns");
  }));

Deno.test("ResolvConfDns: changes nothing when disabled, but cleans up after a killed process", () =>
  scene(async ({ dns, read }) => {
    await dns("disabled").set(SENTINELS, undefined);
    assert.equal(await read(), ORIGINAL);
    await dns().set(SENTINELS, undefined);
    await dns("disabled").undo();
    assert.equal(await read(), ORIGINAL);
  }));

Deno.test("ResolvConfDns.upstreams: never names a sentinel", () =>
  scene(async ({ dns, path }) => {
    await Deno.writeTextFile(path, "nameserver 100.100.111.2\nnameserver 0.0.0.0\nnameserver 192.0.2.1\n");
    assert.deepEqual((await dns().upstreams()).map(({ address }) => String(address)), ["192.0.2.1"]);
    await Deno.remove(path);
    assert.deepEqual(await dns().upstreams(), []);
  }));

Deno.test("ResolvConfDns: survives kill -9 between set and undo", () =>
  scene(async ({ dns, read, path }) => {
    const script = `import { createSystemDns } from "${import.meta.resolve("../../ffi/linux/dns.ts")}";
      import { IpAddress } from "${import.meta.resolve("../../lib/base/ip.ts")}";
      const log = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
      const options = { control: "etc-resolv-conf", device: "fz0", isSentinel: () => false, log };
      await createSystemDns({ ...options, resolvConfPath: "${path}" }).set([IpAddress.from("100.100.111.1")]);
      Deno.kill(Deno.pid, "SIGKILL");`;
    const { signal } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", script],
      cwd: import.meta.dirname!,
    })
      .output();
    assert.equal(signal, "SIGKILL");
    assert.match(await read(), /100\.100\.111\.1/);
    await dns().undo();
    assert.equal(await read(), ORIGINAL);
  }));

Deno.test("parseResolvConf: skips what makes no sense and never throws", () => {
  assert.deepEqual(
    parseResolvConf(
      "nameserver\nnameserver fe80::1%eth0\n;nameserver 1.1.1.1\ndomain a\nsearch b c\nb*gus\nsortlist 10.0.0.0\n",
    ),
    {
      nameservers: [{ address: IpAddress.from("fe80::1"), zone: "eth0" }],
      search: ["b", "c"],
      options: [],
      others: ["sortlist 10.0.0.0"],
    },
  );
  fc.assert(fc.property(fc.string(), (text) => {
    parseResolvConf(text);
  }));
});

Deno.test("parseResolvers: reads all forms that resolvectl prints, without those of our device", () => {
  const output = `Global: 192.0.2.1 192.0.2.2:5353#dns.example
Link 2 (eth0): 192.0.2.1 fe80::1%2 2001:db8::1 [2001:db8::2]:853#x
Link 3 (fz0): 100.100.111.1
Link 4 (wlan0):
`;
  assert.deepEqual(parseResolvers(output, "fz0").map(String), [
    "192.0.2.1",
    "192.0.2.2",
    "2001:db8::1",
    "2001:db8::2",
  ]);
  fc.assert(fc.property(fc.string(), (text) => {
    parseResolvers(text, "fz0");
  }));
});

/** Puts a `resolvectl` first in PATH that writes down its arguments and keeps what it was told. */
async function withResolvectl(script: string, body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = Deno.env.get("PATH")!;
  await Deno.writeTextFile(`${folder}/resolvectl`, `#!/bin/sh\necho "$@" >> ${folder}/calls\n${script}\n`, {
    mode: 0o755,
  });
  Deno.env.set("PATH", `${folder}:${path}`);
  try {
    await body(folder);
  } finally {
    Deno.env.set("PATH", path);
    await Deno.remove(folder, { recursive: true });
  }
}

const RESOLVED = {
  control: "systemd-resolved",
  device: "fz0",
  isSentinel: (address: IpAddress) => SENTINEL_NETWORK.contains(address),
  log: silentLog,
} as const;

Deno.test("ResolvedDns: sets resolvers, search and catch-all domains of the device, and reverts them", () =>
  withResolvectl(
    'if [ "$1" = dns ] && [ $# = 2 ]; then echo "Link 3 (fz0): 100.100.111.1"; fi',
    async (folder) => {
      const control = createSystemDns(RESOLVED);
      await control.set(SENTINELS.slice(0, 1), "fz.test", "one.test");
      assert.equal(await control.isInForce(), true);
      await control.undo();
      await control.undo();
      const calls = (await Deno.readTextFile(`${folder}/calls`)).trim().split("\n");
      assert.deepEqual(calls, [
        "dns fz0 100.100.111.1",
        "domain fz0 fz.test one.test ~.",
        "default-route fz0 yes",
        "dnsovertls fz0 no",
        "dnssec fz0 no",
        "llmnr fz0 no",
        "mdns fz0 no",
        "flush-caches",
        "dns fz0",
        "revert fz0",
        "flush-caches",
      ]);
    },
  ));

Deno.test("ResolvedDns.set: says what failed and which other ways there are", () =>
  withResolvectl('echo "Failed to set DNS configuration: Access denied" >&2; exit 1', async () => {
    await assert.rejects(createSystemDns(RESOLVED).set(SENTINELS, undefined), (error) => {
      assert.ok(error instanceof Fault);
      assert.equal(error.code, "dns");
      assert.match(error.message, /Access denied/);
      assert.match(error.next!, /etc-resolv-conf/);
      return true;
    });
  }));

Deno.test("detectDnsControl: takes resolved only where the file leads to it and it answers", () =>
  scene(async ({ path }) => {
    assert.equal(chooseDnsControl(await observeDns(path)).control, "etc-resolv-conf");
    await Deno.writeTextFile(path, "nameserver 127.0.0.53\n");
    await withResolvectl(
      "exit 0",
      async () => assert.equal(chooseDnsControl(await observeDns(path)).control, "systemd-resolved"),
    );
    await withResolvectl(
      "exit 1",
      async () => assert.equal(chooseDnsControl(await observeDns(path)).control, "etc-resolv-conf"),
    );
  }));
