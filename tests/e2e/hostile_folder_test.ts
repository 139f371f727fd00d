/** Folders, files, locks and tokens as nobody would wish them: each is told in a sentence, and nothing hangs. */

import assert from "node:assert/strict";
import type { Outcome } from "../../io/lab/process.ts";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { TOKENS } from "./support/seed.ts";
import { tracesOn } from "./support/traces.ts";

const TOKEN = { FIREZONE_TOKEN: TOKENS.client };
const NEW_FOLDER = "rm -rf /run/fz; mkdir /run/fz";
const TOKEN_FILE = "/etc/dev.firezone.client/token";

interface Case {
  readonly name: string;
  readonly setUp: string;
  /** What `fz up` says where it cannot connect. */
  readonly refused?: RegExp;
  /** Of `fz status` before. */
  readonly status?: RegExp;
}

const FOLDERS: readonly Case[] = [
  { name: "a file", setUp: "rm -rf /run/fz; echo x >/run/fz", refused: /it is not a folder\n {4}Remove it/ },
  {
    name: "a link to nowhere",
    setUp: "rm -rf /run/fz; ln -s /run/nowhere/x /run/fz",
    refused: /it is not a folder/,
  },
  {
    name: "another user's, with links to a file of root",
    setUp:
      `${NEW_FOLDER}; for f in session.json fz.lock exit.json fz.sock; do ln -s /run/victim /run/fz/$f; done; chown 1234 /run/fz`,
    refused: /it belongs to user 1234\n {4}Remove it/,
    status: /killed/,
  },
  {
    name: "open to all",
    setUp: `${NEW_FOLDER}; chmod 777 /run/fz`,
    refused: /others may write to it\n {4}.*chmod go-w/,
  },
  { name: "a link to a folder", setUp: "rm -rf /run/fz; mkdir -p /run/other; ln -s /run/other /run/fz" },
  { name: "closed to all", setUp: `${NEW_FOLDER}; chmod 000 /run/fz` },
  {
    name: "full of pipes",
    setUp:
      `${NEW_FOLDER}; mkfifo /run/fz/session.json /run/fz/exit.json /run/fz/control.json /run/fz/fz.lock`,
    status: /killed and left things behind/,
  },
  {
    name: "with a gigabyte for a session file, and a file for a socket",
    setUp: `${NEW_FOLDER}; truncate -s 1G /run/fz/session.json; echo x >/run/fz/fz.sock`,
    status: /killed and left things behind/,
  },
  {
    name: "with noise for a session file, and a folder for a socket",
    setUp: `${NEW_FOLDER}; head -c 5000 /dev/urandom >/run/fz/session.json; mkdir -p /run/fz/fz.sock/x`,
    refused: /Cannot listen at "\/run\/fz\/fz\.sock"/,
    status: /killed and left things behind/,
  },
];

