/** The journal in bad company: a disk that fills or is locked under a session, and folders that somebody else can write. */

import assert from "node:assert/strict";
import { encodeJournal } from "../../lib/host/journal.ts";
import { machineState } from "./support/machine_state.ts";
import type { Network, Role } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";

const FOLDER = "/var/lib/fz";
const JOURNAL = `${FOLDER}/journal.json`;
const RESOLV_CONF = "/etc/resolv.conf";
const ALICE = 1234;

Deno.test(
  "fz run: a disk that fills, or is locked, while a session runs keeps it from undoing nothing",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const { client } = network;
    assertOk(await network.fz(["run", "--dns-control", "etc-resolv-conf", "--exit"], network.clientEnv()));
    await client.must(["mount", "-t", "tmpfs", "-o", "mode=700,size=64k", "tmpfs", FOLDER]);
    const clean = await machineState(client);
    const fill = ["sh", "-c", `cat /dev/zero >${FOLDER}/fill || true`];
    const lock = ["mount", "-o", "remount,ro", FOLDER];
    const free = ["sh", "-c", `mount -o remount,rw ${FOLDER}; rm -f ${FOLDER}/fill`];

    for (const [name, spoil] of [["full", fill], ["read-only", lock]] as const) {
      await check(`${name}: stopped`, async () => {
        const session = await spoiled(network, spoil);
        assert.equal((await session.process.stop()).code, 0, session.process.stderr);
        await client.must(free);
        assertOk(await network.fz(["cleanup"], {}));
        assert.equal(await machineState(client), clean);
      });

      await check(`${name}: killed, and cleaned up while it is so`, async () => {
        const session = await spoiled(network, spoil);
        session.process.kill("SIGKILL");
        await session.process.outcome;
        await eventually(async () =>
          assert.doesNotMatch(await client.readFile(RESOLV_CONF), /Written by fz/)
        );
        assertOk(await network.fz(["cleanup"], {}));
        await client.must(free);
        // What could not be forgotten is looked for once more.
        assertOk(await network.fz(["cleanup"], {}));
        assert.equal(await machineState(client), clean);
      });
    }

    await check(
      "a note that could not be forgotten does no harm to what somebody wrote since then",
      async () => {
        const session = await spoiled(network, lock);
        assert.equal((await session.process.stop()).code, 0, session.process.stderr);
        await client.must(free);
        await client.must(["test", "-s", JOURNAL]);
        await client.must(["cp", "-p", RESOLV_CONF, "/run/kept"]);
        await client.must(["sh", "-c", `echo nameserver 192.0.2.1 >${RESOLV_CONF}`]);
        assertOk(await network.fz(["cleanup"], {}));
        assert.equal(await client.readFile(RESOLV_CONF), "nameserver 192.0.2.1\n");
        await client.must(["cp", "-p", "/run/kept", RESOLV_CONF]);
        assert.equal(await machineState(client), clean);
      },
    );
  }),
);

Deno.test(
  "fz cleanup: as root believes no journal that somebody else wrote, or leads to, and waits for none",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const { client } = network;
    const folder = "/run/home/state";
    // It looks as if it were ours, so that nothing but the journal's owner keeps it from being written over.
    const victim = "# Written by fz: all names are asked through the tunnel.\nsecret\n";
    const hostile = encodeJournal([{
      boot: "",
      namespace: "",
      change: {
        id: "file:/etc/victim",
        type: "file",
        path: "/etc/victim",
        original: { type: "file", content: btoa("owned\n"), mode: 0o4755, uid: ALICE, gid: ALICE },
        isInPlace: false,
      },
    }]);
    const ways: readonly (readonly [name: string, make: string])[] = [
      ["hers", `cp /run/hostile $1/journal.json && chown ${ALICE} $1/journal.json`],
      [
        "hers, where a later version's waits",
        `cp -p /run/hostile $1/journal.json.newer && chown ${ALICE} $1/*`,
      ],
      ["root's, that all may write", "cp /run/hostile $1/journal.json && chmod 666 $1/journal.json"],
      ["a link to hers", `cp /run/hostile $1/x && chown ${ALICE} $1/x && ln -s x $1/journal.json`],
      ["a link to root's", "ln -s /run/hostile $1/journal.json"],
      ["a pipe", "mkfifo $1/journal.json"],
    ];
    await client.writeFile("/run/hostile", hostile, 0o600);
    // The runtime folder is there from then on.
    for (let round = 0; round < 2; round++) assertOk(await network.fz(["cleanup"], {}));
    for (const [name, make] of ways) {
      await check(name, async () => {
        await client.writeFile("/etc/victim", victim, 0o600);
        const prepare = `rm -rf $1 && mkdir -p $1 && chown ${ALICE} $1 && ${make}`;
        await client.must(["sh", "-c", prepare, "prepare", folder]);
        const before = await machineState(client);
        const { code, stderr } = await network.fz(["cleanup"], { FZ_STATE_DIR: folder });
        assert.equal(code, 0, stderr);
        assert.equal(await client.readFile("/etc/victim"), victim);
        assert.equal((await client.must(["stat", "-c", "%a %u", "/etc/victim"])).trim(), "600 0");
        assert.equal(await machineState(client), before);
      });
    }

    await check("root's own is believed, or the others would prove nothing", async () => {
      await client.must([
        "sh",
        "-c",
        "rm -rf $1 && mkdir -p $1 && cp /run/hostile $1/journal.json",
        "x",
        folder,
      ]);
      assertOk(await network.fz(["cleanup"], { FZ_STATE_DIR: folder }));
      assert.equal(await client.readFile("/etc/victim"), "owned\n");
    });
  }),
);

/** Starts a session, and spoils the folder of its journal when it is up. */
async function spoiled(network: Network, spoil: readonly string[]): Promise<Role> {
  const session = await network.startClient();
  await eventually(async () => assert.match(await network.client.readFile(RESOLV_CONF), /Written by fz/));
  await network.client.must([...spoil]);
  assert.match(await network.curl("http://web.site.test/"), /hello/);
  return session;
}

function assertOk({ code, stderr }: { readonly code: number; readonly stderr: string }): void {
  assert.equal(code, 0, stderr);
}
