/** The way between client and gateway: as short as the network in between permits, and found anew when that changes. */

import assert from "node:assert/strict";
import { blockUdp } from "../../io/lab/nat.ts";
import type { NatKind } from "../../io/lab/nat.ts";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork, sleep } from "./support/on_network.ts";
import { BULK_URL, carriersOf, currentPath, waitForPath } from "./support/paths.ts";
import { Stream } from "./support/stream.ts";

const WEB = "http://172.20.0.10/";

/**
 * A first path may be relayed until the better one is found: checks begin at once, but a candidate may have to wait
 * for a round trip by the portal, and four programs share two processors.
 */
const DIRECT_LIMIT_MS = 10_000;
/** A path is left after five lost checks, at most 1.5 s apart (about 6 s); then TCP has to try again (6 s more). */
const LEAVE_LIMIT_MS = 20_000;
/** A pair that has failed is checked every 25 s. */
const RETURN_LIMIT_MS = 40_000;
/** Both ends follow a change of the path on their own, at most two periods of checks (1.5 s) apart. */
const SETTLE_LIMIT_MS = 3000;
/** The network is looked at every second, a change has to last for two looks; then the portal is dialled anew. */
const ROAMING_LIMIT_MS = 15_000;

Deno.test(
  "path: direct by host candidates on one LAN",
  onNetwork({ sameLan: true, underlay: "dual" }, async (network) => {
    const client = await network.startClient();
    await network.curl(WEB);
    const path = await waitForPath(client.events, "direct", DIRECT_LIMIT_MS);
    assert.deepEqual([path.localKind, path.remoteKind], ["host", "host"]);
    // The router between the LAN and the relay saw nothing of it.
    const carriers = await carriersOf(network, BULK_URL, ["client", "gateway-1", "relay-1", "internet"]);
    assert.deepEqual(carriers, ["client", "gateway-1"]);
  }),
);

Deno.test(
  "path: direct by hole punching between port-restricted NATs",
  onNetwork(behindNat("port-restricted"), async (network) => {
    const client = await network.startClient();
    await network.curl(WEB);
    const path = await waitForPath(client.events, "direct", DIRECT_LIMIT_MS);
    assert.match(path.localKind, /^(srflx|prflx)$/);
    assert.match(path.remoteKind, /^(srflx|prflx)$/);
    assert.equal(ipOf(path.remote), network.uplink("gateway-1").v4);
    const carriers = await carriersOf(network, BULK_URL, ["client", "gateway-1", "relay-1"]);
    assert.deepEqual(carriers, ["client", "gateway-1"]);
  }),
);

Deno.test(
  "path: relayed between symmetric NATs",
  onNetwork(behindNat("symmetric"), async (network) => {
    const client = await network.startClient();
    await network.curl(WEB);
    const path = await waitForPath(client.events, "relayed", DIRECT_LIMIT_MS);
    assert.deepEqual([path.localKind, path.remoteKind], ["relay", "relay"]);
    const carriers = await carriersOf(network, BULK_URL, ["client", "gateway-1", "relay-1"]);
    assert.deepEqual(carriers, ["client", "gateway-1", "relay-1"]);
    // It is no makeshift: nothing better turns up while packets flow.
    assert.equal(currentPath(client.events)?.kind, "relayed");
  }),
);

