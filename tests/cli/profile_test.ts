import assert from "node:assert/strict";
import { run } from "../../cli/mod.ts";
import { fakeContext, type FakeOptions } from "./fake_context.ts";
import { fakeProfiles } from "./fake_profiles.ts";

async function fz(
  args: readonly string[],
  given: ReturnType<typeof fakeProfiles> = fakeProfiles({ work: 'api-url = "wss://work.test/"\n' }),
  options: FakeOptions = {},
) {
  const context = fakeContext({ ...options, host: { profiles: () => Promise.resolve(given) } });
  const code = await run(args, context);
  return { code, ...context.written, profiles: given };
}

Deno.test("fz profile list: marks the current one, for people and for programs", async () => {
  const { stdout } = await fz(["profile", "list"]);
  assert.equal(
    stdout,
    "   PROFILE  CREDENTIAL\n*  default  signed out\n   work     signed out\n",
  );
  const json = JSON.parse((await fz(["profile", "list", "--json"])).stdout);
  assert.equal(json.schema, 1);
  assert.deepEqual(json.profiles, [
    { name: "default", current: true, path: "/config/profiles/default.toml", signedIn: false },
    { name: "work", current: false, path: "/config/profiles/work.toml", signedIn: false },
  ]);
});

Deno.test("fz profile show: prints what the profile sets and where it is", async () => {
  const { stdout } = await fz(["profile", "show", "work"]);
  assert.match(stdout, /^Profile +work$/m);
  assert.match(stdout, /^Credential +signed out$/m);
  assert.match(stdout, /^Token file +\/config\/profiles\/work\.token$/m);
  assert.match(stdout, /^api-url +wss:\/\/work\.test\/$/m);
  assert.match((await fz(["profile", "show"])).stdout, /^Profile +default \(current\)$/m);
  const json = JSON.parse((await fz(["profile", "show", "work", "--json"])).stdout);
  assert.deepEqual(json.settings, { "api-url": "wss://work.test/" });
  const none = await fz(["profile", "show", "wrok"]);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /there is none\. Did you mean "work"\?/);
});

Deno.test("fz profile add: writes the settings of its flags, and no variable's", async () => {
  const { code, stdout, stderr, profiles } = await fz(
    [
      "profile",
      "add",
      "lab",
      "--api-url",
      "wss://lab.test/",
      "--account-slug",
      "acme",
      "--firezone-name",
      "box",
      "--use",
    ],
    fakeProfiles({}),
    { env: { FZ_AUTH_BASE_URL: "https://elsewhere.test" } },
  );
  assert.equal(code, 0);
  assert.equal(stdout, "");
  assert.match(stderr, /Made the profile "lab".*\n.*fz sign-in/);
  assert.equal(
    profiles.texts.get("lab"),
    'api-url = "wss://lab.test/"\naccount-slug = "acme"\nname = "box"\n',
  );
  assert.equal(await profiles.current(), "lab");
});

Deno.test("fz profile use: says what stays as it is", async () => {
  const profiles = { ...fakeProfiles({ work: "" }), running: () => Promise.resolve("default") };
  const { code, stderr } = await fz(["profile", "use", "work"], profiles, { env: { FZ_PROFILE: "other" } });
  assert.equal(code, 0);
  assert.match(stderr, /current profile is now "work"/);
  assert.match(stderr, /running session stays with "default"; `fz down` and `fz up`/);
  assert.match(stderr, /FZ_PROFILE is set and wins/);
});

Deno.test("fz profile remove: asks on a terminal, and needs --force where there is none", async () => {
  const without = await fz(["profile", "remove", "work"]);
  assert.equal(without.code, 2);
  assert.match(without.stderr, /there is no terminal\n.*--force/);
  assert.ok(without.profiles.texts.has("work"));
  for (const answer of [true, false]) {
    const questions: string[] = [];
    const confirm = (question: string) => {
      questions.push(question);
      return Promise.resolve(answer);
    };
    const asked = await fz(["profile", "remove", "work"], undefined, {
      prompt: { isPossible: true, confirm },
    });
    assert.equal(asked.code, 0);
    assert.equal(asked.profiles.texts.has("work"), !answer);
    assert.deepEqual(questions, ['Remove the profile "work" with its token?']);
  }
  const forced = await fz(["profile", "remove", "work", "--force", "--json"]);
  assert.deepEqual(JSON.parse(forced.stdout), { schema: 1, name: "work", removed: true });
  const unknown = await fz(["profile", "remove", "nobody"], undefined, { prompt: { isPossible: true } });
  assert.equal(unknown.code, 2);
});

Deno.test("fz profile rename: keeps the settings", async () => {
  const { code, profiles } = await fz(["profile", "rename", "work", "job"]);
  assert.equal(code, 0);
  assert.equal(profiles.texts.get("job"), 'api-url = "wss://work.test/"\n');
  assert.equal(profiles.texts.has("work"), false);
});

Deno.test("fz profile: names that could lead elsewhere are turned down", async (t) => {
  for (const name of ["../x", "/etc/passwd", "UPPER", ".hidden", "a b", "x".repeat(64), ""]) {
    for (
      const args of [["add", name], ["use", name], ["show", name], ["rename", "work", name], ["remove", name]]
    ) {
      await t.step(args.join(" "), async () => {
        const { code, stderr } = await fz(["profile", ...args]);
        assert.equal(code, 2);
        assert.match(stderr, /not a profile's name/);
      });
    }
  }
});
