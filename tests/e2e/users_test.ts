/** Several users, several profiles and many processes at once on one machine. */

import assert from "node:assert/strict";
import { parse } from "smol-toml";
import type { Outcome } from "../../io/lab/process.ts";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { TOKENS } from "./support/seed.ts";
import { tracesOn } from "./support/traces.ts";
import { type FzAs, type User, usersOn } from "./support/users.ts";

const TOKEN = { FIREZONE_TOKEN: TOKENS.client };
/** An ordinary user may not write /etc/resolv.conf. */
const ALICE = { ...TOKEN, FIREZONE_DNS_CONTROL: "disabled" };
const ROOT_TOKEN = "/etc/dev.firezone.client/token";

Deno.test(
  "fz: two users on one machine have one tunnel, each his own files, and are told whose it is",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const fz = await usersOn(network);
    const clean = await tracesOn(network.client);

    await check("a member of the group fz may ask root's session", async () => {
      assertOk(await fz("root", ["up"], TOKEN));
      const questions: readonly (readonly [RegExp, ...string[]])[] = [
        [/^Connected as "client"/, "status"],
        [/^web +web\.site\.test/m, "resource", "list"],
        [/1 reply/, "ping", "--count", "1", "172.20.0.10"],
        [/reply from/, "wait", "exact"],
        [/^Resource "exact" leads there/, "explain", "exact.site.test"],
        [/^already connected/i, "up"],
        [/^info$/m, "log", "level"],
      ];
      for (const [answer, ...args] of questions) {
        assert.match(assertOk(await fz("reader", args)).stdout, answer);
      }
    });

    await check("but change nothing: exit code 6 with the next step", async () => {
      const before = await state(fz);
      for (
        const args of [
          ["internet", "on"],
          ["resource", "disable", "exact"],
          ["down"],
          ["capture", "-o", "/run/home/1235/x.pcapng"],
          ["log", "level", "debug"],
        ]
      ) {
        const { code, stdout, stderr } = await fz("reader", args);
        assert.deepEqual([code, stdout], [6, ""], stderr);
        assert.match(stderr, /Cannot steer the session in "\/run\/fz": it is another user's\n {4}.*sudo/);
      }
      assert.deepEqual(await state(fz), before);
      const raw = ["curl", "-sS", "--unix-socket", "/run/fz/fz-read.sock", "-d", "{}", "http://fz/v1/stop"];
      const as = ["setpriv", "--reuid=1235", "--regid=1235", "--groups=4321"];
      assert.match(await network.client.must([...as, ...raw]), /"code":"privilege"/);
      assert.equal((await network.client.run([...as, ...raw.with(3, "/run/fz/fz.sock")])).code, 7);
    });

    await check("a stranger may not even ask: exit code 6, and what to do", async () => {
      for (const args of [["status"], ["resource", "list"], ["ping", "exact"], ["wait", "exact"], ["up"]]) {
        for (const user of ["stranger", "alice"] as const) {
          const { code, stdout, stderr } = await fz(user, args);
          assert.deepEqual([code, stdout], [6, ""], stderr);
          assert.match(stderr, /Cannot ask the session in "\/run\/fz".*\n {4}.*sudo.*usermod -aG fz/);
        }
      }
    });

    await check("a second client beside it is refused, whoever starts it", async () => {
      const { code, stderr } = await fz("alice", ["run"], ALICE);
      assert.equal(code, 7, stderr);
      assert.match(stderr, /another (process|client)/);
      const cleanup = await fz("alice", ["cleanup"]);
      assert.equal(cleanup.code, 7, cleanup.stderr);
      assert.match(cleanup.stderr, /another client runs on device "fz0"\n {4}.*sudo fz down/);
      assertOk(await fz("root", ["down"]));
    });

    await check("an ordinary user with CAP_NET_ADMIN has a session of his own", async () => {
      assertOk(await fz("alice", ["up"], ALICE));
      const { profile, tunnel } = await state(fz, "alice");
      assert.deepEqual([profile, tunnel?.device], ["default", "fz0"]);
      const files = await network.client.must(["stat", "-c", "%a %u %n", "/run/user/1234/fz/fz.sock"]);
      assert.equal(files, "600 1234 /run/user/1234/fz/fz.sock\n");
      assert.equal((await network.client.run(["test", "-e", "/run/fz/fz.sock"])).code, 1);
      assert.match(await network.curl("http://172.20.0.10/"), /hello/);
    });

    await check("root is told whose session it is, at once and not in a circle", async () => {
      const { pid } = await state(fz, "alice");
      const table: readonly (readonly [code: number, words: string, ...args: string[]])[] = [
        [12, `one of user 1234 \\(pid ${pid}\\)`, "status"],
        [7, `in use by another process \\(pid ${pid} of user 1234\\)\n.*as its user`, "up"],
        [7, `runs on device "fz0" \\(pid ${pid} of user 1234\\)\n.*as that user`, "run", "--tun-name", "fz7"],
        [7, `runs on device "fz0" \\(pid ${pid} of user 1234\\)\n.*as that user`, "cleanup"],
        [7, `runs on device "fz0" \\(pid ${pid} of user 1234\\)\n.*as that user`, "down"],
      ];
      for (const [expected, words, ...args] of table) {
        const { code, stderr } = await fz("root", args, TOKEN);
        assert.equal(code, expected, stderr);
        assert.match(stderr, new RegExp(words));
      }
      assert.equal((await state(fz, "alice")).pid, pid);
    });

    await check("a user's killed session: he is told, and root's next up repairs it", async () => {
      await kill(network, fz, "alice");
      const { code, stderr } = await fz("alice", ["status"]);
      assert.equal(code, 12, stderr);
      assert.match(stderr, /was killed .*\n {4}.*fz cleanup/);
      assertOk(await fz("root", ["up"], TOKEN));
    });

    await check("root's killed session: everybody is told, and only root can repair it", async () => {
      await kill(network, fz, "root");
      for (const user of ["alice", "stranger", "reader"] as const) {
        // Alice's own was killed, too.
        const whose = user === "alice" ? "The session was killed" : "The session of root was killed";
        const { code, stderr } = await fz(user, ["status"]);
        assert.equal(code, 12, stderr);
        assert.match(stderr, new RegExp(`${whose}.*\n {4}.*fz cleanup`));
      }
      const { code, stderr } = await fz("alice", ["cleanup"]);
      assert.equal(code, 6, stderr);
      assert.match(assertOk(await fz("root", ["cleanup"])).stdout, /removed \d+ rules/i);
      assertOk(await fz("alice", ["cleanup"]));
      assert.equal(await tracesOn(network.client), clean);
      for (const user of ["root", "alice"] as const) {
        assert.match((await fz(user, ["status"])).stderr, /No session runs/);
      }
    });
  }),
);

