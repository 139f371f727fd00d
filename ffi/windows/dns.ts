/**
 * DNS on Windows: a rule of ours in the name resolution policy table (`nrpt.ts`) names the sentinels for all names. The
 * machine's own settings stay as they are beside it. The rule outlives a killed process and a restart of the machine.
 */

import { Fault } from "../../lib/base/fault.ts";
import { type IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import {
  chooseDnsControl,
  type DnsChoice,
  type DnsObservation,
  NOTHING_SEEN,
} from "../../lib/host/dns_choice.ts";
import { type Journal, NO_JOURNAL } from "../../lib/host/journal.ts";
import type { DnsControl, Resolver, SystemDns, SystemDnsOptions } from "../platform.ts";
import { readAdapters, TYPE_LOOPBACK } from "./adapters.ts";
import type { NetworkKernel } from "./kernel.ts";
import {
  adapterEdits,
  adapterValues,
  allRuleKeys,
  type Edit,
  isGuid,
  isServiceDisabled,
  ruleEdits,
  ruleKeys,
  serverList,
  SERVERS_VALUE,
} from "./nrpt.ts";
import type { Registry } from "./registry.ts";
import { adapterGuid, adapterName, isTunnelDescription } from "./tunnel_name.ts";
import { faultOf, RUN_ELEVATED, Win32 } from "./win32.ts";

/** What is needed of the machine. */
export interface DnsMachine {
  readonly registry: Registry;
  readonly kernel: Pick<NetworkKernel, "adapters">;
  readonly isElevated: () => boolean;
  /** Has the system read policies anew. */
  readonly refreshPolicy: () => void;
  /** Has the system forget answers. */
  readonly flushCache: () => void;
}

/** Controls by "nrpt"; "disabled" reads the machine's resolvers, and changes nothing but leftovers. */
export class NrptDns implements SystemDns {
  readonly control: DnsControl;
  readonly #isSentinel: (address: IpAddress) => boolean;
  readonly #journal: Journal;
  readonly #device: string;
  readonly #guid: string;
  readonly #machine: DnsMachine;
  #servers: string | undefined;

  /** Throws a Fault ("usage") for a control of another system. */
  constructor({ control, device, isSentinel, journal }: SystemDnsOptions, machine: DnsMachine) {
    if (control !== "nrpt" && control !== "disabled") {
      throw new Fault("usage", `Cannot control DNS by "${control}" on Windows`, {
        next: "Use --dns-control nrpt, or --dns-control disabled to leave DNS alone.",
      });
    }
    this.control = control;
    this.#isSentinel = isSentinel;
    this.#journal = journal ?? NO_JOURNAL;
    this.#device = adapterName(device);
    this.#guid = adapterGuid(device);
    this.#machine = machine;
  }

  check(): Promise<void> {
    return Promise.try(() => {
      if (this.control === "disabled") return;
      if (!this.#machine.isElevated()) {
        throw new Fault("privilege", "Cannot change DNS: permission denied", { next: RUN_ELEVATED });
      }
      if (isServiceDisabled(this.#machine.registry)) {
        throw new Fault("dns", 'Cannot change DNS: the service "DNS Client" is disabled', {
          next: "Enable the service Dnscache, or leave DNS alone with --dns-control disabled.",
        });
      }
    });
  }

  upstreams(): Promise<Resolver[]> {
    const adapters = readAdapters(this.#machine.kernel.adapters())
      .filter(({ isUp, type, name, description }) =>
        isUp && type !== TYPE_LOOPBACK && name !== this.#device && !isTunnelDescription(description)
      )
      .sort((one, other) => one.metric - other.metric);
    const found = new Map<string, Resolver>();
    for (const { address, scopeId } of adapters.flatMap(({ resolvers }) => resolvers)) {
      if (address.isUnspecified || this.#isSentinel(address) || SITE_LOCAL.contains(address)) continue;
      const isScoped = address.family === 6 && address.isLinkLocal && scopeId !== 0;
      const key = isScoped ? `${address}%${scopeId}` : String(address);
      if (!found.has(key)) found.set(key, isScoped ? { address, scopeId } : { address });
    }
    return Promise.resolve([...found.values()]);
  }

  async set(sentinels: readonly IpAddress[], searchDomain: string | undefined): Promise<void> {
    if (this.control === "disabled") return;
    if (sentinels.length === 0) return void await this.undo();
    this.#journal.note({ id: "nrpt", type: "nrpt", adapter: this.#guid });
    const { registry } = this.#machine;
    for (const key of ruleKeys(registry)) this.#write(ruleEdits(key, sentinels));
    // The rule is what counts: Windows may keep the settings of adapters to itself.
    this.#write(adapterEdits(this.#guid, sentinels, searchDomain));
    this.#servers = serverList(sentinels);
    this.#machine.refreshPolicy();
    await this.flush();
  }

  flush(): Promise<void> {
    return Promise.try(() => {
      if (this.control !== "disabled") this.#machine.flushCache();
    });
  }

  isInForce(): Promise<boolean> {
    const { registry } = this.#machine;
    const servers = this.#servers;
    return Promise.resolve(
      servers === undefined ||
        ruleKeys(registry).every((key) => registry.read(key, SERVERS_VALUE) === servers),
    );
  }

  undo(): Promise<boolean> {
    return Promise.try(() => {
      this.#servers = undefined;
      const isThere = removeRules(this.#guid, this.#machine);
      this.#journal.forget("nrpt");
      return isThere;
    });
  }

  #write(edits: readonly Edit[]): void {
    for (const { path, name, value } of edits) {
      const error = this.#machine.registry.write(path, name, value);
      if (error !== 0) throw refused("Cannot change DNS", error);
    }
  }
}

/**
 * Removes the rules of ours and what the adapter `guid` was told; returns whether there was a rule. Throws a Fault
 * ("dns", "privilege").
 */
export function removeRules(guid: string, machine: DnsMachine): boolean {
  const { registry } = machine;
  const keys = allRuleKeys().filter((key) => registry.hasKey(key));
  for (const key of keys) {
    const error = registry.removeKey(key);
    if (error !== 0 && error !== Win32.fileNotFound) throw refused("Cannot restore DNS", error);
  }
  // Windows keeps them for the next adapter of that GUID; alone they do no harm.
  if (isGuid(guid)) { for (const { path, name } of adapterValues(guid)) registry.removeValue(path, name); }
  if (keys.length === 0) return false;
  machine.refreshPolicy();
  machine.flushCache();
  return true;
}

/** Returns what was seen; Windows has one way only. */
export function observeDns(): Promise<DnsObservation> {
  return Promise.resolve({ ...NOTHING_SEEN, os: "windows" });
}

/** Returns the control that fits. */
export async function chooseDns(): Promise<DnsChoice> {
  return chooseDnsControl(await observeDns());
}

function refused(action: string, error: number): Fault {
  return faultOf(action, error, {
    code: "dns",
    next: "Look at the rules: Get-DnsClientNrptRule. Or leave DNS alone with --dns-control disabled.",
  });
}

/** Windows names three of these, which nobody answers at, where it knows no resolver (RFC 3879 deprecates them). */
const SITE_LOCAL = IpNetwork.from("fec0::/10");
