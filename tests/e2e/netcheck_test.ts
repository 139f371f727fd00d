import assert from "node:assert/strict";
import { blockUdp } from "../../io/lab/nat.ts";
import type { Network } from "./support/network.ts";
import { onNetwork } from "./support/on_network.ts";

async function netcheck(network: Network) {
  const { code, stdout, stderr } = await network.fz(["netcheck", "--json"], network.clientEnv());
  assert.notEqual(stdout, "", stderr);
  const report = JSON.parse(stdout);
  assert.equal(report.schema, 1);
  return { code, report, nats: report.families.map(({ nat }: { nat: string }) => nat) };
}

Deno.test(
  "fz netcheck: without a session learns the relays from the portal, and sees no NAT where there is none",
  onNetwork({ relays: 2 }, async (network, check) => {
    await check("all of both families", async () => {
      const { code, report, nats } = await netcheck(network);
      assert.deepEqual([code, report.relaySource, report.udp], [0, "portal", "works"]);
      assert.deepEqual(nats, ["none", "none"]);
      assert.equal(report.relays.length, 4);
      assert.equal(report.portal.failure, undefined);
      assert.ok(report.portal.answerMs > 0);
    });
    await check("the portal away", async () => {
      const env = network.clientEnv({ FIREZONE_API_URL: "ws://198.18.1.2:9/" });
      const { code, stdout } = await network.fz(["netcheck"], env);
      assert.equal(code, 5);
      assert.match(stdout, /^Verdict +The portal cannot be reached/);
    });
  }),
);

Deno.test(
  "fz netcheck: with a session asks its relays, and says when UDP is blocked",
  onNetwork({ relays: 2, underlay: "ipv4", clientNat: "port-restricted" }, async (network, check) => {
    await network.startClient();
    await check("an ordinary NAT", async () => {
      const { code, report, nats } = await netcheck(network);
      assert.deepEqual([code, report.relaySource, nats[0]], [0, "session", "endpoint-independent"]);
      assert.match(report.relays[0].mapped, new RegExp(`^${network.uplink("client").v4}:`));
    });
    await check("UDP blocked", async () => {
      const unblock = await blockUdp(network.host("client-nat"), ["198.18.2.2", "198.18.3.2"]);
      const { code, report } = await netcheck(network);
      assert.deepEqual([code, report.udp], [5, "blocked"]);
      assert.match(report.verdict, /UDP is blocked/);
      await unblock();
    });
  }),
);

Deno.test(
  "fz netcheck: recognises a symmetric NAT",
  onNetwork({ relays: 2, underlay: "ipv4", clientNat: "symmetric" }, async (network) => {
    const { code, report, nats } = await netcheck(network);
    assert.deepEqual([code, nats[0]], [0, "symmetric"]);
    assert.match(report.verdict, /relayed unless the other side is open/);
  }),
);
