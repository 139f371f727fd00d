/**
 * The DNS server of a gateway, inside the tunnel on port 53535, UDP and TCP (data-plane reference §8.5): clients ask it
 * for SRV and TXT records of a site. Every query goes on to a resolver of the host. Driven by the gateway session.
 */

import { type AddressKey, SocketAddress } from "../base/ip.ts";
import { Ring } from "../base/ring.ts";
import type { Rng } from "../base/rng.ts";
import type { Instant, Wake } from "../base/time.ts";
import { earliest, seconds } from "../base/time.ts";
import { DnsTcpServer } from "../dns/tcp_server.ts";
import type { UpstreamOutcome, UpstreamQuery } from "../dns/upstream.ts";
import type { DnsQuery } from "../wire/dns.ts";
import {
  decodeDnsQuery,
  encodeDnsAnswer,
  isAnswerTo,
  ResponseCode,
  truncateDnsAnswer,
  withDnsId,
} from "../wire/dns.ts";
import type { IpPacket } from "../wire/ip.ts";
import { buildUdp, udpPayload } from "../wire/udp.ts";
import type { TunnelAddresses } from "./client_peer.ts";

/** The port that clients ask. */
export const DNS_PORT = 53535;

type Origin =
  | { readonly type: "udp"; readonly local: SocketAddress; readonly remote: SocketAddress }
  | { readonly type: "tcp"; readonly remote: SocketAddress; readonly connectionId: number };

interface Pending {
  readonly origin: Origin;
  readonly query: DnsQuery;
  readonly upstreamId: number;
  /** When the client gets its answer at the latest. */
  readonly deadline: Instant;
  /** When this resolver is given up. */
  readonly attemptDeadline: Instant;
  /** Which resolver was asked. */
  readonly resolver: SocketAddress;
  readonly isRetry: boolean;
}

export class GatewayDnsServer {
  readonly #rng: Rng;
  readonly #tcp: DnsTcpServer;
  readonly #pending = new Map<number, Pending>();
  /** How many of them each client has. */
  readonly #perClient = new Map<AddressKey, number>();
  readonly #queries = new Ring<UpstreamQuery>(MAX_PENDING);
  readonly #packets = new Ring<Uint8Array>(MAX_PENDING);
  /** Best first: one that fails goes to the end. */
  #resolvers: SocketAddress[] = [];
  #nextId = 1;

  constructor(options: { readonly rng: Rng }) {
    this.#rng = options.rng;
    this.#tcp = new DnsTcpServer({ rng: options.rng, connectionsPerListener: 100 });
  }

  /** Sets the gateway's own addresses. */
  listen(own: TunnelAddresses): void {
    this.#tcp.listen([own.ipv4, own.ipv6].map((ip) => new SocketAddress(ip, DNS_PORT)));
  }

  /** Sets the resolvers of the host, best first. */
  setResolvers(resolvers: readonly SocketAddress[]): void {
    this.#resolvers = [...resolvers];
  }

