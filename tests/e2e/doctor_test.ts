import assert from "node:assert/strict";
import type { Finding } from "../../lib/control/doctor.ts";
import type { Outcome } from "../../io/lab/process.ts";
import type { Network } from "./support/network.ts";
import { onNetwork } from "./support/on_network.ts";
import { TOKENS } from "./support/seed.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const FZ = [Deno.execPath(), "run", "-A", "--quiet", MAIN];
const TOKEN = "/etc/dev.firezone.client/token";

Deno.test(
  "fz doctor: finds what is really wrong with a machine, and names what mends it",
  onNetwork({ underlay: "ipv4", relays: 2 }, async (network, check) => {
    const { client } = network;

    await check("nobody has signed in: 3", async () => {
      const { code, findings } = await doctor(network);
      assert.equal(code, 3);
      assert.match(the(findings, "credential").fix ?? "", /fz sign-in/);
      assert.equal(the(findings, "udp").status, "skipped");
    });
    await client.writeFile(TOKEN, TOKENS.client, 0o600);
    await check(
      "a machine on which a session can work: 0, and UDP was tried at the portal's relays",
      async () => {
        const { code, findings } = await doctor(network);
        assert.deepEqual(findings.filter(({ status }) => status === "problem"), []);
        assert.equal(code, 0);
        for (const name of ["tun", "privilege", "dns", "portal", "clock", "udp", "overlap", "leftovers"]) {
          assert.equal(the(findings, name).status, "ok", name);
        }
      },
    );
    await check("a token that others can read: 3", async () => {
      await client.must(["chmod", "644", TOKEN]);
      const { code, findings } = await doctor(network);
      assert.equal(code, 3);
      assert.match(the(findings, "credential").fix ?? "", /chmod 600/);
      await client.must(["chmod", "600", TOKEN]);
    });
    await check("/dev/net/tun is missing: 7", async () => {
      // With CAP_MKNOD a session would make it.
      const hide = 'mount -t tmpfs tmpfs /dev/net && exec setpriv --bounding-set=-mknod "$@"';
      const { code, findings } = await doctor(network, ["unshare", "--mount", "sh", "-c", hide, "hide"]);
      assert.equal(code, 7);
      assert.match(the(findings, "tun").fix ?? "", /modprobe tun/);
    });
    await check("/dev/net/tun is another device: 7", async () => {
      const replace = 'mount --bind /dev/null /dev/net/tun && exec "$@"';
      const { code, findings } = await doctor(network, [
        "unshare",
        "--mount",
        "sh",
        "-c",
        replace,
        "replace",
      ]);
      assert.equal(code, 7);
      assert.match(the(findings, "tun").message, /is not the TUN device/);
    });
    await check("the capability is missing: 6", async () => {
      const { code, findings } = await doctor(network, ["setpriv", "--bounding-set", "-net_admin"]);
      assert.equal(code, 6);
      assert.equal(the(findings, "privilege").status, "problem");
    });
    await check("a DNS manager that is not there: 8", async () => {
      const { code, findings } = await doctor(network, [], ["--dns-control", "systemd-resolved"]);
      assert.equal(code, 8);
      assert.match(the(findings, "dns").message, /systemd-resolved/);
    });
    await check("a way of DNS of another system: 2, and told once", async () => {
      const { code, findings } = await doctor(network, [], ["--dns-control", "nrpt"]);
      assert.equal(code, 2);
      const problems = findings.filter(({ status }) => status === "problem");
      assert.deepEqual(problems.map(({ check }) => check), ["settings"]);
      assert.match(problems[0]!.message, /"nrpt" is a way of another system/);
    });
    await check(
      "a strict reverse path filter: fine; another VPN on the tunnel's addresses: a warning",
      async () => {
        await client.must(["sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter"]);
        await client.must(["ip", "link", "add", "tailscale0", "type", "veth", "peer", "name", "far0"]);
        await client.must(["ip", "address", "add", "100.101.102.103/32", "dev", "tailscale0"]);
        const { code, findings } = await doctor(network);
        assert.equal(code, 0);
        assert.equal(the(findings, "rp-filter").status, "ok");
        assert.match(the(findings, "rp-filter").message, /strict/);
        assert.match(the(findings, "overlap").message, /tailscale0 \(Tailscale\)/);
        await client.must(["ip", "link", "delete", "tailscale0"]);
        await client.must(["sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter"]);
      },
    );
    await check("UDP is blocked: 5", async () => {
      await client.nft(
        "table inet cut { chain out { type filter hook output priority 0; udp dport 3478 drop; }; }",
      );
      const { code, findings } = await doctor(network);
      assert.equal(code, 5);
      assert.match(the(findings, "udp").message, /blocked/);
      await client.must(["nft", "delete", "table", "inet", "cut"]);
    });
    await check("a clock that is an hour behind the portal's: 5", async () => {
      const date = new Date(Date.now() + 3_600_000).toUTCString();
      const answer =
        `HTTP/1.1 404 Not Found\\r\\nDate: ${date}\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n`;
      await client.writeFile("/run/answer.sh", `read -r line; printf '${answer}'\n`, 0o755);
      const server = client.spawn(["socat", "TCP4-LISTEN:8099,fork,reuseaddr", "EXEC:sh /run/answer.sh"]);
      const { code, findings } = await doctor(network, [], ["--api-url", "ws://127.0.0.1:8099/"]);
      assert.equal(code, 5);
      assert.match(the(findings, "clock").message, /behind/);
      await server.stop();
    });
    await check("another client runs: 7", async () => {
      await client.must(["cp", "/bin/sleep", "/run/firezone-headless-client"]);
      const other = client.spawn(["/run/firezone-headless-client", "1000"]);
      const { code, findings } = await doctor(network);
      assert.equal(code, 7);
      assert.match(the(findings, "clients").message, /firezone-headle\w* \(pid \d+\)/);
      await other.stop();
    });
    await check("a killed session left things behind: a warning that names fz cleanup", async () => {
      assert.equal((await network.fz(["up"], network.clientEnv({ FIREZONE_TOKEN: "" }))).code, 0);
      const { stdout } = await network.fz(["status", "--json"], network.clientEnv());
      await client.must(["kill", "-9", String(JSON.parse(stdout).pid)]);
      const { findings } = await doctor(network);
      assert.equal(the(findings, "leftovers").fix, "fz cleanup");
      await network.fz(["cleanup"], network.clientEnv());
      assert.equal(the((await doctor(network)).findings, "leftovers").status, "ok");
    });
  }),
);

async function doctor(
  network: Network,
  wrapper: readonly string[] = [],
  args: readonly string[] = [],
): Promise<{ readonly code: number; readonly findings: readonly Finding[] }> {
  const { FIREZONE_TOKEN: _, ...env } = network.clientEnv({ DENO_DIR: Deno.env.get("DENO_DIR") ?? "" });
  const command = [...wrapper, ...FZ, "doctor", "--json", ...args];
  const outcome: Outcome = await network.client.run(command, { env });
  assert.equal(outcome.stdout.trim().split("\n").length, 1, outcome.stderr);
  return { code: outcome.code, findings: JSON.parse(outcome.stdout).findings };
}

function the(findings: readonly Finding[], name: string): Finding {
  const found = findings.find(({ check }) => check === name);
  assert.ok(found, `no finding about ${name}`);
  return found;
}
