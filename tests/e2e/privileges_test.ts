/** What a session may: root's gives up all but one right, an ordinary user needs that one, and without it nothing happens. */

import assert from "node:assert/strict";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { tracesOn } from "./support/traces.ts";

const UID = 1234;
const GROUP = 4321;
const AS_ALICE = ["setpriv", `--reuid=${UID}`, `--regid=${UID}`, "--clear-groups"];
const NET_ADMIN = "0000000000001000";
/** With the right to read what belongs to others. */
const AND_READ = "0000000000001004";
const PREPARE = `
install -d -m 700 -o ${UID} -g ${UID} /run/home/alice /run/user/alice || exit 1
cp /etc/group /run/group && rm /etc/group && cp /run/group /etc/group && echo fz:x:${GROUP}: >>/etc/group`;

Deno.test(
  "fz run: as root it goes on with CAP_NET_ADMIN alone, in every thread, and does its work",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const { client } = network;
    await client.must(["sh", "-c", PREPARE]);
    const clean = await tracesOn(client);
    const resolvConf = await client.readFile("/etc/resolv.conf");

    await check("the same process, and nothing but the one capability", async () => {
      const { process } = await network.startClient();
      const threads = await threadsOf(network, process.pid);
      assert.ok(threads.length > 1);
      for (const [uid, ...sets] of threads) {
        assert.equal(uid, "0");
        assert.deepEqual(sets, [NET_ADMIN, NET_ADMIN, NET_ADMIN]);
      }
      const { pid } = JSON.parse(await client.must(["cat", "/run/fz/session.json"]));
      assert.equal(await name(network, pid), await name(network, process.pid));
    });
    await check("the tunnel works, by address and by name", async () => {
      assert.match(await network.curl("http://172.20.0.10/"), /hello/);
      assert.match(await network.curl("http://exact.site.test/"), /hello/);
    });
    await check("the socket for readers is their group's, and the environment went along", async () => {
      const stat = ["stat", "-c", "%g %a", "/run/fz/fz-read.sock"];
      assert.equal(await client.must(stat), `${GROUP} 660\n`);
      const { process } = network.role("client");
      const environment = await client.must(["cat", `/proc/${process.pid}/environ`]);
      assert.match(environment, /FIREZONE_NAME=/);
      assert.doesNotMatch(environment, /FIREZONE_TOKEN|client-token/);
    });
    await check("without the right to write over permissions it still puts resolv.conf back", async () => {
      assert.notEqual(await client.readFile("/etc/resolv.conf"), resolvConf);
      await network.role("client").process.stop();
      assert.equal(await client.readFile("/etc/resolv.conf"), resolvConf);
      assert.equal(await tracesOn(client), clean);
    });
    await check("settings in a closed home: it keeps the right to read them, and says so", async () => {
      await client.must(["install", "-d", "-m", "700", "-o", String(UID), "/run/home/alice/settings"]);
      const { process } = await network.startClient({ env: { FZ_CONFIG_DIR: "/run/home/alice/settings" } });
      for (const [, ...sets] of await threadsOf(network, process.pid)) {
        assert.deepEqual(sets, [AND_READ, AND_READ, AND_READ]);
      }
      assert.match(process.describe(), /more of root's rights.*\/run\/home\/alice/);
      await process.stop();
      assert.equal(await tracesOn(client), clean);
    });
    await check("in a folder of state of the service's user: what it keeps there is his", async () => {
      await client.must(["install", "-d", "-m", "700", "-o", String(UID), "/run/state"]);
      const { process } = await network.startClient({ env: { FZ_STATE_DIR: "/run/state" } });
      await client.must(network.command(["internet", "on"]), { env: network.programEnv({}) });
      const stat = ["stat", "-c", "%u %a", "/run/state/profiles/default.json"];
      assert.equal(await client.must(stat), `${UID} 600\n`);
      await process.stop();
      assert.equal(await tracesOn(client), clean);
    });
  }),
);

