/**
 * The relays of a node: one allocation for each, which of them a new connection uses, and what they tell about our own
 * addresses. Driven by `Node`.
 */

import type { Datagram } from "../base/datagram.ts";
import type { AddressKey, SocketAddress } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import { Ring } from "../base/ring.ts";
import { below, type Rng } from "../base/rng.ts";
import { earliest, type Instant, type Wake } from "../base/time.ts";
import type { LocalCandidate } from "../ice/agent.ts";
import { Allocation, type Relay } from "../turn/client.ts";
import type { AllocationInput } from "../turn/allocation_event.ts";
import type { RelayConfig } from "./relay_config.ts";

/** What the relays of a node tell it. */
export type RelaysEvent =
  /** An address to offer to all peers. */
  | { readonly type: "candidate"; readonly candidate: LocalCandidate }
  | { readonly type: "allocated"; readonly relay: Allocation }
  /** `addresses` are ours no more. */
  | { readonly type: "lost"; readonly relay: Allocation; readonly addresses: readonly SocketAddress[] }
  /** No relay is left that could be used without news from the portal. */
  | { readonly type: "exhausted" };

/** What there is to know about a relay. */
export interface RelayStatus {
  readonly id: string;
  readonly state: Allocation["state"];
  readonly address: SocketAddress | undefined;
  readonly relayedAddresses: readonly SocketAddress[];
  readonly rttMs: number | undefined;
  /** Whether an attempt to reach it has ended, and it has not answered since. */
  readonly isSilent: boolean;
}

export class Relays {
  readonly #rng: Rng;
  readonly #log: Log;
  readonly #allocations = new Map<string, Allocation>();
  readonly #byAddress = new Map<AddressKey, Allocation>();
  readonly #byRelayed = new Map<AddressKey, Allocation>();
  readonly #events = new Ring<RelaysEvent>(MAX_EVENTS);
  /** Last words of allocations that are gone. */
  readonly #datagrams = new Ring<Datagram>(MAX_LAST_WORDS);

  constructor(rng: Rng, log: Log) {
    this.#rng = rng;
    this.#log = log;
  }

  /** Whether any relay may be usable, now or soon. */
  get hasUsable(): boolean {
    return this.#all.some((allocation) => allocation.state !== "suspended");
  }

