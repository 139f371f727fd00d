/**
 * A TURN server (RFC 8656) as far as Firezone needs one: UDP, both families in one allocation, channels as the only way
 * to peers. Its owner has the sockets: it passes in every datagram of the listening port and of the allocation ports,
 * opens and closes the latter on request, and drains `pollEvent` and `pollDatagram` after each call.
 */

import type { Datagram } from "../base/datagram.ts";
import { type Family, IpAddress, IpNetwork, SocketAddress } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import type { Rng } from "../base/rng.ts";
import { type Instant, minutes, seconds, type Wake, type WallClock } from "../base/time.ts";
import { Attribute, decodeStun, Method, type StunMessage, type StunWriter } from "../wire/stun.ts";
import {
  addressFamily,
  CHANNEL_HEADER_LENGTH,
  channelNumber,
  channelOf,
  channelPayload,
  isChannelData,
  lifetimeSeconds,
  MAX_CHANNEL_RFC5766,
  MIN_CHANNEL,
  requestedTransport,
  TRANSPORT_UDP,
  writeChannelHeader,
} from "../wire/turn.ts";
import { type ErrorCode, failure, type RequestId, requestId, success } from "./answers.ts";
import { REALM } from "./auth.ts";
import { Authenticator, type Verdict } from "./authenticator.ts";
import { familiesOf, type ServerAllocation, ServerAllocations } from "./server_allocations.ts";
import { ServerChannels } from "./server_channels.ts";

/** What a server is made of. */
export interface TurnServerOptions {
  /** The addresses that peers see; at least one. */
  readonly publicAddress: { readonly 4?: IpAddress | undefined; readonly 6?: IpAddress | undefined };
  /** Firezone's clients take only 3478 for a relay. */
  readonly listenPort: number;
  readonly lowestPort: number;
  readonly highestPort: number;
  /** What the portal derives our users' passwords from, as text. */
  readonly secret: string;
  readonly rng: Rng;
  readonly now: Instant;
  readonly wallClock: WallClock;
  readonly log: Log;
  /** Bounds; generous defaults. */
  readonly limits?: { readonly allocations?: number; readonly channelsPerAllocation?: number };
}

/** What the owner has to do about sockets. */
export type TurnServerEvent =
  /** To be answered with `handlePortOpened`, once for all families. */
  | { readonly type: "open-port"; readonly port: number; readonly families: readonly Family[] }
  | { readonly type: "close-port"; readonly port: number; readonly families: readonly Family[] };

const DEFAULT_LIFETIME_S = 600;
const MAX_LIFETIME_S = 3600;
/** How many ports we try that turn out to be taken by others. */
const MAX_PORT_TRIES = 8;
const SWEEP_INTERVAL = minutes(1);
const MIN_SWEEP_INTERVAL = seconds(1);
const SOFTWARE = "fz-relay";

export class TurnServer {
  readonly #options: TurnServerOptions;
  readonly #authenticator: Authenticator;
  readonly #allocations: ServerAllocations;
  readonly #opening = new Map<number, PendingAllocation>();
  readonly #events: TurnServerEvent[] = [];
  readonly #datagrams: Datagram[] = [];
  readonly #counters = new Map<string, number>();
  readonly #frame = new Uint8Array(CHANNEL_HEADER_LENGTH + MAX_PAYLOAD);
  #relayedBytes = 0;
  #sweepAt = Infinity;

  constructor(options: TurnServerOptions) {
    this.#options = options;
    const { secret, rng, wallClock } = options;
    this.#authenticator = new Authenticator({ secret, realm: REALM, wallClock, rng });
    this.#allocations = new ServerAllocations(options.lowestPort, options.highestPort);
  }

  /** Live allocations. */
  get allocationCount(): number {
    return this.#allocations.size;
  }

  /** Payload bytes carried, in both directions. */
  get relayedBytes(): number {
    return this.#relayedBytes;
  }

  /** How often what happened, by name: refusals, drops. */
  get counters(): ReadonlyMap<string, number> {
    return this.#counters;
  }

  /**
   * Takes a datagram that came to our socket `local` (its port tells which) from `remote`. Returns the datagram that
   * carries its data on, if it does; answers of our own come from `pollDatagram`.
   */
  handleDatagram(
    local: SocketAddress,
    remote: SocketAddress,
    payload: Uint8Array,
    now: Instant,
  ): Datagram | undefined {
    if (remote.port === 0) return this.#drop("source port 0");
    if (local.port !== this.#options.listenPort) {
      return this.#handlePeerData(local.port, remote, payload, now);
    }
    if (isChannelData(payload)) return this.#handleChannelData(remote, payload, now);
    if (this.#datagrams.length >= MAX_QUEUED || this.#events.length >= MAX_QUEUED) {
      return this.#drop("owner does not drain");
    }
    const decoded = decodeStun(payload);
    if (!decoded.ok) return this.#drop("neither STUN nor channel data");
    if (decoded.value.class !== "request") return this.#drop("not a request");
    this.#handleRequest(decoded.value, local, remote, now);
    return undefined;
  }