Deno.test(
  "fz: runtime folders that are hostile are refused or used, and never waited for",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const clean = await tracesOn(network.client);
    await network.client.writeFile("/run/victim", "precious");
    const stopped = await askStopped(network);
    for (const { name, setUp, refused, status = /No session runs/ } of FOLDERS) {
      await check(name, async () => {
        await network.client.must(["sh", "-c", setUp]);
        const before = await fz(network, ["status"]);
        assert.equal(before.code, 12, before.stderr);
        assert.match(before.stderr, status);
        const up = await fz(network, ["up"], TOKEN);
        if (refused === undefined) assertOk(up);
        else {
          assert.ok([1, 6].includes(up.code), up.stderr);
          assert.match(up.stderr, refused);
        }
        await fz(network, ["down"]);
        assert.equal(await tracesOn(network.client), clean);
        assert.equal(await network.client.readFile("/run/victim"), "precious");
        await network.client.must(["rm", "-rf", "/run/fz"]);
      });
    }

    await check(
      "a session that is stopped: exit code 9 in its time, with its process and the next step",
      async () => {
        const { code, stderr } = await stopped.answer;
        assert.equal(code, 9, stderr);
        const { pid } = stopped;
        assert.match(
          stderr,
          new RegExp(`\\(pid ${pid}\\): it did not answer within 10 s\n.*"kill -9 ${pid}"`),
        );
        await network.client.must(["kill", "-CONT", String(pid)]);
        await eventually(async () => {
          assert.match((await fz(network, ["status", "--check", "live"], ELSEWHERE)).stdout, /^live/);
        });
      },
    );

    await check(
      "a session that nobody can ask: told with its process when `fz up` has no time left",
      async () => {
        const { pid } = stopped;
        await network.client.must(["sh", "-c", "rm /run/elsewhere/*.sock"]);
        const { code, stderr } = await fz(network, ["up", "--timeout", "500ms"], { ...TOKEN, ...ELSEWHERE });
        assert.equal(code, 12, stderr);
        assert.match(stderr, new RegExp(`session \\(pid ${pid}\\) does not answer.*\n.*"kill ${pid}"`));
        await network.client.must(["kill", String(pid)]);
        await eventually(async () => {
          assert.match((await fz(network, ["status"], ELSEWHERE)).stderr, /No session runs/);
        });
      },
    );

    await check("a lock that somebody holds: told with the process", async () => {
      await network.client.must(["mkdir", "-p", "/run/fz"]);
      const holder = network.client.spawn(["flock", "/run/fz/fz.lock", "-c", "echo held; sleep 1000"]);
      await holder.waitFor(/held/);
      for (const args of [["cleanup"], ["run"]]) {
        const { code, stderr } = await fz(network, args, TOKEN);
        assert.equal(code, 7, stderr);
        assert.match(stderr, /process \d+ holds "\/run\/fz\/fz\.lock"\n.*"kill \d+"/);
      }
      await holder.stop();
    });

    await check("and by `fz up`, which waits as long as it was told to", async () => {
      // Whoever waited for longer would find the lock free.
      const holder = network.client.spawn(["flock", "/run/fz/fz.lock", "-c", "echo held; sleep 15"]);
      await holder.waitFor(/held/);
      const { code, stderr } = await fz(network, ["up", "--timeout", "500ms"], TOKEN);
      assert.equal(code, 9, stderr);
      assert.match(
        stderr,
        /Cannot start a session: process \d+ holds "\/run\/fz\/fz\.lock"\n.*"kill \d+"/,
      );
      await holder.stop();
    });

    await check(
      "full disks: the tunnel works, what was stored stays, and no half of a file is left",
      async () => {
        const fill = (folder: string) =>
          `mkdir -p ${folder} && mount -t tmpfs -o mode=755,size=32k tmpfs ${folder} && ` +
          `{ cat /dev/zero >${folder}/fill; true; } 2>/dev/null`;
        assertOk(await fz(network, ["sign-in"], TOKEN));
        const kept = await network.client.readFile(TOKEN_FILE);
        await network.client.must(["sh", "-c", `${fill("/var/lib/fz")} && ${fill("/etc/fz")}`]);
        assertOk(await fz(network, ["up"]));
        assertOk(await fz(network, ["resource", "disable", "exact"]));
        const set = await fz(network, ["config", "set", "name", "two"]);
        assert.equal(set.code, 1, set.stderr);
        assert.match(set.stderr, /no space is left on the device\n {4}.*untouched/);
        assertOk(await fz(network, ["down"]));
        const files = await network.client.must(["find", "/var/lib/fz", "/etc/fz", "-name", "*.new"]);
        assert.equal(files, "");
        assert.equal(await network.client.readFile(TOKEN_FILE), kept);
        await network.client.must(["umount", "/var/lib/fz", "/etc/fz"]);
      },
    );
  }),
);

/** Another session, without a tunnel. */
const ELSEWHERE = { FZ_RUNTIME_DIR: "/run/elsewhere" };

/** Starts that session, stops it with a signal, and asks for its status, which takes as long as it takes. */
async function askStopped(
  network: Network,
): Promise<{ readonly pid: number; readonly answer: Promise<Outcome> }> {
  network.client.spawn(network.command(["run", "--service"]), { env: environment(network, ELSEWHERE) });
  const pid = await eventually(async () => {
    const { code, stdout } = await fz(network, ["status", "--json"], ELSEWHERE);
    assert.equal(code, 3);
    return Number(JSON.parse(stdout).pid);
  });
  await network.client.must(["kill", "-STOP", String(pid)]);
  return { pid, answer: fz(network, ["status"], ELSEWHERE) };
}

const BAD_TOKENS: readonly (readonly [name: string, make: string, words: RegExp])[] = [
  ["empty", "printf ''", /it is empty/],
  ["white space alone", "printf ' \\n\\t\\r\\n'", /it is empty/],
  ["spaces inside", "printf 'two words\\n'", /it has spaces or line breaks inside/],
  ["binary", "head -c 300 /dev/urandom", /it has characters that no token has|spaces/],
  ["a megabyte", "head -c 1000000 /dev/zero | tr '\\0' x", /it is longer than 8192|far too long/],
];