Deno.test(
  "fz run: an ordinary user needs CAP_NET_ADMIN and nothing else, ambient or from the file of the runtime",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const { client } = network;
    await client.must(["sh", "-c", PREPARE]);
    const clean = await tracesOn(client);
    const env = network.programEnv({
      HOME: "/run/home/alice",
      XDG_RUNTIME_DIR: "/run/user/alice",
      FIREZONE_DNS_CONTROL: "disabled",
    });
    const run = (by: readonly string[], runtime = Deno.execPath()) => {
      const [, ...words] = network.command(["run"]);
      return client.spawn([...AS_ALICE, ...by, runtime, ...words], { env });
    };

    await check("without it: exit code 6 with the way out, and nothing changed", async () => {
      const { code, stderr } = await run([]).outcome;
      assert.equal(code, 6, stderr);
      assert.match(
        stderr,
        /Cannot make a tunnel: the capability CAP_NET_ADMIN is missing\n {4}Grant it: .*setpriv/,
      );
      assert.equal(await tracesOn(client), clean);
      assert.equal(await client.must(["find", "/run/home/alice", "-type", "f", "-name", "*id*"]), "");
    });
    await check("ambient: connects, and what it makes is the user's; /proc shows no token", async () => {
      const process = run(["--inh-caps=+net_admin", "--ambient-caps=+net_admin"]);
      await assertWorks(network);
      const environment = await client.must(["cat", `/proc/${process.pid}/environ`]);
      assert.match(environment, /FIREZONE_NAME=/);
      assert.doesNotMatch(environment, /FIREZONE_TOKEN|client-token/);
      await process.stop();
      assert.equal(await tracesOn(client), clean);
    });
    await check("from the file of a private runtime: the same", async () => {
      // In a folder that only the group may enter: others must not get at its right.
      const folder = await Deno.makeTempDir({ dir: "/var/tmp" });
      try {
        await Deno.chmod(folder, 0o755);
        const runtime = `${folder}/deno`;
        await Deno.copyFile(Deno.execPath(), runtime);
        await Deno.chmod(runtime, 0o755);
        await client.must(["setcap", "cap_net_admin+ep", runtime]);
        const process = run([], runtime);
        await assertWorks(network);
        await process.stop();
        assert.equal(await tracesOn(client), clean);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    });
  }),
);

Deno.test(
  "fz gateway, fz relay: as root they go on with CAP_NET_ADMIN alone, and carry a relayed client",
  onNetwork({ underlay: "ipv4", clientNat: "symmetric", gatewayNat: "symmetric" }, async (network, check) => {
    for (const name of ["gateway-1", "relay-1"]) {
      await check(`${name}: one capability in every thread, and no token for /proc to show`, async () => {
        const { process } = network.role(name);
        const threads = await threadsOf(network, process.pid);
        assert.ok(threads.length > 1);
        for (const [uid, ...sets] of threads) {
          assert.deepEqual([uid, ...sets], ["0", NET_ADMIN, NET_ADMIN, NET_ADMIN]);
        }
        const environment = await network.host(name).must(["cat", `/proc/${process.pid}/environ`]);
        assert.match(environment, /FIREZONE_API_URL=/);
        assert.doesNotMatch(environment, /FIREZONE_TOKEN|gateway-token|relay-token/);
      });
    }
    await check("a client behind hostile NATs works by the relay, by address and by name", async () => {
      // Only the machine's own namespace has limits of buffers to raise: elsewhere it goes on without.
      const { events } = await network.startClient({ env: { FIREZONE_INC_BUF: "true" } });
      assert.match(await network.curl("http://172.20.0.10/"), /hello/);
      assert.match(await network.curl("http://exact.site.test/"), /hello/);
      const { path } = await events.waitFor("connected");
      assert.equal(path.kind, "relayed");
    });
    await check("the gateway gives back what it changed: its table of nftables goes with it", async () => {
      const gateway = network.host("gateway-1");
      assert.match(await gateway.must(["nft", "list", "tables"]), /table/);
      assert.equal((await network.role("gateway-1").process.stop()).code, 0);
      assert.doesNotMatch(await gateway.must(["nft", "list", "tables"]), /fz|firezone/);
    });
  }),
);

async function assertWorks(network: Network): Promise<void> {
  const { client } = network;
  await eventually(async () => {
    assert.match(await network.curl("http://172.20.0.10/", "--max-time", "2"), /hello/);
  });
  const socket = await client.must(["stat", "-c", "%u %a", "/run/user/alice/fz/fz.sock"]);
  assert.equal(socket, `${UID} 600\n`);
  const files = await client.must(["find", "/run/home/alice", "/run/user/alice", "!", "-user", String(UID)]);
  assert.equal(files, "");
}

/** Returns the user, and the permitted, effective and bounding capabilities of each thread. */
async function threadsOf(network: Network, pid: number): Promise<string[][]> {
  // A thread may end while it is looked at.
  const text = await network.client.must(["sh", "-c", `cat /proc/${pid}/task/*/status || true`]);
  assert.notEqual(text, "", "it has ended");
  return text.split(/^Name:/m).slice(1).map((status) =>
    ["Uid", "CapPrm", "CapEff", "CapBnd"].map((name) =>
      new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)?.[1] ?? ""
    )
  );
}

/** Process ids of a host are those of the lab. */
async function name(network: Network, pid: number): Promise<string> {
  return (await network.client.must(["cat", `/proc/${pid}/stat`])).split(" ")[0] ?? "";
}
