import assert from "node:assert/strict";
import { SocketAddress } from "../../../lib/base/ip.ts";
import { Fault } from "../../../lib/base/fault.ts";
import {
  IGNORED_VARIABLES,
  SETTING_NAMES,
  type SettingName,
  settingNamed,
  SETTINGS,
  unknownSetting,
} from "../../../lib/control/settings.ts";
import {
  describeOrigin,
  type ProfileSettings,
  readVariable,
  resolveSetting,
  resolveSettings,
  type Sources,
} from "../../../lib/control/sources.ts";

/** Of each setting three values that differ from each other and from the default, and a text that is none. */
const SAMPLES: { readonly [K in SettingName]: readonly [string, string, string, wrong: string] } = {
  apiUrl: ["wss://a.test/", "https://b.test", "ws://[::1]:8080/x", "ftp://c.test"],
  name: ["one", "two words", "drei", "bell\x07"],
  id: ["id-1", "id-2", "id-3", "a\nb"],
  tokenPath: ["/a/token", "/b/token", "/c/token", "\x00"],
  dnsControl: ["disabled", "etc-resolv-conf", "systemd-resolved", "magic"],
  internetResource: ["true", "true", "true", "maybe"],
  disabledResources: ["a,b", "c", "d, e", "x\x1b[2J"],
  tunName: ["tun-a", "tun-b", "tun-c", "sixteen-letters!"],
  mtu: ["1200", "1000", "576", "9000"],
  port: ["1", "4500", "65535", "65536"],
  excluded: ["10.0.0.0/8", "192.0.2.1,2001:db8::/32", "fd00::/8", "10.0.0.0/33"],
  lan: ["deny", "deny", "deny", "maybe"],
  maxPartitionTime: ["30s", "1h 30m", "2days", "5 parsecs"],
  failFast: ["1", "yes", "ON", "2"],
  listen: ["127.0.0.1:1", "127.0.0.1:2", "[::1]:3", "8080"],
  increaseBuffers: ["true", "1", "on", "-"],
  flowLogs: ["true", "1", "on", "y"],
  logFilter: ["debug", "info,ice=trace", "warn", "\x07"],
  logFormat: ["json", "json", "json", "xml"],
  logDir: ["/a", "/b", "/c", "\t"],
  authBaseUrl: ["https://a.test", "http://b.test", "https://c.test", "wss://d.test"],
  accountSlug: ["acme", "acme_2", "6f1e", "a b"],
};

const EMPTY: ProfileSettings = { path: "/p.toml", values: {}, lines: {} };

Deno.test("SETTINGS: no key, flag or variable means two things", () => {
  const all = SETTING_NAMES.map((name) => SETTINGS[name]);
  const words = [
    ...all.map(({ key }) => key),
    ...all.flatMap(({ flags }) => flags),
    ...all.flatMap(({ off }) => off ?? []),
    ...all.flatMap(({ variables }) => variables),
  ];
  assert.deepEqual(words.filter((word, index) => words.indexOf(word) !== index), []);
  for (const { key, flags, variables, description } of all) {
    assert.match(key, /^[a-z]+(-[a-z]+)*$/);
    assert.ok(flags.some((flag) => flag.startsWith("--")), key);
    assert.match(variables[0], /^FZ_[A-Z_]+$/, key);
    assert.match(description, /^[A-Z].*\.$/, key);
  }
});

Deno.test("SETTINGS: every variable of upstream's client is known", () => {
  // client-behaviour.md A.3, retyped; FIREZONE_TOKEN is a secret and no setting.
  const upstream = [
    ...[
      "FIREZONE_DNS_CONTROL",
      "LOG_DIR",
      "MAX_PARTITION_TIME",
      "FIREZONE_API_URL",
      "FIREZONE_NAME",
      "FIREZONE_ID",
    ],
    ...[
      "FIREZONE_ACTIVATE_INTERNET_RESOURCE",
      "FIREZONE_TOKEN_PATH",
      "FIREZONE_INC_BUF",
      "FIREZONE_FLOW_LOGS",
    ],
    ...["RUST_LOG", "FIREZONE_AUTH_BASE_URL", "FIREZONE_ACCOUNT_SLUG"],
  ];
  const without = [
    ...["FIREZONE_NO_TELEMETRY", "FIREZONE_METRICS", "OTLP_GRPC_ENDPOINT", "FIREZONE_MTLS_HOST"],
    ...["FIREZONE_WINTUN_RINGBUFFER_SIZE", "FIREZONE_UDP_RECV_BUFFER_SIZE", "FIREZONE_UDP_SEND_BUFFER_SIZE"],
  ];
  const known = SETTING_NAMES.flatMap((name) => SETTINGS[name].variables);
  assert.deepEqual(upstream.filter((variable) => !known.includes(variable)), []);
  assert.deepEqual([...without].sort(), [...IGNORED_VARIABLES].sort());
  assert.equal(known.some((variable) => /TOKEN$/.test(variable)), false);
});

