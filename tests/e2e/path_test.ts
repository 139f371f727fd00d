/** The way between client and gateway: as short as the network in between permits, and found anew when that changes. */

import assert from "node:assert/strict";
import { blockUdp } from "../../io/lab/nat.ts";
import type { NatKind } from "../../io/lab/nat.ts";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork, sleep } from "./support/on_network.ts";
import { assertCarriers, currentPath, waitForPath } from "./support/paths.ts";
import { Stream } from "./support/stream.ts";

const WEB = "http://172.20.0.10/";

Deno.test(
  "path: direct by host candidates on one LAN",
  onNetwork({ sameLan: true, underlay: "dual" }, async (network) => {
    const client = await network.startClient();
    await network.curl(WEB);
    const path = await waitForPath(client.events, "direct");
    assert.deepEqual([path.localKind, path.remoteKind], ["host", "host"]);
    // The router between the LAN and the relay saw nothing of it.
    await assertCarriers(network, ["client", "gateway-1", "relay-1", "internet"], ["client", "gateway-1"]);
  }),
);

Deno.test(
  "path: direct by hole punching between port-restricted NATs",
  onNetwork(behindNat("port-restricted"), async (network) => {
    const client = await network.startClient();
    await network.curl(WEB);
    const path = await waitForPath(client.events, "direct");
    assert.match(path.localKind, /^(srflx|prflx)$/);
    assert.match(path.remoteKind, /^(srflx|prflx)$/);
    assert.equal(ipOf(path.remote), network.uplink("gateway-1").v4);
    await assertCarriers(network, ["client", "gateway-1", "relay-1"], ["client", "gateway-1"]);
  }),
);

Deno.test(
  "path: relayed between symmetric NATs",
  onNetwork(behindNat("symmetric"), async (network) => {
    const client = await network.startClient();
    await network.curl(WEB);
    const path = await waitForPath(client.events, "relayed");
    assert.deepEqual([path.localKind, path.remoteKind], ["relay", "relay"]);
    const all = ["client", "gateway-1", "relay-1"];
    await assertCarriers(network, all, all);
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
      const path = await waitForPath(client.events, "relayed");
      assert.ok([path.localKind, path.remoteKind].includes("relay"));
      await assertCarriers(network, witnesses, witnesses);
    });
    await check("direct when the block is lifted, under a running TCP stream", async () => {
      const stream = await Stream.start(network);
      await unblock();
      await waitForPath(client.events, "direct");
      await assertCarriers(network, witnesses, ["client", "gateway-1"]);
      await stream.advance(10);
      await stream.finish();
    });
    await check("path lost and found again without losing a TCP stream", async () => {
      const stream = await Stream.start(network);
      const disconnects = countDisconnects();
      const unblockAgain = await blockBetween(network);
      await waitForPath(client.events, "relayed");
      await stream.advance(10);
      await assertCarriers(network, witnesses, witnesses);
      await unblockAgain();
      await waitForPath(client.events, "direct");
      await assertCarriers(network, witnesses, ["client", "gateway-1"]);
      await stream.advance(10);
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
      await stream.advance(10);
      assert.equal(countDisconnects(), disconnects, "the connection was made anew");
      await stream.finish();
    });
    await check("an outage of everything, longer than the ICE time-out", async () => {
      const stream = await Stream.start(network);
      const mark = client.events.mark();
      const uplink = network.uplink("client");
      await uplink.cut();
      await client.events.waitFor("disconnected", { from: mark });
      await uplink.restore();
      await stream.advance(10);
      await stream.finish();
    });
    await check("roaming on SIGHUP: new sockets and a new key, reachable again", async () => {
      const before = { sockets: await udpSockets(network), key: await publicKey(network) };
      const mark = client.events.mark();
      client.process.kill("SIGHUP");
      await eventually(async () => assert.notEqual(await publicKey(network), before.key));
      await eventually(() => network.curl(WEB, "--max-time", "5"));
      await client.events.waitFor("connected", { from: mark });
      const sockets = await udpSockets(network);
      assert.equal(sockets.length, before.sockets.length);
      assert.deepEqual(sockets.filter((inode) => before.sockets.includes(inode)), []);
      await waitForPath(client.events, "direct");
    });
    await check("roaming to another address: noticed without help, reachable again", async () => {
      const mark = client.events.mark();
      const key = await publicKey(network);
      const moved = await moveClient(network);
      await eventually(async () => assert.notEqual(await publicKey(network), key));
      await eventually(() => network.curl(WEB, "--max-time", "5"));
      await client.events.waitFor("connected", { from: mark });
      const path = await waitForPath(client.events, "direct");
      assert.ok(moved.includes(ipOf(path.local)), `it sends from ${path.local}`);
    });

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
