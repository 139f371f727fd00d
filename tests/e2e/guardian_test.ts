/** Who gives DNS back when a session is killed, where resolvconf manages it: with the real packages. */

import assert from "node:assert/strict";
import type { Host } from "../../io/lab/host.ts";
import { DEBIAN_RESOLVCONF, OPENRESOLV } from "./support/dns_managers.ts";
import { eventually, onNetwork } from "./support/on_network.ts";

for (const manager of [DEBIAN_RESOLVCONF, OPENRESOLV]) {
  Deno.test(
    `guardChange: watches over the record of ${manager.name}`,
    onNetwork({ underlay: "ipv4" }, async (network, check) => {
      const { client } = network;
      await manager.prepare(network);
      const before = await manager.state(client);
      const start = () => network.startClient({ dnsControl: "resolvconf" });

      await check("killed with its guardian: fz cleanup mends it", async () => {
        const { process } = await start();
        const { session, guardians } = await processesOf(client);
        await client.must(["sh", "-c", `kill -STOP ${guardians} && kill -9 ${session} ${guardians}`]);
        await process.outcome;
        assert.match(await client.readFile("/etc/resolv.conf"), /^nameserver 100\.100\.111\./m);
        const { code, stderr } = await network.fz(["cleanup"], {});
        assert.equal(code, 0, stderr);
        assert.equal(await manager.state(client), before);
      });

      await check(
        "killed while a resolvconf is at work that gives the record later: it is taken away again",
        async () => {
          const { process } = await start();
          const { session, guardians } = await processesOf(client);
          await client.must(["sh", "-c", GIVE_LATE, "late", String(session), guardians]);
          await process.outcome;
          await eventually(async () => assert.equal(await manager.state(client), before));
          const { code, stderr } = await network.fz(["cleanup"], {});
          assert.equal(code, 0, stderr);
        },
      );

      await check(
        "killed, and started again at once: only the later one's record is there, and goes at its end with its guardian",
        async () => {
          for (let round = 0; round < 3; round++) {
            const { process } = await start();
            process.kill("SIGKILL");
            await process.outcome;
          }
          const { process } = await start();
          assert.match(await client.readFile("/etc/resolv.conf"), /^nameserver 100\.100\.111\./m);
          assert.match(await network.curl("http://web.site.test/"), /hello/);
          assert.equal((await process.stop()).code, 0);
          assert.equal(await manager.state(client), before);
        },
      );
    }),
  );
}

Deno.test(
  "guardChange: a daemon that a hook starts has neither the lock nor deaf ears",
  onNetwork({ underlay: "ipv4" }, async (network) => {
    const { client } = network;
    await DEBIAN_RESOLVCONF.prepare(network);
    const { process } = await network.startClient({ dnsControl: "resolvconf" });
    await client.writeFile(
      "/etc/resolvconf/update.d/zdaemon",
      '#!/bin/sh\n[ "$1" = -d ] || exit 0\nsleep 1000 9>&- </dev/null >/dev/null 2>&1 &\necho $! >/run/daemon\n',
      0o755,
    );
    process.kill("SIGKILL");
    await process.outcome;
    await eventually(() => client.must(["test", "-s", "/run/daemon"]));
    const { code, stderr } = await network.fz(
      ["run", "--dns-control", "disabled", "--exit"],
      network.clientEnv(),
    );
    assert.equal(code, 0, stderr);
    const daemon = (await client.readFile("/run/daemon")).trim();
    const ignored = await client.must(["sed", "-n", "s/^SigIgn:\\t//p", `/proc/${daemon}/status`]);
    const SIGTERM_BIT = 1n << 14n;
    assert.equal(BigInt(`0x${ignored.trim()}`) & SIGTERM_BIT, 0n);
  }),
);

Deno.test(
  "guardChange: in a container whose first process is the session, nobody is left when it is killed",
  onNetwork({ underlay: "ipv4" }, async (network) => {
    const { client } = network;
    const container = client.spawn(
      [
        ...["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"],
        ...network.command(["run", "--dns-control", "etc-resolv-conf"]),
      ],
      { env: network.programEnv() },
    );
    await eventually(
      async () => assert.match(await client.readFile("/etc/resolv.conf"), /Written by fz/),
    );
    await eventually(() => network.curl("http://172.20.0.10/", "--max-time", "3"));
    container.kill("SIGKILL");
    await container.outcome;
    // The container's files end with it; where they stay, the next one finds its mark.
    const { code, stderr } = await network.fz(["cleanup"], {});
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(await client.readFile("/etc/resolv.conf"), /Written by fz/);
  }),
);

/**
 * Kills the session, whose record is not there, and gives it a moment later. The guardian looks away while it is seen
 * that the record was given: it might be taken away again by then.
 */
const GIVE_LATE = `
cd /run/resolvconf/interface* || exit 1
for record in *fz0*; do :; done
cp "$record" /run/record && kill -STOP $1 && resolvconf -d "$record" && kill -9 $1 && sleep 0.6 || exit 1
kill -STOP $2 && resolvconf -a "$record" </run/record && grep -q ^nameserver.100.100.111 /etc/resolv.conf && kill -CONT $2
`;

async function processesOf(client: Host): Promise<{ session: number; guardians: string }> {
  const session = JSON.parse(await client.readFile("/run/fz/session.json")).pid;
  // What it runs besides, and a guardian that is being dismissed, are gone in a moment.
  const guardians = await eventually(async () => {
    const found = (await client.must(["pgrep", "-P", String(session), "-f", "fz-guardian"])).trim();
    assert.match(found, /^\d+$/);
    return found;
  });
  return { session, guardians };
}
