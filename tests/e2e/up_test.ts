/** Sessions in the background: `fz up`, `fz down`, `fz status`, `fz cleanup`, and what is left of a killed one. */

import assert from "node:assert/strict";
import type { StatusDocument } from "../../lib/control/api.ts";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { TOKENS } from "./support/seed.ts";
import { tracesOn } from "./support/traces.ts";

const WEB = "http://172.20.0.10/";
const TOKEN_FILE = "/etc/dev.firezone.client/token";

Deno.test(
  "fz up: connects in the background, fz down ends it, and nothing is left",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const clean = await tracesOn(network.client);

    await check("without a token: exit code 3, and nothing is started", async () => {
      const { code, stdout, stderr } = await fz(network, ["up"]);
      assert.equal(code, 3, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, /nobody is signed in\n {4}Run `fz sign-in`/);
      assert.equal((await fz(network, ["status"])).code, 12);
    });

    await network.client.must(["mkdir", "-p", "/etc/dev.firezone.client"]);
    await network.client.writeFile(TOKEN_FILE, `${TOKENS.client}\n`, 0o600);
    const before = await tracesOn(network.client);

    await check("up connects and tells the stages on standard error", async () => {
      const { code, stdout, stderr } = await fz(network, ["up"]);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^Connected: 6 resources, fz0 100\.[\d.]+\n$/);
      assert.match(stderr, /^fz: session .+\nfz: portal .+\nfz: 6 resources .+\n/);
      assert.match(await network.curl(WEB), /hello/);
    });

    await check("a second up says that it is connected, and changes nothing", async () => {
      const pid = (await status(network)).pid;
      const { code, stdout } = await fz(network, ["up"]);
      assert.equal(code, 0);
      assert.match(stdout, /^Already connected: 6 resources/);
      const { stdout: json } = await fz(network, ["up", "--json"]);
      const document = JSON.parse(json);
      assert.equal(document.schema, 1);
      assert.equal(document.wasConnected, true);
      assert.equal(document.pid, pid);
      assert.equal((await status(network)).pid, pid);
    });

    await check("--wait returns when the resource answers, and says why one does not", async () => {
      const waited = await fz(network, ["up", "--wait", "exact:80", "--wait", "lan6"]);
      assert.match(waited.stderr, /"exact:80" answers/);
      const { code, stdout, stderr } = await fz(network, ["up", "--wait", "nothing", "--timeout", "3s"]);
      assert.equal(code, 10, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, /"nothing"/);
    });

    await check("another profile is refused while this one's session runs", async () => {
      await network.client.must(["mkdir", "-p", "/etc/fz/profiles"]);
      await network.client.writeFile("/etc/fz/profiles/other.toml", "");
      const { code, stderr } = await fz(network, ["up", "--profile", "other"]);
      assert.equal(code, 7, stderr);
      assert.match(stderr, /a session with the profile "default" runs .*\n {4}Run `fz down`/);
      await network.client.must(["rm", "-r", "/etc/fz"]);
    });

    await check("a session in the foreground is refused beside it: exit code 7", async () => {
      const { pid } = await status(network);
      const { code, stderr } = await fz(network, ["run"]);
      assert.equal(code, 7, stderr);
      assert.match(stderr, new RegExp(`another session runs \\(pid ${pid}\\)`));
      assert.match(await network.curl(WEB), /hello/);
    });

    await check("cleanup is refused while it runs", async () => {
      const { code, stderr } = await fz(network, ["cleanup"]);
      assert.equal(code, 7, stderr);
      assert.match(stderr, /fz down/);
    });

    await check("down ends the process and leaves nothing; a second one says so", async () => {
      const { pid } = await status(network);
      const { code, stdout, stderr } = await fz(network, ["down"]);
      assert.equal(code, 0, stderr);
      assert.equal(stdout, "Disconnected\n");
      await assertGone(network, pid);
      assert.equal(await tracesOn(network.client), before);
      const again = await fz(network, ["down"]);
      assert.equal(again.code, 0, again.stderr);
      assert.equal(again.stdout, "Was not connected\n");
      assert.equal((await fz(network, ["cleanup"])).stdout, "Nothing to clean up\n");
    });

    await check(
      "a token in the environment of up does for the session, and neither its arguments nor its environment have it",
      async () => {
        await network.client.must(["rm", TOKEN_FILE]);
        const { code, stderr } = await fz(network, ["up"], { FIREZONE_TOKEN: TOKENS.client });
        assert.equal(code, 0, stderr);
        const { pid } = await status(network);
        for (const file of ["cmdline", "environ"]) {
          const text = await network.client.must(["cat", `/proc/${pid}/${file}`]);
          assert.match(text, /main\.ts|FIREZONE_API_URL/);
          assert.doesNotMatch(text, /client-token/);
        }
        assert.equal((await fz(network, ["down"])).code, 0);
      },
    );

    await check("a session that cannot start tells its cause to up: exit codes 6 and 7", async () => {
      const env = { ...network.programEnv(), FIREZONE_DNS_CONTROL: "etc-resolv-conf" };
      const weak = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", ...network.command(["up"])];
      const unprivileged = await network.client.run(weak, { env });
      assert.equal(unprivileged.code, 6, unprivileged.stderr);
      assert.match(
        unprivileged.stderr,
        /Cannot make a tunnel: the capability CAP_NET_ADMIN is missing\n {4}Grant it: /,
      );
      await network.client.must(["ip", "link", "add", "taken0", "type", "veth", "peer", "name", "taken1"]);
      const busy = await network.client.run(network.command(["up"]), {
        env: { ...env, FZ_TUN_NAME: "taken0" },
      });
      assert.equal(busy.code, 7, busy.stderr);
      assert.match(busy.stderr, /TUN device "taken0"/);
      await network.client.must(["ip", "link", "del", "taken0"]);
      assert.equal((await fz(network, ["cleanup"])).stdout, "Nothing to clean up\n");
    });

    await network.client.must(["rm", "-r", "/etc/dev.firezone.client"]);
    assert.equal(await tracesOn(network.client), clean);
  }),
);

