/**
 * How long traffic stands still when the client's network changes: `deno task bench:roam [--rounds N] [--clients
 * events,polling,upstream] [--json]`. One laptop of the lab, whose network NetworkManager manages, and one client after the
 * other: ours as the kernel tells it of changes, ours when it has to look every second, and Firezone's headless client where
 * `FIREZONE_CLIENT` names its binary, with our portal, relay and gateway.
 *
 * Measured is the longest silence of `ping` (every 20 ms) and of a download (a line every 100 ms; the server's own
 * retransmissions are in it) through the tunnel, client and gateway behind NATs of their own. Medians of all rounds. The whole
 * network shares this machine's cores: compare within one run only.
 */

import { parseArgs } from "node:util";
import { isIsolated, runIsolated } from "../io/lab/isolation.ts";
import { inLab } from "../io/lab/lab.ts";
import type { LabProcess } from "../io/lab/process.ts";
import { Network } from "../tests/e2e/support/network.ts";
import { TOKENS } from "../tests/e2e/support/seed.ts";
import { Laptop } from "./roam/laptop.ts";
import { type Silence, Traffic } from "./roam/silence.ts";
import { describeMachine } from "./tunnel/machine.ts";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    clients: { type: "string", default: "events,polling,upstream" },
    json: { type: "boolean", default: false },
  },
});

/** So far apart that no client holds back because its network flaps. */
const PAUSE_MS = 12_000;
/** Patience with a client that does not notice. */
const LIMIT_MS = 60_000;

interface Scenario {
  readonly name: string;
  /** Brings the laptop, at home in its Wi-Fi, into the state that `roam` starts from. */
  readonly prepare?: (laptop: Laptop) => Promise<void>;
  readonly roam: (laptop: Laptop) => Promise<void>;
}

const SCENARIOS: readonly Scenario[] = [
  { name: "another Wi-Fi", roam: (laptop) => laptop.joinOtherWifi() },
  { name: "Ethernet is plugged in beside Wi-Fi", roam: (laptop) => laptop.plugIn() },
  {
    name: "Ethernet is unplugged, Wi-Fi is there",
    prepare: (laptop) => laptop.plugIn(),
    roam: (laptop) => laptop.unplug(),
  },
  { name: "another address in the same Wi-Fi", roam: (laptop) => laptop.takeOtherAddress() },
  {
    name: "no network for 8 s, then the same",
    roam: async (laptop) => {
      await laptop.leaveWifi();
      await sleep(8000);
      await laptop.atHome();
    },
  },
];

async function run(lab: Parameters<typeof Network.start>[0]): Promise<void> {
  const network = await Network.start(lab, {
    underlay: "ipv4",
    clientNat: "port-restricted",
    gatewayNat: "port-restricted",
  });
  const laptop = await Laptop.start(network);
  const results = new Map<string, Map<string, Silence[]>>();
  for (const client of options.clients.split(",")) {
    await laptop.atHome();
    const found = await measure(client, laptop);
    if (typeof found === "string") console.error(`Without ${client}: ${found}.`);
    else results.set(client, found);
  }
  if (options.json) {
    console.log(JSON.stringify(Object.fromEntries([...results].map(([k, v]) => [k, Object.fromEntries(v)]))));
  } else console.log(`${describeMachine()}\n\n${table(results)}`);
}

