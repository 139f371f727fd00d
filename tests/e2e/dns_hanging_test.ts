/**
 * Managers of DNS that do not answer: a session refuses to start, goes on, and ends all the same, and says why. NetworkManager
 * only with FZ_CRASH_ALL=1: it is waited for as long as systemd-resolved.
 */

import assert from "node:assert/strict";
import { DEBIAN_RESOLVCONF, NETWORK_MANAGER, RESOLVED } from "./support/dns_managers.ts";
import { machineState } from "./support/machine_state.ts";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";

const PROCESSES = { "systemd-resolved": "systemd-resolve", "NetworkManager": "NetworkManager" } as const;

const IS_WHOLE = Deno.env.get("FZ_CRASH_ALL") === "1";

for (const manager of [RESOLVED, ...(IS_WHOLE ? [NETWORK_MANAGER] : [])]) {
  Deno.test(
    `fz run: starts not, goes on and ends where ${manager.name} hangs`,
    onNetwork({ underlay: "ipv4" }, async (network, check) => {
      const { client } = network;
      await manager.prepare(network);
      const known = await manager.state(client);
      const program = PROCESSES[manager.name as keyof typeof PROCESSES];
      const inode = (await client.must(["stat", "-Lc", "%i", "/proc/self/ns/net"])).trim();
      const pids = (await client.must(["pgrep", "-x", program.slice(0, 15)])).trim().split("\n");
      const own = pids.filter((pid) => Deno.readLinkSync(`/proc/${pid}/ns/net`) === `net:[${inode}]`);
      assert.equal(own.length, 1);
      const send = (signal: string) => client.must(["kill", `-${signal}`, own[0]!]);
      const run = ["run", "--dns-control", manager.control, "--exit"];
      assert.equal((await network.fz(run, network.clientEnv())).code, 0);
      // A daemon hears of the end of our device a moment later.
      await eventually(async () => assert.equal(await manager.state(client), known));
      const before = await stateOf(network);

      await check("the start is refused, with nothing changed", async () => {
        await send("STOP");
        const { code, stderr } = await network.fz(run, network.clientEnv());
        await send("CONT");
        assert.equal(code, 8, stderr);
        assert.match(stderr, /no answer within \d+ s/);
        assert.equal(await stateOf(network), before);
      });

      await check("a session tells it, and ends", async () => {
        const { process } = await network.startClient({ dnsControl: manager.control });
        await send("STOP");
        await eventually(() => assert.match(process.stderr, /does not answer/));
        assert.equal((await process.stop()).code, 0);
        await send("CONT");
        await eventually(async () => assert.equal(await manager.state(client), known));
        assert.equal(await stateOf(network), before);
      });
    }),
  );
}

Deno.test(
  "fz run: where the system bus says nothing, a plain file is used, and systemd-resolved is not",
  onNetwork({ underlay: "ipv4" }, async (network) => {
    const { client } = network;
    await client.must(["mkdir", "-p", "/run/dbus"]);
    client.spawn(["socat", "UNIX-LISTEN:/run/dbus/system_bus_socket,fork", "EXEC:sleep 1000"]);
    await eventually(() => client.must(["test", "-S", "/run/dbus/system_bus_socket"]));
    const refused = await network.fz(["run", "--dns-control", "systemd-resolved"], network.clientEnv());
    assert.equal(refused.code, 8, refused.stderr);
    assert.match(refused.stderr, /the system bus does not let this user in|says nothing/);
    const plain = await network.fz(["run", "--exit"], network.clientEnv());
    assert.equal(plain.code, 0, plain.stderr);
    assert.match(plain.stderr, /control=etc-resolv-conf/);
  }),
);

Deno.test(
  "fz run: a hook of resolvconf that hangs ends the start and holds up no end, and fz cleanup mends what it left",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const { client } = network;
    await DEBIAN_RESOLVCONF.prepare(network);
    const run = ["run", "--dns-control", "resolvconf", "--exit"];
    assert.equal((await network.fz(run, network.clientEnv())).code, 0);
    const before = await DEBIAN_RESOLVCONF.state(client);
    const state = await stateOf(network);
    // It comes before the one that writes the file.
    const hook = "/etc/resolvconf/update.d/000hang";
    const hang = () => client.writeFile(hook, "#!/bin/sh\necho $$ >>/run/hanging\nexec sleep 1000\n", 0o755);
    const mend = async () => {
      await client.must(["rm", hook]);
      await client.must([
        "sh",
        "-c",
        "for pid in $(cat /run/hanging); do kill $pid; done; rm /run/hanging; true",
      ]);
      const { code, stderr } = await network.fz(["cleanup"], {});
      assert.equal(code, 0, stderr);
      assert.equal(await DEBIAN_RESOLVCONF.state(client), before);
      assert.equal(await stateOf(network), state);
      assert.match(await client.must(["getent", "hosts", "www.public.test"]), /www\.public\.test/);
    };

    await check("at the start", async () => {
      await hang();
      const { code, stderr } = await network.fz(run, network.clientEnv());
      assert.equal(code, 8, stderr);
      assert.match(stderr, /resolvconf said: it did not end within 10 s/);
      await mend();
    });

    await check("at the end", async () => {
      const { process } = await network.startClient({ dnsControl: "resolvconf" });
      await hang();
      const { code, stderr } = await process.stop();
      assert.equal(code, 8, stderr);
      assert.match(stderr, /not everything was undone on this machine; run `fz cleanup`.*DNS/);
      assert.match(stderr, /this machine's DNS is not as it was: it takes too long/);
      await mend();
    });
  }),
);

/** Without the note of how the last session ended. */
async function stateOf({ client }: Network): Promise<string> {
  return (await machineState(client)).replace(/^\/run\/fz\/exit\.json .*\n/m, "");
}
