import assert from "node:assert/strict";
import type { Host } from "../../io/lab/host.ts";
import { inLab } from "../../io/lab/lab.ts";
import type { Outcome } from "../../io/lab/process.ts";
import { tracesOn } from "./support/traces.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const TOKEN = { FIREZONE_TOKEN: "t0ken" };
const CLIENT = ["run", "--dns-control", "disabled", "-u"];

interface Case {
  readonly name: string;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
  /** Runs the command line that follows it. */
  readonly by?: readonly string[];
  readonly code: number;
  readonly says: RegExp;
}

const DROP_PRIVILEGES = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"];

const CASES: readonly Case[] = [
  { name: "an unknown flag", args: ["run", "--nope"], env: TOKEN, code: 2, says: /Unknown option "--nope"/ },
  { name: "no token", args: ["run"], code: 3, says: /there is no token in FIREZONE_TOKEN, and no file/ },
  {
    name: "a token file that others can read",
    args: ["run", "--token-path", "/run/open-token"],
    code: 3,
    says: /its mode is 644\n {4}Run "chmod 600 \/run\/open-token"/,
  },
  {
    name: "a token file of somebody else",
    args: ["run", "--token-path", "/run/foreign-token"],
    code: 3,
    says: /it is owned by 1234:1234/,
  },
  {
    name: "a portal that does not know the token",
    args: [...CLIENT, "ws://127.0.0.1:9401"],
    env: TOKEN,
    code: 3,
    says: /401/,
  },
  {
    name: "a missing capability",
    args: [...CLIENT, "ws://127.0.0.1:1"],
    env: TOKEN,
    by: DROP_PRIVILEGES,
    code: 6,
    says: /the capability CAP_NET_ADMIN is missing\n {4}Grant it: .*(NET_ADMIN|cap_net_admin)/,
  },
  {
    name: "a gateway without a capability",
    args: ["gateway", "-u", "ws://127.0.0.1:1"],
    env: TOKEN,
    by: DROP_PRIVILEGES,
    code: 6,
    says: /the capability CAP_NET_ADMIN is missing\n {4}Grant it: .*(NET_ADMIN|cap_net_admin)/,
  },
  {
    name: "a busy TUN name",
    args: [...CLIENT, "ws://127.0.0.1:1", "--tun-name", "taken0"],
    env: TOKEN,
    code: 7,
    says: /Cannot .* TUN device "taken0"/,
  },
  {
    name: "a TUN name that is too long",
    args: [...CLIENT, "ws://127.0.0.1:1", "--tun-name", "a-name-without-end"],
    env: TOKEN,
    code: 2,
    says: /at most 15 characters/,
  },
  {
    name: "a DNS manager that is not there",
    args: ["run", "--dns-control", "systemd-resolved", "-u", "ws://127.0.0.1:1"],
    env: TOKEN,
    code: 8,
    says: /Cannot use systemd-resolved/,
  },
  {
    name: "a seed file with a wrong field",
    args: ["portal", "--listen", "127.0.0.1:8081", "--seed", "/run/wrong.json"],
    code: 2,
    says: /"\/run\/wrong\.json": line 3: resources\.0\.type: .*"dsn"/,
  },
  {
    name: "a seed file that is no JSON",
    args: ["portal", "--listen", "127.0.0.1:8081", "--seed", "/run/broken.json"],
    code: 2,
    says: /"\/run\/broken\.json": .*line 3, column 16: expected a value/,
  },
  {
    name: "a seed file that is missing",
    args: ["portal", "--listen", "127.0.0.1:8081", "--seed", "/run/none.json"],
    code: 2,
    says: /Cannot read seed "\/run\/none\.json"/,
  },
  {
    name: "a port that is taken",
    args: ["portal", "--listen", "127.0.0.1:9401"],
    code: 2,
    says: /Cannot listen on 127\.0\.0\.1 port 9401/,
  },
];

/** What may pass by itself: a client that does not go on for ever tries for fifteen seconds. */
const PATIENT_CASES: readonly Case[] = ([
  ["an unknown portal host", "wss://portal.nowhere.test", /name has no address/],
  ["a refused connection", "ws://127.0.0.1:1", /refused/],
  ["a TLS failure", "wss://127.0.0.1:9200", /TLS|SSL|certificate/i],
  ["a portal that answers 403", "ws://127.0.0.1:9403", /403/],
  ["a portal that answers 404", "ws://127.0.0.1:9404", /404/],
  ["a portal that answers 503", "ws://127.0.0.1:9503", /503/],
  ["a web page in place of a portal", "ws://127.0.0.1:9200", /200/],
] as const).map(([name, url, says]) => ({
  name,
  args: [...CLIENT, url, "--fail-fast"],
  env: TOKEN,
  code: 5,
  says,
}));

Deno.test("fz: says what is wrong in one sentence, exits by cause, and changes nothing", (t) =>
  inLab(async (lab) => {
    const host = await lab.host("box");
    await prepare(host);
    const before = await tracesOn(host);
    for (const wrong of CASES) {
      await t.step(wrong.name, async () => {
        assertSays(wrong, await runFz(host, wrong));
        assert.equal(await tracesOn(host), before);
      });
    }
  }));

Deno.test("fz run: tries for a while where things may change, then exits 5 and changes nothing", (t) =>
  inLab(async (lab) => {
    const outcomes = await Promise.all(PATIENT_CASES.map(async (wrong, index) => {
      const host = await lab.host(`box-${index}`);
      await prepare(host);
      const before = await tracesOn(host);
      const outcome = await runFz(host, wrong);
      return { wrong, outcome, before, after: await tracesOn(host) };
    }));
    for (const { wrong, outcome, before, after } of outcomes) {
      await t.step(wrong.name, () => {
        assertSays(wrong, outcome);
        assert.equal(after, before);
      });
    }
  }));

/** Puts files and web servers where the cases look for them. */
async function prepare(host: Host): Promise<void> {
  await host.writeFile("/run/open-token", "secret", 0o644);
  await host.writeFile("/run/foreign-token", "secret", 0o600);
  await host.must(["chown", "1234:1234", "/run/foreign-token"]);
  const start = '{\n  "account": { "slug": "x" },\n  "resources": ';
  await host.writeFile("/run/wrong.json", `${start}[{ "name": "a", "type": "dsn" }]\n}`);
  await host.writeFile("/run/broken.json", `${start}oops\n}`);
  await host.must(["ip", "link", "add", "taken0", "type", "veth", "peer", "name", "taken1"]);
  const servers = `
    const statuses = [200, 401, 403, 404, 503];
    let starting = statuses.length;
    for (const status of statuses) {
      const onListen = () => --starting === 0 && console.log("ready");
      Deno.serve({ port: 9000 + status, onListen }, () => new Response("<html>no portal</html>", { status }));
    }`;
  await host.spawn([Deno.execPath(), "eval", servers]).waitFor(/ready/);
}

async function runFz(host: Host, { args, env = {}, by = [] }: Case): Promise<Outcome> {
  return await host.run([...by, Deno.execPath(), "run", "-A", "--quiet", MAIN, ...args], {
    env: { RUST_LOG: "error", ...env },
  });
}

function assertSays({ code, says }: Case, outcome: Outcome): void {
  assert.match(outcome.stderr, says);
  assert.equal(outcome.code, code, outcome.stderr);
  assert.equal(outcome.stdout, "");
  const lines = outcome.stderr.trimEnd().split("\n");
  assert.ok(lines[0]!.startsWith("fz: ") && lines.length <= 2, outcome.stderr);
  assert.doesNotMatch(outcome.stderr, /t0ken|secret/);
}
