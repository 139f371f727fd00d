/**
 * DNS by NetworkManager where that writes /etc/resolv.conf itself (NetworkManager D-Bus API): our resolvers become those
 * of the TUN device, which NetworkManager knows as one that somebody else set up. They end with the device, so a killed
 * process leaves nothing behind.
 */

import { Fault } from "../../lib/base/fault.ts";
import type { IpAddress } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import { err, ok, type Result } from "../../lib/base/result.ts";
import { type Change, type Journal, NO_JOURNAL } from "../../lib/host/journal.ts";
import type { DBusValue } from "../../lib/wire/dbus/value.ts";
import type { Resolver, SystemDns, SystemDnsOptions } from "../platform.ts";
import { type Bus, type BusError, NoReply } from "./dbus/bus.ts";
import { isRefusal } from "./dbus/polkit.ts";
import { getProperty, pathIn, UNEXPECTED, withBus, withRunning } from "./dbus/properties.ts";
import { watchService } from "./dbus/watch.ts";
import { linkIndex, NetlinkRoute } from "./netlink/mod.ts";
import {
  type NmConfiguration,
  type NmSettings,
  readConfiguration,
  readSettings,
  withDns,
  withoutDns,
} from "./network_manager_settings.ts";
import { readSmallText } from "./small_file.ts";

const SERVICE = "org.freedesktop.NetworkManager";
const MANAGER = {
  destination: SERVICE,
  path: "/org/freedesktop/NetworkManager",
  interface: SERVICE,
} as const;
const DNS_MANAGER = {
  destination: SERVICE,
  path: "/org/freedesktop/NetworkManager/DnsManager",
  interface: `${SERVICE}.DnsManager`,
} as const;
const PERMISSION = `${SERVICE}.network-control`;

/** NetworkManager learns of a device and its addresses from the kernel when we do, and writes files after it answered. */
const ATTEMPTS = 50;
const ATTEMPT_MS = 100;
const ATTEMPTS_UNTIL_AGAIN = 10;
/** NMManagerReloadFlags: write /etc/resolv.conf anew. */
const RELOAD_DNS_RC = 2;
/** NMDeviceReapplyFlags, since 1.42: addresses and routes that others set stay, without a moment's absence. */
const PRESERVE_EXTERNAL_IP = 1;
/** It is being restarted, or gone. */
const AWAY: ReadonlySet<string> = new Set([
  NoReply,
  "org.freedesktop.DBus.Error.NameHasNoOwner",
  "org.freedesktop.DBus.Error.ServiceUnknown",
]);
/** It, or the device, is about to be another. */
const PASSING: ReadonlySet<string> = new Set([
  `${SERVICE}.Device.VersionIdMismatch`,
  `${SERVICE}.Device.NotActive`,
]);
/** Unable to use the resolvers of a device that it did not set up itself. */
const BROKEN_VERSION = /^1\.26\.[0-5](?:\D|$)/;

export class NetworkManagerDns implements SystemDns {
  readonly control = "network-manager";
  readonly #device: string;
  readonly #isSentinel: (address: IpAddress) => boolean;
  readonly #journal: Journal;
  readonly #log: Log;
  readonly #resolvConf: string;
  #sentinels: readonly IpAddress[] = [];
  #isSilent = false;
  #lastOthers: NmConfiguration[] = [];

  constructor({ device, isSentinel, journal, log, resolvConfPath }: SystemDnsOptions) {
    this.#device = device;
    this.#isSentinel = isSentinel;
    this.#journal = journal ?? NO_JOURNAL;
    this.#log = log;
    this.#resolvConf = resolvConfPath ?? "/etc/resolv.conf";
  }

  async check(): Promise<void> {
    const outcome = await withBus(async (bus) => {
      const version = await getProperty(bus, MANAGER, "Version");
      if (!version.ok) return version;
      const permissions = await bus.call({ ...MANAGER, member: "GetPermissions" });
      if (!permissions.ok) return permissions;
      const mode = await getProperty(bus, DNS_MANAGER, "Mode");
      const rcManager = await getProperty(bus, DNS_MANAGER, "RcManager");
      return ok({
        version: String(version.value),
        permissions: permissions.value[0],
        isIdle: (mode.ok && mode.value === "none") || (rcManager.ok && rcManager.value === "unmanaged"),
      });
    });
    if (!outcome.ok) throw faultOf(outcome.reason);
    const { version, permissions, isIdle } = outcome.value;
    if (permissions instanceof Map && permissions.get(PERMISSION) !== "yes") throw refusal();
    if (BROKEN_VERSION.test(version)) {
      throw new Fault(
        "dns",
        `Cannot set DNS by NetworkManager "${version}": it does not heed other programs' devices`,
        {
          next: "Update NetworkManager, or choose another way with --dns-control etc-resolv-conf.",
        },
      );
    }
    if (isIdle) {
      throw new Fault("dns", "Cannot set DNS by NetworkManager: it is told to leave DNS alone", {
        next:
          `Remove "dns=none" and "rc-manager=unmanaged" from its configuration, or choose another way with ` +
          "--dns-control etc-resolv-conf.",
      });
    }
  }