Deno.test("resolveSettings: flag beats variables in their order, then the profile, then a switch, then the default", async (t) => {
  for (const name of SETTING_NAMES) {
    await t.step(SETTINGS[name].key, () => checkPrecedence(name));
  }
});

function checkPrecedence<K extends SettingName>(name: K): void {
  const { kind, variables, fallback, key } = SETTINGS[name];
  const [one, two, three] = SAMPLES[name].slice(0, 3).map((text) => {
    const read = kind.read(text);
    assert.ok(read.ok, `${key}: ${text}`);
    return read.value;
  });
  const profile: ProfileSettings = { ...EMPTY, values: { [name]: three }, lines: { [name]: 7 } };
  const env: Record<string, string> = {};
  const look = (sources: Partial<Sources>) =>
    resolveSetting(name, { flags: {}, variable: (variable) => env[variable], profile: EMPTY, ...sources });

  assert.deepEqual(look({}), { value: fallback, origin: { type: "default" } });
  assert.deepEqual(look({ profile: undefined }).value, fallback);
  const switched = { [name]: two };
  assert.deepEqual(look({ switched, profile: undefined }), { value: two, origin: { type: "switched" } });
  assert.deepEqual(look({ profile, switched }), {
    value: three,
    origin: { type: "profile", path: "/p.toml", line: 7 },
  });
  // The last variable first: each that comes before it wins over it.
  for (const variable of [...variables].reverse()) {
    env[variable] = "";
    assert.equal(look({ profile }).origin.type, variable === variables.at(-1) ? "profile" : "variable");
    env[variable] = SAMPLES[name][1];
    assert.deepEqual(look({ profile }), { value: two, origin: { type: "variable", variable } });
  }
  const long = SETTINGS[name].flags.find((flag) => flag.startsWith("--"))!;
  assert.deepEqual(look({ profile, flags: { [name]: one } }), {
    value: one,
    origin: { type: "flag", flag: long },
  });
}

Deno.test("resolveSettings: a switch that something turned on can be turned off by what is stronger", () => {
  const profile: ProfileSettings = { ...EMPTY, values: { flowLogs: true }, lines: { flowLogs: 1 } };
  const env: Record<string, string> = { FIREZONE_FLOW_LOGS: "false" };
  const sources = { flags: {}, variable: (name: string) => env[name], profile };
  assert.equal(resolveSettings(sources).settings.flowLogs, false);
  env.FIREZONE_FLOW_LOGS = "true";
  assert.equal(resolveSettings({ ...sources, flags: { flowLogs: false } }).settings.flowLogs, false);
});

Deno.test("resolveSettings: fills in every setting and its origin", () => {
  const { settings, origins } = resolveSettings({
    flags: {},
    variable: () => undefined,
    profile: undefined,
    defaults: { tokenPath: "/t" },
  });
  assert.deepEqual(Object.keys(settings).sort(), [...SETTING_NAMES].sort());
  assert.equal(settings.tokenPath, "/t");
  assert.ok(Object.values(origins).every(({ type }) => type === "default"));
});

Deno.test("readVariable: names the variable that holds nonsense", async (t) => {
  for (const name of SETTING_NAMES) {
    for (const variable of SETTINGS[name].variables) {
      await t.step(variable, () => {
        const env: Record<string, string> = { [variable]: SAMPLES[name][3] };
        assert.throws(
          () => readVariable<unknown>(SETTINGS[name].kind, SETTINGS[name].variables, (key) => env[key]),
          (error) =>
            error instanceof Fault && error.code === "usage" &&
            error.message.includes(`variable ${variable}:`) &&
            // deno-lint-ignore no-control-regex
            !/[\x00-\x1f]/.test(error.message),
        );
      });
    }
  }
});