  /** Takes a packet for one of the gateway's own addresses; returns whether it was for this server. */
  handlePacket(packet: IpPacket, now: Instant): boolean {
    if (packet.destinationPort !== DNS_PORT) return false;
    if (packet.transport === "tcp") {
      const handled = this.#tcp.handlePacket(packet, now);
      this.#takeTcpQueries(now);
      return handled;
    }
    const payload = udpPayload(packet);
    if (payload === undefined) return false;
    this.#forward(payload, {
      type: "udp",
      local: new SocketAddress(packet.destination, DNS_PORT),
      remote: new SocketAddress(packet.source, packet.sourcePort),
    }, now);
    return true;
  }

  /** Takes what came of a query. */
  handleAnswer(id: number, outcome: UpstreamOutcome, now: Instant): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    this.#countClient(pending, -1);
    const { query, upstreamId } = pending;
    if (outcome.type === "answer" && isAnswerTo(outcome.message, upstreamId, query)) {
      this.#answer(pending, withDnsId(outcome.message, query.id), now);
      return;
    }
    this.#demote(pending.resolver);
    const next = this.#resolvers[0];
    if (!pending.isRetry && next !== undefined && !next.equals(pending.resolver) && now < pending.deadline) {
      this.#ask({ ...pending, attemptDeadline: pending.deadline, resolver: next, isRetry: true });
      return;
    }
    this.#answer(pending, encodeDnsAnswer(query, ResponseCode.serverFailure), now);
  }

  pollQuery(): UpstreamQuery | undefined {
    return this.#queries.shift();
  }

  /** Returns the next packet for a client; its destination tells which. */
  pollPacket(): Uint8Array | undefined {
    return this.#packets.shift() ?? this.#tcp.pollPacket();
  }

  pollTimeout(): Wake | undefined {
    let wake = this.#tcp.pollTimeout();
    for (const { attemptDeadline } of this.#pending.values()) {
      wake = earliest(wake, { at: attemptDeadline, reason: "site DNS query" });
    }
    return wake;
  }

  handleTimeout(now: Instant): void {
    this.#tcp.handleTimeout(now);
    this.#takeTcpQueries(now);
    for (const [id, { attemptDeadline }] of [...this.#pending]) {
      if (now >= attemptDeadline) this.handleAnswer(id, { type: "timeout" }, now);
    }
  }

  #takeTcpQueries(now: Instant): void {
    for (let query = this.#tcp.pollQuery(); query !== undefined; query = this.#tcp.pollQuery()) {
      const origin: Origin = { type: "tcp", remote: query.remote, connectionId: query.connectionId };
      if (!this.#forward(query.message, origin, now)) this.#tcp.drop(query.connectionId, now);
    }
  }

  /** Returns whether there will be an answer. */
  #forward(message: Uint8Array, origin: Origin, now: Instant): boolean {
    const decoded = decodeDnsQuery(message);
    if (!decoded.ok) return false;
    const query = decoded.value;
    const resolver = this.#resolvers[0];
    // A fresh id: off-path answers have to guess ours, not the client's.
    const upstreamId = this.#rng.u32() & 0xffff;
    const isFull = this.#pending.size >= MAX_PENDING ||
      (this.#perClient.get(origin.remote.ip.key) ?? 0) >= MAX_PENDING_PER_CLIENT;
    if (resolver === undefined || isFull) {
      this.#answer({ origin }, encodeDnsAnswer(query, ResponseCode.serverFailure), now);
      return true;
    }
    const deadline = now + QUERY_TIMEOUT;
    const attemptDeadline = this.#resolvers.length > 1 ? now + FIRST_ATTEMPT : deadline;
    this.#ask({ origin, query, upstreamId, deadline, attemptDeadline, resolver, isRetry: false });
    return true;
  }

  #ask(pending: Pending): void {
    const id = this.#nextId++;
    this.#pending.set(id, pending);
    this.#countClient(pending, 1);
    this.#queries.push({
      id,
      server: { type: "do53", address: pending.resolver },
      transport: pending.origin.type,
      message: withDnsId(pending.query.message, pending.upstreamId),
      deadline: pending.attemptDeadline,
    });
  }

  #answer(to: Pick<Pending, "origin">, message: Uint8Array, now: Instant): void {
    const { origin } = to;
    if (origin.type === "tcp") {
      this.#tcp.answer(origin.connectionId, message, now);
      return;
    }
    this.#packets.push(buildUdp({
      source: origin.local.ip,
      destination: origin.remote.ip,
      sourcePort: origin.local.port,
      destinationPort: origin.remote.port,
      payload: truncateDnsAnswer(message, MAX_UDP_ANSWER),
    }));
  }

  #countClient({ origin }: Pending, change: 1 | -1): void {
    const { key } = origin.remote.ip;
    const count = (this.#perClient.get(key) ?? 0) + change;
    if (count === 0) this.#perClient.delete(key);
    else this.#perClient.set(key, count);
  }

  #demote(resolver: SocketAddress): void {
    const index = this.#resolvers.findIndex((candidate) => candidate.equals(resolver));
    if (index >= 0) this.#resolvers.push(...this.#resolvers.splice(index, 1));
  }
}

const MAX_PENDING = 1024;
/** Nobody takes all the places. */
const MAX_PENDING_PER_CLIENT = 128;
const QUERY_TIMEOUT = seconds(5);
/** Leaves time to ask another resolver. */
const FIRST_ATTEMPT = seconds(2);
const MAX_UDP_ANSWER = 1200;
