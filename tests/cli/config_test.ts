import assert from "node:assert/strict";
import { run } from "../../cli/mod.ts";
import { SETTING_NAMES, SETTINGS } from "../../lib/control/settings.ts";
import type { SessionConfig } from "../../lib/control/config.ts";
import { fakeContext, type FakeOptions } from "./fake_context.ts";
import { fakeProfiles } from "./fake_profiles.ts";

type Given = Readonly<Record<string, string>>;

async function fz(
  args: readonly string[],
  texts: Given = {},
  { switched, ...options }: FakeOptions & { switched?: Parameters<typeof fakeProfiles>[1] } = {},
) {
  const profiles = fakeProfiles(texts, switched);
  const context = fakeContext({
    ...options,
    host: { profiles: () => Promise.resolve(profiles), ...options.host },
  });
  const code = await run(args, context);
  return { code, ...context.written, calls: context.calls, texts: profiles.texts };
}

Deno.test("fz config show: prints every setting once, with its key", async () => {
  const { code, stdout, stderr } = await fz(["config", "show"]);
  assert.equal(code, 0);
  const keys = stdout.trimEnd().split("\n").map((line) => line.split(" ")[0]);
  assert.deepEqual(keys, SETTING_NAMES.map((name) => SETTINGS[name].key));
  assert.equal(stderr, "");
});

Deno.test("fz config show --origin: tells flag, variable, place in the profile and default", async () => {
  const { stdout } = await fz(
    ["config", "show", "--origin", "--flow-logs", "--disable-resource", "a,b", "--disable-resource", "c"],
    { default: '# x\nname = "box"\nid = "me"\nflow-logs = false\n' },
    { env: { FZ_ID: "you", FIREZONE_ID: "him", LOG_DIR: "/logs" } },
  );
  assert.match(stdout, /^name +box +\/config\/profiles\/default\.toml:2$/m);
  assert.match(stdout, /^id +you +FZ_ID$/m);
  assert.match(stdout, /^flow-logs +true +--flow-logs$/m);
  assert.match(stdout, /^disabled-resources +a,b,c +--disable-resource$/m);
  assert.match(stdout, /^log-dir +\/logs +LOG_DIR$/m);
  assert.match(stdout, /^log-filter +info +default$/m);
  assert.match(stdout, /^token-path +\/etc\/dev\.firezone\.client\/token +default$/m);
});

Deno.test("fz config show --origin: a switch of an earlier session holds where nothing was written down", async () => {
  const switched = { internetResource: true, disabledResources: ["7"] };
  const by = async (args: readonly string[], texts: Given, env: Record<string, string>) =>
    (await fz(["config", "show", "--origin", ...args], texts, { switched, env })).stdout;
  const alone = await by([], {}, {});
  assert.match(alone, /^internet +true +switched at run time$/m);
  assert.match(alone, /^disabled-resources +7 +switched at run time$/m);
  assert.match(await by(["--no-internet"], {}, {}), /^internet +false +--activate-internet-resource$/m);
  assert.match(await by([], {}, { FZ_INTERNET: "false" }), /^internet +false +FZ_INTERNET$/m);
  const profile = { default: 'internet = false\ndisabled-resources = ["a"]\n' };
  assert.match(await by([], profile, {}), /^internet +false +\/config\/profiles\/default\.toml:1$/m);
  assert.match(await by([], profile, {}), /^disabled-resources +a +\/config\/profiles\/default\.toml:2$/m);
});

Deno.test("fz run: starts with what was switched, unless it is told otherwise", async () => {
  const switched = { internetResource: true, disabledResources: ["7"] };
  const started = async (...args: string[]) => {
    const { calls } = await fz(["run", ...args], {}, { switched, env: { FIREZONE_TOKEN: "t" } });
    const [, config] = calls[0] as [string, SessionConfig];
    return [config.client.internetResource, config.disabledResources];
  };
  assert.deepEqual(await started(), [true, ["7"]]);
  assert.deepEqual(await started("--no-internet", "--disable-resource", "8"), [false, ["8"]]);
});

