/** Ends of all kinds: asked for and sudden, of clients, gateways and relays, and what the others make of them. */

import assert from "node:assert/strict";
import type { Network, Role } from "./support/network.ts";
import { CurlLoop } from "./support/curl_loop.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { currentPath, waitForPath } from "./support/paths.ts";
import { Stream } from "./support/stream.ts";
import { tracesOn } from "./support/traces.ts";

const WEB = "http://172.20.0.10/";

/** A client is to be gone within a second; the second one is for a machine with more to do than processors. */
const STOP_LIMIT_MS = 2000;
/** A goodbye needs one way through the network; a path that just falls silent takes the gateway minutes to give up. */
const GOODBYE_LIMIT_MS = 2000;
/** The exit that a second signal demands: no cleaning up, only the end of the process. */
const AT_ONCE_LIMIT_MS = 1000;
/**
 * From the signal to the gateway to an answer by the other one: its goodbye, a second for the new connection, and a
 * second for a request caught in between, which TCP repeats only then.
 */
const GOODBYE_FAILOVER_LIMIT_MS = 3000;
/**
 * A client's checks give a silent path up after 15.25 s, the agent waits 2 s for another one; then as above. A fetch
 * that began in vain blocks the loop for up to 3 s.
 */
const SILENCE_FAILOVER_LIMIT_MS = 25_000;
/** The portal waits a second before it tells of lost relays; then checks and, for TCP, up to 3 s of patience. */
const RELAY_LIMIT_MS = 15_000;

Deno.test(
  "close: clients and gateways that end, asked or not",
  onNetwork({ underlay: "dual", gateways: 2 }, async (network, check) => {
    const clean = await tracesOn(network.client);

    await check("SIGTERM: the client says goodbye, cleans up and exits with 0", async () => {
      const client = await network.startClient();
      await network.curl(WEB);
      const marks = gateways(network).map(({ events }) => events.mark());
      assert.notEqual(await tracesOn(network.client), clean);
      const beganAt = Date.now();
      client.process.kill("SIGTERM");
      const { code, stderr } = await client.process.outcome;
      const endedAt = Date.now();
      assert.equal(code, 0, stderr);
      assert.ok(endedAt - beganAt <= STOP_LIMIT_MS, `it took ${endedAt - beganAt} ms`);
      const removed = await Promise.any(
        gateways(network).map(({ events }, index) =>
          events.waitFor("client-removed", { from: marks[index]!, timeoutMs: GOODBYE_LIMIT_MS })
        ),
      );
      assert.equal(removed.reason, "goodbye");
      assert.ok(Date.parse(removed.time) - beganAt <= GOODBYE_LIMIT_MS);
      assert.equal(await tracesOn(network.client), clean);
    });

    await check("SIGINT stops like SIGTERM, also while nothing is connected", async () => {
      const client = await network.startClient();
      client.process.kill("SIGINT");
      assert.equal((await client.process.outcome).code, 0);
      assert.equal(await tracesOn(network.client), clean);
    });

    await check("SIGTERM while the network is away: in time and clean all the same", async () => {
      const client = await network.startClient();
      await network.curl(WEB);
      const uplink = network.uplink("client");
      await uplink.cut();
      const beganAt = Date.now();
      client.process.kill("SIGTERM");
      const { code } = await client.process.outcome;
      assert.equal(code, 0);
      assert.ok(Date.now() - beganAt <= STOP_LIMIT_MS, `it took ${Date.now() - beganAt} ms`);
      await uplink.restore();
      assert.equal(await tracesOn(network.client), clean);
    });

    await check("a second signal stops at once what a first one could not yet", async () => {
      const client = await network.startClient();
      await network.curl(WEB);
      // The polite end of the portal's connection now waits for an answer that cannot come.
      const uplink = network.uplink("client");
      await uplink.cut();
      try {
        client.process.kill("SIGTERM");
        await client.events.waitFor("stopping");
        const beganAt = Date.now();
        client.process.kill("SIGTERM");
        const { code } = await client.process.outcome;
        assert.equal(code, 130);
        assert.ok(Date.now() - beganAt <= AT_ONCE_LIMIT_MS, `it took ${Date.now() - beganAt} ms`);
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
      const first = await loop.waitFor(3 - used, beganAt, 2 * GOODBYE_FAILOVER_LIMIT_MS);
      assert.ok(
        first.endedAt - beganAt <= GOODBYE_FAILOVER_LIMIT_MS,
        `it took ${first.endedAt - beganAt} ms: ${JSON.stringify(loop.attempts.slice(-10))}`,
      );
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
      const first = await loop.waitFor(3 - used, beganAt, 2 * SILENCE_FAILOVER_LIMIT_MS);
      assert.ok(
        first.endedAt - beganAt <= SILENCE_FAILOVER_LIMIT_MS,
        `it took ${first.endedAt - beganAt} ms`,
      );
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
      await waitForPath(client.events, "relayed", RELAY_LIMIT_MS);

      await check("a relay killed: the stream goes on over the other one", async () => {
        const used = usedRelay(network, client);
        await killed(network.role(`relay-${used}`));
        await stream.advance(20, RELAY_LIMIT_MS);
        assert.equal(usedRelay(network, client), 3 - used);
        await network.startRelay(used);
      });

      await check("back with new credentials, it takes over when the other one is killed", async () => {
        const used = usedRelay(network, client);
        await allocationsAt(network, 3 - used);
        await killed(network.role(`relay-${used}`));
        await stream.advance(20, RELAY_LIMIT_MS);
        assert.equal(usedRelay(network, client), 3 - used);
      });

      await check("the only relay killed and started again: the stream goes on", async () => {
        const used = usedRelay(network, client);
        await killed(network.role(`relay-${used}`));
        await network.startRelay(used);
        await stream.advance(20, RELAY_LIMIT_MS);
        assert.equal(usedRelay(network, client), used);
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

async function killed(role: Role): Promise<void> {
  role.process.kill("SIGKILL");
  await role.process.outcome;
}

/** Waits until client and gateway have an allocation each at a relay: a port of its own for each. */
async function allocationsAt(network: Network, relay: number): Promise<void> {
  await eventually(async () => {
    const ports = await network.host(`relay-${relay}`).must(["ss", "-HuanO", "sport", ">=", ":49152"]);
    assert.ok(ports.trim().split("\n").length >= 2, `ports: ${ports}`);
  }, RELAY_LIMIT_MS);
}
