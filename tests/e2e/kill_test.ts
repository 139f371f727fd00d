/**
 * `kill -9` of every command that changes something, at moments all over its run: what is left can be told and undone. The
 * session itself is killed step by step in crash_test.ts.
 */

import assert from "node:assert/strict";
import { parse } from "smol-toml";
import type { Outcome } from "../../io/lab/process.ts";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork, sleep } from "./support/on_network.ts";
import { TOKENS } from "./support/seed.ts";
import { tracesOn } from "./support/traces.ts";

const TOKEN_FILE = "/etc/dev.firezone.client/token";
/** When to kill, as parts of the time that the command takes when it is left alone. */
const MOMENTS = [0.6, 0.9];
/** About when its session begins. */
const UP_MOMENTS = [0.35, 0.45, 0.55, 0.65, 0.9];
/** For commands that are done soon and leave little. */
const MANY_MOMENTS = [0.3, 0.5, 0.65, 0.8, 0.9, 0.97];

Deno.test(
  "fz: kill -9 of up, down, sign-in, cleanup and config set, at any moment, leaves nothing that is in the way",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    await network.admin("POST", "/v1/tokens", {
      ...{ kind: "client", name: "second", actor: "robot", token: "second-token" },
    });
    const tokens = [TOKENS.client, "second-token"];
    assertOk(await fz(network, ["sign-in"], { FIREZONE_TOKEN: tokens[0]! }));
    const clean = await tracesOn(network.client);
    const isClean = async () => assert.equal(await tracesOn(network.client), clean);
    /** A sentence that is true, with an exit code that says the same. */
    const statusTells = async (): Promise<number> => {
      const { code, stdout, stderr } = await fz(network, ["status"]);
      const text = `${code}: ${stdout}${stderr}`;
      if (code === 12) assert.match(text, /No session runs|was killed|starting or ending|Stopping/);
      // A session that goes on after its command, and has not come so far.
      else if (code === 5) assert.match(text, /Connecting/);
      else assert.match(text, /^0: Connected/);
      return code;
    };

    await check("config set", async () => {
      let round = 0;
      await atEachMoment(network, () => ["config", "set", "name", `box-${round++}`], async () => {
        await statusTells();
        const text = await network.client.run(["cat", "/etc/fz/profiles/default.toml"]);
        if (text.code === 0) assert.match(String(parse(text.stdout).name), /^box-\d+$/);
        assertOk(await fz(network, ["config", "get", "name"]));
      }, { moments: MANY_MOMENTS });
      assertOk(await fz(network, ["config", "set", "name", "client"]));
      const files = await network.client.must(["ls", "-A", "/etc/fz", "/etc/fz/profiles"]);
      assert.doesNotMatch(files, /\.new/);
      await network.client.must(["rm", "-r", "/etc/fz"]);
    });

    await check("sign-in", async () => {
      let round = 0;
      const env = () => ({ FIREZONE_TOKEN: tokens[++round % 2]! });
      await atEachMoment(network, () => ["sign-in"], async () => {
        await statusTells();
        const text = await network.client.readFile(TOKEN_FILE);
        assert.ok(tokens.map((token) => `${token}\n`).includes(text), "the token is one of the two");
        const modes = await network.client.must([
          "sh",
          "-c",
          `stat -c %a ${TOKEN_FILE}* ${FOLDER}/.token.* || true`,
        ]);
        assert.match(modes, /^(600\n)+$/);
      }, { moments: MANY_MOMENTS, env });
    });

    await check("up", async () => {
      // A session that has just been started must not come after a down that saw none.
      await atEachMoment(network, () => ["up"], async () => {
        assertOk(await fz(network, ["down"]));
        await statusTells();
        await isClean();
      }, { moments: UP_MOMENTS, prepare: () => fz(network, ["down"]).then(assertOk) });
      await sleep(500);
      await isClean();
    });

    await check("down", async () => {
      const up = () => fz(network, ["up"]).then(assertOk);
      await up();
      await atEachMoment(
        network,
        () => ["down"],
        async () => {
          await eventually(statusTells);
          assertOk(await fz(network, ["down"]));
          await isClean();
          await up();
        },
        { prepare: up },
      );
      assertOk(await fz(network, ["down"]));
    });

    await check("cleanup, of a session that was killed, too", async () => {
      const leave = async () => {
        assertOk(await fz(network, ["up"]));
        const { pid } = JSON.parse(assertOk(await fz(network, ["status", "--json"])).stdout);
        await network.client.must(["kill", "-9", String(pid)]);
      };
      await leave();
      await atEachMoment(
        network,
        () => ["cleanup"],
        async () => {
          assert.equal(await statusTells(), 12);
          assertOk(await fz(network, ["cleanup"]));
          await isClean();
          await leave();
        },
        { prepare: leave },
      );
      assertOk(await fz(network, ["cleanup"]));
      await isClean();
    });

    await check("afterwards nothing but locks is in the runtime folder, and it all works", async () => {
      assertOk(await fz(network, ["cleanup"]));
      assert.equal(await network.client.must(["ls", "-A", "/run/fz"]), "fz.lock\nup.lock\n");
      assertOk(await fz(network, ["up"]));
      assert.match(await network.curl("http://172.20.0.10/"), /hello/);
      assertOk(await fz(network, ["down"]));
      await isClean();
    });
  }),
);

const FOLDER = TOKEN_FILE.slice(0, TOKEN_FILE.lastIndexOf("/"));

/** Runs a command to its end, then kills it at moments of that time; `then` looks at what is left. */
async function atEachMoment(
  network: Network,
  args: () => readonly string[],
  then: () => Promise<void>,
  { moments = MOMENTS, env = () => ({}), prepare = () => Promise.resolve() }: {
    readonly moments?: readonly number[];
    readonly env?: () => Record<string, string>;
    readonly prepare?: () => Promise<unknown>;
  } = {},
): Promise<void> {
  const start = performance.now();
  assertOk(await fz(network, args(), env()));
  const whole = performance.now() - start;
  await prepare();
  for (const moment of moments) {
    const process = network.client.spawn(network.command(args()), { env: environment(network, env()) });
    await sleep(moment * whole);
    process.kill("SIGKILL");
    await process.outcome;
    await then();
  }
}

function assertOk(outcome: Outcome): Outcome {
  assert.equal(outcome.code, 0, outcome.stderr);
  return outcome;
}

function fz(network: Network, args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  return network.client.run(network.command(args), { env: environment(network, env) });
}

function environment(network: Network, env: Record<string, string>): Record<string, string> {
  const { FIREZONE_TOKEN: _, ...shared } = network.programEnv();
  return { ...shared, FIREZONE_DNS_CONTROL: "etc-resolv-conf", ...env };
}
