import assert from "node:assert/strict";
import { run } from "../../cli/mod.ts";
import type { Control } from "../../lib/control/control.ts";
import { authBaseOf, signInUrl } from "../../cli/sign_in_url.ts";
import { qrLines } from "../../cli/qr.ts";
import { Fault } from "../../lib/base/fault.ts";
import type { Credentials, Identity } from "../../lib/control/credential.ts";
import type { TypedLine } from "../../lib/control/typed_line.ts";
import { fakeContext, type FakeOptions } from "./fake_context.ts";
import { type FakeCredentials, fakeCredentials } from "./fake_credentials.ts";
import { fakeProfiles } from "./fake_profiles.ts";

const PATH = "/etc/dev.firezone.client/token";
const PORTAL = "wss://api.firezone.dev/";
const ADA: Identity = {
  portal: PORTAL,
  account: { slug: "acme", name: "Acme" },
  actor: { name: "Ada", email: "ada@corp.example" },
};

Deno.test("sign-in: tries the token from standard input, keeps it, and says who and what is next", async () => {
  const { context, credentials } = world({
    credentials: {
      signIn: () => Promise.resolve({ ...ADA, resources: 3, expiresAt: null }),
      ...input(" t0ken\r\n"),
    },
  });
  assert.equal(await run(["sign-in", "--token-stdin"], context), 0);
  assert.equal(context.written.stdout, "Signed in as Ada <ada@corp.example> in Acme (acme): 3 resources\n");
  assert.equal(
    context.written.stderr,
    "fz: Trying the token at wss://api.firezone.dev/ …\nNext: `fz up` connects.\n",
  );
  assert.equal(credentials.stored.get(PATH)?.token, "t0ken");
  assert.deepEqual(credentials.stored.get(PATH)?.identity?.account, ADA.account);
});

Deno.test("sign-in: takes the token from a file, the environment or systemd, and then not from a browser", async () => {
  const file = world({ credentials: input("from-file\n") });
  assert.equal(await run(["sign-in", "--token-file", "/tmp/x"], file.context), 0);
  assert.equal(file.credentials.stored.get(PATH)?.token, "from-file");

  const dash = world({ credentials: input("from-stdin\n") });
  assert.equal(await run(["sign-in", "--token-file", "-"], dash.context), 0);
  assert.equal(dash.credentials.stored.get(PATH)?.token, "from-stdin");

  const variable = world({ env: { FIREZONE_TOKEN: "from-env " } });
  assert.equal(await run(["sign-in"], variable.context), 0);
  assert.equal(variable.credentials.stored.get(PATH)?.token, "from-env");
  assert.equal(variable.context.variables.has("FIREZONE_TOKEN"), false);

  const handed = world({
    env: { CREDENTIALS_DIRECTORY: "/run/credentials/fz" },
    host: {
      readToken: (path) => Promise.resolve(path === "/run/credentials/fz/token" ? "handed\n" : undefined),
    },
  });
  assert.equal(await run(["sign-in"], handed.context), 0);
  assert.equal(handed.credentials.stored.get(PATH)?.token, "handed");
});

Deno.test("sign-in: without a terminal and without a token names the ways, and exits 2", async () => {
  const { context } = world({});
  assert.equal(await run(["sign-in"], context), 2);
  assert.equal(
    context.written.stderr,
    "fz: Cannot sign in with a browser: there is no terminal to paste the token into\n" +
      "    Hand over a token with --token-stdin, --token-file FILE or FIREZONE_TOKEN.\n",
  );
});

Deno.test("sign-in: refuses --token, and two sources at once, without repeating the secret", async () => {
  for (const args of [["--token", "s3cret"], ["--token-stdin", "--token-file", "x"]]) {
    const { context } = world({ credentials: input("s3cret") });
    assert.equal(await run(["sign-in", ...args], context), 2);
    assert.ok(!context.written.stderr.includes("s3cret"));
  }
});

