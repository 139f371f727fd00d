/** Hands relays to clients and gateways, and tells them when relays come and go. portal-protocol §5.2 – §5.4. */

import { below, type Rng } from "../base/rng.ts";
import { type Instant, seconds, type Wake } from "../base/time.ts";
import { SocketAddress } from "../base/ip.ts";
import type { Relay } from "../wire/portal/common.ts";
import { FAR_FUTURE } from "./access.ts";
import { turnCredentials } from "./credentials.ts";
import type { Directory } from "./directory.ts";
import {
  type ClientPeer,
  type GatewayPeer,
  type Presence,
  pushToClient,
  pushToGateway,
  type RelayPeer,
} from "./peers.ts";

export class RelayDesk {
  readonly #directory: Directory;
  readonly #presence: Presence;
  readonly #rng: Rng;
  #changedAt: Instant | undefined;

  constructor(directory: Directory, presence: Presence, rng: Rng) {
    this.#directory = directory;
    this.#presence = presence;
    this.#rng = rng;
  }

  /**
   * Returns the relays for `peer` and remembers that it has them. Those that it has already are kept, so that its
   * allocations survive; the rest is chosen at random.
   */
  assign(peer: ClientPeer | GatewayPeer): Relay[] {
    const online = [...this.#presence.relays.values()];
    const kept = online.filter((relay) => peer.sentRelays.has(relay.relayId));
    const others = online.filter((relay) => !peer.sentRelays.has(relay.relayId));
    const chosen = kept.slice(0, RELAYS_PER_PEER);
    while (chosen.length < RELAYS_PER_PEER && others.length > 0) {
      chosen.push(...others.splice(below(this.#rng, others.length), 1));
    }
    for (const relay of chosen) peer.sentRelays.add(relay.relayId);
    return chosen.flatMap((relay) => this.#entries(relay, peer));
  }

  /** Answers `no_relays`. */
  answer(peer: ClientPeer | GatewayPeer): void {
    this.#push(peer, [], this.assign(peer));
  }

  /** A relay came. Peers that have none hear of it at once: without a relay they cannot connect. */
  handleJoined(now: Instant): void {
    for (const peer of this.#peers()) if (peer.sentRelays.size === 0) this.answer(peer);
    this.#changedAt = now;
  }

  /** A relay went. Peers hear of it, and of further relays, after a pause without further changes. */
  handleLeft(now: Instant): void {
    this.#changedAt = now;
  }

  pollTimeout(): Wake | undefined {
    if (this.#changedAt === undefined) return undefined;
    return { at: this.#changedAt + DEBOUNCE, reason: "announce relays" };
  }

  handleTimeout(now: Instant): void {
    if (this.#changedAt === undefined || now < this.#changedAt + DEBOUNCE) return;
    this.#changedAt = undefined;
    for (const peer of this.#peers()) {
      const gone = [...peer.sentRelays].filter((id) => !this.#presence.relays.has(id));
      for (const id of gone) peer.sentRelays.delete(id);
      const before = peer.sentRelays.size;
      const connected = this.assign(peer);
      if (gone.length > 0 || peer.sentRelays.size > before) this.#push(peer, gone, connected);
    }
  }

  #peers(): readonly (ClientPeer | GatewayPeer)[] {
    return [...this.#presence.clients.values(), ...this.#presence.gateways.values()];
  }

  /** Returns one entry for each address family, adjacent: peers merge them by id. */
  #entries(relay: RelayPeer, peer: ClientPeer | GatewayPeer): Relay[] {
    const token = this.#directory.get("tokens", peer.tokenId);
    // A gateway's credentials never change, so a reconnect does not cost it its allocations.
    const expires_at = peer.role === "client" ? token?.expiresAt ?? FAR_FUTURE : FAR_FUTURE;
    const credentials = turnCredentials(peer.publicKey, relay.stampSecret, expires_at);
    return [relay.ipv4, relay.ipv6].flatMap((ip): Relay[] =>
      ip === undefined ? [] : [{
        type: "turn",
        id: relay.relayId,
        addr: new SocketAddress(ip, relay.port).toString(),
        ...credentials,
        expires_at,
      }]
    );
  }

  #push(peer: ClientPeer | GatewayPeer, disconnected_ids: string[], connected: Relay[]): void {
    const message = { event: "relays_presence", payload: { disconnected_ids, connected } } as const;
    if (peer.role === "client") pushToClient(peer, message);
    else pushToGateway(peer, message);
  }
}

const RELAYS_PER_PEER = 2;
const DEBOUNCE = seconds(1);
