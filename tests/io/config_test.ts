import assert from "node:assert/strict";
import { openProfiles } from "../../io/config/profiles.ts";
import { removeSessionFile, writeSessionFile } from "../../io/service/session_file.ts";
import { wishesFile, writeWishes } from "../../io/service/wishes.ts";
import { Fault, type FaultCode } from "../../lib/base/fault.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { PathContext } from "../../lib/control/paths.ts";
import type { Profiles } from "../../lib/control/profile.ts";
import { SETTING_NAMES, SETTINGS } from "../../lib/control/settings.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const CURRENT = { by: "current" } as const;

interface Home extends Disposable {
  readonly folder: string;
  /** The default profile's file. */
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
  readonly profiles: Profiles;
}

function makeHome(): Home {
  const folder = Deno.makeTempDirSync({ prefix: "fz-config-" });
  const env = {
    FZ_CONFIG_DIR: `${folder}/config`,
    FZ_STATE_DIR: `${folder}/state`,
    FZ_RUNTIME_DIR: `${folder}/run`,
  };
  Deno.mkdirSync(`${folder}/config/profiles`, { recursive: true });
  const context: PathContext = {
    os: "linux",
    uid: Deno.uid() ?? 0,
    env: (name) => (env as Record<string, string>)[name],
  };
  return {
    folder,
    file: `${folder}/config/profiles/default.toml`,
    env,
    profiles: openProfiles(context),
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

/** Runs this program and returns what it said. */
async function fz(home: Home, args: readonly string[], wrapper: readonly string[] = []): Promise<{
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}> {
  const [program = "", ...rest] = [...wrapper, Deno.execPath(), "run", "--quiet", "-A", MAIN, ...args];
  const output = await new Deno.Command(program, { args: rest, env: home.env, stdin: "null" }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: output.code, stdout: decode(output.stdout), stderr: decode(output.stderr) };
}

async function rejects(promise: Promise<unknown>, code: FaultCode, message: RegExp): Promise<Fault> {
  let thrown: unknown;
  await promise.catch((error) => thrown = error);
  assert.ok(thrown instanceof Fault, String(thrown));
  assert.equal(thrown.code, code);
  assert.match(thrown.message, message);
  return thrown;
}

Deno.test("Profiles.load: without any file there is the default profile, and nothing is made", async () => {
  using home = makeHome();
  Deno.removeSync(`${home.folder}/config`, { recursive: true });
  const profile = await home.profiles.load(CURRENT, "session");
  assert.equal(profile.name, "default");
  assert.equal(profile.exists, true);
  assert.deepEqual({ ...profile.settings.values }, {});
  assert.deepEqual(await home.profiles.names(), ["default"]);
  assert.deepEqual([...Deno.readDirSync(home.folder)], []);
});

Deno.test("Profiles.change: writes what load reads, with a mode that suits, and leaves nothing beside it", async () => {
  using home = makeHome();
  assert.equal(await home.profiles.change("default", "name", "box"), home.file);
  await home.profiles.change("default", "internetResource", true);
  await home.profiles.change("default", "disabledResources", ["a", "b"]);
  const { settings } = await home.profiles.load(CURRENT, "command");
  assert.deepEqual({ ...settings.values }, {
    name: "box",
    internetResource: true,
    disabledResources: ["a", "b"],
  });
  assert.equal(Deno.statSync(home.file).mode! & 0o777, 0o644);
  assert.deepEqual([...Deno.readDirSync(`${home.folder}/config/profiles`)].map(({ name }) => name), [
    "default.toml",
  ]);
  Deno.chmodSync(home.file, 0o600);
  await home.profiles.change("default", "name", undefined);
  assert.equal(Deno.statSync(home.file).mode! & 0o777, 0o600);
});

Deno.test("Profiles.change: turns down values that cannot be, and changes nothing", async () => {
  using home = makeHome();
  await home.profiles.change("default", "name", "box");
  const before = Deno.readTextFileSync(home.file);
  await rejects(home.profiles.change("default", "logDir", "relative"), "usage", /"log-dir".*absolute/);
  await rejects(home.profiles.change("default", "name", "a\nb"), "usage", /control characters/);
  await rejects(home.profiles.change("nobody", "name", "x"), "usage", /there is none/);
  await rejects(home.profiles.change("../default", "name", "x"), "usage", /not a profile's name/);
  assert.equal(Deno.readTextFileSync(home.file), before);
});

Deno.test("Profiles.change: a torn file is not touched, and line and column are named", async () => {
  using home = makeHome();
  const torn = '# mine\nname = "bo';
  Deno.writeTextFileSync(home.file, torn);
  const fault = await rejects(
    home.profiles.change("default", "name", "box"),
    "usage",
    /default\.toml": line 2, column 8: /,
  );
  assert.notEqual(fault.next, undefined);
  assert.equal(Deno.readTextFileSync(home.file), torn);
});

Deno.test("Profiles.change: does not write through a link, nor into what is no file", async () => {
  using home = makeHome();
  const target = `${home.folder}/target`;
  Deno.writeTextFileSync(target, 'name = "kept"\n');
  Deno.symlinkSync(target, home.file);
  assert.equal((await home.profiles.load(CURRENT, "command")).settings.values.name, "kept");
  await rejects(home.profiles.change("default", "name", "x"), "usage", /link/);
  assert.equal(Deno.readTextFileSync(target), 'name = "kept"\n');
  // A link that somebody put where the draft will be is not followed either.
  Deno.removeSync(home.file);
  Deno.symlinkSync(target, `${home.folder}/config/profiles/.default.toml.new`);
  await home.profiles.change("default", "name", "x");
  assert.equal(Deno.readTextFileSync(target), 'name = "kept"\n');
  Deno.removeSync(home.file);
  Deno.mkdirSync(home.file);
  await rejects(home.profiles.change("default", "name", "x"), "usage", /not a file/);
});

Deno.test("Profiles.load: what is no file is turned down at once", async () => {
  using home = makeHome();
  await new Deno.Command("mkfifo", { args: [home.file] }).output();
  await rejects(home.profiles.load(CURRENT, "command"), "usage", /not a file/);
  Deno.removeSync(home.file);
  Deno.symlinkSync("/dev/zero", home.file);
  await rejects(home.profiles.load(CURRENT, "command"), "usage", /not a file/);
});

Deno.test("Profiles.load: hostile files are faults that name a place", async (t) => {
  const table: [name: string, content: Uint8Array | string][] = [
    ["binary", crypto.getRandomValues(new Uint8Array(4096)).with(0, 0xff)],
    ["10 MB", new Uint8Array(10 << 20).fill(0x61)],
    ["twice", 'name = "a"\nname = "b"\n'],
    ["torn", 'name = "a'],
    ["unknown", "nmae = 1"],
    ["nested", "name = " + "[".repeat(50_000)],
  ];
  for (const [name, content] of table) {
    await t.step(name, async () => {
      using home = makeHome();
      Deno.writeFileSync(
        home.file,
        typeof content === "string" ? new TextEncoder().encode(content) : content,
      );
      const fault = await rejects(home.profiles.load(CURRENT, "command"), "usage", /line \d+, column \d+: /);
      assert.ok(fault.message.length < 400);
    });
  }
});

Deno.test("Profiles.load: a session keeps the last good settings when the file is torn", async () => {
  using home = makeHome();
  const good = '# mine\nname = "box"\n';
  Deno.writeTextFileSync(home.file, good);
  assert.equal((await home.profiles.load(CURRENT, "session")).warning, undefined);
  // Torn at every byte: either a clean part of it, which is then the good one, or the last good one.
  for (let length = good.length - 1; length > 0; length--) {
    Deno.writeTextFileSync(home.file, good);
    await home.profiles.load(CURRENT, "session");
    Deno.writeTextFileSync(home.file, good.slice(0, length));
    const profile = await home.profiles.load(CURRENT, "session");
    if (profile.warning === undefined) {
      assert.equal(profile.settings.values.name, length === good.length - 1 ? "box" : undefined);
      continue;
    }
    assert.equal(profile.settings.values.name, "box", good.slice(0, length));
    assert.match(profile.warning, /default\.toml": line 2, column \d+: .*settings of \d{4}-.*T.*Z hold/);
    await rejects(home.profiles.load(CURRENT, "command"), "usage", /line 2, column/);
  }
});

Deno.test("Profiles.load: without a good copy a torn file ends a session's start", async () => {
  using home = makeHome();
  Deno.writeTextFileSync(home.file, "name = ");
  await rejects(home.profiles.load(CURRENT, "session"), "usage", /line 1, column/);
});

Deno.test("Profiles.load: a good copy of settings that were removed on purpose does not come back", async () => {
  using home = makeHome();
  await home.profiles.change("default", "name", "old");
  await home.profiles.load(CURRENT, "session");
  Deno.removeSync(home.file);
  assert.deepEqual({ ...(await home.profiles.load(CURRENT, "session")).settings.values }, {});
  Deno.writeTextFileSync(home.file, "name = ");
  await rejects(home.profiles.load(CURRENT, "session"), "usage", /line 1/);
});

Deno.test("Profiles.load: tells what was switched while the profile's session ran, whatever is in that file", async () => {
  using home = makeHome();
  const load = async () => (await home.profiles.load({ by: "flag", name: "work" }, "command")).switched;
  assert.deepEqual(await load(), {});
  const path = wishesFile(home.env.FZ_STATE_DIR!, "work");
  writeWishes(path, { internet: false, disabledResources: ["a"] }, silentLog);
  assert.deepEqual(await load(), { internetResource: false, disabledResources: ["a"] });
  writeWishes(path, { internet: undefined, disabledResources: [] }, silentLog);
  assert.deepEqual(await load(), {});
  Deno.writeTextFileSync(path, '{"schema":1,"inter');
  assert.deepEqual(await load(), {});
  if (Deno.build.os === "windows") return;
  Deno.removeSync(path);
  await new Deno.Command("mkfifo", { args: [path] }).output();
  assert.deepEqual(await load(), {});
});

Deno.test("Profiles.load: a good copy that cannot be kept is a warning", async () => {
  using home = makeHome();
  await home.profiles.change("default", "name", "box");
  Deno.writeTextFileSync(`${home.folder}/state`, "not a folder");
  const profile = await home.profiles.load(CURRENT, "session");
  assert.equal(profile.settings.values.name, "box");
  assert.match(profile.warning ?? "", /Cannot keep a copy/);
});

Deno.test({
  name: "Profiles.load: root keeps no copy in the service's state, where its user may have laid links",
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0,
  async fn() {
    using home = makeHome();
    await home.profiles.change("default", "name", "box");
    const [state, roots] = [`${home.folder}/state`, `${home.folder}/roots`];
    for (const folder of [state, roots]) Deno.mkdirSync(folder);
    Deno.chownSync(state, 1234, 1234);
    Deno.symlinkSync(roots, `${state}/profiles`);
    assert.equal((await home.profiles.load(CURRENT, "session")).warning, undefined);
    assert.deepEqual([...Deno.readDirSync(roots)], []);
  },
});

Deno.test({
  name: "Profiles.load: root takes no good copy that somebody else could write",
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0,
  async fn(context) {
    const cases:
      readonly (readonly [name: string, path: string, uid: number, mode: number, words: RegExp])[] = [
        ["the service user's state", "", 1234, 0o700, /user 1234 may write there/],
        ["another's folder", "/profiles", 1234, 0o700, /user 1234/],
        ["another's file", "/profiles/default.toml.good", 1234, 0o644, /user 1234/],
        ["a folder of a group", "/profiles", 0, 0o770, /group 0 may/],
        ["a state that is open to all", "", 0, 0o777, /everybody may/],
      ];
    for (const [name, path, uid, mode, words] of cases) {
      await context.step(name, async () => {
        using home = makeHome();
        await home.profiles.change("default", "name", "box");
        assert.equal((await home.profiles.load(CURRENT, "session")).warning, undefined);
        Deno.writeTextFileSync(home.file, "name = ");
        assert.equal((await home.profiles.load(CURRENT, "session")).settings.values.name, "box");
        const place = `${home.env.FZ_STATE_DIR}${path}`;
        Deno.chownSync(place, uid, uid);
        Deno.chmodSync(place, mode);
        const fault = await rejects(home.profiles.load(CURRENT, "session"), "usage", words);
        assert.match(
          fault.message,
          /default\.toml": line 1, column \d+: .*Root does not take ".*\.toml\.good"/,
        );
        assert.match(fault.next!, /Correct that place/);
      });
    }
  },
});

Deno.test({
  name: "Profiles.load: root does not take settings that everybody may write",
  ignore: Deno.uid() !== 0,
  async fn() {
    using home = makeHome();
    await home.profiles.change("default", "name", "box");
    Deno.chmodSync(home.file, 0o666);
    const fault = await rejects(home.profiles.load(CURRENT, "command"), "privilege", /everybody may write/);
    assert.match(fault.next!, /chmod o-w/);
  },
});

Deno.test("Profiles: are added, used, renamed and removed with all that is theirs", async () => {
  using home = makeHome();
  const { profiles, folder } = home;
  const path = await profiles.add("work", { apiUrl: "wss://x.test/" });
  assert.equal(path, `${folder}/config/profiles/work.toml`);
  await rejects(profiles.add("work", {}), "usage", /there is a profile/);
  const { tokenPath } = await profiles.locate({ by: "flag", name: "work" });
  Deno.writeTextFileSync(tokenPath, "secret", { mode: 0o600 });
  Deno.writeTextFileSync(tokenPath.replace(/token$/, "identity.json"), "{}");
  await profiles.load({ by: "flag", name: "work" }, "session");
  Deno.writeTextFileSync(`${folder}/state/profiles/work.json`, "{}");
  await profiles.use("work");
  assert.equal(await profiles.current(), "work");
  assert.deepEqual((await profiles.list()).map(({ name, current, signedIn }) => [name, current, signedIn]), [
    ["default", false, false],
    ["work", true, true],
  ]);
  await rejects(profiles.remove("work"), "usage", /current/);
  await profiles.rename("work", "job");
  assert.equal(await profiles.current(), "job");
  assert.deepEqual(await profiles.names(), ["default", "job"]);
  assert.equal((await profiles.load(CURRENT, "command")).settings.values.apiUrl, "wss://x.test/");
  assert.equal((await profiles.list())[1]!.signedIn, true);
  assert.deepEqual([...Deno.readDirSync(`${folder}/state/profiles`)].map(({ name }) => name).sort(), [
    ".lock",
    "job.json",
    "job.toml.good",
  ]);
  await profiles.use("default");
  await profiles.remove("job");
  assert.deepEqual(await profiles.names(), ["default"]);
  assert.deepEqual([...Deno.readDirSync(`${folder}/config/profiles`)], []);
  assert.deepEqual([...Deno.readDirSync(`${folder}/state/profiles`)].map(({ name }) => name), [".lock"]);
});

Deno.test("Profiles: one whose session runs is neither removed nor renamed", async () => {
  using home = makeHome();
  const { profiles, folder } = home;
  await profiles.add("work", {});
  Deno.mkdirSync(`${folder}/run`);
  assert.equal(await profiles.running(), undefined);
  const facts = { profile: "work", tunName: undefined, dnsControl: undefined };
  await writeSessionFile({ sessionFile: `${folder}/run/session.json` }, facts);
  assert.equal(await profiles.running(), "work");
  const fault = await rejects(profiles.remove("work"), "usage", /its session runs/);
  assert.match(fault.next!, /fz down/);
  await rejects(profiles.rename("work", "job"), "usage", /its session runs/);
  await removeSessionFile({ sessionFile: `${folder}/run/session.json` });
  await profiles.remove("work");
});

Deno.test("Profiles: a name that others hold, or that is none, changes nothing", async () => {
  using home = makeHome();
  const { profiles } = home;
  await profiles.add("a", {});
  await profiles.add("b", {});
  await rejects(profiles.rename("a", "b"), "usage", /there is a profile/);
  await rejects(profiles.rename("default", "c"), "usage", /always there/);
  await rejects(profiles.remove("default"), "usage", /always there/);
  await rejects(profiles.use("bb"), "usage", /Did you mean "b"/);
  for (
    const name of [
      "",
      ".",
      "..",
      "../b",
      "b/../a",
      "/etc/passwd",
      "B",
      "b\0",
      "-b",
      "b\n",
      "b".repeat(64),
      "ä",
    ]
  ) {
    for (
      const attempt of [
        () => profiles.add(name, {}),
        () => profiles.use(name),
        () => profiles.remove(name),
        () => profiles.rename("a", name),
        () => profiles.rename(name, "c"),
        () => profiles.load({ by: "flag", name }, "command"),
      ]
    ) await rejects(attempt(), "usage", /not a profile's name/);
  }
  assert.deepEqual(await profiles.names(), ["a", "b", "default"]);
});

Deno.test("Profiles.current: a file with something else in it is a fault, not a path", async () => {
  using home = makeHome();
  for (const content of ["../../etc", "a b", "x".repeat(10_000), "\xff\xfe"]) {
    Deno.writeTextFileSync(`${home.folder}/config/profile`, content);
    await rejects(home.profiles.load(CURRENT, "command"), "usage", /not a profile's name/);
  }
  Deno.writeTextFileSync(`${home.folder}/config/profile`, "\n");
  assert.equal(await home.profiles.current(), "default");
});

Deno.test("Profiles.names: files that are no profile's are left out", async () => {
  using home = makeHome();
  for (const name of [".x.toml", "UP.toml", "x.toml~", "ok.toml", "token-only.token", ".toml", "a.b.toml"]) {
    Deno.writeTextFileSync(`${home.folder}/config/profiles/${name}`, "");
  }
  assert.deepEqual(await home.profiles.names(), ["a.b", "default", "ok", "token-only"]);
});

Deno.test("fz config set: eight processes at once lose nothing of each other", async () => {
  using home = makeHome();
  Deno.writeTextFileSync(home.file, "# mine\n");
  const values: Record<string, string> = {
    "api-url": "wss://x.test/",
    "name": "box",
    "id": "me",
    "flow-logs": "true",
    "log-filter": "debug",
    "max-partition-time": "30s",
    "listen": "127.0.0.1:8080",
    "account-slug": "acme",
  };
  const ended = await Promise.all(
    Object.entries(values).map(([key, value]) => fz(home, ["config", "set", key, value])),
  );
  for (const { code, stderr } of ended) assert.equal(code, 0, stderr);
  const { settings } = await home.profiles.load(CURRENT, "command");
  const found = Object.fromEntries(
    SETTING_NAMES.filter((name) => settings.values[name] !== undefined).map((name) => [
      SETTINGS[name].key,
      // The kind is the setting's own.
      String((SETTINGS[name].kind.plain as (value: unknown) => unknown)(settings.values[name])),
    ]),
  );
  assert.deepEqual(found, values);
  assert.match(Deno.readTextFileSync(home.file), /^# mine\n/);
});

/** A root without the right to pass over file modes, as in a container. */
const BOUND = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];

Deno.test({
  name: "fz config: a folder that may not be written or read is exit code 6 with a next step",
  ignore: Deno.uid() !== 0,
  async fn() {
    using home = makeHome();
    await home.profiles.change("default", "name", "box");
    const before = Deno.readTextFileSync(home.file);
    Deno.removeSync(`${home.folder}/config/.lock`);
    Deno.chmodSync(`${home.folder}/config`, 0o555);
    Deno.chmodSync(`${home.folder}/config/profiles`, 0o555);
    for (
      const args of [["config", "set", "name", "x"], ["profile", "add", "y"], ["profile", "use", "default"]]
    ) {
      const { code, stderr } = await fz(home, args, BOUND);
      assert.equal(code, 6, stderr);
      assert.match(stderr, /^fz: Cannot write in ".*\/config": Permission denied\n {4}\S.*\.\n$/);
    }
    assert.equal((await fz(home, ["config", "get", "name"], BOUND)).stdout, "box\n");
    assert.equal(Deno.readTextFileSync(home.file), before);
    Deno.chmodSync(home.file, 0o000);
    const unreadable = await fz(home, ["config", "show"], BOUND);
    assert.equal(unreadable.code, 6);
    assert.match(unreadable.stderr, /^fz: Cannot read ".*default\.toml": Permission denied\n {4}\S/);
    Deno.chmodSync(`${home.folder}/config`, 0o755);
    Deno.chmodSync(`${home.folder}/config/profiles`, 0o755);
  },
});

Deno.test({
  name: "fz config set: a read-only file system is exit code 6 with a next step",
  ignore: Deno.uid() !== 0,
  async fn() {
    using home = makeHome();
    await home.profiles.change("default", "name", "box");
    const script = `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"`;
    const wrapper = ["unshare", "--mount", "sh", "-c", script, `${home.folder}/config`];
    const { code, stderr } = await fz(home, ["config", "set", "name", "x"], wrapper);
    assert.equal(code, 6, stderr);
    assert.match(stderr, /Read-only file system\n {4}Make the file system writable/);
    assert.equal((await fz(home, ["config", "get", "name"], wrapper)).stdout, "box\n");
  },
});
