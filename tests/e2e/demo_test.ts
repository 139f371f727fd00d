import assert from "node:assert/strict";
import { LabProcess } from "../../io/lab/process.ts";
import { toolPath } from "../../io/lab/isolation.ts";
import { inLab } from "../../io/lab/lab.ts";
import { eventually } from "./support/on_network.ts";

const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

Deno.test("fz demo: reaches the web server directly and says how, step by step", async () => {
  const since = performance.now();
  const { code, document } = await demoJson([]);
  const whole = performance.now() - since;
  assert.equal(code, 0);
  assert.equal(document.schema, 1);
  assert.equal(document.ok, true);
  assert.deepEqual(document.http && [document.http.status, document.http.bytes > 100], [200, true]);
  assert.deepEqual([document.path?.kind, document.path?.localKind, document.path?.remoteKind], [
    "direct",
    "host",
    "host",
  ]);
  const names = document.steps.map(({ name }) => name);
  for (
    const name of [
      "hosts",
      "portal",
      "signed in",
      "resources",
      "tunnel device",
      "access granted",
      "DNS answer",
      "HTTP",
    ]
  ) {
    assert.ok(names.includes(name), `${name} in ${names}`);
  }
  assert.ok(document.steps.every(({ ms }) => ms >= 0 && ms <= whole), JSON.stringify(document.steps));
  await assertNothingLeft();
});

Deno.test("fz demo --relayed: goes by the relay", async () => {
  const { code, document } = await demoJson(["--relayed"]);
  assert.equal(code, 0);
  assert.equal(document.path?.kind, "relayed");
  assert.equal(document.http?.status, 200);
});

Deno.test("fz demo: works for an ordinary user", () =>
  asOrdinaryUser(async (spawn) => {
    const { code, stdout, stderr } = await spawn(["demo", "--json"]).outcome;
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).http.status, 200);
  }));

Deno.test("fz demo: tells its story as lines for people", async () => {
  const { code, stdout } = await spawnFz(["demo"]).outcome;
  assert.equal(code, 0);
  assert.match(stdout, /^ +\d+ ms {2}signed in /m);
  assert.match(stdout, /\nIt works: \d+ bytes through the tunnel/);
  assert.ok(!stdout.includes("\x1b"));
});

Deno.test("fz demo --keep: prints commands that work, and ends with a signal", async () => {
  const demo = spawnFz(["demo", "--keep"]);
  const [, command] = await demo.waitFor(/^ {2}(nsenter .* client curl .*)$/m);
  const page = await new LabProcess(["sh", "-c", command!], ["sh"], { path: toolPath() }).outcome;
  assert.match(page.stdout, /You reached the intranet/, page.stderr);
  demo.kill("SIGINT");
  assert.equal((await demo.outcome).code, 0);
  await assertNothingLeft();
});

Deno.test("fz demo: leaves nothing behind when it is interrupted, wherever it is", async (t) => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
    for (const step of [/hosts/, /portal/, /signed in/]) {
      await t.step(`${signal} after ${step}`, async () => {
        const demo = spawnFz(["demo"]);
        await demo.waitFor(step);
        demo.kill(signal);
        // One that went on to its end would have succeeded.
        assert.notEqual((await demo.outcome).code, 0);
        await assertNothingLeft();
      });
    }
  }
});

Deno.test("fz demo: names the setting that forbids namespaces, and exits 6", async () => {
  const forbid = 'echo 0 >/proc/sys/user/max_net_namespaces && exec "$@"';
  const argv = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh", ...fz(["demo"])];
  const { code, stdout, stderr } = await new LabProcess(argv, ["demo"], { path: toolPath(), env: OUTSIDE })
    .outcome;
  assert.equal(code, 6, stderr);
  assert.match(
    stderr,
    /^fz: Cannot create namespaces: the setting user\.max_net_namespaces is 0\n {4}Run "sysctl/m,
  );
  assert.equal(stdout, "");
  const json = await new LabProcess([...argv, "--json"], ["demo"], { path: toolPath(), env: OUTSIDE })
    .outcome;
  assert.equal(json.code, 6);
  assert.equal(JSON.parse(json.stdout).ok, false);
});

interface Document {
  readonly schema: number;
  readonly ok: boolean;
  readonly steps: readonly { name: string; ms: number; detail: string }[];
  readonly path?: { kind: string; localKind: string; remoteKind: string };
  readonly http?: { status: number; bytes: number };
}

/** The demo shall isolate itself, as it does outside of these tests. */
const OUTSIDE = { FZ_ISOLATED: "", NO_COLOR: "1" };

function fz(args: readonly string[], root = ROOT, deno = Deno.execPath()): string[] {
  return [deno, "run", "-A", "--quiet", "--no-prompt", `${root}/main.ts`, ...args];
}

function spawnFz(args: readonly string[]): LabProcess {
  return new LabProcess(fz(args), args, { path: toolPath(), env: OUTSIDE });
}

async function demoJson(args: readonly string[]): Promise<{ code: number; document: Document }> {
  const { code, stdout, stderr } = await spawnFz(["demo", "--json", ...args]).outcome;
  assert.notEqual(stdout, "", stderr);
  return { code, document: JSON.parse(stdout) };
}

/** Waits until no role runs any more; then there must be no interface and no name of a namespace. */
async function assertNothingLeft(): Promise<void> {
  await eventually(() => assert.deepEqual(roles(), []));
  const show = new LabProcess(["sh", "-c", "ip -brief link | grep -v '^lo '; ip netns"], ["ip"], {
    path: toolPath(),
  });
  assert.equal((await show.outcome).stdout, "");
}

/** Command lines of roles and keepers that run here or in a process namespace below. */
function roles(): string[] {
  const lines: string[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const line = Deno.readTextFileSync(`/proc/${name}/cmdline`).replaceAll("\0", " ");
      if (/main\.ts (demo|portal|relay|gateway|run)|sleep infinity/.test(line)) lines.push(line);
    } catch {
      // It has ended meanwhile.
    }
  }
  return lines;
}

/** Calls `body` with a function that starts `fz` as a user without privileges, who can read what it needs. */
async function asOrdinaryUser(body: (spawn: (args: string[]) => LabProcess) => Promise<void>): Promise<void> {
  await inLab(async (lab) => {
    const host = await lab.host("user");
    const { denoDir } = JSON.parse(await host.must([Deno.execPath(), "info", "--json"]));
    // Wherever they are, their folders may be closed to others; what is bound elsewhere is not.
    const script = `
      mkdir -p /var/lib/u/repo /var/lib/u/cache /var/lib/u/home && touch /var/lib/u/deno && chmod 755 /var/lib/u && chmod 777 /var/lib/u/home &&
      mount --bind "$1" /var/lib/u/repo && mount --bind "$2" /var/lib/u/cache && mount --bind "$3" /var/lib/u/deno`;
    await host.must(["sh", "-c", script, "bind", ROOT, denoDir, await Deno.realPath(Deno.execPath())]);
    const drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
    const env = { ...OUTSIDE, HOME: "/var/lib/u/home", DENO_DIR: "/var/lib/u/cache" };
    await body((args) =>
      host.spawn([...drop, ...fz(args, "/var/lib/u/repo", "/var/lib/u/deno")], { env, cwd: "/" })
    );
  });
}
