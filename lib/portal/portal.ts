/**
 * The portal: one machine over all connections. Lets peers in, keeps them informed, passes their signalling on, and
 * grants and revokes access. `io/portal_server.ts` drives it with sockets; records come from a `Directory`.
 */

import { type Log, silentLog } from "../base/log.ts";
import { Ring } from "../base/ring.ts";
import type { Rng } from "../base/rng.ts";
import { type Duration, earliest, type Instant, seconds, type Wake, type WallClock } from "../base/time.ts";
import type { EndCause } from "../channel/ending.ts";
import { ServerChannel, type ServerChannelAction, type ServerChannelEvent } from "../channel/server.ts";
import { decodeClientOutbound } from "../wire/portal/client.ts";
import { decodeGatewayOutbound } from "../wire/portal/gateway.ts";
import { decodeRelayJoin } from "../wire/portal/relay.ts";
import { isAccountable } from "./access.ts";
import {
  type Admission,
  admit,
  ConnectLimiter,
  type Refusal,
  refusal,
  type UpgradeRequest,
} from "./admission.ts";
import { relayId } from "./credentials.ts";
import type { Directory } from "./directory.ts";
import { Grants } from "./grants.ts";
import type { Token } from "./model.ts";
import {
  type AnyPeer,
  type ClientPeer,
  type ConnectionId,
  type GatewayPeer,
  Presence,
  pushToClient,
} from "./peers.ts";
import { RelayDesk } from "./relay_desk.ts";
import { Signalling } from "./signalling.ts";
import { Updates } from "./updates.ts";
import { parseUserAgent } from "./user_agent.ts";

/** What a portal is made of. */
export interface PortalOptions {
  readonly directory: Directory;
  readonly rng: Rng;
  readonly now: Instant;
  readonly wallClock: WallClock;
  /** Least time between two connects with one token from one address; zero switches the limit off. Default 1 s. */
  readonly connectInterval?: Duration;
  readonly log?: Log;
}

/** What the driver has to do with a connection's socket. */
export interface PortalAction {
  readonly connection: ConnectionId;
  readonly action: ServerChannelAction;
}

/** What an operator might want to see. Names are the devices' own. */
export type PortalEvent =
  | {
    readonly type: "peer-joined";
    readonly role: AnyPeer["role"];
    readonly id: string;
    readonly name: string;
  }
  | { readonly type: "peer-left"; readonly role: AnyPeer["role"]; readonly id: string };

export class Portal {
  readonly #directory: Directory;
  readonly #presence = new Presence();
  readonly #signalling = new Signalling(this.#presence);
  readonly #relays: RelayDesk;
  readonly #grants: Grants;
  readonly #updates: Updates;
  readonly #limiter: ConnectLimiter;
  readonly #wallClock: WallClock;
  readonly #log: Log;
  readonly #peers = new Map<ConnectionId, AnyPeer>();
  readonly #events = new Ring<PortalEvent>(MAX_EVENTS);
  #recomputedAt: Instant;
  #isClosing = false;

  constructor(options: PortalOptions) {
    this.#directory = options.directory;
    this.#wallClock = options.wallClock;
    this.#log = options.log ?? silentLog;
    this.#recomputedAt = options.now;
    this.#limiter = new ConnectLimiter(options.connectInterval ?? seconds(1));
    this.#relays = new RelayDesk(this.#directory, this.#presence, options.rng);
    this.#grants = new Grants(this.#directory, this.#presence, options.rng, this.#wallClock, this.#log);
    this.#updates = new Updates(this.#directory, this.#presence, this.#grants, this.#relays, this.#wallClock);
    this.#grants.revalidate(options.now);
  }

  /** The peers that have joined. */
  get presence(): Presence {
    return this.#presence;
  }

  get directory(): Directory {
    return this.#directory;
  }

