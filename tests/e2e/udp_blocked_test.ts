/** A client whose UDP a firewall drops: what it says, and that it works as soon as the firewall lets it. */

import assert from "node:assert/strict";
import { eventually, onNetwork } from "./support/on_network.ts";

/** Of the machine itself, and of the network beyond: sends go out and come to nothing. */
const HOOKS = { output: /kernel refused \d+ datagrams \(EPERM\)/, input: /a firewall may block it/ } as const;

for (const [hook, said] of Object.entries(HOOKS)) {
  Deno.test(
    `fz status: tells that UDP does not get through, dropped on ${hook}`,
    onNetwork({ underlay: "ipv4" }, async (network, check) => {
      await network.client.nft(`table inet wall {
        chain wall { type filter hook ${hook} priority 0; meta l4proto udp drop; }
      }`);
      const status = async () => (await network.fz(["status"], {})).stdout;
      await network.startClient();

      await check("status and explain say so, though the portal is connected", async () => {
        await eventually(async () => {
          const text = await status();
          assert.match(text, /^Connected as/);
          assert.match(text, /^Limited +No relay answers by UDP: /m);
          assert.match(text.replaceAll(/\s+/g, " "), said);
        });
        const { stdout } = await network.fz(["explain", "172.20.0.10"], {});
        assert.match(stdout, /no relay answers/);
      });

      await check("with the firewall gone, nothing is said any more, and all is reached", async () => {
        await network.client.must(["nft", "delete", "table", "inet", "wall"]);
        await eventually(async () => assert.doesNotMatch(await status(), /No relay answers/));
        await eventually(async () => {
          assert.match(await network.curl("http://172.20.0.10/", "--max-time", "5"), /hello/);
        });
      });
    }),
  );
}