/** Returns the silences by scenario, or why there is nothing to measure. */
async function measure(client: string, laptop: Laptop): Promise<Map<string, Silence[]> | string> {
  let process = await startClient(client, laptop.network);
  const results = new Map<string, Silence[]>(SCENARIOS.map(({ name }) => [name, []]));
  for (let round = 1; round <= Number(options.rounds); round++) {
    for (const { name, prepare, roam } of SCENARIOS) {
      await laptop.atHome();
      await prepare?.(laptop);
      if (typeof process === "string") return process;
      await sleep(PAUSE_MS);
      const traffic = await Traffic.start(laptop.network);
      const silence = await traffic.measure(() => roam(laptop), 6000, LIMIT_MS);
      await traffic.stop();
      results.get(name)!.push(silence);
      if (silence.pingMs === undefined) {
        // One that has not come back would not be there for the next.
        await process.stop(5000);
        await laptop.atHome();
        process = await startClient(client, laptop.network);
      }
      console.error(
        `round ${round} ${client}: ${name}: ping ${text(silence.pingMs)}, TCP ${text(silence.tcpMs)}`,
      );
    }
  }
  if (typeof process !== "string") await process.stop(5000);
  return results;
}

/** Returns the process, or why there is none. */
async function startClient(client: string, network: Network): Promise<LabProcess | string> {
  switch (client) {
    case "events":
      return (await network.startClient({ dnsControl: "disabled" })).process;
    case "polling": {
      const main = new URL("roam/polling_main.ts", import.meta.url).pathname;
      return (await network.startClient({ dnsControl: "disabled", main })).process;
    }
    case "upstream": {
      const binary = Deno.env.get("FIREZONE_CLIENT");
      if (binary === undefined) return "FIREZONE_CLIENT does not name its binary";
      const process = network.client.spawn([binary], {
        env: {
          FIREZONE_API_URL: network.portalUrl,
          FIREZONE_TOKEN: TOKENS.client,
          FIREZONE_ID: "bench",
          FIREZONE_NO_TELEMETRY: "true",
          FIREZONE_DNS_CONTROL: "disabled",
          RUST_LOG: "info",
        },
      });
      for (let attempt = 0; attempt < 100; attempt++) {
        const { code } = await network.client.run(["curl", "-sS", "--max-time", "2", "http://172.20.0.10/"]);
        if (code === 0) return process;
        if (process.ended) break;
        await sleep(200);
      }
      return `it does not connect: ${process.stderr.trim().split("\n").at(-1) ?? ""}`;
    }
    default:
      return "nobody knows it";
  }
}

function table(results: ReadonlyMap<string, ReadonlyMap<string, readonly Silence[]>>): string {
  const clients = [...results.keys()];
  const isCompared = results.has("events") && results.has("upstream");
  const heading = [
    "longest silence, s (ping / TCP)",
    ...clients,
    ...isCompared ? ["upstream ÷ events"] : [],
  ];
  const rows = SCENARIOS.map(({ name }) => {
    const of = (client: string) => {
      const silences = results.get(client)!.get(name)!;
      return [median(silences.map(({ pingMs }) => pingMs)), median(silences.map(({ tcpMs }) => tcpMs))];
    };
    const ours = isCompared ? of("events") : [];
    const ratios = isCompared ? of("upstream").map((theirs, index) => ratio(theirs, ours[index])) : [];
    return [
      name,
      ...clients.map((client) => of(client).map(text).join(" / ")),
      ...isCompared ? [ratios.join(" / ")] : [],
    ];
  });
  return [heading, heading.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function ratio(theirs: number | undefined, ours: number | undefined): string {
  if (ours === undefined) return "?";
  return `${theirs === undefined ? "> " : ""}${((theirs ?? LIMIT_MS) / ours).toFixed(1)} ×`;
}

/** A silence that did not end counts as the longest. */
function median(values: readonly (number | undefined)[]): number | undefined {
  const sorted = values.map((value) => value ?? Infinity).sort((a, b) => a - b);
  const middle = sorted[(sorted.length - 1) >> 1];
  return middle === Infinity ? undefined : middle;
}

function text(ms: number | undefined): string {
  return ms === undefined ? `> ${LIMIT_MS / 1000}` : (ms / 1000).toFixed(1);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

if (isIsolated()) await inLab(run);
else {
  const own = [Deno.execPath(), "run", "-A", "--quiet", import.meta.filename!, ...Deno.args];
  Deno.exit(await runIsolated(own));
}
