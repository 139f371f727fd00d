/**
 * All user-space TCP connections of one side: listeners with a bounded number of connections each, and connections
 * opened from here. A machine: packets in, packets and events out.
 */

import { concatBytes } from "../base/bytes.ts";
import { type AddressKey, SocketAddress } from "../base/ip.ts";
import { below, type Rng } from "../base/rng.ts";
import { earliest, type Instant, seconds, type Wake } from "../base/time.ts";
import type { IpPacket } from "../wire/ip.ts";
import { buildTcp, tcpAcknowledgment, TcpFlag, tcpFlags, tcpPayload, tcpSequence } from "../wire/tcp.ts";
import { type TcpCloseReason, TcpConnection } from "./tcp_connection.ts";

/** What happened on a connection. `id` is never used again. */
export type TcpEvent =
  | {
    readonly type: "connected";
    readonly id: number;
    readonly local: SocketAddress;
    readonly remote: SocketAddress;
  }
  | { readonly type: "data"; readonly id: number; readonly bytes: Uint8Array }
  /** The peer will send nothing more; our side is still open. */
  | { readonly type: "remote-finished"; readonly id: number }
  | { readonly type: "closed"; readonly id: number; readonly reason: TcpCloseReason };

interface Entry {
  readonly id: number;
  readonly key: string;
  readonly connection: TcpConnection;
  reportedConnected: boolean;
  reportedFinished: boolean;
}

/** Listeners and connections. */
export class TcpEndpoint {
  readonly #rng: Rng;
  readonly #perListener: number;
  #listeners = new Map<AddressKey, SocketAddress>();
  readonly #byId = new Map<number, Entry>();
  readonly #byKey = new Map<string, Entry>();
  readonly #packets: Uint8Array[] = [];
  readonly #events: TcpEvent[] = [];
  #nextId = 1;

  constructor(options: { readonly rng: Rng; readonly connectionsPerListener?: number }) {
    this.#rng = options.rng;
    this.#perListener = options.connectionsPerListener ?? 10;
  }