Deno.test("sign-in: refuses what is no token with one sentence, and keeps what there was", async () => {
  const table = [
    ["", /standard input: it is empty\n/],
    ["s3cret s3cret", /it has spaces or line breaks inside\n/],
    ["s3cret\0", /it has characters that no token has\n/],
    ["s3cret".repeat(10_000), /it is longer than 8192 characters\n/],
  ] as const;
  for (const [text, message] of table) {
    const { context, credentials } = world({ credentials: input(text) });
    credentials.stored.set(PATH, { token: "before", identity: undefined });
    assert.equal(await run(["sign-in", "--token-stdin"], context), 3);
    assert.match(context.written.stderr, message);
    assert.ok(!context.written.stderr.includes("s3cret"));
    assert.equal(credentials.stored.get(PATH)?.token, "before");
    assert.deepEqual(credentials.requests, []);
  }
});

Deno.test("sign-in: keeps nothing that the portal does not take; the exit code tells why", async () => {
  for (const [code, exit] of [["rejected", 3], ["expired", 4], ["unreachable", 5]] as const) {
    const signIn = () => Promise.reject(new Fault(code, "No", { next: "Later." }));
    const { context, credentials } = world({ credentials: { signIn, ...input("t0ken") } });
    assert.equal(await run(["sign-in", "--token-stdin"], context), exit);
    assert.match(context.written.stderr, /fz: No\n {4}Later\.\n$/);
    assert.equal(credentials.stored.size, 0);
  }
});

Deno.test("sign-in: --no-verify keeps the token and says that nobody tried it", async () => {
  const { context, credentials } = world({ credentials: input("t0ken") });
  assert.equal(await run(["sign-in", "--token-stdin", "--no-verify"], context), 0);
  assert.deepEqual(credentials.requests, []);
  assert.equal(context.written.stdout, `The token is kept in "${PATH}". It was not tried at the portal.\n`);
});

Deno.test("sign-in: --json prints one document, without the token", async () => {
  const signIn = () => Promise.resolve({ ...ADA, resources: 1, addresses: ["100.64.0.1", "fd00::1"] });
  const { context } = world({ credentials: { signIn, ...input("t0ken") } });
  assert.equal(await run(["sign-in", "--token-stdin", "--json"], context), 0);
  const document = JSON.parse(context.written.stdout);
  assert.deepEqual(Object.keys(document), [
    ...[
      "schema",
      "verified",
      "profile",
      "tokenPath",
      "account",
      "actor",
      "signedInAt",
      "portal",
      "resources",
    ],
    "addresses",
  ]);
  assert.equal(document.schema, 1);
  assert.ok(!context.written.stdout.includes("t0ken"));
});

Deno.test("sign-in: a profile remembers its portal, so that its token goes to no other", async () => {
  const profiles = fakeProfiles({});
  const { context, credentials } = world({
    credentials: input("t0ken"),
    host: { profiles: () => Promise.resolve(profiles) },
  });
  const args = ["--profile", "work", "--api-url", "wss://portal.corp.example/", "--account-slug", "acme"];
  profiles.texts.set("work", "");
  assert.equal(await run(["sign-in", "--token-stdin", ...args], context), 0);
  assert.equal(credentials.stored.get("/config/profiles/work.token")?.token, "t0ken");
  assert.match(profiles.texts.get("work") ?? "", /api-url = "wss:\/\/portal\.corp\.example\/"/);
  assert.match(profiles.texts.get("work") ?? "", /account-slug = "acme"/);
});

Deno.test("sign-in: in a browser shows page and code, takes the pasted token, and echoes nothing", async () => {
  const { context, credentials } = world({
    isTerminal: true,
    prompt: answering({ type: "text", text: "past3d\n" }),
  });
  assert.equal(await run(["sign-in", "--account-slug", "acme"], context), 0);
  assert.deepEqual(credentials.opened, ["https://app.firezone.dev/acme?as=headless-client"]);
  assert.match(
    context.written.stderr,
    /on any device:\n\n {2}.*https:\/\/app\.firezone\.dev\/acme\?as=headless-client/,
  );
  assert.equal(credentials.stored.get(PATH)?.token, "past3d");
  assert.ok(!context.written.stderr.includes("past3d") && !context.written.stdout.includes("past3d"));
});

