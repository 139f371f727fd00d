/**
 * Asks DNS servers that are reached through the tunnel: a gateway's own server (site queries) and upstream servers that
 * lie in a resource. UDP from random ports, TCP with one pipelined connection a server (RFC 7766 §6.2.1). A machine:
 * its packets are routed like an application's.
 */

import { type AddressKey, type IpAddress, SocketAddress } from "../base/ip.ts";
import { Ring } from "../base/ring.ts";
import { below, type Rng } from "../base/rng.ts";
import { earliest, type Instant, seconds, type Wake } from "../base/time.ts";
import { type DnsQuery, isAnswerTo, withDnsId } from "../wire/dns.ts";
import type { IpPacket } from "../wire/ip.ts";
import { buildUdp, udpPayload } from "../wire/udp.ts";
import { TcpEndpoint } from "./tcp_endpoint.ts";
import { frameMessage, MessageReader } from "./tcp_server.ts";

/** How a query through the tunnel ended: the server's answer with the query's own id, or nothing. */
export interface TunnelAnswer {
  readonly id: number;
  readonly message: Uint8Array | undefined;
}

interface Pending {
  readonly id: number;
  readonly query: DnsQuery;
  readonly wireId: number;
  readonly server: SocketAddress;
  readonly askedAt: Instant;
  /** Our UDP address, or the TCP connection that was asked on. */
  readonly via: { readonly local: SocketAddress } | { readonly connection: Connection };
}

interface Connection {
  readonly id: number;
  readonly serverKey: string;
  readonly reader: MessageReader;
  readonly pending: Map<number, Pending>;
  /** Framed queries that wait for the connection to open. */
  waiting: Uint8Array[];
  open: boolean;
}

/** The client. */
export class TunnelDnsClient {
  readonly #rng: Rng;
  readonly #endpoint: TcpEndpoint;
  readonly #pending = new Map<number, Pending>();
  readonly #byUdpLocal = new Map<AddressKey, Pending>();
  readonly #connections = new Map<number, Connection>();
  readonly #connectionOf = new Map<string, Connection>();
  readonly #packets = new Ring<Uint8Array>(MAX_QUEUED);
  readonly #answers = new Ring<TunnelAnswer>(MAX_QUEUED);
  #nextId = 1;

  constructor(options: { readonly rng: Rng }) {
    this.#rng = options.rng;
    this.#endpoint = new TcpEndpoint(options);
  }

