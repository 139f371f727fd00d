/** The session process: credentials that die and come, a portal that comes late, supervisors, many hands at once. */

import assert from "node:assert/strict";
import type { StatusDocument } from "../../lib/control/api.ts";
import type { LabProcess } from "../../io/lab/process.ts";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { TOKENS } from "./support/seed.ts";
import { tracesOn } from "./support/traces.ts";

const WEB = "http://172.20.0.10/";

Deno.test(
  "fz run --service: waits signed out, and a credential revives it in the same process",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const clean = await tracesOn(network.client);
    const process = network.client.spawn(network.command(["run", "--service"]), { env: env(network) });
    let pid = 0;

    await check("without a token it runs, says that nobody is signed in, and changes nothing", async () => {
      const status = await eventually(async () => {
        const found = await ask(network);
        assert.equal(found.state, "signed-out");
        return found;
      });
      pid = status.pid;
      assert.equal(status.problem?.code, "rejected");
      assert.equal(await tracesOn(network.client), clean);
    });

    await check("up says so with exit code 3", async () => {
      const { code, stderr } = await fz(network, ["up"]);
      assert.equal(code, 3, stderr);
      assert.match(stderr, /Cannot connect: Nobody is signed in\n {4}Run `fz sign-in`/);
    });

    await check("a credential connects it", async () => {
      await post(network, "credential", { token: TOKENS.client });
      const { code, stdout, stderr } = await fz(network, ["up"]);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /connected: 6 resources/i);
      assert.match(await network.curl(WEB), /hello/);
      assert.equal((await ask(network)).pid, pid);
    });

    await check("a revoked token: signed out with the cause, everything on the machine undone", async () => {
      await network.admin("DELETE", "/v1/tokens/client");
      await eventually(async () => assert.equal((await ask(network)).state, "signed-out"));
      const { problem, resources } = await ask(network);
      assert.match(problem?.message ?? "", /revoked/);
      assert.match(problem?.next ?? "", /fz sign-in/);
      assert.deepEqual(resources, []);
      assert.equal(await tracesOn(network.client), clean);
    });

    await check("another token revives it, in the same process", async () => {
      await network.admin("POST", "/v1/tokens", {
        kind: "client",
        name: "second",
        actor: "robot",
        token: "second-token",
      });
      const { code, stderr } = await fz(network, ["up"], { FIREZONE_TOKEN: "second-token" });
      assert.equal(code, 0, stderr);
      assert.match(await network.curl(WEB), /hello/);
      assert.equal((await ask(network)).pid, pid);
    });

    await check("a token that is expired: exit code 4 of up, and it waits", async () => {
      await network.admin("POST", "/v1/tokens", {
        kind: "client",
        name: "old",
        actor: "robot",
        token: "old-token",
        expires_at: 1,
      });
      await post(network, "credential", { token: "old-token" });
      await eventually(async () => assert.equal((await ask(network)).state, "signed-out"));
      const { code, stderr } = await fz(network, ["up"]);
      assert.equal(code, 4, stderr);
      assert.equal((await ask(network)).pid, pid);
    });

    await check("down ends it with exit code 0", async () => {
      assert.equal((await fz(network, ["down"])).stdout, "Disconnected\n");
      assert.equal((await process.outcome).code, 0);
      assert.equal(await tracesOn(network.client), clean);
    });
  }),
);

Deno.test(
  "fz up: a portal that is away is waited for, or not",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const clean = await tracesOn(network.client);
    const token = { FIREZONE_TOKEN: TOKENS.client };
    await endPortal(network);

    await check("--timeout: exit code 5 with the cause; the session goes on trying", async () => {
      // Of a session that has not tried yet there is nothing to say but that it took too long.
      await eventually(async () => {
        const { code, stderr } = await fz(network, ["up", "--timeout", "3s"], token);
        assert.equal(code, 5, stderr);
        assert.match(stderr, /Cannot connect: Cannot reach the portal: .*; the session goes on trying/);
      });
      const { state, problem, retryAt } = await ask(network);
      assert.equal(state, "connecting");
      assert.equal(problem?.code, "unreachable");
      assert.ok(retryAt === undefined || !Number.isNaN(Date.parse(retryAt)));
    });

    await check("Ctrl+C: up stops waiting and says that the session goes on", async () => {
      const up = network.client.spawn(network.command(["up"]), { env: env(network) });
      await up.waitFor(/Cannot reach the portal/);
      up.kill("SIGINT");
      const { code, stderr } = await up.outcome;
      assert.equal(code, 130, stderr);
      assert.match(stderr, /The session goes on connecting: `fz status` .* `fz down`/);
      assert.equal((await ask(network)).state, "connecting");
    });

    await check("it connects when the portal comes, and up joins the waiting", async () => {
      const up = network.client.spawn(network.command(["up"]), { env: env(network) });
      await up.waitFor(/Cannot reach the portal/);
      await network.startPortal();
      const { code, stdout, stderr } = await up.outcome;
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^Connected: /);
      await eventually(() => network.curl(WEB, "--max-time", "5"));
    });

    await check("without the portal it is degraded, and the tunnel works", async () => {
      await endPortal(network);
      await eventually(async () => assert.equal((await ask(network)).state, "degraded"));
      assert.match(await network.curl(WEB), /hello/);
      const { code, stdout } = await fz(network, ["up"]);
      assert.equal(code, 0);
      assert.match(stdout, /^Already connected: /);
      assert.equal((await fz(network, ["down"])).code, 0);
    });

    await check("--fail-fast: exit code 5, and no session is left", async () => {
      const { code, stderr } = await fz(network, ["up", "--fail-fast"], token);
      assert.equal(code, 5, stderr);
      assert.match(stderr, /Cannot reach the portal/);
      assert.equal((await fz(network, ["down"])).stdout, "Was not connected\n");
      assert.equal(await tracesOn(network.client), clean);
    });
  }),
);