Deno.test(
  "fz: two profiles of two accounts, and thirty processes at once, lose nothing and tear nothing",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const fz = await usersOn(network);
    const second = await secondAccount(network);
    const tokens: Record<string, string> = {
      [ROOT_TOKEN]: TOKENS.client,
      "/etc/fz/profiles/work.token": second,
    };

    await check("each profile signs in to its account", async () => {
      const add = ["profile", "add", "work", "--api-url", network.portalUrl];
      assertOk(await fz("root", add));
      assertOk(await fz("root", ["sign-in"], TOKEN));
      assertOk(await fz("root", ["sign-in", "--profile", "work"], { FIREZONE_TOKEN: second }));
      await assertTokens(network, tokens);
      assert.match((await fz("root", ["whoami", "--profile", "work"])).stdout, /second/);
    });
    const clean = await tracesOn(network.client);

    await check("profile use and --profile change the account with down and up", async () => {
      assertOk(await fz("root", ["up"]));
      assert.equal((await state(fz)).resources.length, 6);
      assert.match(
        assertOk(await fz("root", ["profile", "use", "work"])).stderr,
        /stays with "default"/,
      );
      const refused = await fz("root", ["up"]);
      assert.equal(refused.code, 7, refused.stderr);
      assert.match(refused.stderr, /a session with the profile "default" runs/);
      assertOk(await fz("root", ["down"]));
      assertOk(await fz("root", ["up"]));
      const { profile, resources } = await state(fz);
      assert.deepEqual([profile, resources.map(({ name }) => name)], ["work", ["only"]]);
      assertOk(await fz("root", ["down"]));
      assertOk(await fz("root", ["up", "--profile", "default"]));
      assert.equal((await state(fz)).profile, "default");
      assertOk(await fz("root", ["down"]));
      assert.equal(await tracesOn(network.client), clean);
    });

    await check("thirty processes at once", async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 30 }, async (_, worker) => {
          const ended: Outcome[] = [];
          for (let round = 0; round < 2; round++) {
            // Another order for each, and the same in each run.
            const args = STORM[(worker * 7 + round * 5) % STORM.length]!;
            ended.push(await fz("root", args.map((arg) => arg.replace("%", `w${worker}`))));
          }
          return ended;
        }),
      );
      for (const { code, stderr } of outcomes.flat()) {
        // No session, one of the other profile, or one that somebody else ended meanwhile. And where all the starts take
        // too long together: one that held the lock and was not there yet.
        if (code === 9) assert.match(stderr, /Cannot start a session: .* holds "\/run\/fz\/fz\.lock"/);
        else assert.ok([0, 7, 12].includes(code), `${code}: ${stderr}`);
        assert.doesNotMatch(stderr, /unexpected|^ +at /m);
      }
    });

    await check("afterwards every file can be read, and there is one session or none", async () => {
      await eventually(async () => assert.ok(await sessions(network) <= 1));
      for (const name of ["default", "work"]) {
        const settings = parse(await network.client.readFile(`/etc/fz/profiles/${name}.toml`));
        assert.match(String(settings.name), /^w\d+$/);
      }
      assert.match(await network.client.readFile("/etc/fz/profile"), /^(default|work)\n$/);
      await assertTokens(network, tokens);
      const { code } = await fz("root", ["status"]);
      assert.ok([0, 12].includes(code));
      assertOk(await fz("root", ["down"]));
      assert.equal(await sessions(network), 0);
      assert.equal(await tracesOn(network.client), clean);
    });

    await check("no half-written file is left, and every lock is free", async () => {
      const list = ["find", "/etc/fz", "/run/fz", "/var/lib/fz", "/etc/dev.firezone.client", "-type", "f"];
      const files = (await network.client.must(list)).trim().split("\n");
      const known =
        /\/(profile|\.lock|fz\.lock|up\.lock|exit\.json|fz\.log|token|(default|work)\.(toml|toml\.good|json|token|identity\.json)|token\.identity\.json)$/;
      assert.deepEqual(files.filter((file) => !known.test(file)), []);
      for (const file of files.filter((file) => file.endsWith("lock"))) {
        await network.client.must(["flock", "--nonblock", file, "true"]);
      }
      assertOk(await fz("root", ["up"]));
      assertOk(await fz("root", ["down"]));
    });
  }),
);

