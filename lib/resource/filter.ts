/** Which traffic a resource allows (data-plane reference §8.4). */

import type { IpPacket, Transport } from "../wire/ip.ts";
import type { Filter as WireFilter } from "../wire/portal/common.ts";

/** One allowed kind of traffic. Both ends of `ports` are included. */
export type Filter =
  | { readonly protocol: "icmp" }
  | { readonly protocol: "tcp" | "udp"; readonly ports: PortRange };

/** Ports from `first` to `last`, both included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Returns the filter that the portal's message describes. */
export function filterFromWire(filter: WireFilter): Filter {
  if (filter.protocol === "icmp") return { protocol: "icmp" };
  const { port_range_start: first, port_range_end: last } = filter;
  return { protocol: filter.protocol, ports: { first, last } };
}

/**
 * The filters of one resource. The empty list allows everything, protocols without ports too; any other list allows
 * only what it names.
 */
export class FilterSet {
  /** As given, for display. */
  readonly filters: readonly Filter[];
  readonly #icmp: boolean;
  readonly #tcp: readonly PortRange[];
  readonly #udp: readonly PortRange[];

  constructor(filters: readonly Filter[]) {
    this.filters = filters;
    this.#icmp = filters.some((filter) => filter.protocol === "icmp");
    this.#tcp = mergedRanges(filters, "tcp");
    this.#udp = mergedRanges(filters, "udp");
  }

  get permitsAll(): boolean {
    return this.filters.length === 0;
  }

  /** Returns whether traffic of `transport` with `port` on the resource's side is allowed. */
  permits(transport: Transport, port: number): boolean {
    if (this.permitsAll) return true;
    switch (transport) {
      case "icmp":
        return this.#icmp;
      case "tcp":
        return isInRanges(this.#tcp, port);
      case "udp":
        return isInRanges(this.#udp, port);
      case "other":
        return false;
    }
  }

  /** Returns whether `packet` may go to the resource. */
  permitsTo(packet: IpPacket): boolean {
    return this.permits(packet.transport, packet.destinationPort);
  }

  /** Returns whether `packet` may come from the resource: filters are symmetric. */
  permitsFrom(packet: IpPacket): boolean {
    return this.permits(packet.transport, packet.sourcePort);
  }

  /** Returns whether `other` allows the same traffic, described in the same order. */
  equals(other: FilterSet): boolean {
    return this.filters.length === other.filters.length &&
      this.filters.every((filter, index) => isSameFilter(filter, other.filters[index]!));
  }
}

/** Allows every protocol. */
export const PERMIT_ALL = new FilterSet([]);

function isSameFilter(a: Filter, b: Filter): boolean {
  if (a.protocol === "icmp" || b.protocol === "icmp") return a.protocol === b.protocol;
  return a.protocol === b.protocol && a.ports.first === b.ports.first && a.ports.last === b.ports.last;
}

/** Sorted and disjoint, so that a lookup is a binary search however many filters the portal sends. */
function mergedRanges(filters: readonly Filter[], protocol: "tcp" | "udp"): PortRange[] {
  const ranges = filters.flatMap((filter) =>
    filter.protocol === protocol && filter.ports.first <= filter.ports.last ? [filter.ports] : []
  ).sort((a, b) => a.first - b.first);
  const merged: PortRange[] = [];
  for (const range of ranges) {
    const last = merged.at(-1);
    if (last !== undefined && range.first <= last.last + 1) {
      merged[merged.length - 1] = { first: last.first, last: Math.max(last.last, range.last) };
    } else {
      merged.push(range);
    }
  }
  return merged;
}

function isInRanges(ranges: readonly PortRange[], port: number): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const range = ranges[middle]!;
    if (port < range.first) high = middle;
    else if (port > range.last) low = middle + 1;
    else return true;
  }
  return false;
}
