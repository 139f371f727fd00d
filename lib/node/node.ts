/**
 * One end of all connections: tells apart what arrives on the UDP sockets (relays, connectivity checks, WireGuard) and
 * carries packets to and from peers by their ids. Knows nothing of resources, DNS or the portal.
 *
 * Driven by a client's or gateway's session: after every call that takes `now`, drain `pollEvent` and `pollDatagram`,
 * then sleep until `pollTimeout`. Sockets must tell the local address of each datagram.
 */

import { readU32Le } from "../base/bytes.ts";
import type { CryptoProvider } from "../base/crypto.ts";
import type { Datagram } from "../base/datagram.ts";
import type { SocketAddress } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import { Prefixes } from "../base/prefixes.ts";
import { Ring } from "../base/ring.ts";
import type { Rng } from "../base/rng.ts";
import { earliest, type Instant, seconds, type Wake, type WallClock } from "../base/time.ts";
import { parseCandidate } from "../ice/candidate.ts";
import { CLIENT_PROFILE, GATEWAY_PROFILE } from "../ice/profile.ts";
import { decodeStun, isStun } from "../wire/stun.ts";
import { DATA_OVERHEAD, messageType } from "../wire/wireguard.ts";
import { openInitiation } from "../wireguard/handshake.ts";
import { IndexAllocator, tunnelId } from "../wireguard/index_allocator.ts";
import { RateLimiter } from "../wireguard/rate_limiter.ts";
import { TimestampSource } from "../wireguard/tai64n.ts";
import {
  Connection,
  type ConnectionContext,
  type ConnectionParameters,
  type ConnectionState,
  type FailureReason,
} from "./connection.ts";
import type { KeyPair } from "./key_pair.ts";
import { PATH_HEADROOM, PathBuffer, type PathInfo } from "./path.ts";
import { Registry } from "./registry.ts";
import type { RelayConfig } from "./relay_config.ts";
import { Relays, type RelayStatus } from "./relays.ts";
import { Schedule } from "./schedule.ts";

/** What a node is made of. */
export interface NodeOptions {
  readonly profile: "client" | "gateway";
  readonly keyPair: KeyPair;
  readonly crypto: CryptoProvider;
  readonly rng: Rng;
  readonly now: Instant;
  readonly wallClock: WallClock;
  readonly log: Log;
}

/** What a node tells its owner. */
export type NodeEvent =
  /** To be signalled to the peer. */
  | { readonly type: "candidate"; readonly peerId: string; readonly candidate: string }
  | { readonly type: "candidate-invalidated"; readonly peerId: string; readonly candidate: string }
  /** Packets can be sent: there is a path, and the first handshake is done. */
  | { readonly type: "connected"; readonly peerId: string; readonly path: PathInfo }
  | { readonly type: "path-changed"; readonly peerId: string; readonly path: PathInfo }
  /** The connection is gone. `isCutOff`: we are, as far as is known, so that it is not the peer's fault. */
  | {
    readonly type: "failed";
    readonly peerId: string;
    readonly reason: FailureReason;
    readonly isCutOff: boolean;
  }
  /** The portal should be asked for relays: without one there are no connections. */
  | { readonly type: "no-relays" };

/** A packet from a peer, valid until the next call into the node. */
export interface ReceivedPacket {
  readonly peerId: string;
  readonly packet: Uint8Array;
}

/** What there is to know about a connection. */
export interface ConnectionStatus {
  readonly peerId: string;
  readonly state: ConnectionState;
  readonly path: PathInfo | undefined;
  readonly lastHandshakeAt: Instant | undefined;
  readonly rxBytes: number;
  readonly txBytes: number;
}

/** What there is to know about a node. */
export interface NodeStatus {
  readonly connections: readonly ConnectionStatus[];
  readonly relays: readonly RelayStatus[];
}