Deno.test(
  "fz run: tells its supervisor how it is",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const supervisor = network.client.spawn(["socat", "-u", "UNIX-RECV:/run/notify", "STDOUT"]);
    await eventually(() => network.client.must(["test", "-S", "/run/notify"]));
    await endPortal(network);
    const process = network.client.spawn(network.command(["run"]), {
      env: {
        ...env(network),
        FIREZONE_TOKEN: TOKENS.client,
        NOTIFY_SOCKET: "/run/notify",
        WATCHDOG_USEC: "400000",
      },
    });

    await check("it lives and is not ready while the portal is away", async () => {
      await supervisor.waitFor(/STATUS=Connecting: Cannot reach the portal/);
      await supervisor.waitFor(/WATCHDOG=1/);
      assert.match(supervisor.stdout, /^EXTEND_TIMEOUT_USEC=/);
      assert.doesNotMatch(supervisor.stdout, /READY/);
    });

    await check("ready when the tunnel is configured, and stopping at the end", async () => {
      await network.startPortal();
      await supervisor.waitFor(/READY=1/);
      assert.match(supervisor.stdout, /STATUS=Connected/);
      process.kill("SIGTERM");
      assert.equal((await process.outcome).code, 0);
      await supervisor.waitFor(/STOPPING=1/);
    });
  }),
);

Deno.test(
  "fz run: goes on where there can be no runtime folder, and says so once",
  onNetwork({ underlay: "ipv4" }, async (network) => {
    await network.client.writeFile("/run/file", "");
    const process = network.client.spawn(network.command(["run"]), {
      env: {
        ...env(network),
        FIREZONE_TOKEN: TOKENS.client,
        FZ_RUNTIME_DIR: "/run/file/fz",
        RUST_LOG: "info",
      },
    });
    await process.waitFor(/ready device=fz0/);
    assert.match(await network.curl(WEB), /hello/);
    assert.equal(process.stderr.match(/ WARN .*cannot be asked or steered/g)?.length, 1, process.stderr);
    process.kill("SIGTERM");
    assert.equal((await process.outcome).code, 0);
  }),
);

Deno.test(
  "fz up, down, status: many at once end with one session or none",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const clean = await tracesOn(network.client);
    const token = { FIREZONE_TOKEN: TOKENS.client };

    await check("eight ups come by one session", async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, () => fz(network, ["up", "--json"], token)),
      );
      for (const { code, stderr } of outcomes) assert.equal(code, 0, stderr);
      assert.equal(new Set(outcomes.map(({ stdout }) => JSON.parse(stdout).pid)).size, 1);
      assert.equal(await sessions(network), 1);
    });

    await check("twenty of all kinds leave a state that up and down understand", async () => {
      const commands = ["up", "down", "status", "up"].map((name) => [name]);
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, (_, index) => fz(network, commands[index % commands.length]!, token)),
      );
      for (const { code, stderr } of outcomes) {
        // An up whose session is ended by a down says so; a status in between finds none.
        assert.ok([0, 12].includes(code), `${code}: ${stderr}`);
      }
      assert.ok(await sessions(network) <= 1);
      const { code, stderr } = await fz(network, ["up"], token);
      assert.equal(code, 0, stderr);
      assert.equal(await sessions(network), 1);
      assert.match(await network.curl(WEB, "--retry", "3", "--retry-all-errors"), /hello/);
      assert.equal((await fz(network, ["down"])).code, 0);
      assert.equal(await sessions(network), 0);
      assert.equal(await tracesOn(network.client), clean);
    });
  }),
);

/** Returns how many sessions run on the client. */
async function sessions(network: Network): Promise<number> {
  const here = 'for p in /proc/[0-9]*; do [ "$(readlink $p/ns/net)" = "$(readlink /proc/self/ns/net)" ] && ';
  const { stdout } = await network.client.run(["sh", "-c", `${here} tr '\\0' ' ' <$p/cmdline && echo; done`]);
  return stdout.split("\n").filter((line) => / run --service/.test(line)).length;
}

async function endPortal(network: Network): Promise<void> {
  const process: LabProcess = network.role("portal").process;
  process.kill("SIGTERM");
  await process.outcome;
}

async function ask(network: Network): Promise<StatusDocument> {
  const url = "http://fz/v1/status";
  return JSON.parse(await network.client.must(["curl", "-sS", "--unix-socket", "/run/fz/fz.sock", url]));
}

async function post(network: Network, route: string, body: unknown): Promise<void> {
  await network.client.must([
    ...["curl", "-sS", "--fail-with-body", "--unix-socket", "/run/fz/fz.sock"],
    ...["-H", "content-type: application/json", "-d", JSON.stringify(body), `http://fz/v1/${route}`],
  ]);
}

function env(network: Network): Record<string, string> {
  const { FIREZONE_TOKEN: _, ...rest } = network.programEnv();
  return { ...rest, FIREZONE_DNS_CONTROL: "etc-resolv-conf" };
}

function fz(network: Network, args: string[], extra: Record<string, string> = {}) {
  return network.client.run(network.command(args), { env: { ...env(network), ...extra } });
}