Deno.test(
  "fz: bad tokens are told by what is wrong with them, from every source; white space around good ones is dropped",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    // The variable cannot hold a zero byte, nor a megabyte.
    const sources: readonly (readonly [name: string, script: string])[] = [
      ["standard input", `"$@" sign-in --no-verify --token-stdin </run/bad`],
      ["a file", `"$@" sign-in --no-verify --token-file /run/bad`],
      ["a pipe", `cat /run/bad | "$@" sign-in --no-verify --token-file -`],
      ["the credentials of a unit", `CREDENTIALS_DIRECTORY=/run/creds "$@" run`],
      ["the token's file", `"$@" run --token-path /run/bad`],
      ["standard input of run", `"$@" run --service --token-stdin </run/bad`],
    ];
    for (const [name, make, words] of BAD_TOKENS) {
      await check(name, async () => {
        await network.client.must([
          "sh",
          "-c",
          `rm -rf /run/creds /run/bad; mkdir /run/creds; umask 077; ${make} >/run/bad; cp /run/bad /run/creds/token`,
        ]);
        const outcomes = await Promise.all(sources.map(([, script]) => shell(network, script)));
        for (const [index, { code, stdout, stderr }] of outcomes.entries()) {
          const [source] = sources[index]!;
          assert.deepEqual([code, stdout], [3, ""], `${source}: ${stderr}`);
          // The unit's stand-in for a token that nobody has stored is no token, and no mistake.
          const isStandIn = source === "the credentials of a unit" && /empty|white/.test(name);
          assert.match(stderr, isStandIn ? /there is no token/ : words, source);
          assert.ok(stderr.length < 1000, source);
          assert.doesNotMatch(stderr, /xxxx|two words/);
        }
        assert.equal((await network.client.run(["test", "-e", TOKEN_FILE])).code, 1);
      });
    }

    await check("white space around a good one", async () => {
      for (const text of [`${TOKENS.client}\n`, `${TOKENS.client}\r\n`, `  \t${TOKENS.client} \n\n`]) {
        await network.client.must(["rm", "-f", TOKEN_FILE]);
        const stdin = { input: text };
        const args = network.command(["sign-in", "--no-verify", "--token-stdin"]);
        assertOk(await network.client.run(args, { env: environment(network), ...stdin }));
        assert.equal(await network.client.readFile(TOKEN_FILE), `${TOKENS.client}\n`);
        await network.client.must(["rm", TOKEN_FILE]);
        assertOk(await fz(network, ["sign-in", "--no-verify"], { FIREZONE_TOKEN: text }));
        assert.equal(await network.client.readFile(TOKEN_FILE), `${TOKENS.client}\n`);
      }
    });
  }),
);

Deno.test(
  "fz run --service: starts with the last good settings where the file is torn, and says line and column",
  onNetwork({ underlay: "ipv4" }, async (network) => {
    assertOk(await fz(network, ["config", "set", "tun-name", "good0"]));
    assertOk(await fz(network, ["up"], TOKEN));
    assertOk(await fz(network, ["down"]));
    await network.client.writeFile("/etc/fz/profiles/default.toml", 'tun-name = "good0"\nname = "lap');
    const { FIREZONE_API_URL: _, ...env } = environment(network);
    const service = network.client.spawn(network.command(["run", "--service"]), {
      env: { ...env, ...TOKEN, FIREZONE_API_URL: network.portalUrl },
    });
    await service.waitFor(/ready device=good0/);
    assert.match(service.stderr, /default\.toml": line 2, column \d+: .*The settings of .* hold/);
    const { code, stderr } = await fz(network, ["config", "show"]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /line 2, column \d+/);
    assertOk(await fz(network, ["down"]));
    assert.equal((await service.outcome).code, 0);
  }),
);

function assertOk(outcome: Outcome): Outcome {
  assert.equal(outcome.code, 0, outcome.stderr);
  return outcome;
}

function environment(network: Network, more: Record<string, string> = {}): Record<string, string> {
  const { FIREZONE_TOKEN: _, FIREZONE_NAME: __, ...env } = network.programEnv();
  return { ...env, FIREZONE_DNS_CONTROL: "etc-resolv-conf", ...more };
}

function fz(network: Network, args: readonly string[], more: Record<string, string> = {}): Promise<Outcome> {
  return network.client.run(network.command(args), { env: environment(network, more) });
}

/** Runs `script`, in which "$@" is `fz`. */
function shell(network: Network, script: string): Promise<Outcome> {
  return network.client.run(["sh", "-c", script, "sh", ...network.command([])], {
    env: environment(network),
  });
}
