/**
 * The network of the demo, every part the real program on a host of its own:
 *
 * ```text
 *   portal    relay        the router "internet" joins four networks
 *      └───┬────┘
 *   client ── internet ── gateway ── web        no route leads from the client to web
 * ```
 */

import type { RunEvent } from "../../lib/control/event.ts";
import type { SeedInput } from "../../lib/portal/seed.ts";
import type { Host } from "../lab/host.ts";
import type { Lab } from "../lab/lab.ts";
import { blockUdp } from "../lab/nat.ts";
import type { LabProcess } from "../lab/process.ts";

/** The name that the client asks for, and what the gateway knows about it. */
export const WEB_NAME = "intranet.demo.internal";
/** The page that the demo asks for. */
export const WEB_URL = `http://${WEB_NAME}/`;

/** Loose words: the demo's network is unreachable from anywhere else. */
const TOKENS = { client: "demo-client", gateway: "demo-gateway", relay: "demo-relay" } as const;

const SEED: SeedInput = {
  account: { slug: "demo", name: "Demo" },
  sites: [{ name: "Office" }],
  actors: [{ name: "Ada" }],
  resources: [{
    name: "Intranet",
    type: "dns",
    address: WEB_NAME,
    site: "Office",
    filters: ["tcp/80", "icmp"],
  }],
  policies: [{ group: "Everyone", resource: "Intranet" }],
  tokens: [
    { kind: "client", actor: "Ada", token: TOKENS.client },
    { kind: "gateway", site: "Office", token: TOKENS.gateway },
    { kind: "relay", token: TOKENS.relay },
  ],
};

const HOST_NAMES = ["internet", "portal", "relay", "gateway", "web", "client"] as const;
type HostName = typeof HOST_NAMES[number];

/** The third number of each network around the router. */
const NETWORKS = { portal: 1, relay: 2, gateway: 3, client: 4 } as const;

/** A role that was started, and where its events are. */
export interface DemoRole {
  readonly process: LabProcess;
  /** Path of the event file as this process sees it. */
  readonly events: string;
}

export class DemoNetwork {
  readonly #hosts: Readonly<Record<HostName, Host>>;
  readonly #roles = new Map<HostName, DemoRole>();

  private constructor(hosts: Readonly<Record<HostName, Host>>) {
    this.#hosts = hosts;
  }

  /** Makes hosts and links. */
  static async build(lab: Lab): Promise<DemoNetwork> {
    const hosts = await Promise.all(HOST_NAMES.map((name) => lab.host(name)));
    const network = new DemoNetwork(
      Object.fromEntries(hosts.map((host, index) => [HOST_NAMES[index], host])) as Record<HostName, Host>,
    );
    await network.#link(lab);
    return network;
  }

  host(name: HostName): Host {
    return this.#hosts[name];
  }

  /** Names of all hosts. */
  get hostNames(): readonly string[] {
    return HOST_NAMES;
  }

  /** Leaves client and gateway no way to each other but the relay. */
  async blockDirectPath(): Promise<void> {
    await blockUdp(this.host("gateway"), ["198.18.4.0/24"]);
    await blockUdp(this.host("gateway"), ["2001:db8:4::/64"]);
  }

  async startPortal(): Promise<DemoRole> {
    await this.host("portal").writeFile("/run/seed.json", JSON.stringify(SEED), 0o600);
    const listen = ["--listen", "[::]:8081", "--seed", "/run/seed.json", "--admin-socket", "/run/admin.sock"];
    return await this.#start("portal", ["portal", ...listen], {});
  }

