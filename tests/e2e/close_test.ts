/** Ends of all kinds: asked for and sudden, of clients, gateways and relays, and what the others make of them. */

import assert from "node:assert/strict";
import type { Network, Role } from "./support/network.ts";
import { CurlLoop } from "./support/curl_loop.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { currentPath, waitForPath } from "./support/paths.ts";
import { Stream } from "./support/stream.ts";
import { tracesOn } from "./support/traces.ts";

const WEB = "http://172.20.0.10/";

Deno.test(
  "close: clients and gateways that end, asked or not",
  onNetwork({ underlay: "dual", gateways: 2 }, async (network, check) => {
    const clean = await tracesOn(network.client);

    await check("SIGTERM: the client says goodbye, cleans up and exits with 0", async () => {
      const client = await network.startClient();
      await network.curl(WEB);
      const marks = gateways(network).map(({ events }) => events.mark());
      assert.notEqual(await tracesOn(network.client), clean);
      client.process.kill("SIGTERM");
      const { code, stderr } = await client.process.outcome;
      assert.equal(code, 0, stderr);
      const removed = await eventually(() => {
        const found = gateways(network).flatMap(({ events }, index) =>
          events.all().slice(marks[index]!).filter((event) =>
            event.event === "client-removed"
          )
        )[0];
        assert.ok(found, "no gateway has removed it");
        return found;
      });
      assert.equal(removed.reason, "goodbye");
      assert.equal(await tracesOn(network.client), clean);
    });

    await check("SIGINT stops like SIGTERM, also while nothing is connected", async () => {
      const client = await network.startClient();
      client.process.kill("SIGINT");
      assert.equal((await client.process.outcome).code, 0);
      assert.equal(await tracesOn(network.client), clean);
    });

    await check(
      "SIGTERM while the network is away: clean all the same, and not after TCP has given up",
      async () => {
        const client = await network.startClient();
        await network.curl(WEB);
        const uplink = network.uplink("client");
        await uplink.cut();
        // What waits longer is killed, which is no exit code.
        assert.equal((await client.process.stop()).code, 0);
        await uplink.restore();
        assert.equal(await tracesOn(network.client), clean);
      },
    );

    await check("a second signal stops at once what a first one could not yet", async () => {
      const client = await network.startClient();
      await network.curl(WEB);
      // The polite end of the portal's connection now waits for an answer that cannot come.
      const uplink = network.uplink("client");
      await uplink.cut();
      try {
        // Both are there when it goes on, however soon it could end after the first one alone: with 0.
        for (const signal of ["SIGSTOP", "SIGTERM", "SIGINT", "SIGCONT"] as const) {
          client.process.kill(signal);
        }
        const { code } = await client.process.outcome;
        // In which order it hears of two that are pending, the kernel decides.
        assert.ok(code === 130 || code === 143, String(code));
      } finally {
        await uplink.restore();
      }
    });

    await check("SIGKILL: the next client finds leftovers, works, and leaves nothing of either", async () => {
      const killed = await network.startClient();
      await network.curl(WEB);
      killed.process.kill("SIGKILL");
      await killed.process.outcome;
      assert.notEqual(await tracesOn(network.client), clean, "there is nothing to clean up");
      const client = await network.startClient();
      await eventually(() => network.curl(WEB, "--max-time", "5"));
      assert.match(await network.curl("http://web.site.test/"), /hello/);
      assert.match(await network.curl("http://www.public.test/"), /hello/);
      client.process.kill("SIGTERM");
      assert.equal((await client.process.outcome).code, 0);
      assert.equal(await tracesOn(network.client), clean);
    });

    const client = await network.startClient();
    const loop = new CurlLoop(network);

    await check("SIGTERM of the gateway: the client turns to the other one", async () => {
      const used = await usedGateway(network);
      const mark = client.events.mark();
      const gateway = network.role(`gateway-${used}`);
      const beganAt = Date.now();
      gateway.process.kill("SIGTERM");
      await loop.waitFor(3 - used, beganAt);
      // By its word, that is, and not because it fell silent.
      const lost = await client.events.waitFor("disconnected", { from: mark });
      assert.equal(lost.reason, "goodbye");
      assert.equal((await gateway.process.outcome).code, 0);
      await network.startGateway(used);
    });

    await check("SIGKILL of the gateway: the client turns to the other one when checks fail", async () => {
      const used = await usedGateway(network);
      const gateway = network.role(`gateway-${used}`);
      const beganAt = Date.now();
      gateway.process.kill("SIGKILL");
      await loop.waitFor(3 - used, beganAt);
      await network.startGateway(used);
    });
    await loop.stop();
  }),
);

Deno.test(
  "close: a relayed TCP stream outlives its relays",
  onNetwork(
    { underlay: "ipv4", clientNat: "symmetric", gatewayNat: "symmetric", relays: 2 },
    async (network, check) => {
      const client = await network.startClient();
      const stream = await Stream.start(network);
      await waitForPath(client.events, "relayed");

      await check("a relay killed: the stream goes on over the other one", async () => {
        const used = usedRelay(network, client);
        await killed(network.role(`relay-${used}`));
        await stream.advance(20);
        await usesRelay(network, client, 3 - used);
        await network.startRelay(used);
      });

      await check("back with new credentials, it takes over when the other one is killed", async () => {
        const used = usedRelay(network, client);
        await allocationsAt(network, 3 - used);
        await killed(network.role(`relay-${used}`));
        await stream.advance(20);
        await usesRelay(network, client, 3 - used);
      });

      await check("the only relay killed and started again: the stream goes on", async () => {
        const used = usedRelay(network, client);
        await killed(network.role(`relay-${used}`));
        await network.startRelay(used);
        await stream.advance(20);
        await usesRelay(network, client, used);
      });

      await stream.finish();
    },
  ),
);

function gateways(network: Network): Role[] {
  return [1, 2].map((index) => network.role(`gateway-${index}`));
}

/** Returns the number of the gateway that serves the client. */
async function usedGateway(network: Network): Promise<number> {
  const answer = await eventually(() => network.curl(WEB, "--max-time", "5"));
  const number = /172\.20\.0\.([12])\b/.exec(answer)?.[1];
  assert.ok(number, answer);
  return Number(number);
}

/** Returns the number of the relay whose address is on the client's path. */
function usedRelay(network: Network, client: Role): number {
  const path = currentPath(client.events);
  assert.ok(path, "there is no path");
  const used = [1, 2].filter((index) => path.local.startsWith(`${network.uplink(`relay-${index}`).v4}:`));
  assert.equal(used.length, 1, JSON.stringify(path));
  return used[0]!;
}

/** Waits until the client sends by this relay: the gateway may have turned to it before. */
async function usesRelay(network: Network, client: Role, index: number): Promise<void> {
  await eventually(() => assert.equal(usedRelay(network, client), index));
}

async function killed(role: Role): Promise<void> {
  role.process.kill("SIGKILL");
  await role.process.outcome;
}

/** Waits until client and gateway have an allocation each at a relay: a port of its own for each. */
async function allocationsAt(network: Network, relay: number): Promise<void> {
  await eventually(async () => {
    const ports = await network.host(`relay-${relay}`).must(["ss", "-HuanO", "sport", ">=", ":49152"]);
    assert.ok(ports.trim().split("\n").length >= 2, `ports: ${ports}`);
  });
}