Deno.test("fz config show --json: is one document with values and origins", async () => {
  const { stdout } = await fz(["config", "show", "--json", "--profile", "work"], {
    work: 'max-partition-time = "90s"\nlisten = "[::1]:8080"\ndisabled-resources = ["a"]\ninternet = true\n',
  });
  const document = JSON.parse(stdout);
  assert.equal(document.schema, 1);
  assert.equal(document.profile, "work");
  assert.equal(document.path, "/config/profiles/work.toml");
  assert.deepEqual(Object.keys(document.settings), SETTING_NAMES.map((name) => SETTINGS[name].key));
  const place = (line: number) => ({ type: "profile", path: "/config/profiles/work.toml", line });
  assert.deepEqual(document.settings["max-partition-time"], { value: "1m 30s", origin: place(1) });
  assert.deepEqual(document.settings.listen, { value: "[::1]:8080", origin: place(2) });
  assert.deepEqual(document.settings["disabled-resources"], { value: ["a"], origin: place(3) });
  assert.deepEqual(document.settings.internet, { value: true, origin: place(4) });
  assert.deepEqual(document.settings.name, { value: null, origin: { type: "default" } });
  assert.equal(document.settings["token-path"].value, "/config/profiles/work.token");
});

Deno.test("fz config: each setting goes the whole way from its key to fz config get and back", async (t) => {
  const values: Readonly<Record<string, string>> = {
    "api-url": "wss://x.test/",
    "token-path": "/run/token",
    "dns-control": "disabled",
    "internet": "true",
    "tun-name": "tun7",
    "mtu": "1200",
    "port": "4500",
    "exclude": "10.0.0.0/8,192.0.2.1/32",
    "lan": "deny",
    "max-partition-time": "1h 30m",
    "fail-fast": "true",
    "listen": "127.0.0.1:8080",
    "inc-buf": "true",
    "flow-logs": "true",
    "log-filter": "info,dns=debug",
    "log-format": "json",
    "log-dir": "/var/log/fz",
    "auth-base-url": "https://x.test",
    "account-slug": "acme",
  };
  for (const name of SETTING_NAMES) {
    const { key } = SETTINGS[name];
    await t.step(key, async () => {
      const value = values[key] ?? "some,words";
      const changed = await fz(["config", "set", key, value], { default: "# mine\n" });
      assert.equal(changed.code, 0, changed.stderr);
      assert.equal(changed.stdout, "");
      assert.match(changed.stderr, new RegExp(`^fz: Set ${key} to `));
      const text = changed.texts.get("default")!;
      assert.ok(text.startsWith(`# mine\n${key} = `), text);
      const got = await fz(["config", "get", key], { default: text });
      assert.equal(got.stdout, `${value}\n`);
      const unset = await fz(["config", "unset", key], { default: text });
      assert.equal(unset.texts.get("default"), "# mine\n");
    });
  }
});

Deno.test("fz config, fz run: a way of DNS that this system can never have is refused, and said where it came from", async () => {
  const own = /"nrpt" is a way of another system; on this one it is .*"etc-resolv-conf" or "disabled"/;
  const env = { FIREZONE_TOKEN: "t" };
  const set = await fz(["config", "set", "dns-control", "nrpt"], { default: "# mine\n" });
  assert.equal(set.code, 2);
  assert.match(set.stderr, /Cannot set "dns-control": /);
  assert.match(set.stderr, own);
  assert.equal(set.texts.get("default"), "# mine\n");
  for (const command of [["run"], ["service", "install"], ["config", "show"]]) {
    const flag = await fz([...command, "--dns-control", "nrpt"], {}, { env });
    assert.deepEqual([flag.code, flag.calls], [2, []], flag.stderr);
    assert.match(flag.stderr, /Cannot use --dns-control: /);
    assert.match(flag.stderr, own);
  }
  for (const name of ["FZ_DNS_CONTROL", "FIREZONE_DNS_CONTROL"]) {
    const variable = await fz(["run"], {}, { env: { ...env, [name]: "nrpt" } });
    assert.deepEqual([variable.code, variable.calls], [2, []]);
    assert.match(variable.stderr, new RegExp(`Cannot use the variable ${name}: `));
    assert.match(variable.stderr, own);
  }
  assert.equal((await fz(["config", "set", "dns-control", "nrpt"], {}, { os: "windows" })).code, 0);
  assert.equal((await fz(["config", "set", "dns-control", "resolvconf"], {}, { os: "windows" })).code, 2);
});

