/**
 * Grants access and takes it back: asks the gateway first, tells the client when the gateway has confirmed, and rejects
 * at the gateway as soon as anything that a grant rests on is gone. portal-protocol §7.4 – §7.6, §3.6.
 */

import { toHex } from "../base/bytes.ts";
import type { Log } from "../base/log.ts";
import { below, type Rng } from "../base/rng.ts";
import { type Instant, seconds, type Wake, type WallClock } from "../base/time.ts";
import type { ClientInbound } from "../wire/portal/client.ts";
import { basisOf, connectableResources, judgeAccess, type Requester, stillStands } from "./access.ts";
import { clientPresharedKey, gatewayPresharedKey, iceCredentials } from "./credentials.ts";
import type { Directory } from "./directory.ts";
import { ingestToken } from "./ingest_token.ts";
import type { Actor, Authorization, Device, Policy, Resource } from "./model.ts";
import { type ClientPeer, type GatewayPeer, type Presence, pushToClient, pushToGateway } from "./peers.ts";
import { gatewayResource } from "./views.ts";

/** What a client asks for: a resource, and of a device pool the member with this address. */
export interface AccessRequest {
  readonly resource_id: string;
  readonly connected_gateway_ids: readonly string[];
  readonly ipv4?: string | undefined;
  readonly ipv6?: string | undefined;
}

/** A grant that waits for the gateway's word. */
interface PendingGrant {
  readonly since: Instant;
  readonly client: ClientPeer;
  readonly gatewayId: string;
  readonly authorizationId: string;
  readonly resourceId: string;
  readonly connectedIds: readonly string[];
  /** Pushed to the client once the gateway has confirmed. */
  readonly message: ClientInbound;
}

export class Grants {
  readonly #directory: Directory;
  readonly #presence: Presence;
  readonly #rng: Rng;
  readonly #wallClock: WallClock;
  readonly #log: Log;
  readonly #pending = new Map<string, PendingGrant>();

  constructor(directory: Directory, presence: Presence, rng: Rng, wallClock: WallClock, log: Log) {
    this.#directory = directory;
    this.#presence = presence;
    this.#rng = rng;
    this.#wallClock = wallClock;
    this.#log = log;
  }

