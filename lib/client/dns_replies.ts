/**
 * Where DNS queries come from and answers go to: UDP packets and TCP connections of the TUN device, and the session
 * itself (a person asking, programs without a TUN device).
 */

import { type IpAddress, SocketAddress } from "../base/ip.ts";
import { Ring } from "../base/ring.ts";
import type { Rng } from "../base/rng.ts";
import type { Instant, Wake } from "../base/time.ts";
import { DnsTcpServer } from "../dns/tcp_server.ts";
import { decodeDnsQuery, type DnsQuery, truncateDnsAnswer } from "../wire/dns.ts";
import type { IpPacket } from "../wire/ip.ts";
import { buildUdp, MAX_UDP_PAYLOAD, udpPayload } from "../wire/udp.ts";

/** Who wants to know. */
export type Asker =
  | { readonly type: "udp"; readonly sentinel: SocketAddress; readonly remote: SocketAddress }
  | { readonly type: "tcp"; readonly sentinel: SocketAddress; readonly connectionId: number }
  | { readonly type: "local"; readonly id: number };

/** A query and who wants to know. */
export interface Question {
  readonly query: DnsQuery;
  readonly asker: Asker;
}

/** Who knew the answer. */
export type AnswerSource = "resource" | "site" | "cache" | "upstream" | "device-pool" | "nobody";

/** An answer to a query of the session's own. */
export interface LocalAnswer {
  readonly id: number;
  readonly message: Uint8Array;
  readonly source: AnswerSource;
}

/** Turns packets into questions and answers into packets. */
export class DnsReplies {
  readonly #tcp: DnsTcpServer;
  readonly #questions = new Ring<Question>(MAX_QUEUED);
  readonly #packets = new Ring<Uint8Array>(MAX_QUEUED);
  readonly #answers = new Ring<LocalAnswer>(MAX_QUEUED);

  constructor(options: { readonly rng: Rng }) {
    this.#tcp = new DnsTcpServer(options);
  }

  /** Sets the sentinels; TCP connections to others are reset. */
  listen(sentinels: readonly IpAddress[]): void {
    this.#tcp.listen(sentinels.map((address) => new SocketAddress(address, DNS_PORT)));
  }

  /** Takes a packet for an assigned sentinel. Everything but DNS is dropped. */
  handlePacket(packet: IpPacket, now: Instant): void {
    if (packet.destinationPort !== DNS_PORT) return;
    if (packet.transport === "tcp") {
      this.#tcp.handlePacket(packet, now);
      this.#collect(now);
      return;
    }
    const payload = udpPayload(packet);
    const query = payload && decodeDnsQuery(payload);
    if (query === undefined || !query.ok) return;
    const sentinel = new SocketAddress(packet.destination, DNS_PORT);
    const remote = new SocketAddress(packet.source, packet.sourcePort);
    this.#questions.push({ query: query.value, asker: { type: "udp", sentinel, remote } });
  }

  /** Returns the next question that came in. */
  pollQuestion(): Question | undefined {
    return this.#questions.shift();
  }

  /** Sends `message` to whoever asked. */
  answer(asker: Asker, message: Uint8Array, source: AnswerSource, now: Instant): void {
    switch (asker.type) {
      case "udp":
        this.#packets.push(buildUdp({
          source: asker.sentinel.ip,
          destination: asker.remote.ip,
          sourcePort: asker.sentinel.port,
          destinationPort: asker.remote.port,
          payload: truncateDnsAnswer(message, MAX_UDP_PAYLOAD),
        }));
        return;
      case "tcp":
        this.#tcp.answer(asker.connectionId, message, now);
        this.#collect(now);
        return;
      case "local":
        this.#answers.push({ id: asker.id, message, source });
    }
  }

  /** Forgets all connections. */
  reset(): void {
    this.#tcp.reset();
  }

  /** Returns the next packet for the TUN device. */
  pollPacket(): Uint8Array | undefined {
    return this.#packets.shift() ?? this.#tcp.pollPacket();
  }

  pollAnswer(): LocalAnswer | undefined {
    return this.#answers.shift();
  }

  pollTimeout(): Wake | undefined {
    return this.#tcp.pollTimeout();
  }

  handleTimeout(now: Instant): void {
    this.#tcp.handleTimeout(now);
    this.#collect(now);
  }

  #collect(now: Instant): void {
    for (let asked = this.#tcp.pollQuery(); asked !== undefined; asked = this.#tcp.pollQuery()) {
      const query = decodeDnsQuery(asked.message);
      if (!query.ok) {
        this.#tcp.drop(asked.connectionId, now);
        continue;
      }
      const asker: Asker = { type: "tcp", sentinel: asked.local, connectionId: asked.connectionId };
      this.#questions.push({ query: query.value, asker });
    }
  }
}

const DNS_PORT = 53;
const MAX_QUEUED = 1024;