  /** Asks `server` from our address `source`; returns an id for the answer, or undefined if too much is open. */
  ask(
    query: DnsQuery,
    transport: "udp" | "tcp",
    server: SocketAddress,
    source: IpAddress,
    now: Instant,
  ): number | undefined {
    if (this.#pending.size >= MAX_PENDING) return undefined;
    return transport === "udp"
      ? this.#askUdp(query, server, source, now)
      : this.#askTcp(query, server, source, now);
  }

  /** Takes a packet from the tunnel and returns whether it answered one of our queries. */
  handlePacket(packet: IpPacket, now: Instant): boolean {
    if (packet.transport === "tcp") {
      if (this.#connections.size === 0) return false;
      const handled = this.#endpoint.handlePacket(packet, now);
      if (handled) this.#collect(now);
      return handled;
    }
    if (packet.transport !== "udp" || this.#byUdpLocal.size === 0) return false;
    const local = new SocketAddress(packet.destination, packet.destinationPort);
    const pending = this.#byUdpLocal.get(local.key);
    if (pending === undefined) return false;
    const { server } = pending;
    if (packet.sourceKey !== server.ip.key || packet.sourcePort !== server.port) return false;
    const payload = udpPayload(packet)!;
    // Somebody else's answer to our port is still for nobody but us.
    if (isAnswerTo(payload, pending.wireId, pending.query)) this.#settle(pending, payload);
    return true;
  }

  /** Gives up on everything that is open; all of it fails. */
  reset(): void {
    this.#endpoint.reset();
    this.#connections.clear();
    this.#connectionOf.clear();
    for (const pending of [...this.#pending.values()]) this.#settle(pending, undefined);
    while (this.#endpoint.pollEvent() !== undefined);
    this.#packets.takeAll();
  }

  /** Returns the next packet to be routed into the tunnel. */
  pollPacket(): Uint8Array | undefined {
    return this.#packets.shift() ?? this.#endpoint.pollPacket();
  }

  pollAnswer(): TunnelAnswer | undefined {
    return this.#answers.shift();
  }

  pollTimeout(): Wake | undefined {
    const first = this.#pending.values().next().value;
    const expiry = first && { at: first.askedAt + QUERY_TIMEOUT, reason: "dns query through the tunnel" };
    return earliest(expiry, this.#endpoint.pollTimeout());
  }

  handleTimeout(now: Instant): void {
    // In order of asking, so the first one that is not due ends the search.
    for (const pending of [...this.#pending.values()]) {
      if (now < pending.askedAt + QUERY_TIMEOUT) break;
      this.#settle(pending, undefined);
    }
    this.#endpoint.handleTimeout(now);
    this.#collect(now);
  }

  #askUdp(query: DnsQuery, server: SocketAddress, source: IpAddress, now: Instant): number | undefined {
    const local = this.#freePort(source);
    if (local === undefined) return undefined;
    const pending = this.#newPending(query, server, now, { local }, below(this.#rng, 65_536));
    this.#byUdpLocal.set(local.key, pending);
    this.#packets.push(buildUdp({
      source,
      destination: server.ip,
      sourcePort: local.port,
      destinationPort: server.port,
      payload: withDnsId(query.message, pending.wireId),
    }));
    return pending.id;
  }

  #askTcp(query: DnsQuery, server: SocketAddress, source: IpAddress, now: Instant): number | undefined {
    const serverKey = `${source.key} ${server.key}`;
    const connection = this.#connectionOf.get(serverKey) ??
      this.#openConnection(serverKey, server, source, now);
    if (connection === undefined || connection.waiting.length >= MAX_WAITING) return undefined;
    let wireId = below(this.#rng, 65_536);
    // There are fewer queries open than ids.
    while (connection.pending.has(wireId)) wireId = (wireId + 1) & 0xffff;
    const pending = this.#newPending(query, server, now, { connection }, wireId);
    connection.pending.set(wireId, pending);
    const framed = frameMessage(withDnsId(query.message, wireId));
    if (connection.open) this.#endpoint.send(connection.id, framed, now);
    else connection.waiting.push(framed);
    this.#collect(now);
    return pending.id;
  }

  #openConnection(
    serverKey: string,
    server: SocketAddress,
    source: IpAddress,
    now: Instant,
  ): Connection | undefined {
    const id = this.#endpoint.connect(source, server, now);
    if (id === undefined) return undefined;
    const connection: Connection = {
      id,
      serverKey,
      reader: new MessageReader(),
      pending: new Map(),
      waiting: [],
      open: false,
    };
    this.#connections.set(id, connection);
    this.#connectionOf.set(serverKey, connection);
    return connection;
  }

  #newPending(
    query: DnsQuery,
    server: SocketAddress,
    now: Instant,
    via: Pending["via"],
    wireId: number,
  ): Pending {
    const pending: Pending = { id: this.#nextId++, query, wireId, server, askedAt: now, via };
    this.#pending.set(pending.id, pending);
    return pending;
  }

  #freePort(source: IpAddress): SocketAddress | undefined {
    for (let attempt = 0; attempt < 32; attempt++) {
      const local = new SocketAddress(source, FIRST_PORT + below(this.#rng, 65_536 - FIRST_PORT));
      if (!this.#byUdpLocal.has(local.key)) return local;
    }
    return undefined;
  }

  #settle(pending: Pending, message: Uint8Array | undefined): void {
    if (!this.#pending.delete(pending.id)) return;
    if ("local" in pending.via) this.#byUdpLocal.delete(pending.via.local.key);
    else pending.via.connection.pending.delete(pending.wireId);
    this.#answers.push({
      id: pending.id,
      message: message === undefined ? undefined : withDnsId(message, pending.query.id),
    });
  }

  #collect(now: Instant): void {
    for (let event = this.#endpoint.pollEvent(); event !== undefined; event = this.#endpoint.pollEvent()) {
      const connection = this.#connections.get(event.id);
      if (connection === undefined) continue;
      switch (event.type) {
        case "connected":
          connection.open = true;
          for (const framed of connection.waiting) this.#endpoint.send(connection.id, framed, now);
          connection.waiting = [];
          break;
        case "data":
          for (const message of connection.reader.push(event.bytes)) {
            this.#handleTcpMessage(connection, message);
          }
          break;
        case "remote-finished":
          this.#endpoint.close(connection.id, now);
          break;
        case "closed":
          this.#connections.delete(connection.id);
          this.#connectionOf.delete(connection.serverKey);
          for (const pending of [...connection.pending.values()]) this.#settle(pending, undefined);
          break;
      }
    }
  }

  #handleTcpMessage(connection: Connection, message: Uint8Array): void {
    if (message.length < 2) return;
    const wireId = message[0]! << 8 | message[1]!;
    const pending = connection.pending.get(wireId);
    if (pending === undefined || !isAnswerTo(message, wireId, pending.query)) return;
    this.#settle(pending, message);
  }
}

const MAX_PENDING = 1024;
const MAX_QUEUED = 2 * MAX_PENDING;
/** Queries that wait for a connection to open; they stay when they have been given up meanwhile. */
const MAX_WAITING = 256;
const FIRST_PORT = 49_152;
const QUERY_TIMEOUT = seconds(10);
