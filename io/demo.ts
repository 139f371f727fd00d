/**
 * `fz demo`: builds the network, starts every role, makes one request as a user would, and tells what happened. Runs
 * inside `runIsolated`, so that nothing outlives it.
 */

import { Fault } from "../lib/base/fault.ts";
import type { DemoConfig, DemoPath, DemoReport, DemoStep } from "../lib/control/config.ts";
import {
  DemoNetwork,
  type DemoRole,
  followEvents,
  lastWords,
  type TimedEvent,
  WEB_NAME,
  WEB_URL,
} from "./demo/network.ts";
import { inLab, type Lab } from "./lab/lab.ts";
import { isIsolated, requireTunDevice, runIsolated, toldPid } from "./lab/isolation.ts";

export interface DemoEvents {
  step(step: DemoStep): void;
  kept(commands: readonly string[]): Promise<void>;
  readonly signal: AbortSignal;
}

/** How long one step may take. */
const PATIENCE_MS = 20_000;

/**
 * Runs this program again with `args`, isolated, and returns its exit code; undefined if this process is isolated
 * already. Throws a `Fault` that names what forbids it.
 */
export async function isolate(args: readonly string[]): Promise<number | undefined> {
  if (isIsolated()) return undefined;
  requireTunDevice();
  const main = new URL("../main.ts", import.meta.url).pathname;
  return await runIsolated([Deno.execPath(), "run", "-A", "--quiet", "--no-prompt", main, ...args], {
    tellPid: true,
  });
}

