/** The end of a session in its order, as the kernel saw it; and what a power cut leaves, which takes the guardian, too. */

import assert from "node:assert/strict";
import { machineState } from "./support/machine_state.ts";
import { eventually, onNetwork } from "./support/on_network.ts";

const RUN = ["run", "--dns-control", "etc-resolv-conf"];
const CALLS = "sendto,sendmsg,sendmmsg,write,unlink,close";

Deno.test(
  "fz run: at its end gives DNS back, takes rules away, says goodbye, and closes its sockets, in this order",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const client = await network.startClient();
    await eventually(() => network.curl("http://172.20.0.10/", "--max-time", "5"));
    const { pid } = JSON.parse(await network.client.readFile("/run/fz/session.json"));
    const strace = network.client.spawn([
      ...["strace", "-f", "-yy", "-s", "300", "-o", "/run/trace", "-e", `trace=${CALLS}`, "-p", String(pid)],
    ]);
    await strace.waitFor(/attached/);
    const from = network.role("gateway-1").events.mark();
    client.process.kill("SIGTERM");
    assert.equal((await client.process.outcome).code, 0);
    await strace.outcome;
    const calls = (await network.client.readFile("/run/trace")).split("\n");

    await check("the gateway heard the goodbye", async () => {
      const removed = await network.role("gateway-1").events.waitFor("client-removed", { from });
      assert.equal(removed.reason, "goodbye");
    });

    await check("one came after the other", () => {
      const first = (pattern: RegExp) => calls.findIndex((call) => pattern.test(call));
      const last = (pattern: RegExp) => calls.findLastIndex((call) => pattern.test(call));
      const order = {
        dns: first(/write\(\d+<\/etc\/resolv\.conf>, "nameserver/),
        rules: first(/NETLINK.*RTM_DELRULE/),
        journal: first(/unlink\("\/var\/lib\/fz\/journal\.json"/),
        goodbye: last(/send\w+\(\d+<UDP/),
        sockets: first(/close\(\d+<UDP/),
        session: first(/unlink\("\/run\/fz\/session\.json"/),
      };
      const places = Object.values(order);
      assert.ok(places.every((place) => place >= 0), JSON.stringify(order));
      assert.deepEqual(places, places.toSorted((a, b) => a - b), JSON.stringify(order));
      return Promise.resolve();
    });
  }),
);

Deno.test(
  "fz run: after a power cut, files are as they were by the next start, and nothing of the kernel is replayed",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const host = network.client;
    assert.equal((await network.fz([...RUN, "--exit"], network.clientEnv())).code, 0);
    const clean = await machineState(host);
    for (const undo of [["cleanup"], [...RUN, "--exit"]]) {
      await check(`by ${undo[0]}`, async () => {
        const client = await network.startClient();
        const { pid } = JSON.parse(await host.readFile("/run/fz/session.json"));
        // What it runs besides, and a guardian that is being dismissed, are gone in a moment.
        const guardian = await eventually(async () => {
          const found = (await host.must(["pgrep", "-P", String(pid)])).trim();
          assert.match(found, /^\d+$/);
          return found;
        });
        await host.must(["sh", "-c", `kill -STOP ${guardian} && kill -9 ${pid} ${guardian}`]);
        await client.process.outcome;
        assert.match(await host.readFile("/etc/resolv.conf"), /Written by fz/);
        await host.must(["sh", "-c", REBOOT]);
        const { code, stderr } = await network.fz(undo, network.clientEnv());
        assert.equal(code, 0, stderr);
        await host.must(["sh", "-c", "umount /proc/sys/kernel/random/boot_id"]);
        assert.equal(await machineState(host), clean);
      });
    }
  }),
);

Deno.test(
  "fz run: where nothing can be noted, it refuses to write over files, and does what is found without notes",
  onNetwork({ underlay: "ipv4" }, async (network) => {
    const before = await machineState(network.client);
    // No folder can be made there.
    const env = network.clientEnv({
      FZ_STATE_DIR: "/proc/state",
      FZ_RUNTIME_DIR: "/proc/run",
      FIREZONE_ID: "x",
    });
    const refused = await network.fz([...RUN, "--exit"], env);
    assert.equal(refused.code, 6, refused.stderr);
    assert.match(
      refused.stderr,
      /Cannot note in "\/proc\/state\/journal\.json".*\n.*FZ_STATE_DIR[^]*--dns-control\s+disabled/,
    );
    assert.equal(await machineState(network.client), before);
    const degraded = await network.fz(["run", "--dns-control", "disabled", "--exit"], env);
    assert.equal(degraded.code, 0, degraded.stderr);
    assert.match(degraded.stderr, /cannot note what is changed on this machine/);
    assert.equal(await machineState(network.client), before);
  }),
);

/** What is left of the machine by a start of its kernel: files on disk. */
const REBOOT = `
for family in -4 -6; do
  for priority in 90 95 100 200 300; do
    while ip $family rule del priority $priority 2>/dev/null; do :; done
  done
done
rm -rf /run/fz
mkdir /run/fz && touch /run/fz/fz.lock && chmod 600 /run/fz/fz.lock
cat /proc/sys/kernel/random/uuid >/run/boot_id
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
`;
