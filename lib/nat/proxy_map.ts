/**
 * Which real address stands behind each proxy address that a client assigned (data-plane reference §5.5). Proxy
 * addresses are the client's own: two clients may use one address for different names.
 */

import type { AddressKey, IpAddress } from "../base/ip.ts";
import { IpNetwork } from "../base/ip.ts";

/** Where clients take proxy addresses from. */
const PROXY_NETWORKS = {
  v4: IpNetwork.from("100.96.0.0/11"),
  v6: IpNetwork.from("fd00:2021:1111:8000::/107"),
} as const;

/** Most proxy addresses that one client may have assigned. */
const MAX_PROXY_ADDRESSES = 65_536;

/** Addresses that a name resolved to. */
export interface ResolvedAddresses {
  readonly ipv4: readonly IpAddress[];
  readonly ipv6: readonly IpAddress[];
}

/** What a proxy address stands for. */
export interface ProxyEntry {
  readonly proxy: IpAddress;
  /** Lower case. */
  readonly domain: string;
  /** Resources through which the client may reach it: every one that matches the domain and assigned it. */
  readonly resourceIds: ReadonlySet<string>;
  /** Undefined if the name has no address of this family. */
  readonly target: IpAddress | undefined;
}

interface MutableEntry extends ProxyEntry {
  readonly resourceIds: Set<string>;
  target: IpAddress | undefined;
}

/** What came of an assignment. `reset`: it contradicted the former ones, which are all gone. */
export type AssignmentOutcome = "assigned" | "reset" | "refused";

export class ProxyMap {
  readonly #entries = new Map<AddressKey, MutableEntry>();

  get size(): number {
    return this.#entries.size;
  }

  /**
   * Lets `proxyIps` stand for `domain` and maps them to the resolved addresses of their family in turn. After `reset`
   * the caller forgets its NAT sessions: the client has started over. `refused`: not proxy addresses, or too many.
   */
  assign(
    assignment: {
      readonly domain: string;
      readonly resourceId: string;
      readonly proxyIps: readonly IpAddress[];
      readonly resolved: ResolvedAddresses;
    },
  ): AssignmentOutcome {
    const { proxyIps, resourceId, resolved } = assignment;
    const domain = assignment.domain.toLowerCase();
    if (!proxyIps.every(isProxyAddress)) return "refused";
    const isContradicted = proxyIps.some((proxy) => {
      const entry = this.#entries.get(proxy.key);
      return entry !== undefined && entry.domain !== domain;
    });
    if (isContradicted) this.#entries.clear();
    if (this.#entries.size + proxyIps.length > MAX_PROXY_ADDRESSES) return "refused";

    const targets = { 4: sorted(resolved.ipv4), 6: sorted(resolved.ipv6) };
    const used = { 4: 0, 6: 0 };
    for (const proxy of proxyIps) {
      const family = targets[proxy.family];
      const target = family.length === 0 ? undefined : family[used[proxy.family]++ % family.length];
      const entry = this.#entries.get(proxy.key);
      if (entry === undefined) {
        this.#entries.set(proxy.key, { proxy, domain, resourceIds: new Set([resourceId]), target });
      } else {
        entry.resourceIds.add(resourceId);
        entry.target = target;
      }
    }
    return isContradicted ? "reset" : "assigned";
  }

  /** Returns what the address with `key` stands for. */
  get(key: AddressKey): ProxyEntry | undefined {
    return this.#entries.get(key);
  }

  /**
   * Forgets that the resource leads to names for which `keeps` is false. The addresses stay known, so that packets to
   * them are refused.
   */
  retainDomains(resourceId: string, keeps: (domain: string) => boolean): void {
    for (const entry of this.#entries.values()) {
      if (entry.resourceIds.has(resourceId) && !keeps(entry.domain)) entry.resourceIds.delete(resourceId);
    }
  }

  clear(): void {
    this.#entries.clear();
  }
}

/** Returns whether `address` is of the networks that clients assign proxy addresses from. */
export function isProxyAddress(address: IpAddress): boolean {
  return networkOf(address.family).contains(address);
}

/** Returns whether the address of `family` at `offset` of `bytes` is a proxy address. */
export function isProxyAddressAt(family: 4 | 6, bytes: Uint8Array, offset: number): boolean {
  return networkOf(family).containsBytes(bytes, offset);
}

function networkOf(family: 4 | 6): IpNetwork {
  return family === 4 ? PROXY_NETWORKS.v4 : PROXY_NETWORKS.v6;
}

/** Keys order like the bytes of the addresses, within a family. */
function sorted(addresses: readonly IpAddress[]): readonly IpAddress[] {
  return [...addresses].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
}
