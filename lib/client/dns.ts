/**
 * DNS of a session: questions at the sentinels, answered from resources, from the cache, from inside a site, from the
 * portal, or by an upstream server, through the tunnel or past it (data-plane reference §7). Driven by the session,
 * which is told what it has to do by `pollRequest`.
 */

import { type AddressKey, IpAddress, SocketAddress } from "../base/ip.ts";
import { Ring } from "../base/ring.ts";
import type { Rng } from "../base/rng.ts";
import { type Duration, earliest, type Instant, seconds, type Wake } from "../base/time.ts";
import { DnsCache } from "../dns/cache.ts";
import { type Sentinel, Sentinels, serverKey, type UpstreamSources } from "../dns/sentinels.ts";
import { addressRecords, type StubResolver } from "../dns/stub_resolver.ts";
import { TunnelDnsClient } from "../dns/tunnel_client.ts";
import type { UpstreamOutcome, UpstreamQuery } from "../dns/upstream.ts";
import { decodeDnsQuery, encodeDnsAnswer, isAnswerTo, RecordType, ResponseCode } from "../wire/dns.ts";
import type { IpPacket } from "../wire/ip.ts";
import { type AnswerSource, DnsReplies, type LocalAnswer, type Question } from "./dns_replies.ts";

/** What the session has to do. */
export type DnsRequest =
  /** Make the gateways of these resources look up `domain` (again). */
  | { readonly type: "resolved"; readonly domain: string; readonly resourceIds: readonly string[] }
  /** Find the gateway of the first resource and call `askGateway`. */
  | { readonly type: "site"; readonly question: Question; readonly resourceId: string }
  /** Ask the portal. */
  | { readonly type: "device"; readonly resourceId: string; readonly domain: string };

/** Counts since start, for status. */
export interface DnsStatus {
  readonly sentinels: readonly Sentinel[];
  readonly answered: Readonly<Record<AnswerSource, number>>;
  readonly inFlight: number;
  readonly cacheEntries: number;
}

/** What DNS needs from the session. */
export interface DnsContext {
  readonly rng: Rng;
  readonly stub: StubResolver;
  /** Returns our address to ask `server` from if it lies in an active resource that permits it, else undefined. */
  readonly tunnelSource: (server: SocketAddress, transport: "udp" | "tcp") => IpAddress | undefined;
}

interface HostQuery {
  readonly question: Question;
  readonly server: string;
  readonly deadline: Instant;
}

interface TunnelQuery {
  readonly question: Question;
  /** Key for the cache; undefined for site queries. */
  readonly server: string | undefined;
}

interface DeviceQuery {
  readonly resourceId: string;
  /** The device's name; the one that was asked for may be longer. */
  readonly domain: string;
  readonly question: Question;
  readonly deadline: Instant;
}