  /** Takes the owner's answer to "open-port": `opened` if all families were, else none may be left open. */
  handlePortOpened(port: number, opened: boolean, now: Instant): void {
    const pending = this.#opening.get(port);
    if (pending === undefined) return;
    this.#opening.delete(port);
    const { allocation } = pending;
    if (this.#allocations.byPort(port) !== allocation) {
      if (opened) this.#events.push({ type: "close-port", port, families: familiesOf(allocation) });
      return;
    }
    if (opened) {
      allocation.isOpen = true;
      this.#count("allocation made");
      return this.#answerAllocated(pending.request, allocation, pending);
    }
    this.#allocations.remove(allocation);
    this.#count("port taken by another process");
    pending.failedPorts.push(port);
    if (pending.failedPorts.length < MAX_PORT_TRIES) this.#open(pending, now);
    else this.#answerError(pending.request, 508, pending);
  }

  /** Ends all allocations. */
  close(): void {
    for (const allocation of [...this.#allocations.values()]) this.#delete(allocation);
  }

  handleTimeout(now: Instant): void {
    if (now < this.#sweepAt) return;
    let next = now + SWEEP_INTERVAL;
    for (const allocation of [...this.#allocations.values()]) {
      if (allocation.expiresAt <= now) this.#delete(allocation);
      else {
        allocation.channels.sweep(now);
        next = Math.min(next, allocation.expiresAt);
      }
    }
    this.#sweepAt = this.#allocations.size === 0 ? Infinity : Math.max(next, now + MIN_SWEEP_INTERVAL);
  }

  pollTimeout(): Wake | undefined {
    return this.#sweepAt === Infinity ? undefined : { at: this.#sweepAt, reason: "TURN expiry" };
  }

  pollEvent(): TurnServerEvent | undefined {
    return this.#events.shift();
  }

  pollDatagram(): Datagram | undefined {
    return this.#datagrams.shift();
  }

  #handleChannelData(client: SocketAddress, frame: Uint8Array, now: Instant): Datagram | undefined {
    const allocation = this.#liveAllocation(client, now);
    if (allocation === undefined) return this.#drop("channel data without allocation");
    const channel = allocation.channels.byNumber(channelOf(frame), now);
    if (channel === undefined) return this.#drop("channel data on unknown channel");
    const payload = channelPayload(frame, "ignored");
    if (payload === undefined) return this.#drop("channel data cut short");
    this.#relayedBytes += payload.length;
    const { peer } = channel;
    const { family } = peer;
    const source = allocation.relayed[family];
    // Data between two allocations of ours never leaves the process.
    if (source !== undefined && this.#isOwn(peer.ip)) {
      return this.#handlePeerData(peer.port, source, payload, now);
    }
    return { local: allocation.source[family], remote: peer, payload };
  }

  #handlePeerData(
    port: number,
    peer: SocketAddress,
    payload: Uint8Array,
    now: Instant,
  ): Datagram | undefined {
    const allocation = this.#allocations.byPort(port);
    if (allocation === undefined || allocation.expiresAt <= now) {
      return this.#drop("data for unknown allocation");
    }
    const channel = allocation.channels.byPeer(peer, now);
    if (channel === undefined) return this.#drop("data from unknown peer");
    const end = CHANNEL_HEADER_LENGTH + payload.length;
    if (end > this.#frame.length) return this.#drop("data too long");
    this.#relayedBytes += payload.length;
    writeChannelHeader(this.#frame, 0, channel.number, payload.length);
    this.#frame.set(payload, CHANNEL_HEADER_LENGTH);
    return { local: allocation.local, remote: allocation.client, payload: this.#frame.subarray(0, end) };
  }

  #handleRequest(request: StunMessage, local: SocketAddress, client: SocketAddress, now: Instant): void {
    const { method } = request;
    if (method === Method.Binding) return this.#answerBinding(request, local, client);
    if (!AUTHENTICATED_METHODS.has(method)) return this.#answerError(request, 400, { local, client });
    const verdict = this.#authenticator.check(request, client, now);
    switch (verdict.type) {
      case "silence":
        return void this.#drop("username of another form");
      case "refused":
        return this.#answerRefused(request, verdict, { local, client });
      case "granted":
        break;
    }
    const caller: Caller = { local, client, username: verdict.username, key: verdict.key };
    if (method === Method.Allocate) return this.#handleAllocate(request, caller, now);
    if (method === Method.Refresh) return this.#handleRefresh(request, caller, now);
    if (method === Method.ChannelBind) return this.#handleChannelBind(request, caller, now);
    // CREATE-PERMISSION: only channels let peers in, so there is nothing to do.
    this.#answer(success(request), caller);
  }

  #handleAllocate(request: StunMessage, caller: Caller, now: Instant): void {
    const current = this.#liveAllocation(caller.client, now);
    if (current !== undefined) {
      if (current.transactionKey !== request.transactionKey) return this.#answerError(request, 437, caller);
      if (current.isOpen) this.#answerAllocated(request, current, caller);
      return;
    }
    if (requestedTransport(request) !== TRANSPORT_UDP) return this.#answerError(request, 400, caller);
    const families = this.#chooseFamilies(request);
    if (typeof families === "number") return this.#answerError(request, families, caller);
    const older = this.#allocations.byUsername(caller.username);
    if (older !== undefined) {
      this.#count("allocation replaced by its user");
      this.#delete(older);
    }
    const limit = this.#options.limits?.allocations ?? MAX_ALLOCATIONS;
    if (this.#allocations.size >= limit) return this.#answerError(request, 508, caller);
    this.#open({
      ...caller,
      request: requestId(request),
      lifetimeSeconds: grantedLifetime(request),
      families,
      failedPorts: [],
    }, now);
  }

  /** Returns the families to allocate (RFC 8656 §7.2, items 6–8), or an error code. */
  #chooseFamilies(request: StunMessage): Family[] | 400 | 440 {
    const requested = addressFamily(request, Attribute.RequestedAddressFamily);
    const additional = addressFamily(request, Attribute.AdditionalAddressFamily);
    if (additional !== undefined) {
      if (requested !== undefined || additional !== 6) return 400;
      const families = FAMILIES.filter((family) => this.#options.publicAddress[family] !== undefined);
      return families.length > 0 ? families : 440;
    }
    const family = requested ?? 4;
    return family !== "unknown" && this.#options.publicAddress[family] !== undefined ? [family] : 440;
  }

  #open(pending: OpenRequest, now: Instant): void {
    const { request, client, local, username, families, failedPorts } = pending;
    const { rng, listenPort, limits } = this.#options;
    const port = this.#allocations.freePort(
      rng,
      (candidate) =>
        candidate !== listenPort && !failedPorts.includes(candidate) && !this.#opening.has(candidate),
    );
    if (port === undefined) return this.#answerError(request, 508, pending);
    const relayed = (family: Family) => {
      const ip = this.#options.publicAddress[family];
      return families.includes(family) && ip !== undefined ? new SocketAddress(ip, port) : undefined;
    };
    const allocation: ServerAllocation = {
      client,
      local,
      username,
      port,
      relayed: { 4: relayed(4), 6: relayed(6) },
      source: { 4: new SocketAddress(ANY[4], port), 6: new SocketAddress(ANY[6], port) },
      channels: new ServerChannels(limits?.channelsPerAllocation ?? MAX_CHANNELS),
      transactionKey: request.transactionKey,
      lifetimeSeconds: pending.lifetimeSeconds,
      expiresAt: now + seconds(pending.lifetimeSeconds),
      isOpen: false,
    };
    this.#allocations.add(allocation);
    this.#sweepAt = Math.min(this.#sweepAt, allocation.expiresAt, now + SWEEP_INTERVAL);
    this.#opening.set(port, { ...pending, allocation });
    this.#events.push({ type: "open-port", port, families });
  }

