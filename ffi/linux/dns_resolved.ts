/**
 * DNS by systemd-resolved (org.freedesktop.resolve1(5)): our resolvers become those of the TUN device and get every name;
 * our search domain joins those of the other links. The settings end with the device, so a killed process leaves nothing
 * behind.
 */

import { Fault } from "../../lib/base/fault.ts";
import type { IpAddress } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import { err, ok, type Result } from "../../lib/base/result.ts";
import { type Change, type Journal, NO_JOURNAL } from "../../lib/host/journal.ts";
import type { DBusValue } from "../../lib/wire/dbus/value.ts";
import type { Resolver, SystemDns, SystemDnsOptions } from "../platform.ts";
import { type Bus, type BusError, NoReply } from "./dbus/bus.ts";
import { systemBusPaths } from "./dbus/handshake.ts";
import { isRefusal, refusedAction } from "./dbus/polkit.ts";
import { getProperty, pathIn, QUICK_MS, rows, UNEXPECTED, withBus, withRunning } from "./dbus/properties.ts";
import { watchService } from "./dbus/watch.ts";
import { ResolvectlDns } from "./dns_resolvectl.ts";
import { familyNumber, familyOf, readAddress } from "./netlink/ip.ts";
import { linkIndex } from "./netlink/mod.ts";

const SERVICE = "org.freedesktop.resolve1";
const MANAGER = {
  destination: SERVICE,
  path: "/org/freedesktop/resolve1",
  interface: `${SERVICE}.Manager`,
} as const;
/** Actions of polkit without which nothing works. */
const ACTIONS = ["set-dns-servers", "set-domains", "set-default-route", "revert"].map((verb) =>
  `${SERVICE}.${verb}`
);
/** resolved learns of a device from the kernel when we do: it may be asked about it too early. */
const LINK_ATTEMPTS = 30;
const LINK_ATTEMPT_MS = 100;

/** For an answer of resolved's that only makes the end of a session smoother. */
const RELEASE_MS = 300;

export class ResolvedDns implements SystemDns {
  readonly control = "systemd-resolved";
  readonly usesOneLabelDomain = true;
  readonly #device: string;
  readonly #isSentinel: (address: IpAddress) => boolean;
  readonly #journal: Journal;
  readonly #log: Log;
  readonly #tool: ResolvectlDns;
  #hasBus = false;
  #isSilent = false;
  /** As last read. */
  #upstreams: Resolver[] = [];
  #wanted: { readonly sentinels: readonly IpAddress[]; readonly domains: readonly Domain[] } | undefined;

  constructor(options: SystemDnsOptions) {
    this.#device = options.device;
    this.#isSentinel = options.isSentinel;
    this.#journal = options.journal ?? NO_JOURNAL;
    this.#log = options.log;
    this.#tool = new ResolvectlDns(options);
  }

