/** A client that changes its network while a stream runs through its tunnel. */

import assert from "node:assert/strict";
import { spawnFz } from "./support/fz.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { Roamer } from "./support/roamer.ts";

Deno.test(
  "roaming: a stream through the tunnel goes on in another network",
  onNetwork({
    underlay: "ipv4",
    clientNat: "port-restricted",
    gatewayNat: "port-restricted",
  }, async (network, check) => {
    // By name: each network's resolver can be asked from there alone.
    const roamer = await Roamer.start(network, { FIREZONE_API_URL: "ws://portal.test:8081/" });
    const { client } = network;
    const { wifi, ethernet, stream } = roamer;
    const watch = spawnFz(network, "watch");
    await watch.waitFor(/"event":"status"/);

    await check("from Wi-Fi to Ethernet: not before the kernel leaves the link without carrier", async () => {
      await roamer.use(ethernet, 200);
      await wifi.router.must(["ip", "link", "set", "eth1", "down"]);
      await eventually(async () => assert.equal((await roamer.status()).underlay?.hasPath, false));
      await client.must(["ip", "route", "delete", "default", "dev", "wifi"]);
      await roamer.hasRoamed(ethernet);
    });

    await check("back, when a route of a lower metric appears beside the one in use", async () => {
      await wifi.router.must(["ip", "link", "set", "eth1", "up"]);
      await eventually(() => roamer.use(wifi, 50));
      await roamer.hasRoamed(wifi);
    });

    await check("another address in the same network", async () => {
      await ethernet.inside.down();
      await client.must(["ip", "address", "flush", "dev", "wifi"]);
      await client.must(["ip", "address", "add", "192.168.31.77/24", "dev", "wifi"]);
      await roamer.use(wifi);
      await roamer.hasRoamed(wifi);
    });

    await check("an address in a new network on the same link", async () => {
      await wifi.router.must(["ip", "address", "add", "10.77.0.1/24", "dev", "eth1"]);
      await client.must(["ip", "address", "flush", "dev", "wifi"]);
      await client.must(["ip", "address", "add", "10.77.0.2/24", "dev", "wifi"]);
      const moved = { ...wifi, gateway: "10.77.0.1" };
      await roamer.use(moved);
      await roamer.hasRoamed(moved);
    });

    await check("what leaves the way out alone is no change: bridges, wires, rules, routes", async () => {
      await client.must(["sh", "-c", BYSTANDERS]);
      await roamer.hasStayed();
    });

    await check("fz watch tells of each", async () => {
      const told = () => watch.stdout.split("\n").filter((line) => line.includes('"network-changed"'));
      assert.equal(told().length, roamer.resets);
      assert.match(told()[0]!, /"reason":"moved"/);
      await watch.stop();
    });

    await check("it was one connection all the time, and not a byte is missing", () => stream.finish());
  }),
);

/** What Docker and others do all day. */
const BYSTANDERS = `
for index in 1 2 3 4 5; do
  ip link add docker$index type bridge
  ip address add 172.30.$index.1/24 dev docker$index
  ip link add veth$index type veth peer name peer$index
  ip link set veth$index master docker$index up
  ip link set peer$index up
  ip link set docker$index up
  ip route add 172.31.$index.0/24 via 172.30.$index.2
  ip rule add to 172.31.$index.0/24 priority 1000
  sleep 0.2
done
for index in 1 2 3; do
  ip rule delete to 172.31.$index.0/24 priority 1000
  ip link delete veth$index
  ip link delete docker$index
done
sleep 2
`;