  #answerAllocated(request: RequestId, allocation: ServerAllocation, to: Addressee): void {
    const writer = success(request);
    for (const family of FAMILIES) {
      const address = allocation.relayed[family];
      if (address !== undefined) writer.addXorAddress(Attribute.XorRelayedAddress, address);
    }
    writer.addXorAddress(Attribute.XorMappedAddress, allocation.client);
    writer.addU32(Attribute.Lifetime, allocation.lifetimeSeconds);
    this.#answer(writer, to);
  }

  #handleRefresh(request: StunMessage, caller: Caller, now: Instant): void {
    const allocation = this.#liveAllocation(caller.client, now);
    if (allocation === undefined) return this.#answerError(request, 437, caller);
    const lifetime = lifetimeSeconds(request) === 0 ? 0 : grantedLifetime(request);
    if (lifetime === 0) this.#delete(allocation);
    else allocation.expiresAt = now + seconds(lifetime);
    this.#sweepAt = Math.min(this.#sweepAt, allocation.expiresAt);
    this.#answer(success(request).addU32(Attribute.Lifetime, lifetime), caller);
  }

  #handleChannelBind(request: StunMessage, caller: Caller, now: Instant): void {
    const allocation = this.#liveAllocation(caller.client, now);
    if (allocation === undefined) return this.#answerError(request, 437, caller);
    const number = channelNumber(request);
    const peer = request.xorAddress(Attribute.XorPeerAddress);
    if (number === undefined || number < MIN_CHANNEL || number > MAX_CHANNEL_RFC5766 || peer === undefined) {
      return this.#answerError(request, 400, caller);
    }
    if (allocation.relayed[peer.family] === undefined) return this.#answerError(request, 443, caller);
    if (!this.#isAllowedPeer(peer)) return this.#answerError(request, 403, caller);
    switch (allocation.channels.bind(number, peer, now)) {
      case "conflict":
        return this.#answerError(request, 400, caller);
      case "full":
        return this.#answerError(request, 508, caller);
      case "bound":
        return this.#answer(success(request), caller);
    }
  }

  /** RFC 8656 §21.1.5 and common sense: no broadcast, and nobody reaches services of the relay's own host. */
  #isAllowedPeer({ ip, port }: SocketAddress): boolean {
    if (MAPPED_V4.contains(ip)) return false;
    if (port === 0 || ip.isUnspecified || ip.isMulticast || ip.key === BROADCAST.key) return false;
    return !ip.isLoopback || this.#options.publicAddress[ip.family]?.isLoopback === true;
  }

  #isOwn(ip: IpAddress): boolean {
    return this.#options.publicAddress[ip.family]?.key === ip.key;
  }

  #liveAllocation(client: SocketAddress, now: Instant): ServerAllocation | undefined {
    const allocation = this.#allocations.byClient(client);
    if (allocation === undefined || allocation.expiresAt > now) return allocation;
    this.#delete(allocation);
    return undefined;
  }

  #delete(allocation: ServerAllocation): void {
    this.#allocations.remove(allocation);
    if (!allocation.isOpen) return;
    this.#events.push({ type: "close-port", port: allocation.port, families: familiesOf(allocation) });
  }

  #answerBinding(request: StunMessage, local: SocketAddress, client: SocketAddress): void {
    this.#answer(success(request).addXorAddress(Attribute.XorMappedAddress, client), { local, client });
  }

  #answerRefused(
    request: StunMessage,
    { code, nonce, key }: Verdict & { type: "refused" },
    to: Addressee,
  ): void {
    const writer = failure(request, code).addText(Attribute.Realm, REALM).addText(Attribute.Nonce, nonce);
    this.#count(`answered ${code}`);
    this.#answer(writer, { ...to, key });
  }

  #answerError(request: RequestId, code: ErrorCode, to: Addressee): void {
    this.#count(`answered ${code}`);
    this.#answer(failure(request, code), to);
  }

  #answer(writer: StunWriter, { local, client, key }: Addressee): void {
    writer.addText(Attribute.Software, SOFTWARE);
    if (key !== undefined) writer.addIntegrity(key);
    this.#datagrams.push({ local, remote: client, payload: writer.finish() });
  }

  #drop(counter: string): undefined {
    this.#count(counter);
  }

  #count(counter: string): void {
    this.#counters.set(counter, (this.#counters.get(counter) ?? 0) + 1);
  }
}