Deno.test("ValueKind: what it writes into a profile it reads back", () => {
  for (const name of SETTING_NAMES) {
    for (const text of SAMPLES[name].slice(0, 3)) roundTrip(name, text);
  }
});

function roundTrip<K extends SettingName>(name: K, text: string): void {
  const { kind } = SETTINGS[name];
  const value = kind.read(text);
  assert.ok(value.ok);
  const plain = kind.plain(value.value);
  const again = kind.fromPlain(plain);
  assert.ok(again.ok, `${name}: ${plain}`);
  assert.deepEqual(kind.plain(again.value), plain);
}

Deno.test("ValueKind: takes no value of another type from a profile", () => {
  for (const name of SETTING_NAMES) {
    const { kind } = SETTINGS[name];
    for (const value of [5, 1.5, new Date(0), {}, null, [1], [["a"]], ""]) {
      if (kind.type === "list" && Array.isArray(value) && value.length === 0) continue;
      // A port may be so small.
      if (name === "port" && value === 5) continue;
      const read = kind.fromPlain(value);
      assert.equal(read.ok, false, `${name} ${JSON.stringify(value)}`);
    }
    assert.equal(kind.fromPlain(true).ok, kind.type === "switch");
    assert.equal(kind.fromPlain("x".repeat(5000)).ok, false, name);
  }
});

Deno.test("ValueKind: paths in a profile are absolute, since nobody knows where a service stands", () => {
  const { kind } = SETTINGS.tokenPath;
  assert.equal(kind.read("token").ok, true);
  assert.equal(kind.fromPlain("token").ok, false);
  assert.equal(kind.fromPlain("C:\\token").ok, true);
});

Deno.test("ValueKind: a URL with a password is turned down and not repeated", () => {
  const read = SETTINGS.apiUrl.kind.read("wss://me:hunter2@portal.test/");
  assert.equal(read.ok, false);
  assert.doesNotMatch(JSON.stringify(read), /hunter2/);
});

Deno.test("ValueKind: addresses and lists are read as values", () => {
  const listen = SETTINGS.listen.kind.read("[::1]:80");
  assert.ok(listen.ok && listen.value instanceof SocketAddress);
  assert.deepEqual(SETTINGS.disabledResources.kind.read(" a , ,b "), { ok: true, value: ["a", "b"] });
  assert.equal(SETTINGS.disabledResources.kind.fromPlain(Array.from({ length: 300 }, () => "x")).ok, false);
});

Deno.test("ValueKind: a network of all addresses is turned down: nothing would be left for the tunnel", () => {
  for (const text of ["0.0.0.0/0", "::/0", "10.0.0.0/8,0.0.0.0/0"]) {
    const read = SETTINGS.excluded.kind.read(text);
    assert.ok(!read.ok && /leaves nothing for the tunnel/.test(String(read.reason)), text);
  }
  assert.ok(SETTINGS.excluded.kind.read("0.0.0.0/1").ok);
});

Deno.test("settingNamed: finds settings by key, and suggests the nearest where there is none", () => {
  assert.equal(settingNamed("api-url"), "apiUrl");
  assert.equal(settingNamed("apiUrl"), undefined);
  assert.equal(settingNamed("constructor"), undefined);
  assert.equal(unknownSetting("api-ulr"), 'unknown setting "api-ulr". Did you mean "api-url"?');
  assert.equal(unknownSetting("colour-of-the-sky"), 'unknown setting "colour-of-the-sky"');
  assert.ok(unknownSetting("x".repeat(10_000)).length < 100);
});

Deno.test("describeOrigin: says it in a few words", () => {
  assert.equal(describeOrigin({ type: "flag", flag: "--api-url" }), "--api-url");
  assert.equal(describeOrigin({ type: "variable", variable: "FZ_ID" }), "FZ_ID");
  assert.equal(describeOrigin({ type: "profile", path: "/p.toml", line: 3 }), "/p.toml:3");
  assert.equal(describeOrigin({ type: "default" }), "default");
});

Deno.test("log-filter: a profile says one that can be used, a variable may be meant for others", () => {
  const { kind } = SETTINGS.logFilter;
  assert.ok(kind.fromPlain("info,dns=debug").ok);
  assert.ok(!kind.fromPlain("nonsense=").ok);
  assert.ok(kind.read("nonsense=").ok);
});
