/**
 * Our client and gateway against other tunnels, all between the same two hosts of one lab on this machine, round by
 * round in turn: `deno task bench:tunnel [--rounds N] [--seconds N] [--peers fz,wireguard-go,openvpn] [--json]`. What is
 * missing is said and left out. `WIREGUARD_GO` names another wireguard-go than the one on PATH.
 *
 * Both ends, iperf3's two processes and the kernel between them share this machine's cores: compare within one run only.
 */

import { parseArgs } from "node:util";
import { isIsolated, runIsolated } from "../io/lab/isolation.ts";
import { inLab } from "../io/lab/lab.ts";
import { Network } from "../tests/e2e/support/network.ts";
import { Bystanders, describeMachine } from "./tunnel/machine.ts";
import { startTunnel, type TunnelUnderTest } from "./tunnel/peers.ts";
import { type Figures, summarise, table } from "./tunnel/report.ts";
import { type Sample, sample } from "./tunnel/sample.ts";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    pings: { type: "string", default: "100" },
    peers: { type: "string", default: "fz,wireguard-go,openvpn" },
    json: { type: "boolean", default: false },
  },
});

if (isIsolated()) await inLab(run);
else {
  const own = [Deno.execPath(), "run", "-A", "--quiet", import.meta.filename!, ...Deno.args];
  // As the installed command is started.
  Deno.exit(await runIsolated(own, { env: { DENO_V8_FLAGS: "--max-semi-space-size=1" } }));
}

async function run(lab: Parameters<typeof Network.start>[0]): Promise<void> {
  const network = await Network.start(lab, { underlay: "ipv4", sameLan: true });
  const tunnels: TunnelUnderTest[] = [];
  for (const name of options.peers.split(",")) {
    const tunnel = await startTunnel(name, network);
    if (typeof tunnel === "string") console.error(`Without ${name}: ${tunnel}.`);
    else tunnels.push(tunnel);
  }
  const samples = new Map<string, Sample[]>(tunnels.map(({ name }) => [name, []]));
  const where = { client: network.client, server: network.host("gateway-1") };
  const bystanders = new Bystanders();
  for (let round = 1; round <= Number(options.rounds); round++) {
    for (const tunnel of tunnels) {
      const result = await sample(tunnel, {
        ...where,
        seconds: Number(options.seconds),
        pings: Number(options.pings),
      });
      samples.get(tunnel.name)!.push(result);
      console.error(
        `round ${round} ${tunnel.name}: ${result.gbits.toFixed(2)} Gbit/s, ${
          result.cpuPerGb.toFixed(1)
        } CPU s/GB`,
      );
    }
  }
  const figures: Figures[] = tunnels.map(({ name, version }) => summarise(name, version, samples.get(name)!));
  const machine = describeMachine();
  const others = bystanders.share;
  if (options.json) {
    console.log(JSON.stringify({ schema: 1, machine, others, figures }, undefined, 2));
    return;
  }
  console.log(table(figures));
  console.log(`\n${machine}; other programs took ${(100 * others).toFixed(0)} % of its CPU time.`);
}
