/** Files of the host that are none, or never end. What is not refused here stands still for ever. */

import assert from "node:assert/strict";
import { createSystemDns } from "../../ffi/linux/dns.ts";
import { observeDns } from "../../ffi/linux/dns_observe.ts";
import { readRecords } from "../../ffi/linux/resolvconf_tool.ts";
import { undoFile } from "../../ffi/linux/undo_file.ts";
import { Fault } from "../../lib/base/fault.ts";
import { IpAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import { NO_JOURNAL } from "../../lib/host/journal.ts";
import { chooseDnsControl } from "../../lib/host/dns_choice.ts";

const SENTINELS = [IpAddress.from("100.100.111.1")];
const ORIGINAL = "nameserver 192.0.2.53\n";

const KINDS: Record<string, { make(path: string): void; words: RegExp }> = {
  "a link to a pipe": {
    make(path) {
      pipe(`${path}.pipe`);
      Deno.symlinkSync(`${path}.pipe`, path);
    },
    words: /it is not a regular file/,
  },
  "a pipe": { make: pipe, words: /it is not a regular file/ },
  "a link in a circle": {
    make(path) {
      Deno.symlinkSync(path, `${path}.back`);
      Deno.symlinkSync(`${path}.back`, path);
    },
    words: /its links lead in a circle/,
  },
  "/dev/zero": {
    make: (path) => Deno.symlinkSync("/dev/zero", path),
    words: /it is not a regular file/,
  },
  "a huge file": {
    make: (path) => Deno.writeTextFileSync(path, ORIGINAL.repeat(65_536 / ORIGINAL.length + 1)),
    words: /it is larger than 64 KiB/,
  },
};

function pipe(path: string): void {
  assert.equal(new Deno.Command("mkfifo", { args: [path] }).outputSync().code, 0);
}

async function inFolder(body: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(`${folder}/resolv.conf`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function dnsOf(resolvConfPath: string, control: "etc-resolv-conf" | "disabled" = "etc-resolv-conf") {
  const isSentinel = (address: IpAddress) => String(address).startsWith("100.100.111.");
  return createSystemDns({
    ...{ control, device: "fz0", log: silentLog, isSentinel, journal: NO_JOURNAL, resolvConfPath },
  });
}

for (const [kind, { make, words }] of Object.entries(KINDS)) {
  Deno.test(`ResolvConfDns: says what is wrong with ${kind}, and leaves it alone`, () =>
    inFolder(async (path) => {
      make(path);
      const isFault = (error: unknown) =>
        error instanceof Fault && error.code === "dns" && words.test(error.message);
      const dns = dnsOf(path);
      await assert.rejects(dns.check(), isFault);
      await assert.rejects(dns.set(SENTINELS, undefined), isFault);
      assert.deepEqual(await dns.upstreams(), []);
      await dnsOf(path, "disabled").check();
      assert.deepEqual(await dnsOf(path, "disabled").upstreams(), []);
    }));

  Deno.test(`observeDns: sees ${kind}, and the choice passes it over`, () =>
    inFolder(async (path) => {
      make(path);
      const { resolvConf } = await observeDns(path);
      assert.match(resolvConf.flaw ?? "", words);
      const choice = chooseDnsControl({
        ...{ os: "linux", uid: 0, busNames: undefined, resolved: undefined, networkManager: undefined },
        ...{ resolvconf: undefined, isContainer: false, isWsl: false, resolvConf },
      });
      assert.equal(choice.control, "disabled");
      assert.match(choice.reason, words);
    }));

  Deno.test(`ResolvConfDns.undo: takes ${kind} for somebody else's`, () =>
    inFolder(async (path) => {
      Deno.writeTextFileSync(path, ORIGINAL);
      const dns = dnsOf(path);
      await dns.set(SENTINELS, undefined);
      Deno.removeSync(path);
      make(path);
      assert.equal(await dns.isInForce(), false);
      const original = { type: "file", content: btoa(ORIGINAL), mode: 0o644, uid: 0, gid: 0 } as const;
      assert.equal(undoFile({ id: `file:${path}`, type: "file", path, original, isInPlace: true }), false);
      assert.equal(await dns.undo(), false);
    }));

  Deno.test(`readRecords: passes over ${kind}`, () =>
    inFolder((path) => {
      Deno.writeTextFileSync(path.replace("resolv.conf", "eth0.dhclient"), ORIGINAL);
      make(path);
      const names = readRecords([path.slice(0, path.lastIndexOf("/"))])?.map(({ name }) => name);
      assert.deepEqual(names, ["eth0.dhclient"]);
      return Promise.resolve();
    }));
}

Deno.test("ResolvConfDns.set: keeps to what it reads itself", () =>
  inFolder(async (path) => {
    const text = `options ${"ndots:2 ".repeat(8190)}\n`;
    assert.ok(text.length <= 65_536);
    Deno.writeTextFileSync(path, text);
    await assert.rejects(dnsOf(path).set(SENTINELS, undefined), /larger than 64 KiB/);
    assert.equal(Deno.readTextFileSync(path), text);
  }));