Deno.test(
  "fz cleanup: repairs what a killed session left, and so does the next up",
  onNetwork({ underlay: "dual" }, async (network, check) => {
    const token = { FIREZONE_TOKEN: TOKENS.client };
    const clean = await tracesOn(network.client);

    await check("killed: status tells so with exit code 12, cleanup undoes all of it", async () => {
      const pid = await killed(network, token);
      assert.notEqual(await tracesOn(network.client), clean, "there is nothing to clean up");
      const told = await fz(network, ["status"]);
      assert.equal(told.code, 12);
      assert.match(told.stderr, new RegExp(`killed \\(pid ${pid}\\) and left things behind\n.*fz cleanup`));
      const { code, stdout, stderr } = await fz(network, ["cleanup"]);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /removed \d+ rules and routes/i);
      assert.equal(await tracesOn(network.client), clean);
      assert.match((await fz(network, ["status"])).stderr, /No session runs/);
      assert.equal((await fz(network, ["cleanup"])).stdout, "Nothing to clean up\n");
    });

    await check("killed: the next up works at once, and its down leaves nothing of either", async () => {
      await killed(network, token);
      const { code, stderr } = await fz(network, ["up"], token);
      assert.equal(code, 0, stderr);
      await eventually(() => network.curl(WEB, "--max-time", "5"));
      assert.equal((await fz(network, ["down"])).code, 0);
      assert.equal(await tracesOn(network.client), clean);
    });

    await check("killed: down undoes it", async () => {
      await killed(network, token);
      const { code, stdout, stderr } = await fz(network, ["down"]);
      assert.equal(code, 0, stderr);
      assert.equal(stdout, "Was not connected\n");
      assert.match(stderr, /The session was killed: (restored DNS, )?removed \d+ rules/);
      assert.equal(await tracesOn(network.client), clean);
    });

    await check("torn state files are no obstacle", async () => {
      await killed(network, token);
      await network.client.writeFile("/run/fz/session.json", '{"schema":1,"pi');
      assert.match((await fz(network, ["status"])).stderr, /killed and left things behind/);
      const { code, stderr } = await fz(network, ["up"], token);
      assert.equal(code, 0, stderr);
      assert.equal((await fz(network, ["down"])).code, 0);
      assert.equal(await tracesOn(network.client), clean);
    });
  }),
);

/** Connects, uses the tunnel, and kills the session. Returns its process id. */
async function killed(network: Network, env: Record<string, string>): Promise<number> {
  const { code, stderr } = await fz(network, ["up"], env);
  assert.equal(code, 0, stderr);
  await network.curl(WEB);
  const { pid } = await status(network);
  await network.client.must(["kill", "-9", String(pid)]);
  await assertGone(network, pid);
  return pid;
}

async function assertGone(network: Network, pid: number): Promise<void> {
  await eventually(async () => {
    const { stdout } = await network.client.run(["sed", "s/.*) //", `/proc/${pid}/stat`]);
    assert.match(stdout, /^(Z|$)/);
  });
}

async function status(network: Network): Promise<StatusDocument> {
  const url = "http://fz/v1/status";
  return JSON.parse(await network.client.must(["curl", "-sS", "--unix-socket", "/run/fz/fz.sock", url]));
}

function fz(network: Network, args: string[], env: Record<string, string> = {}) {
  return network.fz(args, {
    FIREZONE_API_URL: network.portalUrl,
    FIREZONE_NAME: "client",
    FIREZONE_DNS_CONTROL: "etc-resolv-conf",
    ...env,
  });
}
