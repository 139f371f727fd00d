/** DNS by the real systemd-resolved on the real bus. */

import assert from "node:assert/strict";
import type { Host } from "../../io/lab/host.ts";
import { installResolved, startBus, startPolkit, startResolved } from "./support/bus.ts";
import { dig } from "./support/dig.ts";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";

const ALICE = 1234;
/** Permits what resolved asks about to one user. */
const RULE = (user: string) =>
  `polkit.addRule(function (action, subject) {
    if (action.id.indexOf("org.freedesktop.resolve1.") === 0 && subject.user === "${user}") return polkit.Result.YES;
  });`;

Deno.test(
  "ResolvedDns: names of resources by the machine's own resolver, repaired, and given back however we end",
  onNetwork({}, async (network, check) => {
    const { client } = network;
    await installResolved(client);
    await startBus(client);
    let resolved = await startResolved(client);
    const uplink = await uplinkOf(client);
    const upstream = network.uplink("public").v4!;
    await client.must(["resolvectl", "dns", uplink, upstream]);
    await client.must(["resolvectl", "domain", uplink, "corp.test"]);
    const before = await stateOf(client);
    assert.deepEqual((await dig(client, "@127.0.0.53", "www.public.test", "A")).data, [upstream]);

    await check(
      "while the session is up, resolved asks us, and nothing of the other links is lost",
      async () => {
        await network.startClient({ dnsControl: "systemd-resolved" });
        await eventually(() => resolvesResource(client));
        const stub = await dig(client, "@127.0.0.53", "web.site.test", "A");
        assert.match(stub.data[0] ?? "", /^100\.\d+\.\d+\.\d+$/);
        assert.match(await client.must(["getent", "ahostsv4", "web.site.test"]), /^100\./);
        assert.match(
          await client.must(["getent", "ahostsv4", "www.public.test"]),
          new RegExp(`^${upstream}`),
        );
        assert.match(await network.curl("http://web.site.test/"), /hello/);
        const stubFile = await client.readFile("/etc/resolv.conf");
        assert.match(stubFile, /^nameserver 127\.0\.0\.53$/m);
        assert.match(stubFile, /^search .*corp\.test/m);
        assert.match(await client.must(["resolvectl", "dns", uplink]), new RegExp(upstream));
      },
    );

    await check("a resolved that lost our settings is told them again", async () => {
      const { process } = network.role("client");
      process.kill("SIGSTOP");
      await resolved.stop();
      // It would read there what it was told before.
      await client.must(["rm", "-rf", "/run/systemd/resolve/netif"]);
      resolved = await startResolved(client);
      assert.doesNotMatch(await client.must(["resolvectl", "dns"]), /100\.100\.111\./);
      process.kill("SIGCONT");
      await client.must(["resolvectl", "dns", uplink, upstream]);
      await client.must(["resolvectl", "domain", uplink, "corp.test"]);
      await eventually(() => resolvesResource(client));
    });

    await check("somebody's own settings of our device are replaced", async () => {
      await client.must(["resolvectl", "dns", await tunOf(client), "192.0.2.53"]);
      await eventually(() => resolvesResource(client));
    });

    await check("after kill -9 the machine's own resolvers answer, and nothing of ours is left", async () => {
      const { process } = network.role("client");
      process.kill("SIGKILL");
      await process.outcome;
      await eventually(async () => {
        assert.deepEqual((await dig(client, "@127.0.0.53", "www.public.test", "A")).data, [upstream]);
      });
      await eventually(async () => assert.equal(await stateOf(client), before));
    });

    await check("a session that ends by itself gives DNS back", async () => {
      const { process } = await network.startClient({ dnsControl: "systemd-resolved" });
      await eventually(() => resolvesResource(client));
      assert.equal((await process.stop()).code, 0);
      await eventually(async () => assert.equal(await stateOf(client), before));
      assert.deepEqual((await dig(client, "@127.0.0.53", "www.public.test", "A")).data, [upstream]);
    });
  }),
);

Deno.test(
  "ResolvedDns.check: an ordinary user needs polkit's word, and is told so before anything is changed",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const { client } = network;
    await installResolved(client);
    await client.must([
      "sh",
      "-c",
      `install -d -m 700 -o ${ALICE} -g ${ALICE} /run/home /run/user/${ALICE} && ` +
      `echo alice:x:${ALICE}:${ALICE}::/run/home:/bin/sh >>/etc/passwd && chmod 1777 /run`,
    ]);
    await startBus(client);
    await startResolved(client);
    const uplink = await uplinkOf(client);
    await client.must(["resolvectl", "dns", uplink, network.uplink("public").v4!]);
    const before = await stateOf(client);

    await check("without polkit", async () => await assertRefused(network, before));

    const polkit = await startPolkit(client, RULE("bob"));
    await check("refused by polkit", async () => await assertRefused(network, before));
    await polkit.stop();

    await check("permitted by a rule", async () => {
      await startPolkit(client, RULE("alice"));
      const session = asAlice(network);
      await eventually(() => resolvesResource(client)).catch((error) => {
        throw new Error(`${error}\n${session.describe()}`);
      });
      assert.equal((await session.stop()).code, 0);
      await eventually(async () => assert.equal(await stateOf(client), before));
    });
  }),
);

async function assertRefused(network: Network, before: string): Promise<void> {
  const { code, stderr } = await asAlice(network).outcome;
  assert.equal(code, 6, stderr);
  assert.match(stderr, /polkit does not permit "org\.freedesktop\.resolve1\.set-dns-servers"/);
  assert.match(stderr, /\/etc\/polkit-1\/rules\.d/);
  assert.equal(await stateOf(network.client), before);
}

/** `fz run` as a user who may make tunnels, as a program with file capabilities may. */
function asAlice(network: Network) {
  const user = [`--reuid=${ALICE}`, `--regid=${ALICE}`, "--clear-groups"];
  const env = network.programEnv({
    HOME: "/run/home",
    XDG_RUNTIME_DIR: `/run/user/${ALICE}`,
    FIREZONE_ID: "alice",
  });
  const command = network.command(["run", "--dns-control", "systemd-resolved"]);
  return network.client.spawn(
    ["setpriv", ...user, "--inh-caps=+net_admin", "--ambient-caps=+net_admin", ...command],
    { env },
  );
}

async function resolvesResource(client: Host): Promise<void> {
  assert.match(await client.must(["resolvectl", "query", "-4", "web.site.test"]), /web\.site\.test: 100\./);
}

async function uplinkOf(client: Host): Promise<string> {
  const [, device] = / dev (\S+)/.exec(await client.must(["ip", "-4", "-o", "route", "show", "default"]))!;
  return device!;
}

async function tunOf(client: Host): Promise<string> {
  return (await client.must(["sh", "-c", "ip -o link show type tun | sed 's/^[0-9]*: //; s/:.*//'"])).trim();
}

/** What resolved is set to, and the files that tell it. */
async function stateOf(client: Host): Promise<string> {
  const parts = [["resolvectl", "dns"], ["resolvectl", "domain"], ["cat", "/etc/resolv.conf"], [
    "readlink",
    "/etc/resolv.conf",
  ]];
  return (await Promise.all(parts.map((part) => client.must(part)))).join("");
}