Deno.test("fz config: a profile with another system's way of DNS is read, and can be mended", async () => {
  const texts = { default: 'dns-control = "nrpt"\n' };
  assert.equal((await fz(["config", "get", "dns-control"], texts)).stdout, "nrpt\n");
  assert.equal((await fz(["config", "unset", "dns-control"], texts)).texts.get("default"), "");
  const flag = await fz(["run", "--dns-control", "disabled"], texts, { env: { FIREZONE_TOKEN: "t" } });
  assert.equal(flag.code, 0, flag.stderr);
});

Deno.test("fz config get: prints nothing where there is no value, and a document with --json", async () => {
  assert.deepEqual(await fz(["config", "get", "name"]).then(({ code, stdout }) => [code, stdout]), [0, ""]);
  const { stdout } = await fz(["config", "get", "name", "--json"], {}, { env: { FIREZONE_NAME: "box" } });
  assert.deepEqual(JSON.parse(stdout), {
    schema: 1,
    key: "name",
    value: "box",
    origin: { type: "variable", variable: "FIREZONE_NAME" },
  });
});

Deno.test("fz config set: says what keeps the new value from counting here", async () => {
  const profiles = { ...fakeProfiles({}), running: () => Promise.resolve("default") };
  const { stderr } = await fz(["config", "set", "name", "box"], {}, {
    env: { FIREZONE_NAME: "other" },
    host: { profiles: () => Promise.resolve(profiles) },
  });
  assert.match(stderr, /FIREZONE_NAME is set and wins/);
  assert.match(stderr, /running session takes it up when it starts again/);
});

Deno.test("fz config set --json: is one document", async () => {
  const { stdout, stderr } = await fz(["config", "set", "disabled-resources", "a b", "c", "--json"]);
  assert.deepEqual(JSON.parse(stdout), {
    schema: 1,
    profile: "default",
    path: "/config/profiles/default.toml",
    key: "disabled-resources",
    value: ["a b", "c"],
  });
  assert.equal(stderr, "");
});