export class Node {
  readonly #options: NodeOptions;
  readonly #relays: Relays;
  readonly #indices: IndexAllocator;
  readonly #timestamps: TimestampSource;
  readonly #connections = new Registry();
  /** When each connection wants `handleTimeout`. */
  readonly #schedule = new Schedule<Connection>();
  readonly #events = new Ring<NodeEvent>(MAX_EVENTS);
  readonly #datagrams = new Ring<Datagram>(MAX_DATAGRAMS);
  readonly #counters = new Map<string, number>();
  readonly #outgoing: PathBuffer;
  readonly #opened: Prefixes;
  #context: ConnectionContext;
  #limiter: RateLimiter;

  constructor(options: NodeOptions) {
    const { crypto, keyPair, rng, log, now } = options;
    this.#outgoing = new PathBuffer(crypto.buffer(PATH_HEADROOM + MAX_PACKET_LENGTH + DATA_OVERHEAD));
    this.#opened = new Prefixes(crypto.buffer(MAX_PACKET_LENGTH));
    this.#options = options;
    this.#relays = new Relays(rng, log.part("turn"));
    this.#indices = new IndexAllocator(rng);
    this.#timestamps = new TimestampSource(options.wallClock);
    this.#context = this.#contextFor(keyPair);
    this.#limiter = new RateLimiter(keyPair.publicKey, rng, now);
  }

  /** Whether connections can be made. */
  get hasRelay(): boolean {
    return this.#relays.hasUsable;
  }

  /** When any relay last answered; -Infinity if none ever did. */
  get relaysHeardAt(): Instant {
    return this.#relays.heardAt;
  }

  get publicKey(): Uint8Array {
    return this.#context.keyPair.publicKey;
  }

  /** How often what happened, by name: drops and refusals. */
  get counters(): ReadonlyMap<string, number> {
    return this.#counters;
  }

  /** Takes the portal's list of relays at the start of a session: those it does not name are kept. */
  setRelays(connected: readonly RelayConfig[], now: Instant): void {
    this.handleRelays({ disconnectedIds: [], connected }, now);
  }

  /** Takes a change of the relays' presence. A relay in both lists has restarted. */
  handleRelays(
    presence: { readonly disconnectedIds: readonly string[]; readonly connected: readonly RelayConfig[] },
    now: Instant,
  ): void {
    this.#relays.remove(presence.disconnectedIds, now);
    this.#relays.upsert(presence.connected, now);
    this.#settleRelays(now);
  }

