/**
 * How long traffic stands still when the client's network changes: `deno task bench:roam [--rounds N] [--clients
 * events,polling,upstream] [--json]`. One lab, one client after the other: ours as the kernel tells it of changes, ours
 * when it has to look every second, and Firezone's headless client where `FIREZONE_CLIENT` names its binary.
 *
 * Firezone's client hears of another network from NetworkManager alone, which is not here: what it shows is how long it
 * takes by time-outs. A silence that does not end in a minute and a half costs as much of the reader's time.
 *
 * Measured is the longest silence of a download (a line every 100 ms; the server's own retransmissions are in it) and of
 * `ping` (every 20 ms) through the tunnel, client and gateway behind NATs of their own. Medians of all rounds. The whole
 * network shares this machine's cores: compare within one run only.
 */

import { parseArgs } from "node:util";
import { isIsolated, runIsolated } from "../io/lab/isolation.ts";
import { inLab } from "../io/lab/lab.ts";
import type { LabProcess } from "../io/lab/process.ts";
import { type ClientUplink, Network } from "../tests/e2e/support/network.ts";
import { TOKENS } from "../tests/e2e/support/seed.ts";
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
const LIMIT_MS = 90_000;

interface Scenario {
  readonly name: string;
  /** Brings the client into the state that `roam` starts from. */
  readonly prepare: (site: Site) => Promise<void>;
  readonly roam: (site: Site) => Promise<void>;
}

interface Site {
  readonly network: Network;
  readonly wifi: ClientUplink;
  readonly ethernet: ClientUplink;
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: "Wi-Fi goes, Ethernet is there",
    prepare: (site) => start(site),
    roam: async (site) => {
      await site.wifi.inside.down();
      await use(site, site.ethernet, 100);
    },
  },
  {
    name: "Ethernet is plugged in beside Wi-Fi",
    prepare: (site) => start(site),
    roam: (site) => use(site, site.ethernet, 50),
  },
  {
    name: "another address on the same link",
    prepare: (site) => start(site),
    roam: async (site) => {
      await site.network.client.must(["ip", "address", "flush", "dev", "wifi"]);
      await site.network.client.must(["ip", "address", "add", "192.168.31.99/24", "dev", "wifi"]);
      await use(site, site.wifi, 100);
    },
  },
  {
    name: "no network for 8 s, then the same",
    prepare: (site) => start(site),
    roam: async (site) => {
      await site.wifi.inside.down();
      await sleep(8000);
      await start(site);
    },
  },
];

async function run(lab: Parameters<typeof Network.start>[0]): Promise<void> {
  const network = await Network.start(lab, {
    underlay: "ipv4",
    clientNat: "port-restricted",
    gatewayNat: "port-restricted",
  });
  const site: Site = {
    network,
    wifi: await network.addClientUplink("wifi", 31),
    ethernet: await network.addClientUplink("ethernet", 32),
  };
  await network.client.must(["ip", "link", "delete", "eth0"]);
  const results = new Map<string, Map<string, Silence[]>>();
  for (const client of options.clients.split(",")) {
    await start(site);
    const found = await measure(client, site);
    if (typeof found === "string") console.error(`Without ${client}: ${found}.`);
    else results.set(client, found);
  }
  if (options.json) {
    console.log(JSON.stringify(Object.fromEntries([...results].map(([k, v]) => [k, Object.fromEntries(v)]))));
  } else console.log(`${describeMachine()}\n\n${table(results)}`);
}

/** Returns the silences by scenario, or why there is nothing to measure. */
async function measure(client: string, site: Site): Promise<Map<string, Silence[]> | string> {
  let process = await startClient(client, site.network);
  const results = new Map<string, Silence[]>(SCENARIOS.map(({ name }) => [name, []]));
  for (let round = 1; round <= Number(options.rounds); round++) {
    for (const { name, prepare, roam } of SCENARIOS) {
      await prepare(site);
      if (typeof process === "string") return process;
      await sleep(PAUSE_MS);
      const traffic = await Traffic.start(site.network);
      const silence = await traffic.measure(() => roam(site), 6000, LIMIT_MS);
      await traffic.stop();
      results.get(name)!.push(silence);
      if (silence.pingMs === undefined) {
        // One that has not noticed would not be there for the next.
        await process.stop(5000);
        await start(site);
        process = await startClient(client, site.network);
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

/** Puts the client into Wi-Fi as it was at first, Ethernet plugged in and unused. */
async function start(site: Site): Promise<void> {
  const { client } = site.network;
  await client.must(["ip", "address", "flush", "dev", "wifi"]);
  await client.must(["ip", "address", "add", "192.168.31.2/24", "dev", "wifi"]);
  await site.wifi.inside.up();
  await use(site, site.wifi, 100);
  await client.run(["ip", "route", "delete", "default", "dev", "ethernet", "metric", "100"]);
  await client.run(["ip", "route", "delete", "default", "dev", "ethernet", "metric", "50"]);
}

async function use({ network }: Site, { gateway, inside }: ClientUplink, metric: number): Promise<void> {
  const route = ["default", "via", gateway, "dev", inside.name, "metric", String(metric)];
  await network.client.must(["ip", "route", "replace", ...route]);
  await network.client.setResolvers([gateway]);
}

function table(results: ReadonlyMap<string, ReadonlyMap<string, readonly Silence[]>>): string {
  const clients = [...results.keys()];
  const heading = ["longest silence, s (ping / TCP)", ...clients];
  const rows = SCENARIOS.map(({ name }) => [
    name,
    ...clients.map((client) => {
      const silences = results.get(client)!.get(name)!;
      return `${median(silences.map(({ pingMs }) => pingMs))} / ${
        median(silences.map(({ tcpMs }) => tcpMs))
      }`;
    }),
  ]);
  return [heading, heading.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** A silence that did not end counts as the longest. */
function median(values: readonly (number | undefined)[]): string {
  const sorted = values.map((value) => value ?? Infinity).sort((a, b) => a - b);
  const middle = sorted[(sorted.length - 1) >> 1];
  return text(middle === Infinity ? undefined : middle);
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