/** The machine. */
export class ClientDns {
  readonly #context: DnsContext;
  readonly #sentinels = new Sentinels();
  /** The set before: whoever looks up names asks there until the system has told him of the others. */
  #former: { readonly keys: ReadonlySet<AddressKey>; readonly until: Instant } | undefined;
  readonly #replies: DnsReplies;
  readonly #tunnel: TunnelDnsClient;
  readonly #cache = new DnsCache();
  readonly #requests = new Ring<DnsRequest>(MAX_PENDING);
  readonly #upstream = new Ring<UpstreamQuery>(MAX_PENDING);
  readonly #hostQueries = new Map<number, HostQuery>();
  readonly #tunnelQueries = new Map<number, TunnelQuery>();
  #deviceQueries: DeviceQuery[] = [];
  readonly #answered: Record<AnswerSource, number> = {
    resource: 0,
    site: 0,
    cache: 0,
    upstream: 0,
    "device-pool": 0,
    nobody: 0,
  };
  #nextId = 1;

  constructor(context: DnsContext) {
    this.#context = context;
    this.#replies = new DnsReplies(context);
    this.#tunnel = new TunnelDnsClient(context);
  }

  get sentinels(): readonly Sentinel[] {
    return this.#sentinels.entries;
  }

  get status(): DnsStatus {
    return {
      sentinels: this.#sentinels.entries,
      answered: { ...this.#answered },
      inFlight: this.#hostQueries.size + this.#tunnelQueries.size + this.#deviceQueries.length,
      cacheEntries: this.#cache.stats.entries,
    };
  }

  /** Takes the known upstream servers; returns whether the sentinels changed. */
  setSources(sources: UpstreamSources, now: Instant): boolean {
    const keys = new Set(this.#sentinels.entries.map(({ address }) => address.key));
    if (!this.#sentinels.update(sources)) return false;
    this.#former = { keys, until: now + FORMER_TIME };
    this.#replies.listen(this.#sentinels.entries.map(({ address }) => address));
    this.#cache.flush();
    return true;
  }

  /** Resources changed: answers kept so far may be about names that are resources now. */
  handleResourcesChanged(): void {
    this.#cache.flush();
  }

  /** Takes a packet for an address in the sentinel ranges. */
  handlePacket(packet: IpPacket, now: Instant): void {
    if (this.#sentinels.get(packet.destinationKey) === undefined && !this.#isForFormer(packet, now)) return;
    this.#replies.handlePacket(packet, now);
    this.#takeQuestions(now);
  }

  /** Asks as an application would at the first sentinel; returns the id of the answer, undefined if it is no query. */
  askLocally(message: Uint8Array, now: Instant): number | undefined {
    const query = decodeDnsQuery(message);
    if (!query.ok) return undefined;
    const id = this.#nextId++;
    this.#handleQuestion({ query: query.value, asker: { type: "local", id } }, now);
    return id;
  }

  pollLocalAnswer(): LocalAnswer | undefined {
    return this.#replies.pollAnswer();
  }

  /** Sends a site query to the gateway's own DNS server. */
  askGateway(question: Question, gateway: IpAddress, source: IpAddress, now: Instant): void {
    const server = new SocketAddress(gateway, GATEWAY_DNS_PORT);
    this.#askThroughTunnel(question, server, source, undefined, now);
  }

  /** Answers SERVFAIL: nobody can be asked. */
  fail(question: Question, now: Instant): void {
    this.#answer(question, encodeDnsAnswer(question.query, ResponseCode.serverFailure), "nobody", now);
  }

  /** Takes the portal's answer about a device; undefined if there is no such device. */
  handleDevice(
    resourceId: string,
    domain: string,
    addresses: { readonly ipv4?: string | undefined; readonly ipv6?: string | undefined } | undefined,
    now: Instant,
  ): void {
    const name = domain.toLowerCase();
    for (
      const { question } of this.#takeDeviceQueries((each) =>
        each.domain === name && each.resourceId === resourceId
      )
    ) {
      const { query } = question;
      if (addresses === undefined) {
        this.#answer(question, encodeDnsAnswer(query, ResponseCode.nameError), "device-pool", now);
        continue;
      }
      const address = query.type === RecordType.a ? addresses.ipv4 : addresses.ipv6;
      const type = query.type === RecordType.a ? "A" : "AAAA";
      const records = addressRecords(type, address === undefined ? [] : [IpAddress.from(address)]);
      this.#answer(question, encodeDnsAnswer(query, ResponseCode.noError, records), "device-pool", now);
    }
  }

  /** Takes a packet from the tunnel; returns whether it belonged to a query of ours. */
  handleTunnelPacket(packet: IpPacket, now: Instant): boolean {
    const handled = this.#tunnel.handlePacket(packet, now);
    if (handled) this.#takeTunnelAnswers(now);
    return handled;
  }

  /** Takes what came of a query that the host sent. */
  handleAnswer(id: number, outcome: UpstreamOutcome, now: Instant): void {
    const pending = this.#hostQueries.get(id);
    if (pending === undefined) return;
    this.#hostQueries.delete(id);
    const { question, server } = pending;
    const { query } = question;
    if (outcome.type === "answer" && isAnswerTo(outcome.message, query.id, query)) {
      this.#cache.store(server, query, outcome.message, now);
      this.#answer(question, outcome.message, "upstream", now);
    } else if (outcome.type !== "timeout" || question.asker.type !== "udp") {
      this.fail(question, now);
    }
  }

  /** Drops everything in flight: the network changed. Questions are answered with SERVFAIL where that is possible. */
  reset(now: Instant): void {
    this.#tunnel.reset();
    this.#takeTunnelAnswers(now);
    for (const { question } of this.#hostQueries.values()) this.fail(question, now);
    for (const { question } of this.#deviceQueries) this.fail(question, now);
    this.#hostQueries.clear();
    this.#deviceQueries = [];
    this.#upstream.takeAll();
    this.#cache.flush();
  }

  pollRequest(): DnsRequest | undefined {
    return this.#requests.shift();
  }

  /** Returns the next query for the host to send. */
  pollQuery(): UpstreamQuery | undefined {
    return this.#upstream.shift();
  }

  /** Returns the next packet for the TUN device. */
  pollPacket(): Uint8Array | undefined {
    return this.#replies.pollPacket();
  }

  /** Returns the next packet to be routed into the tunnel. */
  pollTunnelPacket(): Uint8Array | undefined {
    return this.#tunnel.pollPacket();
  }

  pollTimeout(): Wake | undefined {
    const host = this.#hostQueries.values().next().value;
    const device = this.#deviceQueries[0];
    return earliest(
      host && { at: host.deadline + GRACE, reason: "dns query of the host" },
      device && { at: device.deadline, reason: "dns query for a device" },
      this.#replies.pollTimeout(),
      this.#tunnel.pollTimeout(),
    );
  }

  handleTimeout(now: Instant): void {
    for (const [id, { deadline }] of [...this.#hostQueries]) {
      if (now < deadline + GRACE) break;
      this.handleAnswer(id, { type: "timeout" }, now);
    }
    for (const { question } of this.#takeDeviceQueries(({ deadline }) => now >= deadline)) {
      this.fail(question, now);
    }
    this.#replies.handleTimeout(now);
    this.#takeQuestions(now);
    this.#tunnel.handleTimeout(now);
    this.#takeTunnelAnswers(now);
  }

  /** Over UDP alone: connections to former sentinels were reset. */
  #isForFormer(packet: IpPacket, now: Instant): boolean {
    const { keys, until } = this.#former ?? {};
    return packet.transport === "udp" && until !== undefined && now < until &&
      keys?.has(packet.destinationKey) === true;
  }

  #takeQuestions(now: Instant): void {
    for (
      let question = this.#replies.pollQuestion();
      question !== undefined;
      question = this.#replies.pollQuestion()
    ) {
      this.#handleQuestion(question, now);
    }
  }

  #handleQuestion(question: Question, now: Instant): void {
    const decision = this.#context.stub.decide(question.query);
    switch (decision.type) {
      case "answer": {
        const { resolved, message } = decision;
        if (resolved !== undefined) {
          this.#requests.push({ type: "resolved", domain: resolved.name, resourceIds: resolved.resourceIds });
        }
        return this.#answer(question, message, "resource", now);
      }
      case "site":
        this.#requests.push({ type: "site", question, resourceId: decision.resourceIds[0]! });
        return;
      case "device-pool":
        return this.#askPortal(question, decision.resourceId, decision.name, now);
      case "recurse":
        return this.#recurse(question, now);
    }
  }

  #askPortal(question: Question, resourceId: string, domain: string, now: Instant): void {
    if (this.#deviceQueries.length >= MAX_PENDING) return this.fail(question, now);
    const isAsked = this.#deviceQueries.some((each) =>
      each.resourceId === resourceId && each.domain === domain
    );
    this.#deviceQueries.push({ resourceId, domain, question, deadline: now + QUERY_TIMEOUT });
    if (!isAsked) this.#requests.push({ type: "device", resourceId, domain });
  }

  #recurse(question: Question, now: Instant): void {
    const { query, asker } = question;
    const asked = asker.type === "local" ? undefined : this.#sentinels.get(asker.sentinel.ip.key);
    // Who stood behind a former one may be out of reach.
    const sentinel = asked ?? this.#sentinels.entries[0];
    if (sentinel === undefined) return this.fail(question, now);
    const { upstream } = sentinel;
    const server = serverKey(upstream);
    const cached = this.#cache.lookup(server, query, now);
    if (cached !== undefined) return this.#answer(question, cached, "cache", now);
    const transport = asker.type === "tcp" ? "tcp" : "udp";
    const source = sentinel.fromPortal && upstream.type === "do53"
      ? this.#context.tunnelSource(upstream.address, transport)
      : undefined;
    if (source !== undefined && upstream.type === "do53") {
      return this.#askThroughTunnel(question, upstream.address, source, server, now);
    }
    if (this.#hostQueries.size >= MAX_PENDING) return this.fail(question, now);
    const id = this.#nextId++;
    const deadline = now + QUERY_TIMEOUT;
    this.#hostQueries.set(id, { question, server, deadline });
    this.#upstream.push({ id, server: upstream, transport, message: query.message, deadline });
  }

  #askThroughTunnel(
    question: Question,
    server: SocketAddress,
    source: IpAddress,
    cacheKey: string | undefined,
    now: Instant,
  ): void {
    const transport = question.asker.type === "tcp" ? "tcp" : "udp";
    const id = this.#tunnel.ask(question.query, transport, server, source, now);
    if (id === undefined) return this.fail(question, now);
    this.#tunnelQueries.set(id, { question, server: cacheKey });
    this.#takeTunnelAnswers(now);
  }

  #takeTunnelAnswers(now: Instant): void {
    for (let answer = this.#tunnel.pollAnswer(); answer !== undefined; answer = this.#tunnel.pollAnswer()) {
      const pending = this.#tunnelQueries.get(answer.id);
      if (pending === undefined) continue;
      this.#tunnelQueries.delete(answer.id);
      const { question, server } = pending;
      if (answer.message === undefined) {
        this.fail(question, now);
        continue;
      }
      if (server !== undefined) this.#cache.store(server, question.query, answer.message, now);
      this.#answer(question, answer.message, server === undefined ? "site" : "upstream", now);
    }
  }

  #answer(question: Question, message: Uint8Array, source: AnswerSource, now: Instant): void {
    this.#answered[source]++;
    this.#replies.answer(question.asker, message, source, now);
  }

  #takeDeviceQueries(isTaken: (query: DeviceQuery) => boolean): DeviceQuery[] {
    const taken = this.#deviceQueries.filter(isTaken);
    if (taken.length > 0) this.#deviceQueries = this.#deviceQueries.filter((each) => !isTaken(each));
    return taken;
  }
}

/** What setting a system's DNS may take, with a margin. */
const FORMER_TIME: Duration = seconds(5);
const GATEWAY_DNS_PORT = 53_535;
const MAX_PENDING = 1000;
const QUERY_TIMEOUT: Duration = seconds(5);
/** The host should tell of a timeout itself; this is for one that forgot. */
const GRACE: Duration = seconds(1);