  /** A request wants to become the WebSocket `connection`. Returns undefined if it may, else how to refuse it. */
  handleConnect(connection: ConnectionId, request: UpgradeRequest, now: Instant): Refusal | undefined {
    if (this.#isClosing) {
      return refusal(503, "Service Unavailable", "shutting_down", "The portal is stopping", {
        "retry-after": "1",
      });
    }
    const unixSeconds = this.#unixSeconds(now);
    const admission = admit(this.#directory, request, unixSeconds);
    if (admission.type === "refuse") return admission;
    const limited = this.#limiter.check(request, now);
    if (limited !== undefined) return limited;
    if (this.#peers.size >= MAX_PEERS) {
      return refusal(503, "Service Unavailable", "full", "Too many peers are connected", {
        "retry-after": "60",
      });
    }
    const peer = this.#makePeer(connection, admission, request, now);
    if ("type" in peer) return peer;
    this.#peers.set(connection, peer);
    return undefined;
  }

  /** A text frame arrived. */
  handleText(connection: ConnectionId, text: string, now: Instant): void {
    const peer = this.#peers.get(connection);
    if (peer === undefined) return;
    peer.channel.handleText(text, now);
    for (let event = peer.channel.pollEvent(); event !== undefined; event = peer.channel.pollEvent()) {
      this.#handleEvent(peer, event, now);
    }
  }

  /** The socket is gone, whoever closed it. */
  handleClosed(connection: ConnectionId, now: Instant): void {
    const peer = this.#peers.get(connection);
    if (peer === undefined) return;
    this.#peers.delete(connection);
    this.#leave(peer, now);
  }

  /** Changes the directory by `change`, and tells everybody concerned at once. Returns what `change` returns. */
  change<T>(change: (directory: Directory) => T, now: Instant): T {
    const outcome = change(this.#directory);
    this.#recompute(now);
    return outcome;
  }

  /** Takes one authorization back, and makes its client ask again. Returns whether there was one. */
  revoke(authorizationId: string, now: Instant): boolean {
    const authorization = this.#grants.revokeById(authorizationId);
    if (authorization === undefined) return false;
    const client = this.#presence.clients.get(authorization.clientId);
    if (client !== undefined) this.#updates.refreshClient(client, now, new Set([authorization.resourceId]));
    return true;
  }

  /** Sends everyone away for a while: peers come back by themselves. */
  shutdown(): void {
    this.#isClosing = true;
    for (const peer of this.#peers.values()) peer.channel.close(SERVICE_RESTART);
  }

  pollAction(): PortalAction | undefined {
    for (const [connection, peer] of this.#peers) {
      const action = peer.channel.pollAction();
      if (action !== undefined) return { connection, action };
    }
    return undefined;
  }

  /** Returns what happened next, in order. */
  pollEvent(): PortalEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): Wake | undefined {
    let wake = earliest(this.#relays.pollTimeout(), this.#grants.pollTimeout());
    for (const peer of this.#peers.values()) {
      if (peer.channel.isClosed) continue;
      wake = earliest(wake, peer.channel.pollTimeout(), this.#tokenExpiry(peer));
    }
    if (this.#presence.clients.size === 0) return wake;
    return earliest(wake, { at: this.#recomputedAt + RECOMPUTE_INTERVAL, reason: "judge conditions again" });
  }

  handleTimeout(now: Instant): void {
    this.#relays.handleTimeout(now);
    this.#grants.handleTimeout(now);
    for (const peer of this.#peers.values()) {
      peer.channel.handleTimeout(now);
      const expiry = this.#tokenExpiry(peer);
      if (expiry !== undefined && now >= expiry.at) this.#sendAway(peer, "expired", now);
    }
    if (now >= this.#recomputedAt + RECOMPUTE_INTERVAL) this.#recompute(now);
  }

  #makePeer(
    connection: ConnectionId,
    admission: Admission,
    request: UpgradeRequest,
    now: Instant,
  ): AnyPeer | Refusal {
    const { token, version } = admission;
    const userAgent = request.headers["user-agent"]?.slice(0, 255) ?? "";
    // Clients older than the seed beat rarely; they only know the v1 socket.
    const idleLimit = admission.role === "client" && version === 1 ? OLD_CLIENT_IDLE_LIMIT : IDLE_LIMIT;
    const shared = {
      connection,
      channel: new ServerChannel({
        topic: admission.role,
        now,
        idleLimit,
        allowance: admission.role === "client" ? CLIENT_ALLOWANCE : undefined,
      }),
      version,
      accountId: token.accountId,
      tokenId: token.id,
      remoteIp: request.remoteIp,
      software: parseUserAgent(userAgent),
      userAgent,
      connectedAt: now,
    };
    if (admission.role === "relay") {
      const { name, ipv4, ipv6, port } = admission;
      return { ...shared, role: "relay", name, ipv4, ipv6, port, relayId: "", stampSecret: "" };
    }
    const { role, externalId, name, publicKey } = admission;
    const ownerId = (role === "client" ? token.actorId : token.siteId) ?? "";
    const identity = { accountId: token.accountId, role, ownerId, externalId, name };
    const device = this.#directory.device(identity, Math.floor(this.#unixSeconds(now)));
    const shareable = { ...shared, deviceId: device.id, publicKey, sentRelays: new Set<string>() };
    if (role === "client") return { ...shareable, role, sentResources: new Map(), sentInterface: "" };
    const current = this.#presence.gateways.get(device.id);
    // The same key means the same process, whose old socket has not been noticed dead yet.
    if (current !== undefined && current.publicKey !== publicKey) {
      return refusal(409, "Conflict", "gateway_already_connected", "This gateway is connected already");
    }
    return { ...shareable, role, sentSlug: "" };
  }

  #handleEvent(peer: AnyPeer, event: ServerChannelEvent, now: Instant): void {
    switch (event.type) {
      case "join":
        return this.#handleJoin(peer, event.payload, now);
      case "leave":
        return this.#leave(peer, now);
      case "message":
        return this.#handleMessage(peer, event, now);
    }
  }

  #handleJoin(peer: AnyPeer, payload: unknown, now: Instant): void {
    if (peer.role === "relay") {
      const join = decodeRelayJoin(payload);
      if (join === undefined) return peer.channel.refuse("invalid_stamp_secret");
      peer.stampSecret = join.stamp_secret;
      peer.relayId = relayId(join.stamp_secret);
    }
    peer.channel.accept();
    const replaced = this.#presence.add(peer);
    if (replaced !== undefined && replaced !== peer) this.#replace(replaced, peer);
    this.#log.debug("Peer joined", { role: peer.role, connection: peer.connection });
    this.#events.push({ type: "peer-joined", role: peer.role, ...this.#describe(peer) });
    switch (peer.role) {
      case "client":
        this.#grants.revalidateClient(peer, now);
        return this.#updates.initClient(peer, now);
      case "gateway":
        return this.#updates.initGateway(peer, now);
      case "relay":
        peer.channel.push("init", {});
        return this.#relays.handleJoined(now);
    }
  }

  /** The last connection of a device wins. */
  #replace(old: AnyPeer, peer: AnyPeer): void {
    if (old.role === "client") this.#grants.forget(old);
    const isSameProcess = old.role !== "relay" && peer.role !== "relay" && old.publicKey === peer.publicKey;
    // A process that came back must not be told to sign out; another one with the same identity must not fight on.
    if (isSameProcess || old.role === "relay") old.channel.stop();
    else old.channel.disconnect("replaced");
  }

  #handleMessage(
    peer: AnyPeer,
    message: Extract<ServerChannelEvent, { type: "message" }>,
    now: Instant,
  ): void {
    switch (peer.role) {
      case "client":
        return this.#handleClientMessage(peer, message, now);
      case "gateway":
        return this.#handleGatewayMessage(peer, message);
      case "relay":
        return peer.channel.reply(message.ref, UNKNOWN_MESSAGE);
    }
  }

  #handleClientMessage(
    client: ClientPeer,
    { event, payload, ref }: Extract<ServerChannelEvent, { type: "message" }>,
    now: Instant,
  ): void {
    const decoded = decodeClientOutbound(event, payload);
    if (!decoded.ok) return this.#rejectMessage(client, event, decoded.reason, ref);
    const message = decoded.value;
    switch (message.event) {
      case "request_authorization":
        return this.#grants.handleRequest(client, message.payload, now);
      case "new_gateway_ice_candidates":
      case "broadcast_ice_candidates":
      case "invalidate_gateway_ice_candidates":
      case "broadcast_invalidated_ice_candidates":
        return this.#signalling.toGateways(client, message);
      case "new_client_ice_candidates":
      case "invalidate_client_ice_candidates":
        return this.#signalling.toClient(client, message);
      case "resolve_device_pool_domain":
        // There are no dynamic pools here.
        return pushToClient(client, {
          event: "device_pool_domain_resolution_failed",
          payload: { ...message.payload, reason: "not_found" },
        });
      case "no_relays":
        return this.#relays.answer(client);
      case "set_snownet_capabilities":
        return;
    }
  }

  #handleGatewayMessage(
    gateway: GatewayPeer,
    { event, payload, ref }: Extract<ServerChannelEvent, { type: "message" }>,
  ): void {
    const decoded = decodeGatewayOutbound(event, payload);
    if (!decoded.ok) return this.#rejectMessage(gateway, event, decoded.reason, ref);
    const message = decoded.value;
    switch (message.event) {
      case "authorization_created": {
        const isConfirmed = this.#grants.handleConfirmation(gateway, message.payload.ref);
        return gateway.channel.reply(
          ref,
          isConfirmed ? { status: "ok", response: {} } : { status: "error", reason: "invalid_ref" },
        );
      }
      case "broadcast_ice_candidates":
      case "broadcast_invalidated_ice_candidates":
        return this.#signalling.toClients(gateway, message);
      case "no_relays":
        return this.#relays.answer(gateway);
      case "set_snownet_capabilities":
        return;
    }
  }

  #rejectMessage(peer: AnyPeer, event: string, reason: string, ref: number | undefined): void {
    this.#log.debug("Message of a peer was not understood", { role: peer.role, event, reason });
    peer.channel.reply(ref, UNKNOWN_MESSAGE);
  }