/** What the processes of the storm do; % is another word in each. */
const STORM: readonly (readonly string[])[] = [
  ["up", "--timeout", "120s"],
  ["down"],
  ["status"],
  ["config", "set", "name", "%", "--profile", "default"],
  ["profile", "use", "work"],
  ["up", "--profile", "default"],
  ["status", "--json"],
  ["config", "set", "name", "%", "--profile", "work"],
  ["profile", "use", "default"],
  ["down"],
  ["config", "show"],
  ["up", "--profile", "work"],
];

interface State {
  readonly pid: number;
  readonly profile: string;
  readonly tunnel?: { readonly device: string };
  readonly internet: unknown;
  readonly resources: readonly { readonly name: string; readonly enabled: boolean }[];
}

async function state(fz: FzAs, user: User = "root"): Promise<State> {
  const { pid, profile, tunnel, internet, resources } = JSON.parse(
    assertOk(await fz(user, ["status", "--json"])).stdout,
  ) as State;
  const named = resources.map(({ name, enabled }) => ({ name, enabled }));
  return { pid, profile, internet, resources: named, ...(tunnel === undefined ? {} : { tunnel }) };
}

function assertOk(outcome: Outcome): Outcome {
  assert.equal(outcome.code, 0, outcome.stderr);
  return outcome;
}

async function kill(network: Network, fz: FzAs, user: User): Promise<void> {
  const { pid } = await state(fz, user);
  await network.client.must(["kill", "-9", String(pid)]);
}

/** Makes an account with one resource at the portal and returns a token of it. */
async function secondAccount(network: Network): Promise<string> {
  const account = "second";
  const add = (noun: string, body: object) => network.admin("POST", `/v1/${noun}`, { account, ...body });
  await network.admin("POST", "/v1/accounts", { slug: account });
  await add("sites", { name: "site" });
  await add("actors", { name: "second-robot", type: "service_account" });
  await add("groups", { name: "robots", members: ["second-robot"] });
  await add("resources", { name: "only", type: "dns", address: "only.site.test", site: "site" });
  await add("policies", { group: "robots", resource: "only" });
  await add("tokens", { kind: "client", name: "client", actor: "second-robot", token: "second-token" });
  return "second-token";
}

async function assertTokens(network: Network, tokens: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, token] of Object.entries(tokens)) {
    assert.equal(await network.client.readFile(path), `${token}\n`);
    assert.equal(await network.client.must(["stat", "-c", "%a %u:%g", path]), "600 0:0\n");
  }
}

/** Returns how many sessions run on the client. */
async function sessions(network: Network): Promise<number> {
  const here = 'for p in /proc/[0-9]*; do [ "$(readlink $p/ns/net)" = "$(readlink /proc/self/ns/net)" ] && ';
  const { stdout } = await network.client.run(["sh", "-c", `${here} tr '\\0' ' ' <$p/cmdline && echo; done`]);
  return stdout.split("\n").filter((line) => / run --service/.test(line)).length;
}