  async startRelay(): Promise<DemoRole> {
    return await this.#start("relay", ["relay"], {
      ...peerEnv("relay"),
      PUBLIC_IP4_ADDR: "198.18.2.2",
      PUBLIC_IP6_ADDR: "2001:db8:2::2",
    });
  }

  async startGateway(): Promise<DemoRole> {
    return await this.#start("gateway", ["gateway"], { ...peerEnv("gateway"), FIREZONE_ID: "demo-gateway" });
  }

  async startWeb(): Promise<LabProcess> {
    const server = new URL("./web.ts", import.meta.url).pathname;
    const process = this.host("web").spawn([Deno.execPath(), "run", "--allow-net", "--quiet", server, "80"]);
    await process.waitFor(/ready/);
    return process;
  }

  /** Starts the client, without waiting for anything. */
  startClient(): DemoRole {
    const env = { ...peerEnv("client"), FIREZONE_ID: "demo-client" };
    return this.#spawn("client", ["run", "--dns-control", "etc-resolv-conf"], env);
  }

  async #link(lab: Lab): Promise<void> {
    const { internet, gateway, web, client } = this.#hosts;
    await Promise.all([internet.enableForwarding(), gateway.enableForwarding()]);
    await Promise.all(
      Object.entries(NETWORKS).map(async ([name, net]) => {
        const host = this.#hosts[name as keyof typeof NETWORKS];
        await lab.link(
          [host, { v4: `198.18.${net}.2/24`, v6: `2001:db8:${net}::2/64`, name: "eth0" }],
          [internet, { v4: `198.18.${net}.1/24`, v6: `2001:db8:${net}::1/64`, name }],
        );
        await host.setDefaultRoute(`198.18.${net}.1`);
        await host.setDefaultRoute(`2001:db8:${net}::1`);
      }),
    );
    await lab.link([web, { v4: "172.20.0.10/24", name: "eth0" }], [gateway, {
      v4: "172.20.0.1/24",
      name: "office",
    }]);
    // The gateway knows the name; nobody else does, and no resolver of the internet answers.
    await gateway.must(["sh", "-c", `echo "172.20.0.10 ${WEB_NAME}" >>/etc/hosts`]);
    await client.setResolvers(["198.18.1.2"]);
  }

  async #start(name: HostName, args: readonly string[], env: Record<string, string>): Promise<DemoRole> {
    const role = this.#spawn(name, args, env);
    for await (const event of followEvents(role)) if (event.event === "ready") return role;
    throw new Error(`The ${name} ended: ${lastWords(role.process)}`);
  }

  #spawn(name: HostName, args: readonly string[], env: Record<string, string>): DemoRole {
    const main = new URL("../../main.ts", import.meta.url).pathname;
    const host = this.host(name);
    const command = [Deno.execPath(), "run", "-A", "--quiet", "--no-prompt", main, ...args];
    const process = host.spawn(command, { env: { RUST_LOG: "warn", FZ_EVENTS: "/run/events", ...env } });
    const role = { process, events: `/proc/${host.pid}/root/run/events` };
    this.#roles.set(name, role);
    return role;
  }
}

function peerEnv(role: keyof typeof TOKENS): Record<string, string> {
  return { FIREZONE_API_URL: "ws://198.18.1.2:8081/", FIREZONE_TOKEN: TOKENS[role], FIREZONE_NAME: role };
}

/** Events with the moment at which they happened, in unix milliseconds. */
export type TimedEvent = RunEvent & { readonly at: number };

/** Yields what a role tells, as it tells it, until the role ends. */
export async function* followEvents({ process, events }: DemoRole): AsyncGenerator<TimedEvent> {
  let seen = 0;
  for (;;) {
    const hasEnded = process.ended;
    const text = await Deno.readTextFile(events).catch(() => "");
    const whole = text.slice(seen, text.lastIndexOf("\n") + 1);
    seen += whole.length;
    for (const line of whole.split("\n")) {
      if (line === "") continue;
      const event = JSON.parse(line) as RunEvent & { readonly time: string };
      yield { ...event, at: Date.parse(event.time) };
    }
    if (hasEnded) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
  }
}

const POLL_INTERVAL_MS = 5;

/** Returns what a process said at the end: its own error if there is one. */
export function lastWords(process: LabProcess): string {
  const lines = process.stderr.trim().split("\n");
  const own = lines.findLast((line) => line.startsWith("fz: "));
  return own?.slice("fz: ".length) ?? lines.at(-1) ?? "it said nothing";
}