Deno.test("sign-in: shows a code only where it fits, and only without a browser", async () => {
  const table = [
    { columns: 80, isOpen: false, args: [], hasCode: true },
    { columns: 40, isOpen: false, args: [], hasCode: true },
    { columns: 24, isOpen: false, args: [], hasCode: false },
    { columns: 80, isOpen: true, args: [], hasCode: false },
    { columns: 80, isOpen: true, args: ["--no-browser"], hasCode: true },
  ];
  for (const { columns, isOpen, args, hasCode } of table) {
    const { context } = world({
      isTerminal: true,
      env: { NO_COLOR: "1" },
      prompt: answering({ type: "text", text: "t0ken" }),
      credentials: { openBrowser: () => Promise.resolve(isOpen) },
    });
    const stderr = { ...context.stderr, columns };
    assert.equal(await run(["sign-in", ...args], { ...context, stderr }), 0);
    const lines = context.written.stderr.split("\n").filter((line) => /[█▀▄]/.test(line));
    assert.equal(lines.length > 10, hasCode);
    for (const line of lines) assert.ok(line.length <= columns);
  }
});

Deno.test("sign-in: Ctrl+C at the prompt exits 130, Ctrl+D with 3, and nothing is kept", async () => {
  const interrupted = world({ prompt: answering({ type: "interrupted" }) });
  assert.equal(await run(["sign-in"], interrupted.context), 130);
  assert.equal(interrupted.credentials.stored.size, 0);
  const cancelled = world({ prompt: answering({ type: "cancelled" }) });
  assert.equal(await run(["sign-in"], cancelled.context), 3);
  assert.match(cancelled.context.written.stderr, /Cannot sign in: no token was given/);
});

Deno.test("sign-in: hands the token to a running session of this profile and portal, and to no other", async () => {
  const table = [
    { state: "connected", isGentle: true, asked: ["status", "credential"], says: /goes on with it/ },
    { state: "signed-out", isGentle: false, asked: ["status", "credential"], says: /goes on with it/ },
    { state: "connected", profile: "work", isGentle: true, asked: ["status"], says: /`fz up` connects/ },
    {
      state: "connected",
      url: "wss://else.test/",
      isGentle: true,
      asked: ["status"],
      says: /another portal/,
    },
  ];
  for (const { state, profile = "default", url = PORTAL, isGentle, asked, says } of table) {
    const session = fakeSession({ state, profile, url });
    const { context, credentials } = world({
      credentials: input("t0ken"),
      host: { control: session.control },
    });
    assert.equal(await run(["sign-in", "--token-stdin"], context), 0);
    assert.equal(credentials.requests[0]?.isGentle, isGentle);
    assert.deepEqual(session.asked, asked);
    assert.match(context.written.stderr, says);
  }
});

Deno.test("whoami: prints what is known, aligned", async () => {
  const expiresAt = new Date(Date.now() + 5.5 * 86_400_000).toISOString();
  const { context, credentials } = world({ host: stored("t0ken") });
  credentials.stored.set(PATH, { token: "t0ken", identity: { ...ADA, expiresAt } });
  assert.equal(await run(["whoami"], context), 0);
  const expiry = `in 5 d 11 h (${expiresAt.slice(0, 16).replace("T", " ")} UTC)`;
  assert.equal(
    context.written.stdout,
    "Account  Acme (acme)\n" +
      "Actor    Ada <ada@corp.example>\n" +
      "Device   machine (device-id)\n" +
      `Portal   ${PORTAL}\n` +
      "Profile  default\n" +
      `Token    ${PATH}\n` +
      `Expires  ${expiry}\n`,
  );
  assert.equal(context.written.stderr, "");
});