Deno.test("fz config: wrong words are told with the way out, and exit 2", async (t) => {
  const table: [args: string[], message: RegExp, env?: Given][] = [
    [["config", "set", "api-ulr", "x"], /unknown setting "api-ulr". Did you mean "api-url"\?/],
    [["config", "set", "token", "s3cret"], /unknown setting "token"/],
    [["config", "set", "inc-buf", "maybe"], /Cannot set "inc-buf": "maybe" is neither/],
    [["config", "set", "name", "a", "b"], /Cannot set "name": it takes one value/],
    [["config", "set", "name", ""], /Cannot set "name": it is empty/],
    [["config", "set", "name"], /VALUE|argument/i],
    [["config", "get"], /KEY|argument/i],
    [["config", "shwo"], /Did you mean "config show"\?/],
    [["config", "get", "name", "--profile", "nobody"], /Cannot use the profile "nobody": there is none/],
    [["config", "set", "name", "x", "--profile", "wrk"], /there is none\. Did you mean "work"\?/],
    [["config", "show"], /Cannot use the variable FZ_LISTEN: "80" is not an address/, { FZ_LISTEN: "80" }],
    [["config", "show"], /variable FZ_PROFILE: "\.\.\/x" is not a profile's name/, { FZ_PROFILE: "../x" }],
    [["config", "show", "--listen", "80"], /--listen: "80" is not an address/],
  ];
  for (const [args, message, env = {}] of table) {
    await t.step(args.join(" "), async () => {
      const { code, stdout, stderr, texts } = await fz(args, { work: "" }, { env });
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
      assert.equal(stdout, "");
      assert.deepEqual([...texts.values()], ["", ""]);
    });
  }
});

Deno.test("fz config path: prints the file and nothing else, also of a profile that is not there yet", async () => {
  assert.equal((await fz(["config", "path"])).stdout, "/config/profiles/default.toml\n");
  assert.equal((await fz(["config", "path", "--profile", "new"])).stdout, "/config/profiles/new.toml\n");
  const { stdout } = await fz(["config", "path", "--json"], { work: "" }, { env: { FZ_PROFILE: "work" } });
  assert.equal(JSON.parse(stdout).path, "/config/profiles/work.toml");
});

Deno.test("fz run: takes settings from the profile, and what is stronger from elsewhere", async () => {
  const work = 'api-url = "wss://work.test/"\nname = "from-profile"\nid = "from-profile"\nflow-logs = true\n';
  const { code, calls, stderr } = await fz(
    ["run", "--check", "--profile", "work", "--firezone-name", "from-flag", "--no-flow-logs"],
    { work },
    { env: { FIREZONE_TOKEN: "t0ken", FIREZONE_ID: "from-env" } },
  );
  assert.equal(code, 0, stderr);
  const [, config] = calls[0] as [string, Readonly<Record<string, unknown>>];
  assert.equal(config.apiUrl, "wss://work.test/");
  assert.equal(config.name, "from-flag");
  assert.equal(config.id, "from-env");
  assert.equal(config.flowLogs, false);
});

Deno.test("fz run: the profile of --profile beats FZ_PROFILE beats the current one", async () => {
  const texts = { a: 'name = "a"\n', b: 'name = "b"\n' };
  const nameOf = async (args: string[], env: Given) => {
    const { calls } = await fz(["run", "--check", ...args], texts, {
      env: { FIREZONE_TOKEN: "t0ken", ...env },
    });
    return (calls[0]?.[1] as { name: string | undefined }).name;
  };
  assert.equal(await nameOf([], {}), undefined);
  assert.equal(await nameOf([], { FZ_PROFILE: "" }), undefined);
  assert.equal(await nameOf([], { FZ_PROFILE: "a" }), "a");
  assert.equal(await nameOf(["--profile", "b"], { FZ_PROFILE: "a" }), "b");
});

Deno.test("fz run: a session that falls back on its last good settings says so, a check does not fall back", async () => {
  const profiles = fakeProfiles({});
  const purposes: string[] = [];
  const warned: typeof profiles = {
    ...profiles,
    async load(choice, purpose) {
      purposes.push(purpose);
      return { ...await profiles.load(choice, purpose), warning: "line 3, column 7: torn" };
    },
  };
  const env = { FIREZONE_TOKEN: "t0ken" };
  const { stderr } = await fz(["run"], {}, { env, host: { profiles: () => Promise.resolve(warned) } });
  assert.match(stderr, /^fz: warning: line 3, column 7: torn$/m);
  await fz(["run", "--check"], {}, { env, host: { profiles: () => Promise.resolve(warned) } });
  assert.deepEqual(purposes, ["session", "command"]);
});

Deno.test("fz gateway, fz relay: read their variables by the same table, and name the one that is wrong", async () => {
  for (const role of ["gateway", "relay"]) {
    const { code, stderr, calls } = await fz([role], {}, {
      env: { FIREZONE_TOKEN: "t", FIREZONE_API_URL: "ftp://x" },
    });
    assert.equal(code, 2);
    assert.match(stderr, /^fz: Cannot use the variable FIREZONE_API_URL: "ftp:\/\/x" is not a URL/);
    assert.deepEqual(calls, []);
  }
  const { calls } = await fz(["gateway"], { default: 'name = "of-the-client"\n' }, {
    env: { FIREZONE_TOKEN: "t", FIREZONE_API_URL: "wss://a.test", FZ_API_URL: "wss://b.test" },
  });
  const [, config] = calls[0] as [string, Readonly<Record<string, unknown>>];
  assert.equal(config.apiUrl, "wss://b.test");
  assert.equal(config.name, undefined);
});
