/**
 * Who may reach what: carries out the portal's grants and revocations, lets them expire, and lets clients go that have
 * nothing left (data-plane reference §8.6). Driven by the gateway session.
 */

import { assert } from "../base/assert.ts";
import { fromBase64 } from "../base/bytes.ts";
import { IpAddress } from "../base/ip.ts";
import { Ring } from "../base/ring.ts";
import { earliest, type Instant, seconds, type Wake, type WallClock } from "../base/time.ts";
import type { Outbox } from "../channel/outbox.ts";
import { resourceFromGatewayView } from "../resource/resource.ts";
import { encodeControl } from "../wire/p2p_control.ts";
import type { Authorization } from "../wire/portal/common.ts";
import type { CreateAuthorization, GatewayOutbound, GatewayResource } from "../wire/portal/gateway.ts";
import type { ClientPeer } from "./client_peer.ts";
import type { ClientRemovalReason, GatewayEvent, RevocationReason } from "./event.ts";
import type { GatewayNode } from "./node_port.ts";
import type { PeerTable } from "./peer_table.ts";

/** Who is concerned when access begins or ends. */
export interface AccessOptions {
  readonly node: GatewayNode;
  readonly peers: PeerTable;
  readonly portal: Outbox<GatewayOutbound>;
  readonly wallClock: WallClock;
  readonly emit: (event: GatewayEvent) => void;
}

export class Access {
  readonly #node: GatewayNode;
  readonly #peers: PeerTable;
  readonly #portal: Outbox<GatewayOutbound>;
  readonly #wallClock: WallClock;
  readonly #emit: (event: GatewayEvent) => void;
  /** Grants that came before any relay did. */
  readonly #waiting = new Ring<{ readonly grant: CreateAuthorization; readonly until: Instant }>(MAX_WAITING);

  constructor(options: AccessOptions) {
    this.#node = options.node;
    this.#peers = options.peers;
    this.#portal = options.portal;
    this.#wallClock = options.wallClock;
    this.#emit = options.emit;
  }

