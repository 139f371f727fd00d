/**
 * DNS on macOS: a key of ours in configd's dynamic store names the sentinels as resolvers for all names (scutil(8)). The
 * machine's own settings stay as they are beside it. The key outlives a killed process, until the machine starts anew.
 */

import { Fault } from "../../lib/base/fault.ts";
import type { IpAddress } from "../../lib/base/ip.ts";
import {
  chooseDnsControl,
  type DnsChoice,
  type DnsObservation,
  NOTHING_SEEN,
} from "../../lib/host/dns_choice.ts";
import { type Journal, NO_JOURNAL } from "../../lib/host/journal.ts";
import { runTool, type ToolOutcome } from "../command.ts";
import type { DnsControl, Resolver, SystemDns, SystemDnsOptions } from "../platform.ts";
import { RUN_AS_ROOT } from "./errno.ts";
import {
  DNS_KEY,
  type DnsServer,
  isOwnKey,
  parseArray,
  parseResolvers,
  removeCommands,
  setCommands,
  showCommands,
  upstreamServers,
} from "./scutil.ts";

/** Runs a tool, as `runTool` does. */
export type RunTool = (
  tool: string,
  args: readonly string[],
  options?: { readonly input?: string },
) => Promise<Pick<ToolOutcome, "code" | "stdout">>;

/** What is needed of the machine. */
export interface DnsMachine {
  /** Returns the name of the interface of the default route, without our device. */
  readonly primaryInterface: () => string | undefined;
  /** Returns the index of an interface; 0 if there is none. */
  readonly interfaceIndex: (name: string) => number;
  readonly isRoot: () => boolean;
  /** Default: the real tools. */
  readonly run?: RunTool;
}

/** Controls by "scutil"; "disabled" reads the machine's resolvers, and changes nothing but leftovers. */
export class ScutilDns implements SystemDns {
  readonly control: DnsControl;
  readonly #isSentinel: (address: IpAddress) => boolean;
  readonly #journal: Journal;
  readonly #machine: DnsMachine;
  readonly #run: RunTool;
  #servers: readonly string[] = [];

  /** Throws a Fault ("usage") for a control of another system. */
  constructor({ control, isSentinel, journal }: SystemDnsOptions, machine: DnsMachine) {
    if (control !== "scutil" && control !== "disabled") {
      throw new Fault("usage", `Cannot control DNS by "${control}" on macOS`, {
        next: "Use --dns-control scutil, or --dns-control disabled to leave DNS alone.",
      });
    }
    this.control = control;
    this.#isSentinel = isSentinel;
    this.#journal = journal ?? NO_JOURNAL;
    this.#machine = machine;
    this.#run = machine.run ?? runTool;
  }

  async check(): Promise<void> {
    if (this.control === "disabled") return;
    if (!this.#machine.isRoot()) throw notPermitted("Cannot change DNS");
    await this.#scutil(showCommands(DNS_KEY));
  }

  async upstreams(): Promise<Resolver[]> {
    const { code, stdout } = await this.#run(SCUTIL, ["--dns"]);
    if (code !== 0) return [];
    const servers = upstreamServers(parseResolvers(stdout), this.#machine.primaryInterface());
    return servers
      .filter(({ address }) => !this.#isSentinel(address) && !address.isUnspecified)
      .map((server) => this.#resolver(server));
  }

  async set(sentinels: readonly IpAddress[], searchDomain: string | undefined): Promise<void> {
    if (this.control === "disabled") return;
    if (sentinels.length === 0) return void await this.undo();
    this.#journal.note({ id: `scutil:${DNS_KEY}`, type: "scutil", key: DNS_KEY });
    const shown = await this.#scutil(setCommands(sentinels, searchDomain));
    const servers = sentinels.map(String);
    // It ends with 0 whatever happened to a command.
    if (!isSame(parseArray(shown, SERVERS), servers)) throw refused("Cannot change DNS", shown);
    this.#servers = servers;
    await this.flush();
  }

  async flush(): Promise<void> {
    if (this.control === "disabled") return;
    await this.#run("/usr/bin/dscacheutil", ["-flushcache"]).catch(() => {});
    await this.#run("/usr/bin/killall", ["-HUP", "mDNSResponder"]).catch(() => {});
  }

  async isInForce(): Promise<boolean> {
    if (this.#servers.length === 0) return true;
    return isSame(parseArray(await this.#scutil(showCommands(DNS_KEY)), SERVERS), this.#servers);
  }

  async undo(): Promise<boolean> {
    this.#servers = [];
    const isThere = await removeKey(DNS_KEY, this.#run);
    this.#journal.forget(`scutil:${DNS_KEY}`);
    if (isThere) await this.flush();
    return isThere;
  }

  async #scutil(input: string): Promise<string> {
    return await scutil(input, this.#run);
  }

  #resolver({ address, zone }: DnsServer): Resolver {
    if (zone === undefined || !address.isLinkLocal) return { address };
    const scopeId = /^\d+$/.test(zone) ? Number(zone) : this.#machine.interfaceIndex(zone);
    return scopeId === 0 ? { address } : { address, scopeId };
  }
}

/**
 * Removes what is stored at `key`, one of ours, and returns whether there was anything. Throws a Fault ("dns",
 * "privilege").
 */
export async function removeKey(key: string, run: RunTool = runTool): Promise<boolean> {
  if (!isOwnKey(key) || isMissing(await scutil(showCommands(key), run))) return false;
  const shown = await scutil(removeCommands(key), run);
  if (!isMissing(shown)) throw refused("Cannot restore DNS", shown);
  return true;
}

/** Returns what was seen; macOS has one way only. */
export async function observeDns(): Promise<DnsObservation> {
  const path = "/etc/resolv.conf";
  const text = await Deno.readTextFile(path).catch(() => undefined);
  return {
    ...NOTHING_SEEN,
    os: "darwin",
    resolvConf: {
      ...NOTHING_SEEN.resolvConf,
      exists: text !== undefined,
      target: await Deno.readLink(path).catch(() => undefined),
      text: (text ?? "").slice(0, MAX_TEXT),
    },
  };
}

/** Returns the control that fits. */
export async function chooseDns(): Promise<DnsChoice> {
  return chooseDnsControl(await observeDns());
}

async function scutil(input: string, run: RunTool): Promise<string> {
  const { code, stdout } = await run(SCUTIL, [], { input });
  if (code !== 0) throw refused("Cannot talk to configd", stdout);
  return stdout;
}

function isMissing(shown: string): boolean {
  return /^\s*No such key\s*$/m.test(shown);
}

function refused(action: string, shown: string): Fault {
  if (/permission denied|not permitted/i.test(shown)) return notPermitted(action);
  return new Fault("dns", `${action}: scutil did not do what it was asked for`, {
    next: "Look at the settings: scutil --dns. Or leave DNS alone with --dns-control disabled.",
  });
}

function notPermitted(action: string): Fault {
  return new Fault("privilege", `${action}: operation not permitted`, { next: RUN_AS_ROOT });
}

function isSame(found: readonly string[] | undefined, wanted: readonly string[]): boolean {
  return found?.join(" ") === wanted.join(" ");
}

const SCUTIL = "/usr/sbin/scutil";
const SERVERS = "ServerAddresses";
const MAX_TEXT = 65_536;
