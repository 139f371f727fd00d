/** Who is connected now: one record for each joined socket. In memory only; each join starts from zero. */

import type { IpAddress } from "../base/ip.ts";
import type { Instant } from "../base/time.ts";
import type { ServerChannel } from "../channel/server.ts";
import { type ClientInbound, encodeClientInbound } from "../wire/portal/client.ts";
import type { SocketVersion } from "../wire/portal/common.ts";
import { encodeGatewayInbound, type GatewayInbound } from "../wire/portal/gateway.ts";
import type { PeerSoftware } from "./user_agent.ts";

/** Names one socket for its lifetime; chosen by the driver. */
export type ConnectionId = number;

interface Peer {
  readonly connection: ConnectionId;
  readonly channel: ServerChannel;
  readonly version: SocketVersion;
  readonly accountId: string;
  readonly tokenId: string;
  readonly remoteIp: IpAddress | undefined;
  readonly software: PeerSoftware | undefined;
  readonly userAgent: string;
  readonly connectedAt: Instant;
}

/** A peer that gets relays. */
interface RelayedPeer extends Peer {
  readonly deviceId: string;
  /** Base64; a new key needs a new connection. */
  readonly publicKey: string;
  readonly sentRelays: Set<string>;
}

/** A client that is connected. */
export interface ClientPeer extends RelayedPeer {
  readonly role: "client";
  /** What the client was last told: JSON of each resource and of its interface. */
  readonly sentResources: Map<string, string>;
  sentInterface: string;
}

/** A gateway that is connected. */
export interface GatewayPeer extends RelayedPeer {
  readonly role: "gateway";
  sentSlug: string;
}

/** A relay that is connected. */
export interface RelayPeer extends Peer {
  readonly role: "relay";
  readonly name: string | undefined;
  readonly ipv4: IpAddress | undefined;
  readonly ipv6: IpAddress | undefined;
  readonly port: number;
  /** Known after the join. */
  relayId: string;
  stampSecret: string;
}

/** Whoever is connected. */
export type AnyPeer = ClientPeer | GatewayPeer | RelayPeer;

/** The joined peers: clients and gateways by device id, relays by relay id. */
export class Presence {
  readonly clients = new Map<string, ClientPeer>();
  readonly gateways = new Map<string, GatewayPeer>();
  readonly relays = new Map<string, RelayPeer>();

  /** Registers a joined peer; returns the one that it replaces. */
  add(peer: AnyPeer): AnyPeer | undefined {
    switch (peer.role) {
      case "client":
        return swap(this.clients, peer.deviceId, peer);
      case "gateway":
        return swap(this.gateways, peer.deviceId, peer);
      case "relay":
        return swap(this.relays, peer.relayId, peer);
    }
  }

  /** Forgets `peer`, unless another connection has taken its place. Returns whether it was there. */
  remove(peer: AnyPeer): boolean {
    switch (peer.role) {
      case "client":
        return this.clients.get(peer.deviceId) === peer && this.clients.delete(peer.deviceId);
      case "gateway":
        return this.gateways.get(peer.deviceId) === peer && this.gateways.delete(peer.deviceId);
      case "relay":
        return this.relays.get(peer.relayId) === peer && this.relays.delete(peer.relayId);
    }
  }
}

/** Pushes `message` in the vocabulary of the client's socket. */
export function pushToClient(peer: ClientPeer, message: ClientInbound): void {
  const { event, payload } = encodeClientInbound(message, peer.version);
  peer.channel.push(event, payload);
}

/** Pushes `message` in the vocabulary of the gateway's socket. */
export function pushToGateway(peer: GatewayPeer, message: GatewayInbound): void {
  const { event, payload } = encodeGatewayInbound(message, peer.version);
  peer.channel.push(event, payload);
}

function swap<P>(map: Map<string, P>, key: string, peer: P): P | undefined {
  const before = map.get(key);
  map.set(key, peer);
  return before;
}