/** Runs the demo. A failure is part of the report. */
export async function runDemo(config: DemoConfig, events: DemoEvents): Promise<DemoReport> {
  const story = new Story(events);
  try {
    return await inLab((lab) => Promise.race([story.run(lab, config), whenAborted(events.signal)]));
  } catch (error) {
    // Ending what was kept is no failure.
    if (story.isComplete) return { ok: true, ...story.report };
    return { ...story.report, ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}

class Story {
  /** Whether the page was fetched. */
  isComplete = false;
  readonly #events: DemoEvents;
  readonly #steps: DemoStep[] = [];
  #last = Date.now();
  #path: DemoPath | undefined;
  #http: DemoReport["http"];

  constructor(events: DemoEvents) {
    this.#events = events;
  }

  get report(): Omit<DemoReport, "ok"> {
    return { steps: this.#steps, path: this.#path, http: this.#http };
  }

  async run(lab: Lab, config: DemoConfig): Promise<DemoReport> {
    const network = await within("making hosts and links", DemoNetwork.build(lab));
    if (config.path === "relayed") await network.blockDirectPath();
    this.#tell(
      "hosts",
      `${network.hostNames.length} network namespaces and their links: ${network.hostNames.join(", ")}`,
    );
    const web = network.startWeb();
    // It is waited for further down; an early failure must not count as unhandled.
    web.catch(() => {});
    await within("starting the portal", network.startPortal());
    this.#tell("portal", "serves clients, gateways and relays at ws://198.18.1.2:8081");
    await within(
      "starting relay and gateway",
      Promise.all([network.startRelay(), network.startGateway(), web]),
    );
    this.#tell("relay, gateway", "signed in at the portal; the gateway serves the site Office");
    const client = network.startClient();
    const watch = new ClientWatch(client, (event) => this.#handle(event));
    await watch.waitFor("ready");
    await this.#request(network, watch);
    this.isComplete = true;
    if (config.keep) await this.#events.kept(await commandsToPlay(network));
    return { ok: true, ...this.report };
  }

  /** Resolves and fetches, as a user's programs would. */
  async #request(network: DemoNetwork, watch: ClientWatch): Promise<void> {
    const client = network.host("client");
    const { code, stdout } = await within("resolving the name", client.run(["getent", "ahosts", WEB_NAME]));
    const addresses = [...new Set(stdout.split("\n").map((line) => line.split(/\s+/)[0]!))].filter((text) =>
      text !== ""
    );
    if (code !== 0 || addresses.length === 0) throw new Error(`The name ${WEB_NAME} did not resolve`);
    this.#tell("DNS answer", `${WEB_NAME} is ${describeAddresses(addresses)}, by the system's resolver`);
    const format = "%{http_code} %{size_download} %{time_total}";
    const fetched = await within(
      "fetching the page",
      client.run(["curl", "-sS", "--max-time", "15", "-o", "/dev/null", "-w", format, WEB_URL]),
    );
    if (fetched.code !== 0) throw new Error(`curl failed: ${fetched.stderr.trim()}`);
    const [status, bytes, seconds] = fetched.stdout.split(" ").map(Number) as [number, number, number];
    await watch.waitFor("connected");
    this.#http = { url: WEB_URL, status, bytes, ms: Math.round(seconds * 1000) };
    this.#tell("HTTP", `${status}, ${bytes} bytes in ${this.#http.ms} ms from ${WEB_URL}`);
    if (status !== 200) throw new Error(`${WEB_URL} answered with status ${status}`);
  }

  #handle(event: TimedEvent): void {
    switch (event.event) {
      case "portal-connected":
        return this.#tell("signed in", "the portal accepted the client's token", event.at);
      case "signed-in": {
        const list = event.resources.map(({ name, address }) => `${name} (${address})`).join(", ");
        return this.#tell("resources", `${event.resources.length}: ${list}`, event.at);
      }
      case "interface":
        return this.#tell("tunnel device", `${event.name} with ${event.ipv4} and ${event.ipv6}`, event.at);
      case "access-granted":
        return this.#tell("access granted", `to Intranet, by the gateway of the site Office`, event.at);
      case "access-denied":
        return this.#tell("access denied", event.reason, event.at);
      case "connected":
      case "path-changed":
        this.#path = event.path;
        return this.#tell(
          event.event === "connected" ? "path, handshake" : "path changed",
          describePath(event.path),
          event.at,
        );
      default:
        return;
    }
  }

  #tell(name: string, detail: string, at = Date.now()): void {
    const step = { name, ms: Math.max(0, at - this.#last), detail };
    this.#last = Math.max(at, this.#last);
    this.#steps.push(step);
    this.#events.step(step);
  }
}

/** Reads the client's events and lets others wait for one. */
class ClientWatch {
  readonly #client: DemoRole;
  readonly #seen = new Set<string>();
  readonly #end: Promise<void>;
  #wake = Promise.withResolvers<void>();

  constructor(client: DemoRole, handle: (event: TimedEvent) => void) {
    this.#client = client;
    this.#end = this.#read(handle);
  }

  async waitFor(name: TimedEvent["event"]): Promise<void> {
    const waiting = (async () => {
      while (!this.#seen.has(name)) {
        const ended = this.#end.then(() => true);
        if (await Promise.race([this.#wake.promise.then(() => false), ended])) {
          throw new Error(`The client ended: ${lastWords(this.#client.process)}`);
        }
      }
    })();
    await within(`waiting for the client's "${name}"`, waiting);
  }

  async #read(handle: (event: TimedEvent) => void): Promise<void> {
    for await (const event of followEvents(this.#client)) {
      handle(event);
      this.#seen.add(event.event);
      const { resolve } = this.#wake;
      this.#wake = Promise.withResolvers();
      resolve();
    }
  }
}

/** One address of each family, and how many more there are. */
function describeAddresses(addresses: readonly string[]): string {
  const shown = [addresses.find((text) => text.includes(".")), addresses.find((text) => text.includes(":"))]
    .filter((text) => text !== undefined);
  const more = addresses.length - shown.length;
  return shown.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function describePath({ kind, localKind, remoteKind, local, remote, rttMs }: DemoPath): string {
  const rtt = rttMs === undefined ? "" : `, round trip ${rttMs.toFixed(1)} ms`;
  return `${kind}, ${localKind} ${local} to ${remoteKind} ${remote}${rtt}; WireGuard session up`;
}

/** Puts a script for entering the hosts where only this isolation sees it, and returns what to type outside. */
async function commandsToPlay(network: DemoNetwork): Promise<string[]> {
  const pid = await toldPid();
  if (pid === undefined) return [];
  const cases = network.hostNames.map((name) => `${name}) pid=${network.host(name as "client").pid} ;;`).join(
    "\n",
  );
  const script = `#!/bin/sh
case $1 in
${cases}
*) echo "hosts: ${network.hostNames.join(" ")}" >&2; exit 2 ;;
esac
shift
exec nsenter -t $pid -m -n -u -- "$@"
`;
  await Deno.writeTextFile("/run/on", script, { mode: 0o755 });
  const asUser = (await Deno.readTextFile("/proc/self/uid_map")).trim().split(/\s+/)[2] === "1";
  const enter = asUser ? `nsenter -t ${pid} -U --preserve-credentials -m -p` : `nsenter -t ${pid} -m -p`;
  return [
    `${enter} /run/on client curl ${WEB_URL}`,
    `${enter} /run/on client ping -c 3 ${WEB_NAME}`,
    `${enter} /run/on client ip route show table all`,
    `${enter} /run/on gateway nft list ruleset`,
    `${enter} /run/on client sh`,
  ];
}

async function within<T>(what: string, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Fault("timeout", `Gave up ${what} after ${PATIENCE_MS / 1000} s`)),
      PATIENCE_MS,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = () => reject(new Error("Interrupted"));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}
