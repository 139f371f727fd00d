/**
 * What the tunnel changes in the machine's network: addresses of the device, routes, rules. Changes are made one
 * after the other; what is already as wanted is not touched.
 */

import type { Family, IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import type { HostNetwork, HostNetworkOptions, TunnelAddresses } from "../platform.ts";
import { configureDevice } from "./addresses.ts";
import { ip, ipBatch, ipList } from "./ip_command.ts";
import { addRules, listRules, PROTOCOL, removeRules, setBypassRules, Table } from "./rules.ts";

/** Returns the host's network with nothing changed yet. */
export function createHostNetwork(options: HostNetworkOptions): HostNetwork {
  return new LinuxNetwork(options);
}

class LinuxNetwork implements HostNetwork {
  readonly #device: string;
  readonly #mtu: number;
  readonly #mark: number;
  readonly #isPolicy: boolean;
  readonly #log: Log;
  readonly #routes = new Map<string, IpNetwork>();
  #families: readonly Family[] = [];
  #queue: Promise<unknown> = Promise.resolve();

  constructor({ device, mtu, mark, routing, log }: HostNetworkOptions) {
    this.#device = device;
    this.#mtu = mtu;
    this.#mark = mark;
    this.#isPolicy = routing === "policy";
    this.#log = log;
  }

  configure(addresses: TunnelAddresses): Promise<void> {
    return this.#inTurn(async () => {
      this.#families = await configureDevice(this.#device, this.#mtu, addresses, this.#log);
      if (!this.#isPolicy) return;
      for (const family of this.#families) {
        this.#report("cannot steer packets into the tunnel", await addRules(family, this.#mark));
      }
    });
  }

  setRoutes(routes: readonly IpNetwork[]): Promise<void> {
    return this.#inTurn(async () => {
      const hadInternet = this.#hasInternet();
      const wanted = new Map(
        routes.filter(({ family }) => this.#families.includes(family)).map((route) => [String(route), route]),
      );
      const added = [...wanted].filter(([key]) => !this.#routes.has(key)).map(([, route]) => route);
      const removed = [...this.#routes].filter(([key]) => !wanted.has(key)).map(([, route]) => route);
      for (const family of this.#families) {
        const commands = [
          ...added.filter((route) => route.family === family).map((route) =>
            `route replace ${this.#spec(route)}`
          ),
          ...removed.filter((route) => route.family === family).map((route) =>
            `route del ${this.#spec(route)}`
          ),
        ];
        this.#report("cannot change all routes", await ipBatch(family, commands));
      }
      for (const route of added) this.#routes.set(String(route), route);
      for (const route of removed) this.#routes.delete(String(route));
      if (this.#isPolicy && hadInternet !== this.#hasInternet()) await this.#copyLinkRoutes();
    });
  }

  setBypass(destinations: readonly IpAddress[]): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#isPolicy) return;
      for (const family of [4, 6] as const) {
        this.#report(
          "cannot let all of our own connections pass the tunnel by",
          await setBypassRules(family, destinations),
        );
      }
    });
  }

  readonly degraded: readonly string[] = [];

  async setLocalPorts(_ports: readonly number[]): Promise<void> {}

  async setExcluded(_networks: readonly IpNetwork[]): Promise<void> {}

  async setLan(_lan: "allow" | "deny"): Promise<void> {}

  handleNetworkChanged(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#isPolicy && this.#hasInternet()) await this.#copyLinkRoutes();
    });
  }

  otherDevice(): Promise<string | undefined> {
    return this.#inTurn(async () => {
      if (!this.#isPolicy) return undefined;
      for (const family of [4, 6] as const) {
        for (const table of [Table.resources, Table.internet]) {
          for (const { dev } of await ipList(family, ["route", "show", "table", String(table)])) {
            if (typeof dev === "string" && dev !== this.#device) return dev;
          }
        }
      }
      return undefined;
    });
  }

  present(): Promise<string[]> {
    return this.#inTurn(async () => {
      const found: string[] = [];
      if (!this.#isPolicy) return found;
      for (const family of [4, 6] as const) {
        found.push(...(await listRules(family)).map((rule) => `rule ${rule}`));
        for (const table of Object.values(Table)) {
          const routes = await ipList(family, ["route", "show", "table", String(table)]);
          found.push(...routes.map(({ dst }) => `route ${dst} table ${table}`));
        }
      }
      return found;
    });
  }

  undo(): Promise<string[]> {
    return this.#inTurn(async () => {
      const undone: string[] = [];
      try {
        if (this.#isPolicy) {
          // Rules first: from then on nothing is steered into the tunnel.
          for (const family of [4, 6] as const) {
            undone.push(...(await removeRules(family)).map((rule) => `rule ${rule}`));
          }
          for (const family of [4, 6] as const) {
            for (const table of Object.values(Table)) {
              const routes = await ipList(family, ["route", "show", "table", String(table)]);
              if (routes.length === 0) continue;
              await ip(family, ["route", "flush", "table", String(table)]);
              undone.push(...routes.map(({ dst }) => `route ${dst} table ${table}`));
            }
          }
        } else {
          for (const route of this.#routes.values()) {
            await ip(route.family, ["route", "del", ...this.#spec(route).split(" ")]);
            undone.push(`route ${route}`);
          }
        }
      } catch (error) {
        this.#log.warn("cannot undo all changes of routes", { error });
      }
      this.#routes.clear();
      this.#families = [];
      return undone;
    });
  }

  #hasInternet(): boolean {
    return [...this.#routes.values()].some(({ prefix }) => prefix === 0);
  }

  #spec(route: IpNetwork): string {
    const table = route.prefix === 0 ? Table.internet : Table.resources;
    const where = this.#isPolicy ? ` table ${table}` : "";
    return `${route} dev ${this.#device}${where} protocol ${PROTOCOL}`;
  }

  /** The local network keeps working while everything else goes into the tunnel. */
  async #copyLinkRoutes(): Promise<void> {
    const isNeeded = this.#hasInternet();
    for (const family of this.#families) {
      const table = String(Table.links);
      const present = await ipList(family, ["route", "show", "table", table]);
      const wanted = isNeeded ? await this.#linkRoutes(family) : [];
      const existing = present.map((route) => linkSpec(route));
      const commands = [
        ...wanted.filter((spec) => !existing.includes(spec)).map((spec) =>
          `route append ${spec} table ${table}`
        ),
        ...existing.filter((spec) => !wanted.includes(spec)).map((spec) =>
          `route del ${spec} table ${table}`
        ),
      ];
      this.#report("cannot keep the local network out of the tunnel", await ipBatch(family, commands));
    }
  }

  /** On-link routes of live interfaces. IPv6 has no scope to tell them by: they are those without a gateway. */
  async #linkRoutes(family: Family): Promise<string[]> {
    const specs: string[] = [];
    for (const route of await ipList(family, ["route", "show", "table", "main"])) {
      const { dst, dev, gateway, via, nexthops, scope, flags, type } = route;
      if (gateway !== undefined || via !== undefined || nexthops !== undefined) continue;
      if (typeof dst !== "string" || dst === "default" || typeof dev !== "string") continue;
      if (dev === this.#device || dev === "lo" || (type !== undefined && type !== "unicast")) continue;
      if (family === 4 && scope !== "link") continue;
      if (Array.isArray(flags) && (flags.includes("linkdown") || flags.includes("dead"))) continue;
      specs.push(linkSpec(route));
    }
    return [...new Set(specs)];
  }

  #report(message: string, failures: readonly string[]): void {
    if (failures.length === 0) return;
    this.#log.warn(message, { failures: failures.length });
    // They name networks of the user's resources.
    this.#log.debug("what ip said", { failures });
  }

  /** Runs `work` after everything asked for before it, whether that went well or not. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => {});
    return result;
  }
}

function linkSpec({ dst, dev, prefsrc, metric }: Record<string, unknown>): string {
  const source = typeof prefsrc === "string" ? ` src ${prefsrc}` : "";
  const cost = typeof metric === "number" && metric > 0 ? ` metric ${metric}` : "";
  return `${dst} dev ${dev}${source}${cost} protocol ${PROTOCOL}`;
}