  /** Takes the relays the portal knows. Those with known credentials are asked whether our allocation still exists. */
  upsert(configs: readonly RelayConfig[], now: Instant): void {
    for (const relay of mergeFamilies(configs).slice(0, MAX_RELAYS)) {
      const known = this.#allocations.get(relay.id);
      if (known !== undefined && isSameRelay(known.relay, relay) && known.state !== "suspended") {
        known.refresh(now);
        this.#collect(known);
        continue;
      }
      if (known !== undefined) this.#remove(known, now);
      if (this.#allocations.size < MAX_RELAYS) this.#add(relay, now);
    }
  }

  /** Drops relays that the portal has lost. */
  remove(ids: readonly string[], now: Instant): void {
    for (const id of ids) {
      const allocation = this.#allocations.get(id);
      if (allocation !== undefined) this.#remove(allocation, now);
    }
  }

  /** Asks all relays whether our allocations still exist: a path failed, and one of them may be why. */
  verify(now: Instant): void {
    for (const allocation of this.#all) {
      if (allocation.state !== "allocated") continue;
      allocation.refresh(now);
      this.#collect(allocation);
    }
  }

  /** When any relay last answered; -Infinity if none ever did. */
  get heardAt(): Instant {
    return this.#all.reduce((latest, { heardAt }) => Math.max(latest, heardAt), -Infinity);
  }

  /** Asks all relays whether they hear us: a peer is silent, and maybe everybody is. */
  sound(now: Instant): void {
    for (const allocation of this.#all) allocation.sound(now);
  }

  /** Somebody wants a connection: relays that were silent are probed before their turn. */
  hurry(now: Instant): void {
    for (const allocation of this.#all) allocation.hurry(now);
  }

  /** Begins anew with the same credentials: the sockets are others. Candidates of before are forgotten. */
  restart(now: Instant): void {
    const relays = this.#all.map((allocation) => allocation.relay);
    this.#allocations.clear();
    this.#byAddress.clear();
    this.#byRelayed.clear();
    this.#events.takeAll();
    this.#datagrams.takeAll();
    for (const relay of relays) this.#add(relay, now);
  }

  /** Gives all allocations back. */
  close(now: Instant): void {
    for (const allocation of this.#all) this.#remove(allocation, now);
  }

  /** Returns the allocation at the relay whose address is `remote`. */
  at(remote: SocketAddress): Allocation | undefined {
    return this.#byAddress.get(remote.key);
  }

  /** Returns the allocation that `relayed` is an address of. */
  ownerOf(relayed: SocketAddress): Allocation | undefined {
    return this.#byRelayed.get(relayed.key);
  }

  handleDatagram(
    allocation: Allocation,
    local: SocketAddress,
    remote: SocketAddress,
    payload: Uint8Array,
    now: Instant,
  ): AllocationInput | undefined {
    const input = allocation.handleDatagram(local, remote, payload, now);
    if (input?.type === "handled") this.#collect(allocation);
    return input;
  }

  /**
   * Returns the relay for a new connection: at random among those whose round trip is about the best, so that peers
   * spread over them. Undefined while there is no allocation.
   */
  select(): Allocation | undefined {
    const allocated = this.#all.filter((allocation) => allocation.state === "allocated");
    const measured = allocated.filter((allocation) => allocation.rttMs !== undefined);
    const limit = rttLimit(measured.map((allocation) => allocation.rttMs!));
    const near = measured.filter((allocation) => allocation.rttMs! <= limit);
    const choice = near.length > 0 ? near : allocated;
    return choice[below(this.#rng, choice.length)];
  }

  /** Returns all host and server-reflexive addresses of ours. */
  ownCandidates(): LocalCandidate[] {
    return this.#all.flatMap((allocation) =>
      ([4, 6] as const).flatMap((family): LocalCandidate[] => {
        const host = allocation.hostAddress(family);
        const mapped = allocation.mappedAddress(family);
        if (host === undefined) return [];
        const candidates: LocalCandidate[] = [{ kind: "host", address: host, base: host }];
        if (mapped !== undefined && !mapped.equals(host)) {
          candidates.push({ kind: "serverReflexive", address: mapped, base: host });
        }
        return candidates;
      })
    );
  }

  pollEvent(): RelaysEvent | undefined {
    return this.#events.shift();
  }

  pollDatagram(): Datagram | undefined {
    const last = this.#datagrams.shift();
    if (last !== undefined) return last;
    for (const allocation of this.#allocations.values()) {
      const datagram = allocation.pollDatagram();
      if (datagram !== undefined) return datagram;
    }
    return undefined;
  }

  pollTimeout(): Wake | undefined {
    let wake: Wake | undefined;
    for (const allocation of this.#allocations.values()) wake = earliest(wake, allocation.pollTimeout());
    return wake;
  }

  handleTimeout(now: Instant): void {
    for (const allocation of this.#allocations.values()) {
      allocation.handleTimeout(now);
      this.#collect(allocation);
    }
  }

  status(): RelayStatus[] {
    return this.#all.map((allocation) => ({
      id: allocation.id,
      state: allocation.state,
      address: allocation.activeAddress,
      relayedAddresses: relayedAddresses(allocation),
      rttMs: allocation.rttMs,
      isSilent: allocation.isSilent,
    }));
  }

  get #all(): Allocation[] {
    return [...this.#allocations.values()];
  }

  #add(relay: Relay, now: Instant): void {
    const allocation = new Allocation({ relay, rng: this.#rng, now, log: this.#log });
    this.#allocations.set(relay.id, allocation);
    for (const address of [relay.v4, relay.v6]) {
      if (address !== undefined) this.#byAddress.set(address.key, allocation);
    }
  }

  #remove(allocation: Allocation, now: Instant): void {
    allocation.close(now);
    for (let last = allocation.pollDatagram(); last !== undefined; last = allocation.pollDatagram()) {
      this.#datagrams.push({ ...last, payload: last.payload.slice() });
    }
    this.#collect(allocation);
    this.#allocations.delete(allocation.id);
    for (const address of [allocation.relay.v4, allocation.relay.v6]) {
      if (address !== undefined && this.#byAddress.get(address.key) === allocation) {
        this.#byAddress.delete(address.key);
      }
    }
  }

  #collect(allocation: Allocation): void {
    for (let event = allocation.pollEvent(); event !== undefined; event = allocation.pollEvent()) {
      switch (event.type) {
        case "host": {
          const { local } = event;
          this.#events.push({ type: "candidate", candidate: { kind: "host", address: local, base: local } });
          break;
        }
        case "serverReflexive": {
          const { mapped, base } = event;
          const candidate: LocalCandidate = { kind: "serverReflexive", address: mapped, base };
          this.#events.push({ type: "candidate", candidate });
          break;
        }
        case "relayed":
          this.#byRelayed.set(event.address.key, allocation);
          this.#events.push({ type: "allocated", relay: allocation });
          break;
        case "lost":
          for (const { key } of event.addresses) {
            // Another relay may claim the same address.
            if (this.#byRelayed.get(key) === allocation) this.#byRelayed.delete(key);
          }
          this.#events.push({ type: "lost", relay: allocation, addresses: event.addresses });
          break;
        case "failed":
          if (event.suspended && !this.hasUsable) this.#events.push({ type: "exhausted" });
          break;
      }
    }
  }
}

/** Returns our addresses at the relay as candidates. */
export function relayedCandidates(allocation: Allocation): LocalCandidate[] {
  const viaFamily = allocation.activeAddress?.family;
  return relayedAddresses(allocation).map((address) => ({
    kind: "relayed",
    address,
    base: address,
    ...(viaFamily === undefined ? {} : { viaFamily }),
  }));
}

/** The portal names two or three; more than this would only cost. */
const MAX_RELAYS = 16;
const MAX_LAST_WORDS = 64;
/** More than all relays have to say between two calls. */
const MAX_EVENTS = 1024;

function relayedAddresses(allocation: Allocation): SocketAddress[] {
  return ([4, 6] as const).flatMap((family) => allocation.relayedAddress(family) ?? []);
}

function mergeFamilies(configs: readonly RelayConfig[]): Relay[] {
  const byId = new Map<string, Relay>();
  for (const { id, addr, username, password } of configs) {
    const known = byId.get(id);
    const own = addr.family === 4 ? { v4: addr } : { v6: addr };
    byId.set(id, known === undefined ? { id, username, password, ...own } : { ...known, ...own });
  }
  return [...byId.values()];
}

function isSameRelay(a: Relay, b: Relay): boolean {
  return a.username === b.username && a.password === b.password &&
    a.v4?.key === b.v4?.key && a.v6?.key === b.v6?.key;
}

/** Returns the largest round trip that counts as near. With three and more, outliers are told by their deviation. */
function rttLimit(rtts: readonly number[]): number {
  if (rtts.length === 0) return Infinity;
  if (rtts.length <= 2) return 1.5 * Math.min(...rtts);
  const middle = median(rtts);
  const deviation = median(rtts.map((rtt) => Math.abs(rtt - middle)));
  return middle + 3 * Math.max(deviation, 2);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
