/** A network: hosts and routers by address, with latency, loss and cuts. Datagrams to elsewhere go to its router. */

import type { AddressKey, IpAddress, SocketAddress } from "../../lib/base/ip.ts";
import { unit } from "../../lib/base/rng.ts";
import type { Duration } from "../../lib/base/time.ts";
import type { Simulation } from "./simulation.ts";

/** Takes a datagram that arrived at one of its addresses. */
export type Receiver = (source: SocketAddress, destination: SocketAddress, payload: Uint8Array) => void;

/** Decides about each datagram that enters a network: false drops it. */
export type Filter = (source: SocketAddress, destination: SocketAddress, payload: Uint8Array) => boolean;

export class Network {
  readonly simulation: Simulation;
  readonly name: string;
  /** One way. */
  latency: Duration;
  /** Added at random to `latency`, so that datagrams overtake each other. */
  jitter: Duration = 0;
  /** Share of datagrams lost, 0–1. */
  loss = 0;
  /** Takes datagrams for addresses outside. */
  router: Receiver | undefined;
  readonly filters = new Set<Filter>();
  delivered = 0;
  readonly #receivers = new Map<AddressKey, Receiver>();

  constructor(simulation: Simulation, name: string, latency: Duration = 5) {
    this.simulation = simulation;
    this.name = name;
    this.latency = latency;
  }

  attach(address: IpAddress, receiver: Receiver): void {
    this.#receivers.set(address.key, receiver);
  }

  detach(address: IpAddress): void {
    this.#receivers.delete(address.key);
  }

  send(source: SocketAddress, destination: SocketAddress, payload: Uint8Array): void {
    for (const filter of this.filters) if (!filter(source, destination, payload)) return;
    if (this.loss > 0 && unit(this.simulation.rng) < this.loss) return;
    const delay = this.latency + this.jitter * unit(this.simulation.rng);
    const copy = payload.slice();
    this.simulation.schedule(delay, () => {
      const receiver = this.#receivers.get(destination.ip.key) ?? this.router;
      this.delivered++;
      receiver?.(source, destination, copy);
    });
  }

  /** Drops everything between `a` and `b` from now on. Returns the filter, for `filters.delete`. */
  block(a: IpAddress, b: IpAddress): Filter {
    const filter: Filter = (source, destination) =>
      !(source.ip.equals(a) && destination.ip.equals(b)) &&
      !(source.ip.equals(b) && destination.ip.equals(a));
    this.filters.add(filter);
    return filter;
  }
}
