import assert from "node:assert/strict";
import fc from "fast-check";
import { createSystemDns } from "../../ffi/linux/dns.ts";
import { hasMarker, parseResolvConf, renderResolvConf, searchList } from "../../ffi/linux/resolv_conf.ts";
import { withScopes } from "../../ffi/linux/scope.ts";
import { undoFile } from "../../ffi/linux/undo_file.ts";
import { isWritable } from "../../ffi/linux/writable.ts";
import { IpAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { Change, Journal } from "../../lib/host/journal.ts";

const SENTINELS = [IpAddress.from("100.100.111.1")];
const ORIGINAL = "nameserver 192.0.2.53\nsearch corp.test\noptions ndots:2\nsortlist 10.0.0.0\n";

class Notes implements Journal {
  readonly changes = new Map<Change["id"], Change>();
  onNote: () => void = () => {};

  note(change: Change): void {
    this.onNote();
    this.changes.set(change.id, change);
  }

  forget(id: Change["id"]): void {
    this.changes.delete(id);
  }
}

interface Scene {
  readonly folder: string;
  readonly path: string;
  readonly journal: Notes;
  dns(): ReturnType<typeof createSystemDns>;
  read(): string;
  mode(): number;
}

async function scene(text: string | undefined, body: (scene: Scene) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/resolv.conf`;
  if (text !== undefined) await Deno.writeTextFile(path, text, { mode: 0o644 });
  const journal = new Notes();
  const options = { control: "etc-resolv-conf", device: "fz0", log: silentLog } as const;
  const isSentinel = (address: IpAddress) => String(address).startsWith("100.100.111.");
  try {
    await body({
      ...{ folder, path, journal },
      dns: () => createSystemDns({ ...options, isSentinel, journal, resolvConfPath: path }),
      read: () => Deno.readTextFileSync(path),
      mode: () => Deno.lstatSync(path).mode! & 0o7777,
    });
  } finally {
    await Deno.chmod(folder, 0o700);
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("ResolvConfDns: notes what was there before it writes, and forgets it when that is back", () =>
  scene(ORIGINAL, async ({ dns, path, read, journal }) => {
    journal.onNote = () => assert.equal(read(), ORIGINAL);
    const control = dns();
    await control.set(SENTINELS, "fz.test");
    assert.ok(hasMarker(read()));
    assert.match(read(), /^search fz\.test corp\.test$/m);
    assert.match(read(), /^options ndots:2$/m);
    assert.match(read(), /^sortlist 10\.0\.0\.0$/m);
    const noted = journal.changes.get(`file:${path}`);
    assert.ok(noted?.type === "file" && noted.original?.type === "file" && noted.isInPlace);
    assert.equal(atob(noted.original.content), ORIGINAL);
    await control.undo();
    assert.equal(read(), ORIGINAL);
    assert.equal(journal.changes.size, 0);
  }));

Deno.test("ResolvConfDns: changes nothing when it cannot be noted", () =>
  scene(ORIGINAL, async ({ dns, read, journal }) => {
    journal.onNote = () => {
      throw new Error("the disk is full");
    };
    await assert.rejects(dns().set(SENTINELS, undefined), /disk is full/);
    assert.equal(read(), ORIGINAL);
  }));

Deno.test("ResolvConfDns: keeps inode and mode, also of a file that nobody may write", () =>
  scene(ORIGINAL, async ({ dns, path, read, mode }) => {
    const { ino } = Deno.statSync(path);
    for (const wanted of [0o600, 0o664, 0o444]) {
      Deno.chmodSync(path, wanted);
      const control = dns();
      await control.check();
      await control.set(SENTINELS, undefined);
      assert.ok(hasMarker(read()));
      assert.equal(mode(), wanted);
      await control.undo();
      assert.equal(read(), ORIGINAL);
      assert.equal(mode(), wanted);
    }
    // Root writes in place whatever the mode; without that right the last one was replaced.
    if (Deno.uid() === 0) assert.equal(Deno.statSync(path).ino, ino);
  }));

Deno.test("ResolvConfDns: makes a file where there was none, and removes it, also after a kill", () =>
  scene(undefined, async ({ dns, folder, read, journal }) => {
    const control = dns();
    await control.set(SENTINELS, undefined);
    assert.match(read(), /nameserver 100\.100\.111\.1/);
    assert.deepEqual(await control.upstreams(), []);
    assert.equal(await dns().undo(), true);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    await control.set(SENTINELS, undefined);
    const [change] = journal.changes.values();
    assert.ok(change?.type === "file" && change.original === undefined);
    assert.equal(undoFile(change), true);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  }));

Deno.test("ResolvConfDns: takes the words of whoever rewrote the file, and gives them back", () =>
  scene(ORIGINAL, async ({ dns, path, read }) => {
    const control = dns();
    await control.set(SENTINELS, undefined);
    const theirs = "nameserver 203.0.113.1\nsearch dhcp.test\n";
    await Deno.writeTextFile(`${path}.new`, theirs);
    await Deno.rename(`${path}.new`, path);
    assert.equal(await control.isInForce(), false);
    assert.deepEqual((await control.upstreams()).map(({ address }) => String(address)), ["203.0.113.1"]);
    await control.set(SENTINELS, "fz.test");
    assert.match(read(), /^search fz\.test dhcp\.test$/m);
    assert.equal(await control.isInForce(), true);
    await control.undo();
    assert.equal(read(), theirs);
  }));

Deno.test("ResolvConfDns.undo: leaves alone what somebody else wrote, and takes its copy away", () =>
  scene(ORIGINAL, async ({ dns, path, folder, read }) => {
    const control = dns();
    await control.set(SENTINELS, undefined);
    await Deno.writeTextFile(path, "nameserver 203.0.113.1\n");
    assert.equal(await control.undo(), false);
    assert.equal(read(), "nameserver 203.0.113.1\n");
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["resolv.conf"]);
  }));

Deno.test("ResolvConfDns.upstreams: follows a link that ours replaced, as its owner writes on", () =>
  scene(undefined, async ({ dns, path, folder }) => {
    await Deno.mkdir(`${folder}/run`);
    await Deno.writeTextFile(`${folder}/run/real.conf`, "nameserver 192.0.2.1\n");
    await Deno.symlink("run/real.conf", path);
    const control = dns();
    await control.set(SENTINELS, undefined);
    await Deno.writeTextFile(`${folder}/run/real.conf`, "nameserver 192.0.2.2\n");
    assert.deepEqual((await control.upstreams()).map(({ address }) => String(address)), ["192.0.2.2"]);
    await control.undo();
    assert.equal(await Deno.readLink(path), "run/real.conf");
    assert.equal(await Deno.readTextFile(`${folder}/run/real.conf`), "nameserver 192.0.2.2\n");
  }));

Deno.test("ResolvConfDns.watch: tells of a file that is written and of one that is replaced", () =>
  scene(ORIGINAL, async ({ dns, path }) => {
    let wake = () => {};
    const watch = dns().watch!(() => wake());
    const told = (act: () => Promise<void>) =>
      new Promise<void>((resolve, reject) => {
        const limit = setTimeout(() => reject(new Error("nobody told")), 90_000);
        wake = () => (clearTimeout(limit), resolve());
        act().catch(reject);
      });
    await told(() => Deno.writeTextFile(path, "nameserver 192.0.2.9\n"));
    await told(async () => {
      await Deno.writeTextFile(`${path}.new`, "");
      await Deno.rename(`${path}.new`, path);
    });
    watch.close();
  }));

Deno.test("searchList: adds ours to the host's, within what old C libraries take", () => {
  assert.deepEqual(searchList(["a.test", "b.test"], "fz.test"), ["fz.test", "a.test", "b.test"]);
  assert.deepEqual(searchList(["a.test", "fz.test"], "fz.test"), ["fz.test", "a.test"]);
  const six = ["1.test", "2.test", "3.test", "4.test", "5.test", "6.test"];
  assert.deepEqual(searchList(six, "fz.test"), ["fz.test", ...six.slice(0, 5)]);
  // A host that names seven has a library that takes them.
  const seven = [...six, "7.test"];
  assert.deepEqual(searchList(seven, "fz.test"), ["fz.test", ...seven]);
  const long = [`${"x".repeat(60)}.test`, `${"y".repeat(60)}.test`, `${"z".repeat(60)}.test`];
  assert.deepEqual(searchList(long, `${"w".repeat(60)}.test`), [
    `${"w".repeat(60)}.test`,
    ...long.slice(0, 2),
  ]);
});

Deno.test("renderResolvConf: names three resolvers, and reads back as written", () => {
  const domain = fc.stringMatching(/^[a-z]{1,8}\.test$/);
  fc.assert(fc.property(fc.array(domain, { maxLength: 9 }), fc.nat(9), (search, count) => {
    const sentinels = Array.from({ length: count }, (_, index) => IpAddress.from(`100.100.111.${index + 1}`));
    const original = { nameservers: [], search, options: ["edns0"], others: [] };
    const text = renderResolvConf({ original, sentinels, searchDomain: "fz.test", kept: undefined });
    const back = parseResolvConf(text);
    assert.ok(hasMarker(text));
    assert.deepEqual(
      back.nameservers.map(({ address }) => String(address)),
      sentinels.slice(0, 3).map(String),
    );
    assert.equal(back.search[0], "fz.test");
    assert.deepEqual(back.options, ["edns0"]);
  }));
});

Deno.test("withScopes: gives a link-local resolver its interface, and leaves out one without", () => {
  const [own] = Deno.networkInterfaces().filter(({ family, address }) =>
    family === "IPv6" && address.startsWith("fe80:")
  );
  const address = IpAddress.from("fe80::1");
  assert.deepEqual(withScopes([{ address, zone: "7" }]), [{ address, scopeId: 7 }]);
  assert.deepEqual(withScopes([{ address, zone: "no-such-interface" }]), []);
  const wide = IpAddress.from("2001:db8::1");
  assert.deepEqual(withScopes([{ address: wide, zone: "7" }, { address: wide }]), [{ address: wide }, {
    address: wide,
  }]);
  if (own !== undefined) {
    assert.deepEqual(withScopes([{ address, zone: own.name }]), [{ address, scopeId: own.scopeid! }]);
  }
});

Deno.test("isWritable: asks the kernel", () =>
  // deno-lint-ignore require-await
  scene(ORIGINAL, async ({ path, folder }) => {
    assert.equal(isWritable(path), true);
    assert.equal(isWritable(folder), true);
    assert.equal(isWritable(`${folder}/missing`), false);
    Deno.chmodSync(folder, 0o555);
    assert.equal(isWritable(folder), Deno.uid() === 0);
    assert.equal(isWritable("/".repeat(5000)), false);
  }));