  /**
   * Makes the connection to a peer, or makes sure of it: one with the same parameters is kept and signals its
   * candidates again, one with others is replaced without a word.
   */
  upsertConnection(
    peerId: string,
    parameters: ConnectionParameters,
    now: Instant,
  ): { readonly ok: true } | { readonly ok: false; readonly reason: "no-relays" } {
    const known = this.#connections.ofPeer(peerId);
    if (known?.matches(parameters)) {
      known.renew(now);
      this.#settle(known, now);
      return { ok: true };
    }
    if (!this.hasRelay) {
      this.#events.push({ type: "no-relays" });
      return { ok: false, reason: "no-relays" };
    }
    if (known !== undefined) this.#drop(known);
    const connection = new Connection(peerId, this.#freeIndex(), parameters, this.#context, now);
    this.#connections.add(connection);
    this.#settle(connection, now);
    return { ok: true };
  }

  /** Somebody waits for a connection: relays that were silent are probed before their turn. */
  hurry(now: Instant): void {
    this.#relays.hurry(now);
  }

  hasConnection(peerId: string): boolean {
    return this.#connections.ofPeer(peerId) !== undefined;
  }

  /** Returns whether packets can be sent to the peer. */
  isConnected(peerId: string): boolean {
    const state = this.#connections.ofPeer(peerId)?.state;
    return state === "connected" || state === "idle";
  }

  /** Takes a candidate that the peer signalled. Those for unknown peers are dropped. */
  addRemoteCandidate(peerId: string, text: string, now: Instant): void {
    const connection = this.#connections.ofPeer(peerId);
    const candidate = parseCandidate(text);
    if (connection === undefined) return this.#count("candidate for unknown peer");
    if (!candidate.ok) return this.#count(`candidate: ${candidate.reason}`);
    if (!connection.addRemoteCandidate(candidate.value, now)) this.#count("candidate refused");
    this.#settle(connection, now);
  }

  /** Takes a candidate that the peer withdrew. */
  removeRemoteCandidate(peerId: string, text: string, now: Instant): void {
    const connection = this.#connections.ofPeer(peerId);
    const candidate = parseCandidate(text);
    if (connection === undefined || !candidate.ok) return this.#count("candidate not withdrawn");
    connection.removeRemoteCandidate(candidate.value, now);
    this.#settle(connection, now);
  }

  /**
   * Returns the datagram that carries `packet` to the peer. Returns undefined if it cannot go now: it then waits for the
   * handshake that renews the session, or is dropped if there has been none yet.
   */
  encapsulate(peerId: string, packet: Uint8Array, now: Instant): Datagram | undefined {
    const connection = this.#connections.ofPeer(peerId);
    const path = connection?.path;
    if (connection === undefined || path === undefined) return this.#drops("no path");
    if (packet.length > MAX_PACKET_LENGTH) return this.#drops("packet too long");
    const length = connection.tunnel.encapsulate(packet, this.#outgoing.message, now);
    this.#notePacket(connection, now);
    if (length === 0) {
      const isKept = connection.keepPacket(packet);
      connection.afterTunnelInput(now);
      this.#settle(connection, now);
      return isKept ? undefined : this.#drops("no session");
    }
    return this.#outgoing.sendOn(path, length, now);
  }

  /** Takes a datagram that arrived on our socket `local`. Returns the packet in it, if there is one for our owner. */
  handleDatagram(
    local: SocketAddress,
    remote: SocketAddress,
    payload: Uint8Array,
    now: Instant,
  ): ReceivedPacket | undefined {
    const relay = this.#relays.at(remote);
    if (relay === undefined) return this.#handlePeer(local, remote, payload, now);
    const input = this.#relays.handleDatagram(relay, local, remote, payload, now);
    switch (input?.type) {
      case "data":
        return this.#handlePeer(input.local, input.peer, input.payload, now);
      case "handled":
        this.#settleRelays(now);
        return undefined;
      case undefined:
        return this.#drops("not from a relay");
    }
  }

  /** Drops a connection without a word. */
  closeConnection(peerId: string, _now?: Instant): void {
    const connection = this.#connections.ofPeer(peerId);
    if (connection !== undefined) this.#drop(connection);
  }

  /** Drops a connection after one last packet, which goes out by `pollDatagram` if there is a way. */
  sayGoodbye(peerId: string, goodbyePacket: Uint8Array, now: Instant): void {
    if (this.isConnected(peerId)) {
      const datagram = this.encapsulate(peerId, goodbyePacket, now);
      if (datagram !== undefined) this.#datagrams.push({ ...datagram, payload: datagram.payload.slice() });
    }
    this.closeConnection(peerId);
  }

  /** Starts over on another network: all connections are gone, relays are asked anew. */
  reset(keyPair: KeyPair, now: Instant): void {
    for (const connection of this.#connections.takeAll()) this.#forget(connection);
    this.#events.takeAll();
    this.#datagrams.takeAll();
    this.#context = this.#contextFor(keyPair);
    this.#limiter = new RateLimiter(keyPair.publicKey, this.#options.rng, now);
    this.#relays.restart(now);
  }

  /** Ends everything: connections without a word, allocations by a message that goes out by `pollDatagram`. */
  close(now: Instant): void {
    for (const connection of this.#connections.takeAll()) this.#forget(connection);
    this.#relays.close(now);
    this.#settleRelays(now);
  }

  handleTimeout(now: Instant): void {
    this.#relays.handleTimeout(now);
    this.#settleRelays(now);
    for (const due of this.#schedule.takeAll(now)) {
      due.handleTimeout(now);
      this.#settle(due, now);
    }
  }

  pollTimeout(): Wake | undefined {
    const at = this.#schedule.nextAt;
    return earliest(at === undefined ? undefined : { at, reason: "connection" }, this.#relays.pollTimeout());
  }

  pollDatagram(): Datagram | undefined {
    // Requests for channels go before the data that needs them.
    return this.#relays.pollDatagram() ?? this.#datagrams.shift();
  }

  pollEvent(): NodeEvent | undefined {
    return this.#events.shift();
  }

  status(_now?: Instant): NodeStatus {
    const connections = [...this.#connections.all].map((connection) => ({
      peerId: connection.peerId,
      state: connection.state,
      path: connection.pathInfo,
      ...connection.tunnel.stats,
    }));
    return { connections, relays: this.#relays.status() };
  }

  /** `local`: our socket's address, or our address at a relay; `remote`: the peer as seen from there. */
  #handlePeer(
    local: SocketAddress,
    remote: SocketAddress,
    payload: Uint8Array,
    now: Instant,
  ): ReceivedPacket | undefined {
    switch (messageType(payload)) {
      case "data":
        return this.#handleData(payload, now);
      case "initiation":
      case "response":
        return this.#handleHandshake(local, remote, payload, now);
      case "cookieReply":
        return this.#handleTunnelMessage(payload, 4, now);
      case undefined:
        return isStun(payload) ? this.#handleStun(local, remote, payload, now) : this.#drops("not for us");
    }
  }

  #handleData(message: Uint8Array, now: Instant): ReceivedPacket | undefined {
    const connection = this.#connections.ofIndex(tunnelId(readU32Le(message, 4)));
    if (connection === undefined) return this.#drops("unknown session");
    const length = connection.tunnel.decapsulateData(message, this.#opened.bytes, now);
    if (length < 0) return this.#drops("bad data message");
    if (connection.state === "connecting" || length === 0) {
      connection.afterTunnelInput(now);
      this.#settle(connection, now);
    }
    if (length === 0) return undefined;
    this.#notePacket(connection, now);
    return { peerId: connection.peerId, packet: this.#opened.of(length) };
  }

  #handleHandshake(
    local: SocketAddress,
    remote: SocketAddress,
    message: Uint8Array,
    now: Instant,
  ): undefined {
    const admission = this.#limiter.admit(message, remote.ip, now);
    if (admission.type === "dropped") return this.#drops(admission.reason);
    if (admission.type === "cookie") {
      this.#count("cookie reply");
      return this.#send(local, remote, admission.reply, now);
    }
    if (messageType(message) === "response") return this.#handleTunnelMessage(message, 8, now);
    const opened = openInitiation(this.#context.keyPair, message);
    const connection = opened && this.#connections.ofPublicKey(opened.remotePublicKey);
    if (connection === undefined) return this.#drops("initiation of unknown peer");
    const result = connection.tunnel.handleInitiation(opened!, now);
    if (result.type === "dropped") return this.#drops(`initiation: ${result.reason}`);
    connection.afterTunnelInput(now);
    this.#settle(connection, now);
    return undefined;
  }

  /** Takes a message that names our index at `offset`: a handshake response or a cookie reply. */
  #handleTunnelMessage(message: Uint8Array, offset: number, now: Instant): undefined {
    const connection = this.#connections.ofIndex(tunnelId(readU32Le(message, offset)));
    if (connection === undefined) return this.#drops("unknown session");
    const result = connection.tunnel.decapsulate(message, this.#opened.bytes, now);
    if (result.type === "dropped") return this.#drops(`handshake: ${result.reason}`);
    connection.afterTunnelInput(now);
    this.#settle(connection, now);
    return undefined;
  }

  #handleStun(local: SocketAddress, remote: SocketAddress, payload: Uint8Array, now: Instant): undefined {
    const decoded = decodeStun(payload);
    if (!decoded.ok) return this.#drops("broken STUN");
    const message = decoded.value;
    const [high, middle, low] = message.transactionId;
    const connection = message.class === "request"
      ? this.#connections.ofUsername(message.username ?? "")
      : this.#connections.ofIndex((high! << 16) | (middle! << 8) | low!);
    if (connection === undefined || !connection.handleStun(message, local, remote, now)) {
      return this.#drops("STUN of unknown peer");
    }
    this.#settle(connection, now);
    return undefined;
  }

  /** A data packet moves deadlines, but hardly one that is near: looking once a second is enough. */
  #notePacket(connection: Connection, now: Instant): void {
    if (connection.notePacket(now)) this.#settle(connection, now);
    if (connection.isTouched) return;
    connection.isTouched = true;
    const due = this.#schedule.dueAt(connection) ?? Infinity;
    if (due > now + TOUCH_DELAY) this.#schedule.set(connection, now + TOUCH_DELAY);
  }

  /** Carries out what a connection wants after it was given something. */
  #settle(connection: Connection, now: Instant): void {
    for (let next = connection.pollTransmit(); next !== undefined; next = connection.pollTransmit()) {
      this.#send(next.local, next.remote, next.payload, now);
    }
    for (let event = connection.pollEvent(); event !== undefined; event = connection.pollEvent()) {
      this.#events.push({ ...event, peerId: connection.peerId });
    }
    if (connection.state === "failed") {
      this.#drop(connection);
      this.#relays.verify(now);
      return;
    }
    connection.isTouched = false;
    this.#schedule.set(connection, connection.pollTimeout()?.at);
  }

  #settleRelays(now: Instant): void {
    for (let event = this.#relays.pollEvent(); event !== undefined; event = this.#relays.pollEvent()) {
      if (event.type === "exhausted") {
        this.#events.push({ type: "no-relays" });
        continue;
      }
      for (const connection of [...this.#connections.all]) {
        if (event.type === "candidate") connection.addLocalCandidate(event.candidate, now);
        else if (event.type === "allocated") connection.handleAllocated(event.relay, now);
        else connection.handleLost(event.relay, event.addresses, now);
        this.#settle(connection, now);
      }
    }
  }

  #send(local: SocketAddress, remote: SocketAddress, payload: Uint8Array, now: Instant): undefined {
    const relay = this.#relays.ownerOf(local);
    if (relay === undefined) {
      this.#datagrams.push({ local, remote, payload });
      return;
    }
    const buffer = new PathBuffer(new Uint8Array(PATH_HEADROOM + payload.length));
    buffer.message.set(payload);
    const datagram = buffer.sendOn({ local, remote, relay }, payload.length, now);
    if (datagram !== undefined) this.#datagrams.push(datagram);
  }

  #drop(connection: Connection): void {
    this.#connections.remove(connection);
    this.#forget(connection);
  }

  #forget(connection: Connection): void {
    this.#schedule.set(connection, undefined);
    connection.close();
  }

  #freeIndex(): number {
    for (;;) {
      const index = this.#indices.next();
      if (this.#connections.ofIndex(index) === undefined) return index;
    }
  }

  #contextFor(keyPair: KeyPair): ConnectionContext {
    const { profile, crypto, rng, wallClock, log } = this.#options;
    return {
      keyPair,
      profile: profile === "client" ? CLIENT_PROFILE : GATEWAY_PROFILE,
      relays: this.#relays,
      timestamps: this.#timestamps,
      crypto,
      rng,
      wallClock,
      log,
    };
  }

  #count(name: string): void {
    this.#counters.set(name, (this.#counters.get(name) ?? 0) + 1);
  }

  #drops(name: string): undefined {
    this.#count(name);
    return undefined;
  }
}

/** The largest inner packet is 1280 bytes; what a peer pads it with is tolerated. */
const MAX_PACKET_LENGTH = 2048;
const MAX_EVENTS = 4096;
const MAX_DATAGRAMS = 4096;
const TOUCH_DELAY = seconds(1);
