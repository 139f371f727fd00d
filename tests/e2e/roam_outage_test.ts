/** A client whose network is away for long, while a stream runs through its tunnel. */

import assert from "node:assert/strict";
import { eventually, onNetwork, sleep } from "./support/on_network.ts";
import { Roamer } from "./support/roamer.ts";

/** How long the underlay is away: `FZ_LONG=1` for the whole minute. */
const OUTAGE_MS = Deno.env.get("FZ_LONG") === "1" ? 60_000 : 10_000;

/** Two gateways: the one that the stream goes through must be found again. */
const OPTIONS = {
  underlay: "ipv4",
  clientNat: "port-restricted",
  gatewayNat: "port-restricted",
  gateways: 2,
} as const;

Deno.test(
  "roaming: a stream through the tunnel outlives a network that is away for long",
  onNetwork(OPTIONS, async (network, check) => {
    const roamer = await Roamer.start(network);
    const { wifi, stream } = roamer;

    await check("the link is down for long, and back as it was", async () => {
      await wifi.inside.down();
      await eventually(async () => assert.equal((await roamer.status()).underlay?.hasPath, false));
      await sleep(OUTAGE_MS);
      await wifi.inside.up();
      await roamer.use(wifi);
      // The server's TCP waits as long again as it has waited already.
      await stream.advance(10, 30_000 + OUTAGE_MS);
      await roamer.hasRoamed(wifi);
    });

    await check("it was one connection all the time, and not a byte is missing", () => stream.finish());
  }),
);

Deno.test(
  "roaming: a stream through the tunnel outlives a cable cut beyond the next switch",
  onNetwork(OPTIONS, async (network, check) => {
    const roamer = await Roamer.start(network);
    const { wifi, stream } = roamer;

    await check("the cable is cut beyond the next switch, where nobody here can see it", async () => {
      const outside = network.host("wifi-nat");
      const mark = roamer.role.events.mark();
      await outside.nft(`table inet outage {
        chain forward { type filter hook forward priority -20; policy drop; }
      }`);
      await roamer.role.events.waitFor("disconnected", { from: mark });
      await sleep(OUTAGE_MS / 4);
      await outside.must(["nft", "delete", "table", "inet", "outage"]);
      await stream.advance(10, 120_000);
      await roamer.isWell(wifi);
    });

    await check("it was one connection all the time, and not a byte is missing", () => stream.finish());
  }),
);