/** Where an answer goes, and what signs it. */
interface Addressee {
  readonly local: SocketAddress;
  readonly client: SocketAddress;
  readonly key?: Uint8Array | undefined;
}

interface Caller extends Addressee {
  readonly username: string;
  readonly key: Uint8Array;
}

interface OpenRequest extends Caller {
  readonly request: RequestId;
  readonly lifetimeSeconds: number;
  readonly families: readonly Family[];
  readonly failedPorts: number[];
}

interface PendingAllocation extends OpenRequest {
  readonly allocation: ServerAllocation;
}

const FAMILIES: readonly Family[] = [4, 6];
const ANY = { 4: IpAddress.from("0.0.0.0"), 6: IpAddress.from("::") };
const BROADCAST = IpAddress.from("255.255.255.255");
/** IPv4 in the clothes of IPv6 would pass the checks by. */
const MAPPED_V4 = IpNetwork.from("::ffff:0:0/96");
/** Largest UDP payload. */
const MAX_PAYLOAD = 65_507;
const MAX_QUEUED = 1024;
const MAX_ALLOCATIONS = 16_384;
const MAX_CHANNELS = 4_096;
const AUTHENTICATED_METHODS: ReadonlySet<number> = new Set([
  Method.Allocate,
  Method.Refresh,
  Method.CreatePermission,
  Method.ChannelBind,
]);
function grantedLifetime(request: StunMessage): number {
  return Math.min(lifetimeSeconds(request) || DEFAULT_LIFETIME_S, MAX_LIFETIME_S);
}
