/** The service's own user sets DNS: by the rule that is installed for it, a real polkit and the real daemons. */

import assert from "node:assert/strict";
import type { Host } from "../../io/lab/host.ts";
import { POLKIT_FILE, polkitRule, SYSUSERS_FILE, sysusersText } from "../../lib/control/service/user.ts";
import { installResolved, startBus, startPolkit, startResolved } from "./support/bus.ts";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";

const FOLDERS = ["/run/fz", "/var/lib/fz", "/var/lib/dev.firezone.client"];
const AS_USER = ["--reuid=fz", "--regid=fz", "--clear-groups"];
const AS_SERVICE = [
  ...["setpriv", ...AS_USER, "--no-new-privs"],
  ...["--inh-caps=-all,+net_admin", "--ambient-caps=+net_admin", "--bounding-set=-all,+net_admin"],
];
/** The bus knows users by name only. */
const AS_STRANGER = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];

Deno.test(
  "polkitRule: the service's user sets DNS by systemd-resolved, and by the rule alone; nobody else does",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const { client } = network;
    await installResolved(client);
    await makeUser(client);
    await startBus(client);
    await startResolved(client);
    const [, uplink] = / dev (\S+)/.exec(await client.must(["ip", "-4", "-o", "route", "show", "default"]))!;
    await client.must(["resolvectl", "dns", uplink!, network.uplink("public").v4!]);
    const before = await client.must(["resolvectl", "dns"]);
    const polkit = await startPolkit(client, "// No rule of ours.\n");

    await check("without the rule: exit code 6, the way out, and nothing changed", async () => {
      const { code, stderr } = await service(network, "systemd-resolved").outcome;
      assert.equal(code, 6, stderr);
      assert.match(stderr, /polkit does not permit "org\.freedesktop\.resolve1\.set-dns-servers"/);
      assert.match(stderr, /\/etc\/polkit-1\/rules\.d/);
      assert.equal(await client.must(["resolvectl", "dns"]), before);
    });
    await polkit.stop();
    await startPolkit(client, "// No rule of ours.\n");
    await client.must(["sh", "-c", "rm /etc/polkit-1/rules.d/*"]);
    await client.writeFile(POLKIT_FILE, polkitRule());

    await check("with it: names of resources resolve, and DNS is given back at the end", async () => {
      const session = service(network, "systemd-resolved");
      await eventually(async () => {
        const said = await client.run(["resolvectl", "query", "-4", "web.site.test"]);
        assert.match(said.stdout, /web\.site\.test: 100\./, `${said.stderr}${session.describe()}`);
      }, 30_000);
      assert.match(await network.curl("http://web.site.test/"), /hello/);
      assert.equal((await session.stop(20_000)).code, 0, session.describe());
      await eventually(async () => assert.equal(await client.must(["resolvectl", "dns"]), before));
    });
    await check(
      "with a capability from the file of its runtime: the same, and DNS is given back",
      async () => {
        const folder = await Deno.makeTempDir({ dir: "/var/tmp" });
        try {
          await Deno.chmod(folder, 0o755);
          const runtime = `${folder}/deno`;
          await Deno.copyFile(Deno.execPath(), runtime);
          await Deno.chmod(runtime, 0o755);
          await client.must(["setcap", "cap_net_admin+ep", runtime]);
          const session = service(network, "systemd-resolved", ["setpriv", ...AS_USER], runtime);
          await eventually(async () => {
            const said = await client.run(["resolvectl", "query", "-4", "web.site.test"]);
            assert.match(said.stdout, /web\.site\.test: 100\./, `${said.stderr}${session.describe()}`);
          }, 30_000);
          assert.match(await network.curl("http://web.site.test/"), /hello/);
          assert.equal((await session.stop(20_000)).code, 0, session.describe());
          await eventually(async () => assert.equal(await client.must(["resolvectl", "dns"]), before));
        } finally {
          await Deno.remove(folder, { recursive: true });
        }
      },
    );
    await check("a stranger is refused with the rule there, and so is what it does not name", async () => {
      const stranger = await client.run([...AS_STRANGER, "resolvectl", "dns", uplink!, "192.0.2.1"]);
      assert.notEqual(stranger.code, 0);
      assert.match(stranger.stderr, /[Aa]ccess denied|authentication required/);
      const service = [...AS_SERVICE, "--", "busctl", "call", "org.freedesktop.resolve1"];
      const other = await client.run([
        ...[...service, "/org/freedesktop/resolve1", "org.freedesktop.resolve1.Manager", "RegisterService"],
        ...["sssqqqaa{say}", "x", "x", "_x._tcp", "1", "0", "0", "0"],
      ]);
      assert.match(other.stderr, /[Aa]ccess denied|authentication required/);
      assert.equal(await client.must(["resolvectl", "dns"]), before);
    });
  }),
);

async function makeUser(host: Host): Promise<void> {
  await host.writeFile(SYSUSERS_FILE, sysusersText());
  await host.must(["systemd-sysusers", SYSUSERS_FILE]);
  await host.must(["install", "-d", "-o", "fz", "-g", "fz", "-m", "0755", ...FOLDERS]);
}

/** What the unit starts, as systemd does. */
function service(
  network: Network,
  dnsControl: string,
  by: readonly string[] = AS_SERVICE,
  runtime = Deno.execPath(),
) {
  const env = network.programEnv({
    FZ_CONFIG_DIR: "/etc/fz",
    RUNTIME_DIRECTORY: FOLDERS[0]!,
    STATE_DIRECTORY: FOLDERS.slice(1).join(":"),
    HOME: "/var/lib/fz",
  });
  const [, ...words] = network.command(["run", "--service", "--dns-control", dnsControl]);
  return network.client.spawn([...by, runtime, ...words], { env });
}