Deno.test(
  "path: follows what the network in between permits",
  onNetwork({ underlay: "dual" }, async (network, check) => {
    const witnesses = ["client", "gateway-1", "relay-1"];
    const unblock = await blockBetween(network);
    const client = await network.startClient();
    await check("relayed from the start while UDP between the peers is blocked", async () => {
      await network.curl(WEB);
      const path = await waitForPath(client.events, "relayed", DIRECT_LIMIT_MS);
      assert.ok([path.localKind, path.remoteKind].includes("relay"));
      assert.deepEqual(await carriersOf(network, BULK_URL, witnesses), witnesses);
    });
    await check("direct when the block is lifted, under a running TCP stream", async () => {
      const stream = await Stream.start(network);
      await unblock();
      await waitForPath(client.events, "direct", RETURN_LIMIT_MS);
      await assertDirect();
      await stream.advance(10, LEAVE_LIMIT_MS);
      await stream.finish();
    });
    await check("path lost and found again without losing a TCP stream", async () => {
      const stream = await Stream.start(network);
      const disconnects = countDisconnects();
      const unblockAgain = await blockBetween(network);
      await waitForPath(client.events, "relayed", LEAVE_LIMIT_MS);
      await stream.advance(10, LEAVE_LIMIT_MS);
      assert.deepEqual(await carriersOf(network, BULK_URL, witnesses), witnesses);
      await unblockAgain();
      await waitForPath(client.events, "direct", RETURN_LIMIT_MS);
      await assertDirect();
      await stream.advance(10, LEAVE_LIMIT_MS);
      await stream.finish();
      assert.equal(countDisconnects(), disconnects, "the connection was made anew");
    });
    await check("an outage of everything, shorter than the ICE time-out", async () => {
      const stream = await Stream.start(network);
      const disconnects = countDisconnects();
      const uplink = network.uplink("client");
      await uplink.cut();
      await sleep(8000);
      await uplink.restore();
      await stream.advance(10, LEAVE_LIMIT_MS);
      assert.equal(countDisconnects(), disconnects, "the connection was made anew");
      await stream.finish();
    });
    await check("an outage of everything, longer than the ICE time-out", async () => {
      const stream = await Stream.start(network);
      const mark = client.events.mark();
      const uplink = network.uplink("client");
      await uplink.cut();
      await client.events.waitFor("disconnected", { from: mark, timeoutMs: 30_000 });
      await uplink.restore();
      await stream.advance(10, 60_000);
      await stream.finish();
    });
    await check("roaming on SIGHUP: new sockets and a new key, reachable again", async () => {
      const before = { sockets: await udpSockets(network), key: await publicKey(network) };
      const mark = client.events.mark();
      client.process.kill("SIGHUP");
      await eventually(async () => assert.notEqual(await publicKey(network), before.key));
      await eventually(() => network.curl(WEB, "--max-time", "5"), DIRECT_LIMIT_MS);
      await client.events.waitFor("connected", { from: mark });
      const sockets = await udpSockets(network);
      assert.equal(sockets.length, before.sockets.length);
      assert.deepEqual(sockets.filter((inode) => before.sockets.includes(inode)), []);
      await waitForPath(client.events, "direct", DIRECT_LIMIT_MS);
    });
    await check("roaming to another address: noticed without help, reachable again", async () => {
      const mark = client.events.mark();
      const key = await publicKey(network);
      const moved = await moveClient(network);
      await eventually(async () => assert.notEqual(await publicKey(network), key), ROAMING_LIMIT_MS);
      await eventually(() => network.curl(WEB, "--max-time", "5"), DIRECT_LIMIT_MS);
      await client.events.waitFor("connected", { from: mark });
      const path = await waitForPath(client.events, "direct", DIRECT_LIMIT_MS);
      assert.ok(moved.includes(ipOf(path.local)), `it sends from ${path.local}`);
    });

    /** The gateway turns to the direct path when its own check is answered, a moment after the client. */
    async function assertDirect(): Promise<void> {
      await eventually(
        async () => assert.deepEqual(await carriersOf(network, BULK_URL, witnesses), ["client", "gateway-1"]),
        SETTLE_LIMIT_MS,
      );
    }

    function countDisconnects(): number {
      return client.events.all().filter(({ event }) => event === "disconnected").length;
    }
  }),
);

function behindNat(kind: NatKind) {
  return { underlay: "ipv4", clientNat: kind, gatewayNat: kind } as const;
}

/** Blocks UDP between client and gateway in both families; returns the function that lifts the block. */
async function blockBetween(network: Network): Promise<() => Promise<void>> {
  const { v4, v6 } = network.uplink("gateway-1");
  const lifts = [await blockUdp(network.client, [v4!]), await blockUdp(network.client, [v6!])];
  return async () => {
    for (const lift of lifts) await lift();
  };
}

/** Returns the inodes of the client's UDP sockets for its peers. */
async function udpSockets(network: Network): Promise<string[]> {
  const text = await network.client.must(["ss", "-HuaneO", "sport", "=", ":52625"]);
  return [...text.matchAll(/ino:(\d+)/g)].map(([, inode]) => inode!);
}

/** Returns the public key with which the client is signed in. */
async function publicKey(network: Network): Promise<string> {
  const clients = await network.admin("GET", "/v1/clients") as { readonly publicKey: string }[];
  assert.equal(clients.length, 1);
  return clients[0]!.publicKey;
}

/** Gives the client other addresses and nothing of the old ones; returns the new ones. */
async function moveClient(network: Network): Promise<string[]> {
  const { name } = network.uplink("client");
  const moved = { v4: "198.18.10.77", v6: "2001:db8:10::77" };
  await network.client.must(["ip", "address", "flush", "dev", name, "scope", "global"]);
  await network.client.must(["ip", "address", "add", `${moved.v4}/24`, "dev", name]);
  await network.client.must(["ip", "address", "add", `${moved.v6}/64`, "dev", name, "nodad"]);
  await network.client.setDefaultRoute("198.18.10.1");
  await network.client.setDefaultRoute("2001:db8:10::1");
  return [moved.v4, moved.v6];
}

function ipOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");
}