Deno.test("whoami: believes the portal, warns of a near end, and says what nobody tells", async () => {
  const expiresAt = new Date(Date.now() + 5_300_000).toISOString();
  const near = world({
    host: stored("t0ken"),
    credentials: { ask: () => Promise.resolve({ ...ADA, expiresAt }) },
  });
  assert.equal(await run(["whoami", "--json"], near.context), 0);
  assert.match(near.context.written.stderr, /The sign-in ends in 1 h .*; `fz sign-in` renews it/);
  const document = JSON.parse(near.context.written.stdout);
  assert.equal(document.expiresAt, expiresAt);
  assert.deepEqual(document.token, { type: "file", path: PATH });

  const silent = world({ env: { FIREZONE_TOKEN: "t0ken" } });
  assert.equal(await run(["whoami"], silent.context), 0);
  assert.match(silent.context.written.stdout, /^Account {2}unknown: the portal does not tell$/m);
  assert.match(silent.context.written.stdout, /^Token {4}the variable FIREZONE_TOKEN$/m);
  assert.match(silent.context.written.stdout, /^Expires {2}unknown/m);
});

Deno.test("whoami: exits 3 without a token and with a dead one, 4 when it expired", async () => {
  const none = world({});
  assert.equal(await run(["whoami"], none.context), 3);
  assert.match(
    none.context.written.stderr,
    /Not signed in: there is no token in ".*"\n {4}Run `fz sign-in`\.\n/,
  );
  const ask = () => Promise.reject(new Fault("rejected", "The portal does not accept the token"));
  assert.equal(await run(["whoami"], world({ host: stored("t0ken"), credentials: { ask } }).context), 3);
  const old = world({
    host: stored("t0ken"),
    credentials: { ask: () => Promise.resolve({ expiresAt: "2001-01-01T00:00:00Z" }) },
  });
  assert.equal(await run(["whoami"], old.context), 4);
});

Deno.test("sign-out: asks, stops the session, tells the portal, and forgets", async () => {
  const session = fakeSession({});
  const { context, credentials } = world({
    prompt: { isPossible: true, confirm: (question) => Promise.resolve(question === QUESTION) },
    host: { ...stored("t0ken"), control: session.control },
  });
  credentials.stored.set(PATH, { token: "t0ken", identity: ADA });
  assert.equal(await run(["sign-out"], context), 0);
  assert.deepEqual(session.asked, ["status", "stop"]);
  assert.deepEqual(credentials.revoked, ["t0ken"]);
  assert.equal(credentials.stored.size, 0);
  assert.equal(context.written.stdout, "Signed out\n");
  assert.match(context.written.stderr, /stays valid until it expires; an administrator can revoke it\.\n$/);
});

const QUESTION = "You are signed in as Ada <ada@corp.example> in Acme (acme). Sign out?";

Deno.test("sign-out: a no changes nothing; without a terminal --force is needed", async () => {
  const no = world({
    prompt: { isPossible: true, confirm: () => Promise.resolve(false) },
    host: stored("t0ken"),
  });
  no.credentials.stored.set(PATH, { token: "t0ken", identity: undefined });
  assert.equal(await run(["sign-out"], no.context), 0);
  assert.equal(no.context.written.stderr, "Nothing was changed\n");
  assert.equal(no.credentials.stored.size, 1);

  const pipe = world({ host: stored("t0ken") });
  pipe.credentials.stored.set(PATH, { token: "t0ken", identity: undefined });
  assert.equal(await run(["sign-out"], pipe.context), 2);
  assert.match(pipe.context.written.stderr, /there is no terminal\n {4}Use --force/);
  assert.equal(await run(["sign-out", "--force"], pipe.context), 0);
  assert.equal(pipe.credentials.stored.size, 0);
});