  /**
   * Carries out a grant: connection, resource, confirmation, in this order. Without a relay no connection can be made:
   * the portal is asked for one, and the grant waits for it as long as the portal waits for the confirmation.
   */
  authorize(grant: CreateAuthorization, now: Instant): void {
    const { client } = grant;
    if (this.#isFull(client.id, grant.resource.id)) {
      this.#emit({ type: "authorization-refused", clientId: client.id, reason: "full" });
      return;
    }
    const outcome = this.#node.upsertConnection(client.id, {
      remotePublicKey: keyBytes(client.public_key),
      presharedKey: keyBytes(client.preshared_key),
      localIce: grant.gateway_ice_credentials,
      remoteIce: grant.client_ice_credentials,
      controlling: false,
    }, now);
    if (!outcome.ok) {
      this.#portal.sendOnce({ event: "no_relays", payload: {} });
      this.#waiting.push({ grant, until: now + CONFIRMATION_TIMEOUT });
      return;
    }
    const resource = resourceFromGatewayView(grant.resource);
    const expiresAt = this.#instantAt(grant.expires_at ?? undefined);
    const addresses = { ipv4: IpAddress.from(client.ipv4), ipv6: IpAddress.from(client.ipv6) };
    this.#peers.upsert(client.id, addresses).authorize(resource, expiresAt);
    // Candidates wait in the node until `settle`, so the client learns of the grant first.
    this.#portal.send({ event: "authorization_created", payload: { ref: grant.ref } });
    this.#emit({
      type: "client-authorized",
      clientId: client.id,
      resourceId: resource.id,
      resourceType: resource.type,
      expiresAtMs: grant.expires_at === null ? undefined : grant.expires_at * 1000,
    });
  }

  /** There may be relays now: carries out the grants that waited for one. */
  handleRelays(now: Instant): void {
    for (const { grant, until } of this.#waiting.takeAll()) if (now < until) this.authorize(grant, now);
  }

  /** The portal starts over: it does not know any more what it granted and we did not confirm. */
  forgetWaiting(): void {
    this.#waiting.takeAll();
  }

  /** Takes a resource back. A client that has nothing left is said goodbye to. */
  revoke(clientId: string, resourceId: string, reason: RevocationReason, now: Instant): void {
    for (const waiting of this.#waiting.takeAll()) {
      const { client, resource } = waiting.grant;
      if (client.id !== clientId || resource.id !== resourceId) this.#waiting.push(waiting);
    }
    const peer = this.#peers.get(clientId);
    if (peer === undefined || !peer.removeResource(resourceId)) return;
    this.#emit({ type: "access-revoked", clientId, resourceId, reason });
    if (peer.isEmpty) this.remove(peer, "no-resources", now);
  }

  /** What the portal does not list any more was taken back while we were away. */
  resync(authorizations: readonly Authorization[], now: Instant): void {
    const listed = new Set(authorizations.map(({ client_id, resource_id }) => `${client_id} ${resource_id}`));
    for (const peer of [...this.#peers]) {
      for (const { resource } of [...peer.authorizations]) {
        const isListed = listed.has(`${peer.id} ${resource.id}`);
        if (!isListed) this.revoke(peer.id, resource.id, "not-listed", now);
      }
    }
    for (const authorization of authorizations) this.setExpiry(authorization);
  }

  /** Changes when a grant ends. */
  setExpiry(authorization: Authorization): void {
    const peer = this.#peers.get(authorization.client_id);
    peer?.setExpiry(authorization.resource_id, this.#instantAt(authorization.expires_at));
  }

  /** Changes the filters of a resource for everybody who has it. */
  updateFilters(view: GatewayResource): void {
    const { id, filters } = resourceFromGatewayView(view);
    let clients = 0;
    for (const peer of this.#peers) if (peer.setFilters(id, filters)) clients++;
    if (clients > 0) this.#emit({ type: "filters-changed", resourceId: id, clients });
  }

  /** Lets grants expire and NAT sessions end; returns when to look again. */
  handleTimeout(now: Instant): Instant | undefined {
    let next: Wake | undefined;
    for (const peer of [...this.#peers]) {
      for (const resourceId of peer.handleTimeout(now)) {
        this.#emit({ type: "access-revoked", clientId: peer.id, resourceId, reason: "expired" });
      }
      if (peer.isEmpty) this.remove(peer, "no-resources", now);
      else next = earliest(next, peer.pollTimeout());
    }
    return next?.at;
  }

  /** Lets a client go, with a goodbye. */
  remove(peer: ClientPeer, reason: ClientRemovalReason, now: Instant): void {
    this.#node.sayGoodbye(peer.id, GOODBYE, now);
    this.forget(peer, reason);
  }

  /** Forgets a client that is gone already. */
  forget(peer: ClientPeer, reason: ClientRemovalReason): void {
    this.#peers.remove(peer);
    this.#emit({ type: "client-removed", clientId: peer.id, reason });
  }

  #isFull(clientId: string, resourceId: string): boolean {
    const peer = this.#peers.get(clientId);
    if (peer === undefined) return this.#peers.size >= MAX_CLIENTS;
    return peer.size >= MAX_RESOURCES_PER_CLIENT && !peer.has(resourceId);
  }

  #instantAt(unixSeconds: number | undefined): Instant | undefined {
    return unixSeconds === undefined ? undefined : this.#wallClock.instantAt(unixSeconds);
  }
}

const MAX_CLIENTS = 65_536;
const MAX_RESOURCES_PER_CLIENT = 4096;
/** A portal has few requests under way to one gateway; when there are more, their clients ask again. */
const MAX_WAITING = 256;
/** After this the portal takes us for offline, and a confirmation comes too late (portal-protocol §9.1). */
const CONFIRMATION_TIMEOUT = seconds(15);

const GOODBYE = encodeControl({ type: "goodbye" });

/** Keys were checked when the message was decoded. */
function keyBytes(text: string): Uint8Array {
  const bytes = fromBase64(text);
  assert(bytes?.length === 32, "keys of a decoded message have 32 bytes");
  return bytes;
}