  async check(): Promise<void> {
    if (!await this.#findBus()) return await this.#tool.check();
    const outcome = await withBus<string | undefined>(async (bus) => {
      const read = await getProperty(bus, MANAGER, "DNS");
      return read.ok ? ok(await refusedAction(bus, ACTIONS)) : read;
    });
    if (!outcome.ok) throw faultOf(outcome.reason);
    if (outcome.value !== undefined) throw refusal(outcome.value);
  }

  async upstreams(): Promise<Resolver[]> {
    if (!await this.#findBus()) return await this.#tool.upstreams();
    const own = linkIndex(this.#device);
    const outcome = await withRunning(async (bus) => {
      for (const name of ["DNS", "FallbackDNS"]) {
        const read = await getProperty(bus, MANAGER, name);
        if (!read.ok) return read;
        const servers = parseServers(read.value).filter(({ index, address }) =>
          (own === undefined || index !== own) && !this.#isSentinel(address)
        );
        if (servers.length > 0) return ok(await withoutSplitLinks(bus, servers));
      }
      return ok([]);
    });
    // That it is restarted says nothing of the machine's resolvers.
    if (!outcome.ok) return this.#upstreams;
    const found = new Map<string, Resolver>();
    for (const { index, address } of outcome.value) {
      const scope = address.isLinkLocal && address.family === 6 && index > 0 ? { scopeId: index } : {};
      found.set(`${address}%${scope.scopeId ?? ""}`, { address, ...scope });
    }
    this.#upstreams = [...found.values()];
    return this.#upstreams;
  }

  async set(
    sentinels: readonly IpAddress[],
    searchDomain: string | undefined,
    oneLabelDomain?: string,
  ): Promise<void> {
    if (sentinels.length === 0) return void await this.undo();
    if (!await this.#findBus()) return await this.#tool.set(sentinels, searchDomain, oneLabelDomain);
    const index = linkIndex(this.#device);
    if (index === undefined) {
      throw new Fault("dns", `Cannot set DNS of the device "${this.#device}": it does not exist`);
    }
    // With a search domain alone, resolved would ask other links in parallel; "~." makes this one the only one.
    const searched = [searchDomain, oneLabelDomain].filter((name) => name !== undefined);
    const domains: Domain[] = [...searched.map((name) => [name, false] as const), ROOT];
    this.#journal.note({ id: "resolved", type: "resolved", device: this.#device });
    this.#wanted = { sentinels, domains };
    const outcome = await withBus(async (bus) => {
      const servers = sentinels.map((address) => [familyNumber(address.family), address.bytes]);
      const done = await this.#setLink(bus, index, servers, domains);
      if (!done.ok) await callManager(bus, "RevertLink", "i", [index]);
      return done;
    });
    if (outcome.ok) return;
    // Still wanted: when resolved is itself again, it is seen that they are not in force.
    this.#journal.forget("resolved");
    throw faultOf(outcome.reason);
  }

  async flush(): Promise<void> {
    if (!await this.#findBus()) return await this.#tool.flush();
    await withRunning((bus) => callManager(bus, "FlushCaches", "", []));
  }

  async isInForce(): Promise<boolean> {
    if (!await this.#findBus()) return await this.#tool.isInForce();
    const wanted = this.#wanted;
    const index = linkIndex(this.#device);
    if (wanted === undefined || index === undefined) return true;
    const outcome = await withRunning((bus) => readLink(bus, index));
    this.#tellOfSilence(!outcome.ok && outcome.reason.name === NoReply);
    // While resolved is away nothing can be repaired either.
    if (!outcome.ok) return true;
    const { servers, domains } = outcome.value;
    return servers.map(String).join() === wanted.sentinels.map(String).join() &&
      domainsText(domains) === domainsText(wanted.domains);
  }

  watch(onChange: () => void): { close(): void } {
    const rule =
      `type='signal',sender='${SERVICE}',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'`;
    return watchService(SERVICE, [rule], onChange);
  }

  /** resolved drops what it asks on a link whose servers go, but not where only the choice of the link changes. */
  async release(): Promise<boolean> {
    const index = linkIndex(this.#device);
    if (this.#wanted === undefined || index === undefined || this.#isSilent || !await this.#findBus()) {
      return false;
    }
    const outcome = await withRunning(async (bus) => {
      const unrouted = await callManager(bus, "SetLinkDomains", "ia(sb)", [index, []]);
      return unrouted.ok ? await callManager(bus, "SetLinkDefaultRoute", "ib", [index, false]) : unrouted;
    }, RELEASE_MS);
    return outcome.ok;
  }

  async undo(): Promise<boolean> {
    if (!await this.#findBus()) return await this.#tool.undo();
    if (this.#wanted === undefined) return false;
    this.#wanted = undefined;
    const isReverted = await revert(this.#device);
    if (!isReverted) this.#log.debug("nothing of ours was left in systemd-resolved, or it does not answer");
    this.#journal.forget("resolved");
    return isReverted;
  }

  #tellOfSilence(isSilent: boolean): void {
    if (isSilent && !this.#isSilent) this.#log.warn("systemd-resolved does not answer: names are not found");
    this.#isSilent = isSilent;
  }

  async #setLink(
    bus: Bus,
    index: number,
    servers: readonly DBusValue[],
    domains: readonly Domain[],
  ): Promise<Result<unknown, BusError>> {
    const route = () => callManager(bus, "SetLinkDomains", "ia(sb)", [index, domains]);
    let routed = await route();
    for (let attempt = 1; isTooEarly(routed) && attempt < LINK_ATTEMPTS; attempt++) {
      await new Promise((resolve) => setTimeout(resolve, LINK_ATTEMPT_MS));
      routed = await route();
    }
    if (!routed.ok) return routed;
    // Before version 240 "~." did this alone.
    const isDefault = await callManager(bus, "SetLinkDefaultRoute", "ib", [index, true]);
    if (!isDefault.ok && isDefault.reason.name !== UNKNOWN_METHOD) return isDefault;
    // What the machine may demand of every link: our resolvers speak no TLS, and nobody signed their answers.
    await this.#attempt(bus, "SetLinkDNSOverTLS", "is", [index, "no"]);
    await this.#attempt(bus, "SetLinkDNSSEC", "is", [index, "no"]);
    // There are no neighbours to ask: a mistyped name of one label would wait ten seconds for nobody's answer.
    await this.#attempt(bus, "SetLinkLLMNR", "is", [index, "no"]);
    await this.#attempt(bus, "SetLinkMulticastDNS", "is", [index, "no"]);
    // Nothing is asked on the link before this, and what is asked after it would be dropped by some of the above.
    const done = await callManager(bus, "SetLinkDNS", "ia(iay)", [index, servers]);
    if (!done.ok) return done;
    await this.#attempt(bus, "FlushCaches", "", []);
    return ok(undefined);
  }

  /** For what is good to have. */
  async #attempt(bus: Bus, member: string, signature: string, body: readonly DBusValue[]): Promise<void> {
    const done = await callManager(bus, member, signature, body);
    if (!done.ok) this.#log.debug(`systemd-resolved refuses ${member}`, { ...done.reason });
  }

  /** Once found, a bus that is away comes back. */
  async #findBus(): Promise<boolean> {
    for (const path of this.#hasBus ? [] : systemBusPaths()) {
      if (await Deno.stat(path).then(() => true, () => false)) this.#hasBus = true;
    }
    return this.#hasBus;
  }
}

/** Takes back what a killed process set, if its device is still there. Returns whether there was anything. */
export async function undoResolved({ device }: Extract<Change, { type: "resolved" }>): Promise<boolean> {
  return await revert(device);
}

/** Returns the servers in a property of the type a(iiay): interface, address family, address. */
function parseServers(value: DBusValue): { readonly index: number; readonly address: IpAddress }[] {
  return rows(value).flatMap(([index, family, bytes]) => {
    const address = toAddress(family, bytes);
    return address === undefined || typeof index !== "number" ? [] : [{ index, address }];
  });
}

/** A name, and whether it only says which names to ask here: true = it is no search domain. */
type Domain = readonly [name: string, isRouteOnly: boolean];

/** Every name. resolved calls it ".". */
const ROOT: Domain = [".", true];

const UNKNOWN_METHOD = "org.freedesktop.DBus.Error.UnknownMethod";

function callManager(bus: Bus, member: string, signature: string, body: readonly DBusValue[]) {
  return bus.call({ ...MANAGER, member, signature, body });
}

/** Leaves out servers of links that are only for some names, unless there are no others. */
async function withoutSplitLinks<T extends { readonly index: number }>(
  bus: Bus,
  servers: readonly T[],
): Promise<readonly T[]> {
  const split = new Set<number>();
  for (const index of new Set(servers.map((server) => server.index))) {
    const link = index > 0 ? await callManager(bus, "GetLink", "i", [index]) : undefined;
    const path = link?.ok === true ? pathIn(link.value) : undefined;
    if (path === undefined) continue;
    const object = { destination: SERVICE, path, interface: `${SERVICE}.Link` };
    // Missing before version 240.
    const isDefault = await getProperty(bus, object, "DefaultRoute");
    if (isDefault.ok && isDefault.value === false) split.add(index);
  }
  const kept = servers.filter(({ index }) => !split.has(index));
  return kept.length > 0 ? kept : servers;
}

async function readLink(
  bus: Bus,
  index: number,
): Promise<Result<{ servers: IpAddress[]; domains: Domain[] }, BusError>> {
  const link = await callManager(bus, "GetLink", "i", [index]);
  if (!link.ok) return link;
  const path = pathIn(link.value);
  if (path === undefined) return err(UNEXPECTED);
  const object = { destination: SERVICE, path, interface: `${SERVICE}.Link` };
  const servers = await getProperty(bus, object, "DNS");
  if (!servers.ok) return servers;
  const domains = await getProperty(bus, object, "Domains");
  if (!domains.ok) return domains;
  return ok({
    servers: rows(servers.value).flatMap(([family, bytes]) => toAddress(family, bytes) ?? []),
    domains: rows(domains.value).map(([name, isRouteOnly]) => [String(name), isRouteOnly === true]),
  });
}

async function revert(device: string): Promise<boolean> {
  const index = linkIndex(device);
  if (index === undefined) return false;
  const outcome = await withBus(async (bus) => {
    const link = await readLink(bus, index);
    const isSet = link.ok && link.value.servers.length + link.value.domains.length > 0;
    const reverted = await callManager(bus, "RevertLink", "i", [index]);
    await callManager(bus, "FlushCaches", "", []);
    return reverted.ok ? ok(isSet) : reverted;
  }, QUICK_MS);
  if (outcome.ok) return outcome.value;
  if (isRefusal(outcome.reason)) throw faultOf(outcome.reason);
  // It is away, and its settings of the device end with that.
  return false;
}

function isTooEarly(outcome: Result<unknown, BusError>): boolean {
  return !outcome.ok && outcome.reason.name === `${SERVICE}.NoSuchLink`;
}

function toAddress(family: DBusValue | undefined, bytes: DBusValue | undefined): IpAddress | undefined {
  const known = typeof family === "number" ? familyOf(family) : undefined;
  return known === undefined || !(bytes instanceof Uint8Array) ? undefined : readAddress(known, bytes);
}

/** The order does not matter, and a final dot is left out by resolved. */
function domainsText(domains: readonly Domain[]): string {
  const texts = domains.map(([name, isRouteOnly]) => {
    const bare = name === "." ? name : name.replace(/\.$/, "").toLowerCase();
    return `${isRouteOnly ? "~" : ""}${bare}`;
  });
  return texts.sort().join(" ");
}

function refusal(action: string): Fault {
  return new Fault("privilege", `Cannot set DNS by systemd-resolved: polkit does not permit "${action}"`, {
    next: `Run as root; or have root permit the actions "${SERVICE}.*" to this user by a rule in ` +
      "/etc/polkit-1/rules.d (`sudo fz service install` writes the service's); or leave DNS alone with --dns-control disabled.",
  });
}

function faultOf(reason: BusError): Fault {
  if (isRefusal(reason)) return refusal(ACTIONS[0]!);
  if (reason.name === `${SERVICE}.LinkBusy`) {
    return new Fault("dns", "Cannot set DNS by systemd-resolved: the device belongs to systemd-networkd", {
      next: 'Give systemd-networkd a .network file with "[Match] Name=fz*" and "[Link] Unmanaged=yes".',
    });
  }
  return new Fault("dns", `Cannot set DNS by systemd-resolved: ${reason.message || reason.name}`, {
    next:
      "See `systemctl status systemd-resolved`, or choose another way with --dns-control etc-resolv-conf or " +
      "--dns-control disabled.",
  });
}