  /** A client asks for access. */
  handleRequest(client: ClientPeer, request: AccessRequest, now: Instant): void {
    const requester = requesterOf(this.#directory, client);
    const resource = this.#directory.get("resources", request.resource_id);
    const actor = this.#directory.get("actors", requester?.device.ownerId);
    if (requester === undefined || actor === undefined) return;
    const isPool = resource?.type === "static_device_pool";
    const refuse = (reason: string, violated: readonly string[] = []) =>
      isPool
        ? this.#denyDevice(client, request, reason)
        : this.#refuse(client, request.resource_id, reason, violated);
    if (resource === undefined || resource.accountId !== client.accountId) return refuse("not_found");
    const access = judgeAccess(this.#directory, requester, resource, this.#unixSeconds(now));
    if (access.type === "unknown") return refuse("not_found");
    if (access.type === "forbidden") return refuse("forbidden", access.violatedProperties);
    const grant = { requester, resource, actor, policy: access.policy, expiresAt: access.expiresAt };
    if (isPool) this.#grantDevice(client, request, grant, now);
    else this.#grantGateway(client, request, grant, now);
  }

  /** A gateway confirms the grant with `ref`. Returns false if there is no such grant for it to confirm. */
  handleConfirmation(gateway: GatewayPeer, ref: string): boolean {
    const pending = this.#pending.get(ref);
    if (pending === undefined || pending.gatewayId !== gateway.deviceId) return false;
    this.#pending.delete(ref);
    if (this.#presence.clients.get(pending.client.deviceId) === pending.client) {
      pushToClient(pending.client, pending.message);
    }
    return true;
  }

  /** The client's connection is over: nobody waits for its pending grants. The gateway keeps what it was given. */
  forget(client: ClientPeer): void {
    for (const [ref, pending] of this.#pending) if (pending.client === client) this.#pending.delete(ref);
  }

  /** A gateway is online no more: what it has not confirmed is asked of another one of its site, if there is one. */
  handleGatewayLeft(gatewayId: string, now: Instant): void {
    for (const [ref, { client, resourceId, connectedIds, ...pending }] of [...this.#pending]) {
      const resource = this.#directory.get("resources", resourceId);
      if (pending.gatewayId !== gatewayId || resource === undefined) continue;
      if (this.#chooseGateway(resource, connectedIds) === undefined) continue;
      this.#pending.delete(ref);
      this.#directory.remove("authorizations", pending.authorizationId);
      this.handleRequest(client, { resource_id: resourceId, connected_gateway_ids: connectedIds }, now);
    }
  }

  /** Returns the authorizations that `receiverId` (a gateway or client device) has to honour. */
  liveFor(
    receiverId: string,
    now: Instant,
  ): { client_id: string; resource_id: string; expires_at: number }[] {
    const unixSeconds = this.#unixSeconds(now);
    return this.#directory.all("authorizations")
      .filter((it) => it.receiverId === receiverId && it.expiresAt > unixSeconds)
      .map((it) => ({ client_id: it.clientId, resource_id: it.resourceId, expires_at: it.expiresAt }));
  }

  /**
   * Takes back every authorization that does not stand any more, at once, and forgets expired ones. Returns the pairs
   * of client and resource that lost one.
   */
  revalidate(now: Instant): { readonly clientId: string; readonly resourceId: string }[] {
    const unixSeconds = this.#unixSeconds(now);
    const lost: Authorization[] = [];
    for (const authorization of this.#directory.all("authorizations")) {
      // The receiver's own clock ends an authorization that expires.
      if (authorization.expiresAt <= unixSeconds) this.#directory.remove("authorizations", authorization.id);
      else if (!stillStands(this.#directory, authorization)) lost.push(authorization);
    }
    for (const authorization of lost) this.#revoke(authorization);
    return lost;
  }

  /** Takes back one authorization; returns it, or undefined if there was none. */
  revokeById(authorizationId: string): Authorization | undefined {
    const authorization = this.#directory.get("authorizations", authorizationId);
    if (authorization !== undefined) this.#revoke(authorization);
    return authorization;
  }

  /** Takes back what a client that has just joined may not reach from where it is now. */
  revalidateClient(client: ClientPeer, now: Instant): void {
    const requester = requesterOf(this.#directory, client);
    if (requester === undefined) return;
    const connectable = connectableResources(this.#directory, requester, this.#unixSeconds(now));
    for (const authorization of this.#directory.all("authorizations")) {
      if (authorization.clientId !== client.deviceId || connectable.has(authorization.resourceId)) continue;
      this.#revoke(authorization);
    }
  }

  pollTimeout(): Wake | undefined {
    // Insertion order is the order of deadlines.
    for (const pending of this.#pending.values()) {
      return { at: pending.since + CONFIRMATION_LIMIT, reason: "gateway confirms" };
    }
    return undefined;
  }

  handleTimeout(now: Instant): void {
    for (const [ref, pending] of this.#pending) {
      if (now < pending.since + CONFIRMATION_LIMIT) return;
      this.#pending.delete(ref);
      this.#log.info("Gateway did not confirm a grant in time");
      const authorization = this.#directory.get("authorizations", pending.authorizationId);
      // Whether the gateway opened the door is not known: make it shut.
      if (authorization !== undefined) this.#revoke(authorization);
      if (this.#presence.clients.get(pending.client.deviceId) === pending.client) {
        this.#refuse(pending.client, pending.resourceId, "offline");
      }
    }
  }

  #grantGateway(client: ClientPeer, request: AccessRequest, grant: Grant, now: Instant): void {
    const { requester: { device }, resource, actor } = grant;
    const view = gatewayResource(resource);
    // Who asks again was not served: the gateway that was chosen may be gone without anybody having noticed.
    const silent = this.#supersede(client, resource.id);
    const gateway = this.#chooseGateway(resource, request.connected_gateway_ids, silent);
    const gatewayDevice = this.#directory.get("devices", gateway?.deviceId);
    if (view === undefined) return this.#refuse(client, resource.id, "not_found");
    if (gateway === undefined || gatewayDevice === undefined) {
      return this.#refuse(client, resource.id, "offline");
    }
    if (this.#pending.size >= MAX_PENDING) return this.#refuse(client, resource.id, "offline");

    const authorization = this.#record(client, gatewayDevice, grant);
    const [one, other] = [pairMember(device, client), pairMember(gatewayDevice, gateway)];
    const ice = iceCredentials(one, other);
    const preshared_key = gatewayPresharedKey(one, other);
    const key = this.#directory.get("accounts", client.accountId)?.ingestKey ?? "";
    const token = (role: "initiator" | "responder") =>
      ingestToken(key, role, authorization, resource, actor, this.#unixSeconds(now));
    const ref = toHex(this.#rng.bytes(16));
    this.#pending.set(ref, {
      since: now,
      client,
      gatewayId: gateway.deviceId,
      authorizationId: authorization.id,
      resourceId: resource.id,
      connectedIds: request.connected_gateway_ids,
      message: {
        event: "authorization_created",
        payload: {
          resource_id: resource.id,
          gateway_id: gateway.deviceId,
          site_id: gatewayDevice.ownerId,
          gateway_public_key: gateway.publicKey,
          gateway_ipv4: gatewayDevice.ipv4,
          gateway_ipv6: gatewayDevice.ipv6,
          preshared_key,
          client_ice_credentials: ice.initiator,
          gateway_ice_credentials: ice.receiver,
          use_iceless: false,
          flow_logs_ingest_token: token("initiator"),
        },
      },
    });
    pushToGateway(gateway, {
      event: "create_authorization",
      payload: {
        ref,
        expires_at: authorization.expiresAt,
        use_iceless: false,
        flow_logs_ingest_token: token("responder"),
        client: {
          id: device.id,
          public_key: client.publicKey,
          preshared_key,
          ipv4: device.ipv4,
          ipv6: device.ipv6,
          version: client.software?.version,
          device_os_name: client.software?.osName,
          device_os_version: client.software?.osVersion,
        },
        resource: view,
        client_ice_credentials: ice.initiator,
        gateway_ice_credentials: ice.receiver,
        subject: subjectOf(actor, client),
      },
    });
  }

  /** The target hears of the grant before the initiator does, so that no candidate overtakes it. */
  #grantDevice(client: ClientPeer, request: AccessRequest, grant: Grant, now: Instant): void {
    const { requester: { device }, resource, actor } = grant;
    if (request.ipv4 === undefined && request.ipv6 === undefined) {
      return this.#denyDevice(client, request, "missing_address");
    }
    if (request.ipv4 !== undefined && request.ipv6 !== undefined) {
      return this.#denyDevice(client, request, "ambiguous_address");
    }
    const member = resource.deviceIds.map((id) => this.#directory.get("devices", id)).find((it) =>
      it !== undefined && it.id !== device.id && (it.ipv4 === request.ipv4 || it.ipv6 === request.ipv6)
    );
    if (member === undefined) return this.#denyDevice(client, request, "invalid_address");
    const target = this.#presence.clients.get(member.id);
    if (target === undefined) return this.#denyDevice(client, request, "offline");

    const authorization = this.#record(client, member, grant);
    const [one, other] = [pairMember(device, client), pairMember(member, target)];
    const ice = iceCredentials(one, other);
    const preshared_key = clientPresharedKey(one, other);
    const key = this.#directory.get("accounts", client.accountId)?.ingestKey ?? "";
    const describe = (peer: ClientPeer, peerDevice: Device, role: "initiator" | "responder") => ({
      client_id: peerDevice.id,
      client_name: peerDevice.name,
      client_public_key: peer.publicKey,
      client_ipv4: peerDevice.ipv4,
      client_ipv6: peerDevice.ipv6,
      preshared_key,
      use_iceless: false,
      flow_logs_ingest_token: ingestToken(key, role, authorization, resource, actor, this.#unixSeconds(now)),
    });
    pushToClient(target, {
      event: "client_device_access_authorized",
      payload: {
        ...describe(client, device, "responder"),
        local_ice_credentials: ice.receiver,
        remote_ice_credentials: ice.initiator,
        ice_role: "controlled",
        resource: { id: resource.id, filters: resource.filters.map((filter) => ({ ...filter })) },
        expires_at: authorization.expiresAt,
        subject: subjectOf(actor, client),
      },
    });
    pushToClient(client, {
      event: "client_device_access_authorized",
      payload: {
        ...describe(target, member, "initiator"),
        local_ice_credentials: ice.initiator,
        remote_ice_credentials: ice.receiver,
        ice_role: "controlling",
        resource_id: resource.id,
      },
    });
  }

  /**
   * Returns an online gateway of the resource's site: one that the client is connected to, else the newest, else any.
   * Of `avoidedId` only if there is no other.
   */
  #chooseGateway(
    resource: Resource,
    connectedIds: readonly string[],
    avoidedId?: string,
  ): GatewayPeer | undefined {
    let candidates = [...this.#presence.gateways.values()].filter((gateway) =>
      this.#directory.get("devices", gateway.deviceId)?.ownerId === resource.siteId
    );
    const connected = candidates.filter((gateway) => connectedIds.includes(gateway.deviceId));
    const others = candidates.filter((gateway) => gateway.deviceId !== avoidedId);
    if (connected.length > 0) candidates = connected;
    else if (others.length > 0) candidates = others;
    const versions = candidates.map((gateway) => gateway.software?.version ?? "");
    const newest = versions.reduce((best, version) => version > best ? version : best, "");
    candidates = candidates.filter((_, index) => versions[index] === newest);
    return candidates[below(this.#rng, candidates.length)];
  }

  /** Writes the authorization; it replaces an earlier one of the same client, resource and receiver. */
  #record(client: ClientPeer, receiver: Device, grant: Grant): Authorization {
    for (const row of this.#directory.all("authorizations")) {
      const isSame = row.clientId === client.deviceId && row.resourceId === grant.resource.id &&
        row.receiverId === receiver.id;
      if (isSame) this.#directory.remove("authorizations", row.id);
    }
    const authorization: Authorization = {
      id: this.#directory.newId(),
      accountId: client.accountId,
      policyId: grant.policy.id,
      resourceId: grant.resource.id,
      tokenId: client.tokenId,
      clientId: client.deviceId,
      receiverId: receiver.id,
      expiresAt: grant.expiresAt,
      basis: basisOf(grant.policy, grant.resource),
    };
    this.#directory.put("authorizations", authorization);
    return authorization;
  }

  /** Forgets an earlier request for the same resource; returns the gateway that has not confirmed it. */
  #supersede(client: ClientPeer, resourceId: string): string | undefined {
    let silent: string | undefined;
    for (const [ref, pending] of this.#pending) {
      if (pending.client !== client || pending.resourceId !== resourceId) continue;
      silent = pending.gatewayId;
      this.#pending.delete(ref);
    }
    return silent;
  }

  #revoke(authorization: Authorization): void {
    this.#directory.remove("authorizations", authorization.id);
    for (const [ref, pending] of this.#pending) {
      if (pending.authorizationId !== authorization.id) continue;
      this.#pending.delete(ref);
      if (this.#presence.clients.get(pending.client.deviceId) === pending.client) {
        this.#refuse(pending.client, pending.resourceId, "forbidden");
      }
    }
    const message = {
      event: "reject_access",
      payload: { client_id: authorization.clientId, resource_id: authorization.resourceId },
    } as const;
    const gateway = this.#presence.gateways.get(authorization.receiverId);
    if (gateway !== undefined) pushToGateway(gateway, message);
    const target = this.#presence.clients.get(authorization.receiverId);
    if (target === undefined) return;
    pushToClient(target, message);
    const initiator = this.#presence.clients.get(authorization.clientId);
    const device = this.#directory.get("devices", authorization.receiverId);
    if (initiator === undefined) return;
    pushToClient(initiator, {
      event: "client_device_access_denied",
      payload: {
        client_id: authorization.receiverId,
        resource_id: authorization.resourceId,
        ipv4: device?.ipv4,
        ipv6: device?.ipv6,
        reason: "forbidden",
      },
    });
  }

  #refuse(client: ClientPeer, resource_id: string, reason: string, violated: readonly string[] = []): void {
    pushToClient(client, {
      event: "authorization_creation_failed",
      payload: { resource_id, reason, violated_properties: [...violated] },
    });
  }

  #denyDevice(client: ClientPeer, request: AccessRequest, reason: string): void {
    const { resource_id, ipv4, ipv6 } = request;
    pushToClient(client, {
      event: "client_device_access_denied",
      payload: { client_id: undefined, resource_id, ipv4, ipv6, reason },
    });
  }

  #unixSeconds(now: Instant): number {
    return this.#wallClock.unixMs(now) / 1000;
  }
}

/** Everything that a decision to grant has established. */
interface Grant {
  readonly requester: Requester;
  readonly resource: Resource;
  readonly actor: Actor;
  readonly policy: Policy;
  readonly expiresAt: number;
}

/** Returns the circumstances of `client`'s requests, or undefined if its device or token is gone. */
export function requesterOf(directory: Directory, client: ClientPeer): Requester | undefined {
  const device = directory.get("devices", client.deviceId);
  const token = directory.get("tokens", client.tokenId);
  return device === undefined || token === undefined
    ? undefined
    : { device, token, remoteIp: client.remoteIp };
}

function pairMember(device: Device, peer: ClientPeer | GatewayPeer) {
  return { id: device.id, publicKey: peer.publicKey, pskBase: device.pskBase };
}

function subjectOf(actor: Actor, client: ClientPeer): Record<string, unknown> {
  return {
    actor_id: actor.id,
    actor_name: actor.name,
    actor_email: actor.email ?? null,
    actor_type: actor.type,
    auth_provider_id: null,
    ip: client.remoteIp?.toString() ?? null,
    ip_region: null,
    ip_city: null,
    ip_lat: null,
    ip_lon: null,
    user_agent: client.userAgent,
  };
}

const CONFIRMATION_LIMIT = seconds(15);
const MAX_PENDING = 10_000;