  #leave(peer: AnyPeer, now: Instant): void {
    if (peer.role === "client") this.#grants.forget(peer);
    if (!this.#presence.remove(peer)) return;
    this.#events.push({ type: "peer-left", role: peer.role, id: this.#describe(peer).id });
    if (peer.role === "relay") this.#relays.handleLeft(now);
    if (peer.role === "gateway") this.#grants.handleGatewayLeft(peer.deviceId, now);
  }

  #describe(peer: AnyPeer): { readonly id: string; readonly name: string } {
    if (peer.role === "relay") return { id: peer.relayId, name: peer.name ?? "" };
    return { id: peer.deviceId, name: this.#directory.get("devices", peer.deviceId)?.name ?? "" };
  }

  /** Judges everything anew: after a change, and every minute because conditions look at the clock. */
  #recompute(now: Instant): void {
    this.#recomputedAt = now;
    for (const peer of this.#peers.values()) {
      if (peer.channel.isClosed) continue;
      const token = this.#directory.get("tokens", peer.tokenId);
      if (token === undefined) this.#sendAway(peer, "revoked", now);
      else if (this.#isExpired(token, now)) this.#sendAway(peer, "expired", now);
      else if (!isAccountable(this.#directory, token)) this.#sendAway(peer, "disabled", now);
      else if (peer.role !== "relay" && this.#directory.get("devices", peer.deviceId) === undefined) {
        // The device was deleted: its owner may come back as a new one.
        peer.channel.stop();
        this.#leave(peer, now);
      }
    }
    this.#updates.propagate(now);
  }

  /** The token is worthless now. */
  #sendAway(peer: AnyPeer, cause: EndCause, now: Instant): void {
    peer.channel.disconnect(cause);
    this.#leave(peer, now);
  }

  #isExpired(token: Token, now: Instant): boolean {
    return token.expiresAt !== undefined && token.expiresAt <= this.#unixSeconds(now);
  }

  #tokenExpiry(peer: AnyPeer): Wake | undefined {
    const token = this.#directory.get("tokens", peer.tokenId);
    if (token?.expiresAt === undefined || peer.channel.isClosed) return undefined;
    return { at: this.#wallClock.instantAt(token.expiresAt), reason: "token expires" };
  }

  #unixSeconds(now: Instant): number {
    return this.#wallClock.unixMs(now) / 1000;
  }
}

const MAX_EVENTS = 1024;
/** What a client says goes on to gateways: a flood must not drown those. Enough for thousands of requests at once. */
const CLIENT_ALLOWANCE = { burst: 8 * 2 ** 20, perSecond: 2 ** 20 };
const MAX_PEERS = 20_000;
const RECOMPUTE_INTERVAL = seconds(60);
const IDLE_LIMIT = seconds(41);
const OLD_CLIENT_IDLE_LIMIT = seconds(307);
/** WebSocket close code "service restart". */
const SERVICE_RESTART = 1012;
const UNKNOWN_MESSAGE = { status: "error", reason: "unknown_message" } as const;
