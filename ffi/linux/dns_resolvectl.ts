/**
 * DNS by systemd-resolved where its bus cannot be reached by us, but by its tool, resolvectl(1). What is set is the same
 * as in dns_resolved.ts.
 */

import { Fault } from "../../lib/base/fault.ts";
import { IpAddress } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import type { Resolver, SystemDns, SystemDnsOptions } from "../platform.ts";
import { runTool, type ToolOutcome } from "../command.ts";

export class ResolvectlDns implements SystemDns {
  readonly control = "systemd-resolved";
  readonly usesOneLabelDomain = true;
  readonly #device: string;
  readonly #isSentinel: (address: IpAddress) => boolean;
  readonly #log: Log;
  #sentinels: readonly IpAddress[] = [];

  constructor({ device, isSentinel, log }: SystemDnsOptions) {
    this.#device = device;
    this.#isSentinel = isSentinel;
    this.#log = log;
  }

  async check(): Promise<void> {
    await must("status", "--no-pager");
  }

  async upstreams(): Promise<Resolver[]> {
    const { code, stdout } = await resolvectl("dns").catch(() => ({ code: 1, stdout: "" }));
    if (code !== 0) return [];
    const found = parseResolvers(stdout, this.#device);
    return found.filter((address) => !this.#isSentinel(address)).map((address) => ({ address }));
  }

  async set(
    sentinels: readonly IpAddress[],
    searchDomain: string | undefined,
    oneLabelDomain?: string,
  ): Promise<void> {
    if (sentinels.length === 0) return void await this.undo();
    await must("dns", this.#device, ...sentinels.map(String));
    // With a search domain alone, resolved would ask other links in parallel; "~." makes this one the only one.
    const searched = [searchDomain, oneLabelDomain].filter((name) => name !== undefined);
    await must("domain", this.#device, ...searched, "~.");
    await must("default-route", this.#device, "yes");
    for (const feature of ["dnsovertls", "dnssec", "llmnr", "mdns"]) {
      const { code, stderr } = await resolvectl(feature, this.#device, "no");
      if (code !== 0) this.#log.debug(`cannot turn ${feature} off`, { reason: stderr.trim() });
    }
    this.#sentinels = sentinels;
    await this.flush();
  }

  async flush(): Promise<void> {
    await resolvectl("flush-caches").catch(() => {});
  }

  async isInForce(): Promise<boolean> {
    if (this.#sentinels.length === 0) return true;
    const { stdout } = await resolvectl("dns", this.#device).catch(() => ({ stdout: "" }));
    return this.#sentinels.every((address) => stdout.split(/\s+/).includes(String(address)));
  }

  async undo(): Promise<boolean> {
    if (this.#sentinels.length === 0) return false;
    this.#sentinels = [];
    await resolvectl("revert", this.#device).catch(() => {});
    await this.flush();
    return true;
  }
}

/**
 * Returns the resolvers in the output of `resolvectl dns`, each once, those of `device` left out. There is no machine
 * format: "Link 2 (eth0): 192.0.2.1 fe80::1%2"; a resolver may carry a port and a name ("192.0.2.1:53#dns.example").
 */
export function parseResolvers(output: string, device: string): IpAddress[] {
  const found = new Map<IpAddress["key"], IpAddress>();
  for (const line of output.split("\n")) {
    const match = /^(?:Global|Link \d+ \(([^)]*)\)):(.*)$/.exec(line.trim());
    if (match === null || match[1] === device) continue;
    for (const word of match[2]!.trim().split(/\s+/)) {
      const bare = word.replace(/#.*$/, "").replace(/^\[(.*)\](?::\d+)?$/, "$1").replace(
        /^([\d.]+):\d+$/,
        "$1",
      );
      const address = IpAddress.parse(bare);
      if (address !== undefined) found.set(address.key, address);
    }
  }
  return [...found.values()];
}

async function resolvectl(...args: string[]): Promise<ToolOutcome> {
  return await runTool("resolvectl", args, { next: NEXT });
}

async function must(...args: string[]): Promise<void> {
  let outcome: ToolOutcome;
  try {
    outcome = await resolvectl(...args);
  } catch {
    throw new Fault("dns", "Cannot use systemd-resolved: resolvectl is not installed", { next: NEXT });
  }
  if (outcome.code === 0) return;
  throw new Fault("dns", `Cannot set DNS: "resolvectl ${args[0]}" said: ${outcome.stderr.trim()}`, {
    next: NEXT,
  });
}

const NEXT = "Choose another way with --dns-control etc-resolv-conf, or --dns-control disabled.";
