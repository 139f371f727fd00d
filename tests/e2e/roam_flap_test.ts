/** A client whose network flaps, or is slept through, while a stream runs through its tunnel. */

import assert from "node:assert/strict";
import { onNetwork, sleep } from "./support/on_network.ts";
import { Roamer } from "./support/roamer.ts";

/** Two gateways: the one that the stream goes through must be found again. */
const OPTIONS = {
  underlay: "ipv4",
  clientNat: "port-restricted",
  gatewayNat: "port-restricted",
  gateways: 2,
} as const;

Deno.test(
  "roaming: a stream through the tunnel outlives flapping and sleep",
  onNetwork(OPTIONS, async (network, check) => {
    const roamer = await Roamer.start(network);
    const { wifi, ethernet, stream } = roamer;

    await check(
      "the default route flaps ten times in five seconds: no new start, the same way",
      async () => {
        for (let flap = 0; flap < 10; flap++) {
          await network.client.must(["ip", "route", "delete", "default"]);
          await sleep(200);
          await roamer.use(wifi);
          await sleep(250);
        }
        await roamer.hasStayed();
        await roamer.isWell(wifi);
      },
    );

    await check(
      "it flaps between two networks: a bounded number of new starts, and the last one wins",
      async () => {
        for (let flap = 0; flap < 9; flap++) {
          await network.client.must(["ip", "route", "delete", "default"]);
          await roamer.use(flap % 2 === 0 ? ethernet : wifi);
          await sleep(700);
        }
        await roamer.hasRoamed(ethernet, 1, 6);
      },
    );

    await check("asleep while routers and gateway forget: a new start at once", async () => {
      const routers = ["ethernet-nat", "gateway-1-nat", "gateway-2-nat"].map((name) => network.host(name));
      await Promise.all(routers.map((router) => router.must(["sh", "-c", rememberUdp(1)])));
      roamer.role.process.kill("SIGSTOP");
      await sleep(8000);
      await Promise.all(routers.map((router) => router.must(["sh", "-c", rememberUdp(30)])));
      roamer.role.process.kill("SIGCONT");
      await roamer.hasRoamed(ethernet);
      assert.ok(roamer.role.events.all().some((event) => "reason" in event && event.reason === "woken"));
    });

    await check("it was one connection all the time, and not a byte is missing", () => stream.finish());
  }),
);

/** The command by which a router forgets an address translation for UDP after so many seconds of silence. */
function rememberUdp(seconds: number): string {
  return ["udp_timeout", "udp_timeout_stream"]
    .map((name) => `echo ${seconds} > /proc/sys/net/netfilter/nf_conntrack_${name}`).join(" && ");
}