Deno.test("sign-out: says so where nobody is signed in; a broken file goes all the same", async () => {
  const none = world({});
  assert.equal(await run(["sign-out"], none.context), 0);
  assert.equal(none.context.written.stderr, `fz: Not signed in: there is no token in "${PATH}"\n`);

  const readToken = () => Promise.reject(new Fault("rejected", "Cannot use the token: its mode is 644"));
  const broken = world({ host: { readToken } });
  broken.credentials.stored.set(PATH, { token: "t0ken", identity: undefined });
  assert.equal(await run(["sign-out", "--force"], broken.context), 0);
  assert.deepEqual(broken.credentials.revoked, []);
  assert.equal(broken.credentials.stored.size, 0);
});

Deno.test("sign-out: leaves another profile's session alone", async () => {
  const session = fakeSession({ profile: "work" });
  const { context, credentials } = world({ host: { ...stored("t0ken"), control: session.control } });
  credentials.stored.set(PATH, { token: "t0ken", identity: undefined });
  assert.equal(await run(["sign-out", "--force"], context), 0);
  assert.deepEqual(session.asked, ["status"]);
});

Deno.test("authBaseOf: is Firezone's page for its portals, and the portal's own host otherwise", () => {
  const table = [
    ["wss://api.firezone.dev/", "https://app.firezone.dev"],
    ["wss://api.firez.one", "https://app.firez.one"],
    ["ws://127.0.0.1:8081/", "http://127.0.0.1:8081"],
    ["wss://portal.corp.example", "https://portal.corp.example"],
    ["https://corp.example:8443/fz/", "https://corp.example:8443/fz"],
    ["ws://[::1]:8081", "http://[::1]:8081"],
    ["ws://portal.test/", "http://portal.test:443"],
  ] as const;
  for (const [apiUrl, base] of table) assert.equal(authBaseOf(apiUrl), base);
  assert.equal(signInUrl("http://127.0.0.1:8081", undefined), "http://127.0.0.1:8081/?as=headless-client");
  assert.equal(signInUrl("https://x.test/fz/", "acme"), "https://x.test/fz/acme?as=headless-client");
});

Deno.test("qrLines: are as wide as each other and no wider than asked; the border is light", () => {
  const lines = qrLines("https://app.firezone.dev/acme?as=headless-client", 40)!;
  assert.match(lines[0]!, /^█{33}$/);
  for (const line of lines) assert.match(line, /^[█▀▄ ]{33}$/);
  assert.equal(qrLines("https://app.firezone.dev/acme?as=headless-client", 32), undefined);
});

interface World extends FakeOptions {
  readonly credentials?: Partial<Credentials>;
}

function world(options: World) {
  const requests: FakeCredentials["requests"] = [];
  const { signIn = () => Promise.resolve({}), ...rest } = options.credentials ?? {};
  const credentials: FakeCredentials = {
    ...fakeCredentials(rest),
    requests,
    signIn: (request) => {
      requests.push(request);
      return signIn(request);
    },
  };
  const context = fakeContext({
    ...options,
    host: { credentials: () => Promise.resolve(credentials), ...options.host },
  });
  return { context, credentials };
}

function input(text: string): Partial<Credentials> {
  return { readInput: () => Promise.resolve(text) };
}

function stored(token: string) {
  return { readToken: (path: string) => Promise.resolve(path === PATH ? `${token}\n` : undefined) };
}

function answering(line: TypedLine) {
  return { isPossible: true, secret: () => Promise.resolve(line) };
}

/** A session that notes what it is asked, and is gone when it was stopped. */
function fakeSession({ state = "connected", profile = "default", url = PORTAL }) {
  const asked: string[] = [];
  const control = {
    ask: (route: string) => {
      asked.push(route);
      return Promise.resolve(route === "status" ? { state, profile, portal: { url } } : { schema: 1 });
    },
  } as unknown as Control;
  return {
    asked,
    control: () =>
      asked.includes("stop") ? Promise.reject(new Fault("not-running", "Gone")) : Promise.resolve(control),
  };
}
