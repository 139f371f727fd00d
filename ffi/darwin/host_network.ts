/**
 * What the tunnel changes in the network of a Mac: the addresses of its utun, routes into it, and routes past it
 * (`routing.ts`). Routes carry a mark of ours, so that those of a killed process are found; routes into the tunnel vanish
 * with it. Changes are made one after the other; what is as wanted is not touched.
 */

import { Fault } from "../../lib/base/fault.ts";
import type { Family, IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import { Turns } from "../../lib/base/turns.ts";
import { type Journal, NO_JOURNAL } from "../../lib/host/journal.ts";
import type { HostNetwork, HostNetworkOptions, TunnelAddresses } from "../platform.ts";
import { Errno, faultOf } from "./errno.ts";
import { addAddressRequest, mtuRequest, removeAddressRequest } from "./interface_request.ts";
import type { RouteKernel } from "./kernel.ts";
import { decodeRoutes, encodeRouteChange, type RouteEntry } from "./route_message.ts";
import { isOurs, leadsAlike, planRoutes, type WantedRoute } from "./routing.ts";
import { linkSockaddr } from "./sockaddr.ts";

/** Who has to know that the machine's way out may be another: sockets are bound to it. */
export interface NetworkFollower {
  follow(): void;
}

export class DarwinNetwork implements HostNetwork {
  readonly #kernel: RouteKernel;
  readonly #follower: NetworkFollower;
  readonly #device: string;
  readonly #mtu: number;
  readonly #isPolicy: boolean;
  readonly #journal: Journal;
  readonly #log: Log;
  readonly #turns = new Turns();
  readonly #addresses = new Map<Family, IpAddress>();
  #routes: readonly IpNetwork[] = [];
  #bypass: readonly IpAddress[] = [];
  #excluded: readonly IpNetwork[];
  #lan: "allow" | "deny";
  #isLanSaid = false;
  /** Networks of resources that are also the machine's own. */
  #clashes = 0;
  #sequence = 0;

  constructor(options: HostNetworkOptions, kernel: RouteKernel, follower: NetworkFollower) {
    this.#kernel = kernel;
    this.#follower = follower;
    this.#device = options.device;
    this.#mtu = options.mtu;
    this.#isPolicy = options.routing === "policy";
    this.#excluded = options.excluded ?? [];
    this.#lan = options.lan ?? "allow";
    this.#journal = options.journal ?? NO_JOURNAL;
    this.#log = options.log;
  }

  get degraded(): readonly string[] {
    return [
      ...this.#lan === "deny" && this.#hasInternet() ? [LAN_STAYS] : [],
      ...this.#clashes > 0 ? [OWN_NETWORKS_FIRST] : [],
    ];
  }

  configure({ ipv4, ipv6 }: TunnelAddresses): Promise<void> {
    return this.#turns.take(() => {
      let failure = 0;
      for (const [family, address] of [[4, ipv4], [6, ipv6]] as const) {
        if (address === undefined) continue;
        const error = this.#setAddress(family, address);
        if (error !== 0) {
          // A missing privilege says more than a missing family.
          if (failure !== Errno.EPERM) failure = error;
          this.#log.debug("this machine takes no address of a family", { family, error });
        }
      }
      if (failure === Errno.EPERM || (failure !== 0 && this.#addresses.size === 0)) {
        throw faultOf(`Cannot configure ${this.#device}`, failure, { code: "tun" });
      }
      if (this.#addresses.size === 0) throw new Fault("tun", `Cannot configure ${this.#device}: no address`);
      this.#apply();
    });
  }

  setRoutes(routes: readonly IpNetwork[]): Promise<void> {
    return this.#turns.take(() => {
      this.#routes = routes;
      this.#sayLan();
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
      this.#sayLan();
    });
  }

  /** Sockets are bound to an interface, and nothing filters by reverse path. */
  async setLocalPorts(_ports: readonly number[]): Promise<void> {}

  handleNetworkChanged(): Promise<void> {
    return this.#turns.take(() => {
      this.#apply();
    });
  }

  otherDevice(): Promise<string | undefined> {
    return this.#turns.take(() => {
      if (!this.#isPolicy) return undefined;
      const own = this.#index();
      for (const route of this.#table().filter(isOurs)) {
        const name = route.index === own ? undefined : this.#kernel.interfaceName(route.index);
        // Routes past a tunnel lead over other interfaces, and outlive a killed process.
        if (name?.startsWith("utun")) return name;
      }
      return undefined;
    });
  }

  present(): Promise<string[]> {
    return this.#turns.take(() => this.#isPolicy ? this.#table().filter(isOurs).map(describe) : []);
  }

  undo(): Promise<string[]> {
    return this.#turns.take(() => {
      const undone: string[] = [];
      const own = this.#index();
      for (const route of this.#table().filter(isOurs)) {
        if (!this.#isPolicy && route.index !== own) continue;
        const error = this.#remove(route);
        if (error === 0) undone.push(describe(route));
        else if (error !== Errno.ESRCH) this.#log.warn("cannot remove a route of ours", { error });
      }
      this.#routes = [];
      this.#bypass = [];
      this.#addresses.clear();
      return undone;
    });
  }

  /** Makes the routes of ours those that are wanted. */
  #apply(): void {
    const table = this.#table();
    const device = this.#index();
    const wishes = {
      families: [...this.#addresses.keys()],
      // A gateway leads nothing but its clients into the tunnel.
      routes: this.#isPolicy ? this.#routes : this.#routes.filter(({ prefix }) => prefix > 0),
      excluded: this.#excluded,
      bypass: this.#bypass,
    };
    const wanted = device === 0 ? [] : planRoutes(wishes, table, device);
    const present = new Map(
      table.filter((route) => isOurs(route) && (this.#isPolicy || route.index === device))
        .map((route) => [String(route.destination), route]),
    );
    let failures = 0;
    this.#clashes = 0;
    // Ways past the tunnel first, so that nothing of theirs is caught by what comes after.
    for (
      const route of [...wanted].sort((a, b) => Number(b.past !== undefined) - Number(a.past !== undefined))
    ) {
      const key = String(route.destination);
      const former = present.get(key);
      present.delete(key);
      if (former !== undefined) {
        if (isAsWanted(former, route, device)) continue;
        this.#remove(former);
      }
      const error = this.#add(route, device);
      if (error === Errno.EEXIST) this.#clashes++;
      else if (error !== 0) failures++;
    }
    for (const route of present.values()) if (this.#remove(route) > 0) failures++;
    if (failures > 0) this.#log.warn("cannot change all routes", { failures });
    // What is without a default route of its own could run in a circle.
    this.#follower.follow();
  }

  /** Returns the error number. */
  #add({ destination, past }: WantedRoute, device: number): number {
    if (past !== undefined) {
      const id = `route:${destination}` as const;
      const via = String(past.gateway ?? "link");
      const name = this.#kernel.interfaceName(past.index) ?? "";
      this.#journal.note({ id, type: "route", destination: String(destination), via, device: name });
    }
    const error = this.#kernel.sendRoute(encodeRouteChange({
      type: "add",
      destination,
      gateway: past?.gatewayBytes ?? linkSockaddr(device, this.#device),
      isDirect: past === undefined || past.gateway === undefined,
      sequence: ++this.#sequence,
    }));
    if (error === 0) return 0;
    if (past !== undefined) this.#journal.forget(`route:${destination}`);
    // Names a network of the user's resources.
    this.#log.debug("cannot add a route", { route: destination, error });
    return error;
  }

  /** Returns the error number. */
  #remove(route: RouteEntry): number {
    const error = removeRoute(this.#kernel, route, ++this.#sequence);
    if (error === 0 || error === Errno.ESRCH) this.#journal.forget(`route:${route.destination}`);
    return error;
  }

  /** Returns the error number. */
  #setAddress(family: Family, address: IpAddress): number {
    const former = this.#addresses.get(family);
    if (former?.equals(address)) return 0;
    const error = this.#kernel.control(family, mtuRequest(this.#device, this.#mtu)) ||
      this.#kernel.control(family, addAddressRequest(this.#device, address));
    if (error !== 0) return error;
    if (former !== undefined) this.#kernel.control(family, removeAddressRequest(this.#device, former));
    this.#addresses.set(family, address);
    return 0;
  }

  #sayLan(): void {
    const isBroken = this.degraded.includes(LAN_STAYS);
    if (isBroken && !this.#isLanSaid) this.#log.warn(LAN_STAYS);
    this.#isLanSaid = isBroken;
  }

  #hasInternet(): boolean {
    return this.#routes.some(({ prefix }) => prefix === 0);
  }

  #table(): RouteEntry[] {
    return readTable(this.#kernel);
  }

  /** 0 where the device does not exist. */
  #index(): number {
    return this.#device === "" ? 0 : this.#kernel.interfaceIndex(this.#device);
  }
}

/** Returns all routes of the machine. */
export function readTable(kernel: Pick<RouteKernel, "dumpRoutes">): RouteEntry[] {
  return ([4, 6] as const).flatMap((family) => decodeRoutes(kernel.dumpRoutes(family)));
}

/** Takes `route` out of the table; returns the error number. */
export function removeRoute(
  kernel: Pick<RouteKernel, "sendRoute">,
  { destination, gatewayBytes, gateway }: RouteEntry,
  sequence: number,
): number {
  const isDirect = gateway === undefined;
  return kernel.sendRoute(
    encodeRouteChange({ type: "delete", destination, gateway: gatewayBytes, isDirect, sequence }),
  );
}

function isAsWanted(route: RouteEntry, { past }: WantedRoute, device: number): boolean {
  return past === undefined ? route.index === device : leadsAlike(route, past);
}

function describe({ destination }: RouteEntry): string {
  return `route ${destination}`;
}

const LAN_STAYS =
  "The local network stays reachable past the tunnel: macOS has no rules that could put the Internet resource before it";
const OWN_NETWORKS_FIRST =
  "Resources whose network is one of this machine's own cannot be reached: on macOS the machine's own route comes first";