  async upstreams(): Promise<Resolver[]> {
    const found = new Map<string, Resolver>();
    for (const { device, nameservers } of await this.#others()) {
      for (const { address, zone } of nameservers) {
        if (this.#isSentinel(address)) continue;
        const isScoped = address.family === 6 && address.isLinkLocal;
        const scopeId = isScoped ? linkIndex(zone ?? device) : undefined;
        if (isScoped && scopeId === undefined) continue;
        found.set(`${address}%${scopeId ?? ""}`, { address, ...(scopeId === undefined ? {} : { scopeId }) });
      }
    }
    return [...found.values()];
  }

  async set(sentinels: readonly IpAddress[], searchDomain: string | undefined): Promise<void> {
    if (sentinels.length === 0) return void await this.undo();
    const domains = (await this.#others()).flatMap((entry) => entry.domains);
    const searchDomains = [...new Set([...(searchDomain === undefined ? [] : [searchDomain]), ...domains])];
    this.#journal.note({ id: "network-manager", type: "network-manager", device: this.#device });
    this.#sentinels = sentinels;
    const outcome = await withBus(async (bus) => {
      const apply = (attempts?: number) =>
        reapply(
          bus,
          this.#device,
          (applied) => withDns(applied, { sentinels, searchDomains, addresses: addressesOf(this.#device) }),
          attempts,
        );
      let told: Result<unknown, BusError> = await apply();
      if (!told.ok && !AWAY.has(told.reason.name)) return told;
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        const isKnown = await this.#isKnown(bus);
        if (isKnown && await this.#isWritten(bus)) return ok(undefined);
        await sleep();
        if (attempt % ATTEMPTS_UNTIL_AGAIN !== 0) continue;
        this.#log.debug("NetworkManager does not use our resolvers", { attempt, isKnown });
        // It was restarted after we told it; or it writes the file when something changed for it, which an overwritten
        // file is not.
        told = isKnown ? await this.#haveItWritten(bus, apply) : await apply(ATTEMPTS_UNTIL_AGAIN);
        if (!told.ok && isRefusal(told.reason)) return told;
      }
      return told.ok
        ? err({ name: UNEXPECTED.name, message: "it took our resolvers, and does not use them" })
        : told;
    });
    if (outcome.ok) return;
    // Still wanted: when NetworkManager is itself again, it is seen that they are not in force.
    await restore(this.#device).catch((error) => this.#log.debug("cannot undo", { error }));
    this.#journal.forget("network-manager");
    throw faultOf(outcome.reason);
  }

  /** NetworkManager keeps no answers; what it may run for that, dnsmasq, starts over with new resolvers. */
  async flush(): Promise<void> {}

  async isInForce(): Promise<boolean> {
    if (this.#sentinels.length === 0) return true;
    const outcome = await withRunning(async (bus) => {
      const version = await getProperty(bus, MANAGER, "Version");
      // While it is away nothing can be repaired either.
      if (!version.ok) return version;
      return ok(await this.#isKnown(bus) && await this.#isWritten(bus));
    });
    this.#tellOfSilence(!outcome.ok && outcome.reason.name === NoReply);
    return !outcome.ok || outcome.value;
  }

  #tellOfSilence(isSilent: boolean): void {
    if (isSilent && !this.#isSilent) this.#log.warn("NetworkManager does not answer");
    this.#isSilent = isSilent;
  }

  watch(onChange: () => void): { close(): void } {
    const rule = `type='signal',sender='${SERVICE}',path='${DNS_MANAGER.path}',member='PropertiesChanged'`;
    return watchService(SERVICE, [rule], onChange);
  }

  async undo(): Promise<boolean> {
    if (this.#sentinels.length === 0) return false;
    this.#sentinels = [];
    const isUndone = await restore(this.#device);
    this.#journal.forget("network-manager");
    return isUndone;
  }

  /** What NetworkManager knows of other devices, as last read: that it is restarted says nothing of their resolvers. */
  async #others(): Promise<NmConfiguration[]> {
    const outcome = await withRunning((bus) => getProperty(bus, DNS_MANAGER, "Configuration"));
    if (outcome.ok) {
      this.#lastOthers = readConfiguration(outcome.value).filter(({ device }) => device !== this.#device);
    }
    return this.#lastOthers;
  }

  /** Has NetworkManager write the file again; `apply` gives it our resolvers. */
  async #haveItWritten(bus: Bus, apply: () => Promise<Result<unknown, BusError>>) {
    const reloaded = await bus.call({ ...MANAGER, member: "Reload", signature: "u", body: [RELOAD_DNS_RC] });
    if (reloaded.ok || !isRefusal(reloaded.reason)) return ok(undefined);
    // The service's user may control devices, and nothing that is the machine's.
    const removed = await reapply(
      bus,
      this.#device,
      (applied) => withoutDns(applied, addressesOf(this.#device)),
    );
    return removed.ok ? await apply() : removed;
  }

  /** Returns whether NetworkManager has our resolvers for our device. */
  async #isKnown(bus: Bus): Promise<boolean> {
    const read = await getProperty(bus, DNS_MANAGER, "Configuration");
    const known = (read.ok ? readConfiguration(read.value) : [])
      .filter(({ device }) => device === this.#device)
      .flatMap(({ nameservers }) => nameservers.map(({ address }) => String(address)));
    // A family without an address in the tunnel has none.
    return this.#sentinels.some((address) => known.includes(String(address)));
  }

  /** Returns whether /etc/resolv.conf has our resolvers first, where NetworkManager is who writes them there. */
  async #isWritten(bus: Bus): Promise<boolean> {
    const mode = await getProperty(bus, DNS_MANAGER, "Mode");
    if (mode.ok && mode.value !== "default") return true;
    const first = /^nameserver[ \t]+(\S+)/m.exec(textOf(this.#resolvConf))?.[1];
    return this.#sentinels.some((address) => String(address) === first);
  }
}

/** Takes back what a killed process set, if its device is still there. Returns whether there was anything. */
export async function undoNetworkManager(
  { device }: Extract<Change, { type: "network-manager" }>,
): Promise<boolean> {
  return await restore(device);
}

/** Our resolvers are all that such a device has: what others set up, NetworkManager knows no resolvers of. */
async function restore(device: string): Promise<boolean> {
  if (linkIndex(device) === undefined) return false;
  const outcome = await withRunning((bus) =>
    reapply(bus, device, (applied) => withoutDns(applied, addressesOf(device)), 1)
  );
  if (outcome.ok) return true;
  if (isRefusal(outcome.reason)) throw faultOf(outcome.reason);
  // It is away, and what it knows of the device ends with that.
  return false;
}

/** Applies what `change` makes of what is applied to `device`; waits for NetworkManager to know the device. */
async function reapply(
  bus: Bus,
  device: string,
  change: (applied: NmSettings) => NmSettings,
  attempts = ATTEMPTS,
): Promise<Result<unknown, BusError>> {
  let failure: BusError = UNEXPECTED;
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (attempt > 0) await sleep();
    const object = await bus.call({
      ...MANAGER,
      member: "GetDeviceByIpIface",
      signature: "s",
      body: [device],
    });
    if (!object.ok) {
      failure = object.reason;
      if (failure.name === `${SERVICE}.UnknownDevice`) continue;
      return object;
    }
    const path = pathIn(object.value);
    if (path === undefined) return err(UNEXPECTED);
    const target = { destination: SERVICE, path, interface: `${SERVICE}.Device` };
    const applied = await bus.call({ ...target, member: "GetAppliedConnection", signature: "u", body: [0] });
    if (!applied.ok) {
      failure = applied.reason;
      if (isRefusal(failure)) return applied;
      continue;
    }
    const [settings, version] = applied.value;
    const read = readSettings(settings);
    if (read === undefined || typeof version !== "bigint") return err(UNEXPECTED);
    const wanted = change(read) as unknown as DBusValue;
    const apply = (flags: number) =>
      bus.call({
        ...target,
        member: "Reapply",
        signature: "a{sa{sv}}tu",
        body: [wanted, version, flags],
      });
    let done = await apply(PRESERVE_EXTERNAL_IP);
    // Earlier versions know no flags: they take the addresses away and set them again.
    if (!done.ok && done.reason.name === `${SERVICE}.Device.InvalidArgument`) done = await apply(0);
    if (done.ok) return done;
    failure = done.reason;
    // Somebody changed it in between, or NetworkManager is about to take the device up: look again.
    if (!PASSING.has(failure.name)) return done;
  }
  return err(failure);
}

function addressesOf(device: string): { address: IpAddress; prefix: number }[] {
  using network = NetlinkRoute.open();
  const index = network.link(device)?.index;
  return network.addresses().filter((one) => one.index === index)
    .map(({ address, prefix }) => ({ address, prefix }));
}

function textOf(path: string): string {
  try {
    return readSmallText(path);
  } catch {
    return "";
  }
}

function sleep(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ATTEMPT_MS));
}

function refusal(): Fault {
  return new Fault("privilege", `Cannot set DNS by NetworkManager: polkit does not permit "${PERMISSION}"`, {
    next: `Run as root; or have root permit the action "${PERMISSION}" to this user by a rule in ` +
      "/etc/polkit-1/rules.d (`sudo fz service install` writes the service's); or leave DNS alone with --dns-control disabled.",
  });
}

function faultOf(reason: BusError): Fault {
  if (isRefusal(reason)) return refusal();
  if (reason.name === `${SERVICE}.Device.NotActive` || reason.name === `${SERVICE}.UnknownDevice`) {
    return new Fault("dns", "Cannot set DNS by NetworkManager: it does not manage our device", {
      next: 'Take the device out of "unmanaged-devices" in its configuration, or choose another way with ' +
        "--dns-control etc-resolv-conf.",
    });
  }
  return new Fault("dns", `Cannot set DNS by NetworkManager: ${reason.message || reason.name}`, {
    next:
      "See `systemctl status NetworkManager`, or choose another way with --dns-control etc-resolv-conf or " +
      "--dns-control disabled.",
  });
}
