/**
 * How packets that must pass the tunnel by leave the machine. There is no mark: each datagram is sent from the address
 * that the machine would use without us, and with it goes the interface (strong host model, RFC 1122 §3.3.4.2). Answers
 * are remembered until the network changes.
 */

import type { Family, IpAddress } from "../../lib/base/ip.ts";
import type { NetworkKernel } from "./kernel.ts";
import { decodeForwardTable, type ForwardRow, interfaceQuery, readInterfaceRow } from "./rows.ts";
import { type MetricOf, wayTo } from "./routing.ts";

/** From where packets to some destination are sent. */
export interface Source {
  readonly address: IpAddress;
  /** Interface index. */
  readonly index: number;
}

export class WayOut {
  readonly #kernel: NetworkKernel;
  readonly #tunnels = new Set<number>();
  readonly #indices = new Map<string, number>();
  readonly #known = new Map<string | number, Source | undefined>();
  #table: { readonly rows: readonly ForwardRow[]; readonly metricOf: MetricOf } | undefined;

  constructor(kernel: NetworkKernel) {
    this.#kernel = kernel;
  }

  /** Interface indices of our own devices. */
  get tunnels(): ReadonlySet<number> {
    return this.#tunnels;
  }

  /** Returns the interface index of our own device `name`; undefined if it is not of this process. */
  tunnelIndex(name: string): number | undefined {
    return this.#indices.get(name);
  }

  addTunnel(name: string, index: number): void {
    this.#tunnels.add(index);
    this.#indices.set(name, index);
    this.forget();
  }

  removeTunnel(name: string): void {
    this.#tunnels.delete(this.#indices.get(name) ?? 0);
    this.#indices.delete(name);
    this.forget();
  }

  /**
   * Returns from where packets to `destination` pass the tunnel by; undefined if there is no way. `scopeId` is the
   * interface of a link-local one.
   */
  sourceFor(destination: IpAddress, scopeId = 0): Source | undefined {
    const key = scopeId === 0 ? destination.key : `${destination.key}%${scopeId}`;
    if (this.#known.has(key)) return this.#known.get(key);
    if (this.#known.size >= CAPACITY) this.#known.clear();
    const source = this.#find(destination, scopeId);
    this.#known.set(key, source);
    return source;
  }

  /** The network changed: looks anew. */
  forget(): void {
    this.#known.clear();
    this.#table = undefined;
  }

  #find(destination: IpAddress, scopeId: number): Source | undefined {
    if (scopeId !== 0) {
      const address = this.#tunnels.has(scopeId) ? undefined : this.#kernel.bestSource(scopeId, destination);
      return address && { address, index: scopeId };
    }
    this.#table ??= { rows: readTable(this.#kernel), metricOf: metrics(this.#kernel) };
    const way = wayTo(destination, this.#table.rows, this.#tunnels, this.#table.metricOf);
    const address = way && this.#kernel.bestSource(way.index, destination);
    return address && { address, index: way.index };
  }
}

/** Returns all routes of the machine. */
export function readTable(kernel: Pick<NetworkKernel, "forwardTable">): ForwardRow[] {
  return ([4, 6] as const).flatMap((family) => decodeForwardTable(kernel.forwardTable(family)));
}

/** Returns the metrics of interfaces as they are at the first look at each. */
export function metrics(kernel: Pick<NetworkKernel, "readInterface">): MetricOf {
  const known = new Map<string, number>();
  return (family: Family, index: number) => {
    const key = `${family} ${index}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const row = interfaceQuery(family, index);
    const facts = kernel.readInterface(row) === 0 ? readInterfaceRow(row) : undefined;
    const metric = facts?.isConnected === true ? facts.metric : Infinity;
    known.set(key, metric);
    return metric;
  };
}

/** Destinations are relays and gateways: few. */
const CAPACITY = 1024;