  /** Sets where connections are accepted; connections of other listeners are reset. */
  listen(addresses: readonly SocketAddress[]): void {
    const listeners = new Map(addresses.map((address) => [address.key, address]));
    for (const entry of [...this.#byId.values()]) {
      const { key } = entry.connection.local;
      if (this.#listeners.has(key) && !listeners.has(key)) {
        this.#finish(entry, () => entry.connection.abort());
      }
    }
    this.#listeners = listeners;
  }

  /** Opens a connection from a random high port of `source` and returns its id, or undefined if there are too many. */
  connect(source: SocketAddress["ip"], remote: SocketAddress, now: Instant): number | undefined {
    if (this.#byId.size >= MAX_CONNECTIONS) return undefined;
    for (let attempt = 0; attempt < 16; attempt++) {
      const local = new SocketAddress(source, FIRST_PORT + below(this.#rng, 65_536 - FIRST_PORT));
      const key = keyOf(local.key, remote.key);
      if (this.#byKey.has(key)) continue;
      return this.#add(key, TcpConnection.connect(local, remote, this.#rng.u32(), now)).id;
    }
    return undefined;
  }

  /** Takes a TCP packet and returns whether it was for a listener or connection of ours; others stay unanswered. */
  handlePacket(packet: IpPacket, now: Instant): boolean {
    if (packet.transport !== "tcp") return false;
    const local = new SocketAddress(packet.destination, packet.destinationPort);
    const remote = new SocketAddress(packet.source, packet.sourcePort);
    const key = keyOf(local.key, remote.key);
    const flags = tcpFlags(packet);
    let entry = this.#byKey.get(key);
    // An owner that does not drain loses packets, which the other side repeats.
    if (this.#packets.length >= MAX_QUEUED || this.#events.length >= MAX_QUEUED) {
      return entry !== undefined || this.#listeners.has(local.key);
    }
    if (entry !== undefined) {
      entry.connection.handleSegment(packet, now);
      this.#collect(entry);
      return true;
    }
    if (!this.#listeners.has(local.key)) return false;
    if ((flags & TcpFlag.rst) !== 0) return true;
    if ((flags & (TcpFlag.syn | TcpFlag.ack)) !== TcpFlag.syn) {
      this.#refuse(packet, local, remote);
      return true;
    }
    if (!this.#makeRoom(local, now)) return true;
    entry = this.#add(key, TcpConnection.accept(local, remote, packet, this.#rng.u32(), now));
    return true;
  }

  /** Sends `bytes` on a connection and returns whether it could take them; if not, the connection is reset. */
  send(id: number, bytes: Uint8Array, now: Instant): boolean {
    const entry = this.#byId.get(id);
    if (entry === undefined) return false;
    const taken = entry.connection.send(bytes, now);
    if (!taken) entry.connection.abort();
    this.#collect(entry);
    return taken;
  }

  /** Ends our side of a connection after everything sent so far. */
  close(id: number, now: Instant): void {
    const entry = this.#byId.get(id);
    if (entry === undefined) return;
    entry.connection.close(now);
    this.#collect(entry);
  }

  /** Resets a connection. */
  abort(id: number): void {
    const entry = this.#byId.get(id);
    if (entry !== undefined) this.#finish(entry, () => entry.connection.abort());
  }

  /** Forgets all connections without a word: the network they ran on is gone. */
  reset(): void {
    for (const entry of this.#byId.values()) {
      this.#events.push({ type: "closed", id: entry.id, reason: "reset" });
    }
    this.#byId.clear();
    this.#byKey.clear();
    this.#packets.length = 0;
  }

  /** Returns the next packet to send. */
  pollPacket(): Uint8Array | undefined {
    return this.#packets.shift();
  }

  pollEvent(): TcpEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): Wake | undefined {
    let first: Wake | undefined;
    for (const entry of this.#byId.values()) first = earliest(first, entry.connection.pollTimeout());
    return first;
  }

  handleTimeout(now: Instant): void {
    for (const entry of [...this.#byId.values()]) {
      entry.connection.handleTimeout(now);
      this.#collect(entry);
    }
  }

  #add(key: string, connection: TcpConnection): Entry {
    const entry: Entry = {
      id: this.#nextId++,
      key,
      connection,
      reportedConnected: false,
      reportedFinished: false,
    };
    this.#byId.set(entry.id, entry);
    this.#byKey.set(key, entry);
    this.#collect(entry);
    return entry;
  }

  /** Returns whether one more connection fits; a long idle one gives way. */
  #makeRoom(local: SocketAddress, now: Instant): boolean {
    let count = 0;
    let idlest: Entry | undefined;
    for (const entry of this.#byId.values()) {
      if (!entry.connection.local.equals(local)) continue;
      count++;
      if (idlest === undefined || entry.connection.activeAt < idlest.connection.activeAt) idlest = entry;
    }
    if (count < this.#perListener && this.#byId.size < MAX_CONNECTIONS) return true;
    if (idlest === undefined || now - idlest.connection.activeAt < EVICT_AFTER) return false;
    const evicted = idlest;
    this.#finish(evicted, () => evicted.connection.abort());
    return true;
  }

  #finish(entry: Entry, action: () => void): void {
    action();
    this.#collect(entry);
  }

  /** Moves packets and news of a connection to the outside. */
  #collect(entry: Entry): void {
    const { id, connection } = entry;
    if (!entry.reportedConnected && connection.isEstablished) {
      entry.reportedConnected = true;
      this.#events.push({ type: "connected", id, local: connection.local, remote: connection.remote });
    }
    const received: Uint8Array[] = [];
    for (let bytes = connection.receive(); bytes !== undefined; bytes = connection.receive()) {
      received.push(bytes);
    }
    if (received.length > 0) this.#events.push({ type: "data", id, bytes: concatBytes(...received) });
    for (let packet = connection.pollPacket(); packet !== undefined; packet = connection.pollPacket()) {
      this.#packets.push(packet);
    }
    if (!entry.reportedFinished && connection.remoteFinished) {
      entry.reportedFinished = true;
      this.#events.push({ type: "remote-finished", id });
    }
    if (connection.closeReason === undefined) return;
    this.#byId.delete(id);
    this.#byKey.delete(entry.key);
    this.#events.push({ type: "closed", id, reason: connection.closeReason });
  }

  /** Answers a segment of no connection with a reset (RFC 9293 §3.5.2). */
  #refuse(packet: IpPacket, local: SocketAddress, remote: SocketAddress): void {
    const hasAck = (tcpFlags(packet) & TcpFlag.ack) !== 0;
    this.#packets.push(buildTcp({
      source: local.ip,
      destination: remote.ip,
      sourcePort: local.port,
      destinationPort: remote.port,
      sequence: hasAck ? tcpAcknowledgment(packet) : 0,
      acknowledgment: hasAck ? 0 : (tcpSequence(packet) + tcpPayload(packet).length) >>> 0,
      flags: hasAck ? TcpFlag.rst : TcpFlag.rst | TcpFlag.ack,
      window: 0,
    }));
  }
}

const MAX_CONNECTIONS = 512;
const MAX_QUEUED = 4096;
const FIRST_PORT = 49_152;
const EVICT_AFTER = seconds(2);

function keyOf(local: AddressKey, remote: AddressKey): string {
  return `${local} ${remote}`;
}
