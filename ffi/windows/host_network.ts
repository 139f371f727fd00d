/**
 * What the tunnel changes in the network of a Windows machine: addresses, size and metric of its adapter, routes into it,
 * and routes past it (`routing.ts`). Routes into the adapter vanish with it; those past it carry a mark, so that those of
 * a killed process are found. Changes are made one after the other; what is as wanted is not touched.
 */

import { Fault } from "../../lib/base/fault.ts";
import type { Family, IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import { Turns } from "../../lib/base/turns.ts";
import { type Journal, NO_JOURNAL } from "../../lib/host/journal.ts";
import type { HostNetwork, HostNetworkOptions, TunnelAddresses } from "../platform.ts";
import { type Adapter, readAdapters } from "./adapters.ts";
import type { NetworkKernel } from "./kernel.ts";
import { isPast, leadsAlike, MARK_METRIC, planRoutes, type WantedRoute } from "./routing.ts";
import {
  changeInterfaceRow,
  encodeAddressRow,
  encodeForwardRow,
  type ForwardRow,
  interfaceQuery,
  PROTOCOL_PROGRAM,
} from "./rows.ts";
import { isTunnelDescription } from "./tunnel_name.ts";
import { metrics, readTable, type WayOut } from "./way_out.ts";
import { faultOf, Win32 } from "./win32.ts";

/** Returns after `ms` milliseconds. */
export type Sleep = (ms: number) => Promise<unknown>;

export class WindowsNetwork implements HostNetwork {
  readonly degraded: readonly string[] = [];
  readonly #kernel: NetworkKernel;
  readonly #wayOut: WayOut;
  readonly #device: string;
  readonly #mtu: number;
  readonly #isPolicy: boolean;
  readonly #journal: Journal;
  readonly #log: Log;
  readonly #sleep: Sleep;
  readonly #turns = new Turns();
  readonly #addresses = new Map<Family, IpAddress>();
  #routes: readonly IpNetwork[] = [];
  #bypass: readonly IpAddress[] = [];
  #excluded: readonly IpNetwork[];
  #lan: "allow" | "deny";

  constructor(options: HostNetworkOptions, kernel: NetworkKernel, wayOut: WayOut, sleep: Sleep) {
    this.#kernel = kernel;
    this.#wayOut = wayOut;
    this.#device = options.device;
    this.#mtu = options.mtu;
    this.#isPolicy = options.routing === "policy";
    this.#excluded = options.excluded ?? [];
    this.#lan = options.lan ?? "allow";
    this.#journal = options.journal ?? NO_JOURNAL;
    this.#log = options.log;
    this.#sleep = sleep;
  }

  configure({ ipv4, ipv6 }: TunnelAddresses): Promise<void> {
    return this.#turns.take(async () => {
      let failure = 0;
      for (const [family, address] of [[4, ipv4], [6, ipv6]] as const) {
        if (address === undefined) continue;
        const error = await this.#setAddress(family, address);
        if (error === 0) continue;
        // A missing privilege says more than a missing family.
        if (failure !== Win32.accessDenied) failure = error;
        this.#log.debug("this machine takes no address of a family", { family, error });
      }
      if (failure === Win32.accessDenied || (failure !== 0 && this.#addresses.size === 0)) {
        throw faultOf(`Cannot configure ${this.#device}`, failure, { code: "tun" });
      }
      if (this.#addresses.size === 0) throw new Fault("tun", `Cannot configure ${this.#device}: no address`);
      this.#apply();
    });
  }

  setRoutes(routes: readonly IpNetwork[]): Promise<void> {
    return this.#turns.take(() => {
      this.#routes = routes;
      this.#apply();
    });
  }

  setBypass(destinations: readonly IpAddress[]): Promise<void> {
    return this.#turns.take(() => {
      if (!this.#isPolicy) return;
      this.#bypass = destinations;
      this.#apply();
    });
  }

  setExcluded(networks: readonly IpNetwork[]): Promise<void> {
    return this.#turns.take(() => {
      this.#excluded = networks;
      this.#apply();
    });
  }

  setLan(lan: "allow" | "deny"): Promise<void> {
    return this.#turns.take(() => {
      this.#lan = lan;
      this.#apply();
    });
  }

  /** Datagrams say from where they are sent, and nothing filters by reverse path. */
  async setLocalPorts(_ports: readonly number[]): Promise<void> {}

  handleNetworkChanged(): Promise<void> {
    return this.#turns.take(() => {
      this.#wayOut.forget();
      this.#apply();
    });
  }

  otherDevice(): Promise<string | undefined> {
    return this.#turns.take(() => {
      if (!this.#isPolicy) return undefined;
      const used = new Set(readTable(this.#kernel).map(({ index }) => index));
      const own = this.#index();
      return this.#tunnels().find(({ name, index, isUp }) =>
        isUp && index !== own && name !== this.#device && used.has(index)
      )?.name;
    });
  }

  present(): Promise<string[]> {
    return this.#turns.take(() => this.#isPolicy ? this.#leftovers().map(describe) : []);
  }

  undo(): Promise<string[]> {
    return this.#turns.take(() => {
      const own = this.#index();
      const undone: string[] = [];
      const routes = this.#leftovers().filter((route) => this.#isPolicy || route.index === own);
      for (const route of routes) {
        const error = this.#remove(route);
        if (error === 0) undone.push(describe(route));
        else if (!isMissing(error)) this.#log.warn("cannot remove a route of ours", { error });
      }
      this.#routes = [];
      this.#bypass = [];
      this.#addresses.clear();
      return undone;
    });
  }

  /** Makes the routes of ours those that are wanted. */
  #apply(): void {
    const device = this.#index();
    if (device === 0) return;
    const table = readTable(this.#kernel);
    const wishes = {
      families: [...this.#addresses.keys()],
      // A gateway leads nothing but its clients into the tunnel.
      routes: this.#isPolicy ? this.#routes : this.#routes.filter(({ prefix }) => prefix > 0),
      excluded: this.#excluded,
      bypass: this.#bypass,
      lan: this.#lan,
    };
    const devices = new Set([...this.#wayOut.tunnels, device]);
    const wanted = planRoutes(wishes, table, devices, metrics(this.#kernel));
    const present = new Map(
      table.filter((route) => route.index === device ? isSteered(route) : this.#isPolicy && isPast(route))
        .map((route) => [keyOf(route.destination, route.index !== device), route]),
    );
    let failures = 0;
    // Ways past the tunnel first, so that nothing of theirs is caught by what comes after.
    for (
      const route of [...wanted].sort((a, b) => Number(b.past !== undefined) - Number(a.past !== undefined))
    ) {
      const key = keyOf(route.destination, route.past !== undefined);
      const former = present.get(key);
      present.delete(key);
      if (former !== undefined) {
        if (route.past === undefined || leadsAlike(former, route.past)) continue;
        this.#remove(former);
      }
      const error = this.#add(route, device);
      // The machine has that very way of its own.
      if (error !== 0 && error !== Win32.objectAlreadyExists) failures++;
    }
    for (const route of present.values()) {
      // Routes to the adapter's own addresses are the kernel's.
      if (this.#isOwnAddress(route)) continue;
      const error = this.#remove(route);
      if (error !== 0 && !isMissing(error)) failures++;
    }
    if (failures > 0) this.#log.warn("cannot change all routes", { failures });
    this.#wayOut.forget();
  }

  /** Returns the error number. */
  #add({ destination, past }: WantedRoute, device: number): number {
    if (past !== undefined) {
      const id = `route:${destination}` as const;
      const via = String(past.gateway ?? "link");
      const through = this.#adapters().find(({ index }) => index === past.index)?.name ?? `#${past.index}`;
      this.#journal.note({ id, type: "route", destination: String(destination), via, device: through });
    }
    const row = encodeForwardRow({
      destination,
      gateway: past?.gateway,
      gatewayScope: past?.gatewayScope ?? 0,
      index: past?.index ?? device,
      metric: past === undefined ? 0 : MARK_METRIC,
      protocol: PROTOCOL_PROGRAM,
    });
    const error = this.#kernel.createRoute(row);
    if (error === 0) return 0;
    if (past !== undefined) this.#journal.forget(`route:${destination}`);
    // Names a network of the user's resources.
    this.#log.debug("cannot add a route", { route: destination, error });
    return error;
  }

  /** Returns the error number. */
  #remove(route: ForwardRow): number {
    const error = this.#kernel.deleteRoute(encodeForwardRow(route));
    if ((error === 0 || isMissing(error)) && isPast(route)) {
      this.#journal.forget(`route:${route.destination}`);
    }
    return error;
  }

  /** Returns the error number. */
  async #setAddress(family: Family, address: IpAddress): Promise<number> {
    const former = this.#addresses.get(family);
    if (former?.equals(address)) return 0;
    const index = this.#index();
    if (index === 0) return Win32.notFound;
    const error = await this.#prepare(family, index);
    if (error !== 0) return error;
    const set = this.#kernel.createAddress(encodeAddressRow(index, address));
    if (set !== 0 && set !== Win32.objectAlreadyExists) return set;
    if (former !== undefined) this.#kernel.deleteAddress(encodeAddressRow(index, former));
    this.#addresses.set(family, address);
    return 0;
  }

  /** Sets the size of packets and the metric. IP comes to a fresh adapter a moment after it. Returns the error number. */
  async #prepare(family: Family, index: number): Promise<number> {
    for (let attempt = 0;; attempt++) {
      const row = interfaceQuery(family, index);
      const error = this.#kernel.readInterface(row);
      if (error === 0) {
        changeInterfaceRow(row, { mtu: this.#mtu, metric: 0 });
        return this.#kernel.writeInterface(row);
      }
      if (!isMissing(error) || attempt >= MAX_ATTEMPTS) return error;
      await this.#sleep(ATTEMPT_MS);
    }
  }

  /** Routes of ours, of any process: past a tunnel, or into one. */
  #leftovers(): ForwardRow[] {
    const tunnels = new Set(this.#tunnels().map(({ index }) => index));
    return readTable(this.#kernel).filter((route) =>
      tunnels.has(route.index) ? isSteered(route) && !this.#isOwnAddress(route) : isPast(route)
    );
  }

  #isOwnAddress({ destination, isLoopback }: ForwardRow): boolean {
    const isHost = destination.prefix === destination.address.bytes.length * 8;
    return isLoopback ||
      (isHost && this.#addresses.get(destination.family)?.equals(destination.address) === true);
  }

  #tunnels(): Adapter[] {
    return this.#adapters().filter(({ description, name }) =>
      isTunnelDescription(description) || (this.#device !== "" && name === this.#device)
    );
  }

  #adapters(): Adapter[] {
    return readAdapters(this.#kernel.adapters());
  }

  /** 0 where the device does not exist. */
  #index(): number {
    if (this.#device === "") return 0;
    // Where the name was taken, Windows has given the adapter another one.
    return this.#wayOut.tunnelIndex(this.#device) ??
      this.#adapters().find(({ name }) => name === this.#device)?.index ?? 0;
  }
}

/** Made by a program: what the kernel has on every adapter (multicast, broadcast, link-local) is its own. */
function isSteered({ protocol, isLoopback, metric }: ForwardRow): boolean {
  return protocol === PROTOCOL_PROGRAM && !isLoopback && metric === 0;
}

function isMissing(error: number): boolean {
  return error === Win32.notFound || error === Win32.fileNotFound;
}

function keyOf(destination: IpNetwork, isPastTunnel: boolean): string {
  return `${destination} ${isPastTunnel}`;
}

function describe({ destination }: ForwardRow): string {
  return `route ${destination}`;
}

const MAX_ATTEMPTS = 20;
const ATTEMPT_MS = 50;
