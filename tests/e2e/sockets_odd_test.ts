/** A client whose UDP sockets hold next to nothing, and that loses IPv4 altogether while a stream runs. */

import assert from "node:assert/strict";
import type { StatusDocument } from "../../lib/control/api.ts";
import { fz } from "./support/fz.ts";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { Stream } from "./support/stream.ts";

const MAIN = new URL("./support/tiny_buffers_main.ts", import.meta.url).pathname;

Deno.test(
  "UDP sockets: tiny send buffers, and no IPv4 any more",
  onNetwork({ underlay: "dual" }, async (network, check) => {
    const { client } = network;
    const env = { FIREZONE_API_URL: `ws://[${network.uplink("portal").v6}]:8081/` };
    await network.startClient({ dnsControl: "disabled", env, main: MAIN });
    const stream = await Stream.start(network, { keepAlive: false });

    await check("more than the buffers hold at once: some is lost, nothing stands still", async () => {
      const sockets = await client.must(["ss", "-Huamn", "sport = :52625"]);
      // SOCK_MIN_SNDBUF of include/net/sock.h: two packets.
      assert.match(sockets, /\btb4608\b/);
      const queue = ["tbf", "rate", "1mbit", "burst", "3000", "latency", "500ms"];
      await client.must(["tc", "qdisc", "add", "dev", "eth0", "root", ...queue]);
      await client.run(["ping", "-q", "-c", "600", "-i", "0.002", "-s", "1100", "172.20.0.10"]);
      await client.must(["tc", "qdisc", "delete", "dev", "eth0", "root"]);
      await stream.advance(10);
      assert.equal((await status(network)).state, "connected");
    });

    await check("IPv4 is switched off: the stream goes on over IPv6", async () => {
      await client.must(["ip", "-4", "address", "flush", "dev", "eth0"]);
      await eventually(async () => {
        const { state, gateways, underlay } = await status(network);
        assert.equal(state, "connected");
        assert.ok((underlay?.resets ?? 0) > 0);
        assert.match(gateways[0]?.path?.local ?? "", /^\[2001:db8:10::2\]:/);
      });
      await stream.advance(10);
    });

    await check("it was one connection all the time, and not a byte is missing", () => stream.finish());
  }),
);

async function status(network: Network): Promise<StatusDocument> {
  const { stdout, stderr } = await fz(network, "status", "--json");
  assert.ok(stdout.startsWith("{"), stderr);
  return JSON.parse(stdout);
}
