/** Sign-in, whoami and sign-out at a real portal, with and without a session; and storing where storing is hard. */

import assert from "node:assert/strict";
import type { StatusDocument } from "../../lib/control/api.ts";
import { inLab } from "../../io/lab/lab.ts";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { TOKENS } from "./support/seed.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const CONFIG = "/run/config";
const TOKEN_FILE = `${CONFIG}/profiles/default.token`;

Deno.test(
  "fz sign-in, whoami, sign-out: at the embedded portal, each cause with its exit code",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    await check("nobody: whoami exits 3, sign-out 0", async () => {
      const who = await fz(network, ["whoami"]);
      assert.equal(who.code, 3);
      assert.match(who.stderr, /Not signed in.*\n {4}Run `fz sign-in`/);
      assert.equal((await fz(network, ["sign-out"])).code, 0);
    });
    await check("a wrong token 3, an expired one 4, no portal 5; nothing is kept", async () => {
      const old = { kind: "client", name: "old", actor: "robot", token: "old-token", expires_at: 1 };
      await network.admin("POST", "/v1/tokens", old);
      const url = `ws://${network.uplink("portal").v4}:9/`;
      assert.equal((await signIn(network, "nonsense")).code, 3);
      assert.equal((await signIn(network, TOKENS.gateway)).code, 3);
      assert.equal((await signIn(network, "old-token")).code, 4);
      assert.equal((await signIn(network, TOKENS.client, { FIREZONE_API_URL: url })).code, 5);
      assert.notEqual((await network.client.run(["test", "-e", CONFIG])).code, 0);
    });
    await check("a good token: signed in, and whoami tells as whom", async () => {
      const { code, stdout, stderr } = await signIn(network, TOKENS.client);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^Signed in as robot, a service account in lab: 6 resources\n/);
      const who = await fz(network, ["whoami", "--json"]);
      assert.equal(who.code, 0, who.stderr);
      const { account, actor, expiresAt, token } = JSON.parse(who.stdout);
      assert.deepEqual([account.slug, actor.type, expiresAt], ["lab", "service_account", null]);
      assert.deepEqual(token, { type: "file", path: TOKEN_FILE });
      assert.equal((await network.client.must(["stat", "-c", "%a %u %g", TOKEN_FILE])).trim(), "600 0 0");
    });
    await check("a session on that token: a new sign-in does not disturb it before it is good", async () => {
      const session = network.client.spawn(network.command(["run", "--service"]), { env: env(network) });
      await eventually(async () => assert.equal((await status(network)).state, "connected"));
      const before = await status(network);
      assert.equal((await signIn(network, "nonsense")).code, 3);
      const after = await status(network);
      assert.deepEqual([after.state, after.readyAt], ["connected", before.readyAt]);
      await network.admin("DELETE", "/v1/tokens/client");
      await eventually(async () => assert.equal((await status(network)).state, "signed-out"));
      assert.equal((await fz(network, ["whoami"])).code, 3);
      await network.admin("POST", "/v1/tokens", {
        kind: "client",
        name: "new",
        actor: "robot",
        token: "new-token",
      });
      const { code, stderr } = await signIn(network, "new-token");
      assert.equal(code, 0, stderr);
      assert.match(stderr, /The running session goes on with it/);
      await eventually(async () => assert.equal((await status(network)).state, "connected"));
      assert.equal((await status(network)).pid, before.pid);
      assert.match(await network.curl("http://172.20.0.10/"), /hello/);

      const out = await fz(network, ["sign-out", "--force"]);
      assert.equal(out.code, 0, out.stderr);
      assert.equal(out.stdout, "Signed out\n");
      assert.match(out.stderr, /stays valid until it expires/);
      assert.equal((await session.outcome).code, 0);
      assert.notEqual((await network.client.run(["test", "-e", TOKEN_FILE])).code, 0);
      assert.equal((await fz(network, ["whoami"])).code, 3);
    });
  }),
);

Deno.test("fz sign-in: a full disk and a read-only one leave the old token whole", () =>
  inLab(async (lab) => {
    const host = await lab.host("client");
    const fz = `${Deno.execPath()} run --quiet -A ${MAIN} sign-in --token-stdin --no-verify`;
    const script = `
      mkdir -p /run/small && mount -t tmpfs -o size=32k,mode=700 tmpfs /run/small || exit 90
      export FZ_CONFIG_DIR=/run/small
      echo first-token | ${fz} || exit 91
      dd if=/dev/zero of=/run/small/fill bs=1k count=64 2>/dev/null
      head -c 6000 /dev/zero | tr '\\0' x | ${fz}; echo "full=$?"
      cat /run/small/profiles/default.token; ls -A /run/small/profiles
      mount -o remount,ro /run/small || exit 92
      echo other-token | ${fz}; echo "read-only=$?"
      cat /run/small/profiles/default.token`;
    const { code, stdout, stderr } = await host.run(["sh", "-c", script], { env: programEnv() });
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /Cannot store the token in ".*": no space is left on the device\n {4}What was stored before/,
    );
    assert.match(
      stderr,
      /Cannot store the token in ".*": the file system is read-only\n {4}Choose another file/,
    );
    assert.deepEqual(stdout.split("\n").slice(1), [
      ...[
        "full=1",
        "first-token",
        "default.identity.json",
        "default.token",
        "read-only=6",
        "first-token",
        "",
      ],
    ]);
  }));

function programEnv(): Record<string, string> {
  const names = ["HOME", "PATH", "DENO_DIR", "XDG_CACHE_HOME"];
  return Object.fromEntries(names.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  }));
}

function env(network: Network): Record<string, string> {
  const { FIREZONE_TOKEN: _, ...rest } = network.programEnv();
  return { ...rest, FIREZONE_DNS_CONTROL: "etc-resolv-conf", FZ_CONFIG_DIR: CONFIG };
}

function fz(network: Network, args: string[]) {
  return network.client.run(network.command(args), { env: env(network) });
}

function signIn(network: Network, token: string, extra: Record<string, string> = {}) {
  const command = network.command(["sign-in", "--token-stdin"]).join(" ");
  return network.client.run(["sh", "-c", `printf '%s\\r\\n' "${token}" | ${command}`], {
    env: { ...env(network), ...extra },
  });
}

async function status(network: Network): Promise<StatusDocument> {
  const url = "http://fz/v1/status";
  return JSON.parse(await network.client.must(["curl", "-sS", "--unix-socket", "/run/fz/fz.sock", url]));
}
