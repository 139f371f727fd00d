/** Whole clients and gateways on the simulated internet, with the applications and services at either end. */

import assert from "node:assert/strict";
import { toBase64 } from "../../lib/base/bytes.ts";
import { nobleProvider } from "../../lib/base/crypto.ts";
import type { Datagram } from "../../lib/base/datagram.ts";
import { IpAddress, SocketAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { Instant, Wake } from "../../lib/base/time.ts";
import { type ClientEvent, ClientSession } from "../../lib/client/session.ts";
import { GatewaySession } from "../../lib/gateway/session.ts";
import type { UpstreamQuery } from "../../lib/dns/upstream.ts";
import type { ChannelEvent } from "../../lib/channel/client.ts";
import { decodeDnsQuery, encodeDnsAnswer, encodeDnsQuery, RecordType } from "../../lib/wire/dns.ts";
import { describeDnsMessage } from "../../lib/wire/dns_text.ts";
import { type IpPacket, parsePacket } from "../../lib/wire/ip.ts";
import { decodeClientInbound, encodeClientOutbound } from "../../lib/wire/portal/client.ts";
import { decodeGatewayInbound, encodeGatewayOutbound } from "../../lib/wire/portal/gateway.ts";
import { buildUdp, udpPayload } from "../../lib/wire/udp.ts";
import { Host, type Machine } from "../sim/host.ts";
import { newKeyPair } from "../sim/node_peer.ts";
import { wallClock } from "../sim/relay.ts";
import type { Simulation } from "../sim/simulation.ts";
import { PortalLink, type SimPortal } from "./portal_link.ts";

/** What the world's servers say: names by site or "public". */
export interface World {
  readonly simulation: Simulation;
  readonly portal: SimPortal;
  /** Real addresses of names, as gateways resolve them. */
  readonly names: Map<string, string[]>;
}

export class SimClient implements Machine {
  readonly host: Host;
  readonly session: ClientSession;
  readonly link: PortalLink;
  readonly events: ClientEvent[] = [];
  /** Packets that applications received. */
  readonly received: IpPacket[] = [];
  /** Queries that went to the host's resolver. */
  readonly asked: string[] = [];
  readonly #world: World;
  #keyPair;

  constructor(world: World, token: string, id = "laptop") {
    this.#world = world;
    const { simulation, portal } = world;
    this.host = new Host(simulation);
    this.#keyPair = newKeyPair(simulation);
    this.session = new ClientSession({
      keyPair: this.#keyPair,
      crypto: nobleProvider,
      rng: simulation.rng,
      now: simulation.now,
      wallClock: wallClock(),
      log: silentLog,
      internetResourceActive: false,
      systemResolvers: [SocketAddress.from("192.168.1.1:53")],
    });
    this.link = new PortalLink(portal, {
      topic: "client",
      path: "/client/v2/websocket",
      token,
      query: () => ({ external_id: id, name: id, public_key: toBase64(this.#keyPair.publicKey) }),
      onEvent: (event) => this.#handleChannel(event),
    });
  }

  /** Uses the session at the present instant and sends what comes out. */
  use<T>(action: (session: ClientSession, now: Instant) => T): T {
    const result = action(this.session, this.#now);
    this.host.drain();
    return result;
  }

  /** An application sends `text` over UDP. */
  say(destination: string, text: string): void {
    const to = SocketAddress.from(destination);
    const own = this.session.status(this.#now).interface;
    assert(own !== undefined, "the client was never told its addresses");
    const packet = buildUdp({
      source: to.family === 4 ? own.ipv4 : own.ipv6,
      destination: to.ip,
      sourcePort: 40_000,
      destinationPort: to.port,
      payload: new TextEncoder().encode(text),
    });
    this.use((session, now) => {
      const datagram = session.handlePacket(packet, now);
      if (datagram !== undefined) this.host.send(datagram);
    });
  }

  /** Returns whether an application got `text` back from `source`. */
  heard(source: string, text: string): boolean {
    return this.received.some((packet) =>
      `${packet.source}:${packet.sourcePort}` === source &&
      new TextDecoder().decode(udpPayload(packet)) === text
    );
  }

  /** Asks as an application would; returns code and records once they are there. */
  resolve(name: string, type: keyof typeof RecordType = "a"): string {
    const id = this.use((session, now) => session.askDns(encodeDnsQuery(1, name, RecordType[type])!, now));
    let found: string | undefined;
    this.#world.simulation.runUntil(() => {
      for (let next = this.session.pollDnsAnswer(); next !== undefined; next = this.session.pollDnsAnswer()) {
        if (next.id === id) found = describe(next.message);
      }
      return found !== undefined;
    }, 15_000);
    return found ?? "nothing";
  }

  /** The host moved to another network: new key, new paths. */
  roam(): void {
    this.#keyPair = newKeyPair(this.#world.simulation);
    this.use((session, now) => session.reset(this.#keyPair, now));
    this.link.redial();
  }

  eventTypes(): string[] {
    return this.events.map(({ type }) => type);
  }

  handleDatagram(local: SocketAddress, remote: SocketAddress, payload: Uint8Array, now: Instant): void {
    const packet = this.session.handleDatagram(local, remote, payload, now);
    if (packet !== undefined) this.#deliver(packet);
  }

  handleTimeout(now: Instant): void {
    this.session.handleTimeout(now);
  }

  pollTimeout(): Wake | undefined {
    return this.session.pollTimeout();
  }

  pollDatagram(): Datagram | undefined {
    return this.session.pollDatagram();
  }

  drained(): void {
    const { session } = this;
    for (let event = session.pollEvent(); event !== undefined; event = session.pollEvent()) {
      this.events.push(event);
    }
    for (let packet = session.pollPacket(); packet !== undefined; packet = session.pollPacket()) {
      this.#deliver(packet);
    }
    for (let query = session.pollDnsQuery(); query !== undefined; query = session.pollDnsQuery()) {
      this.#ask(query);
    }
    for (let message = session.pollPortal(); message !== undefined; message = session.pollPortal()) {
      const { event, payload } = encodeClientOutbound(message);
      this.link.send(event, payload);
    }
  }

  get #now(): Instant {
    return this.#world.simulation.now;
  }

  #deliver(bytes: Uint8Array): void {
    const packet = parsePacket(bytes.slice());
    assert(packet.ok, "the application got a packet that is none");
    this.received.push(packet.value);
  }

  #ask(query: UpstreamQuery): void {
    const decoded = decodeDnsQuery(query.message);
    assert(decoded.ok);
    this.asked.push(decoded.value.name);
    this.#world.simulation.schedule(20, () =>
      this.use((session, now) =>
        session.handleDnsAnswer(query.id, {
          type: "answer",
          message: encodeDnsAnswer(decoded.value, 0, [{ type: "A", ttl: 60, data: "203.0.113.5" }]),
        }, now)
      ));
  }

  #handleChannel(event: ChannelEvent): void {
    this.use((session, now) => {
      if (event.type === "joined") session.handlePortalJoined(now);
      if (event.type === "hiccup") session.handlePortalLost(now);
      if (event.type !== "message") return;
      const message = decodeClientInbound(event.event, event.payload);
      assert(message.ok, `${event.event}: ${message.ok ? "" : message.reason}`);
      session.handlePortal(message.value, now);
    });
  }
}

/** A gateway, and the network behind it: every UDP packet is answered by its echo. */
export class SimGateway implements Machine {
  readonly host: Host;
  readonly session: GatewaySession;
  readonly link: PortalLink;
  /** Packets that reached services, in words. */
  readonly served: string[] = [];
  readonly name: string;
  readonly #world: World;

  constructor(world: World, name: string, token: string) {
    this.name = name;
    this.#world = world;
    const { simulation, portal } = world;
    this.host = new Host(simulation);
    const keyPair = newKeyPair(simulation);
    this.session = new GatewaySession({
      keyPair,
      crypto: nobleProvider,
      rng: simulation.rng,
      now: simulation.now,
      wallClock: wallClock(),
      log: silentLog,
    });
    this.session.handleSystemResolvers([SocketAddress.from("10.0.0.53:53")]);
    this.link = new PortalLink(portal, {
      topic: "gateway",
      path: "/gateway/v2/websocket",
      token,
      query: () => ({ external_id: name, name, public_key: toBase64(keyPair.publicKey) }),
      onEvent: (event) => this.#handleChannel(event),
    });
  }

  /** Ends as a process does that was asked to. */
  shutdown(): void {
    this.#use((session, now) => session.shutdown(now));
    this.link.break(false);
    this.host.isOn = false;
  }

  /** Ends as a machine does whose cable was pulled. */
  crash(): void {
    this.host.isOn = false;
    this.link.break(false);
  }

  handleDatagram(local: SocketAddress, remote: SocketAddress, payload: Uint8Array, now: Instant): void {
    const packet = this.session.handleDatagram(local, remote, payload, now);
    if (packet !== undefined) this.#serve(packet.slice());
  }

  handleTimeout(now: Instant): void {
    this.session.handleTimeout(now);
  }

  pollTimeout(): Wake | undefined {
    return this.session.pollTimeout();
  }

  pollDatagram(): Datagram | undefined {
    return this.session.pollDatagram();
  }

  drained(): void {
    const { session } = this;
    while (session.pollEvent() !== undefined);
    for (let request = session.pollResolve(); request !== undefined; request = session.pollResolve()) {
      this.#resolve(request.id, request.domain);
    }
    for (let query = session.pollDnsQuery(); query !== undefined; query = session.pollDnsQuery()) {
      this.#ask(query);
    }
    for (let message = session.pollPortal(); message !== undefined; message = session.pollPortal()) {
      const { event, payload } = encodeGatewayOutbound(message);
      this.link.send(event, payload);
    }
  }

  #use(action: (session: GatewaySession, now: Instant) => void): void {
    if (!this.host.isOn) return;
    action(this.session, this.#world.simulation.now);
    this.host.drain();
  }

  #serve(bytes: Uint8Array): void {
    const packet = parsePacket(bytes);
    if (!packet.ok || packet.value.transport !== "udp") return;
    const { source, destination, sourcePort, destinationPort } = packet.value;
    this.served.push(`${destination}:${destinationPort}`);
    const echo = buildUdp({
      source: destination,
      destination: source,
      sourcePort: destinationPort,
      destinationPort: sourcePort,
      payload: udpPayload(packet.value)!,
    });
    this.#later(1, (session, now) => {
      const datagram = session.handlePacket(echo, now);
      if (datagram !== undefined) this.host.send(datagram);
    });
  }

  #resolve(id: number, domain: string): void {
    const addresses = this.#world.names.get(domain)?.map((text) => IpAddress.from(text)) ?? [];
    this.#later(10, (session, now) =>
      session.handleResolved(id, {
        ipv4: addresses.filter(({ family }) => family === 4),
        ipv6: addresses.filter(({ family }) => family === 6),
      }, now));
  }

  #ask(query: UpstreamQuery): void {
    const decoded = decodeDnsQuery(query.message);
    assert(decoded.ok);
    this.#later(
      10,
      (session, now) =>
        session.handleDnsAnswer(
          query.id,
          { type: "answer", message: encodeDnsAnswer(decoded.value, 3) },
          now,
        ),
    );
  }

  #later(delay: number, action: (session: GatewaySession, now: Instant) => void): void {
    this.#world.simulation.schedule(delay, () => this.#use(action));
  }

  #handleChannel(event: ChannelEvent): void {
    this.#use((session, now) => {
      if (event.type === "joined") session.handlePortalJoined(now);
      if (event.type === "hiccup") session.handlePortalLost(now);
      if (event.type !== "message") return;
      const message = decodeGatewayInbound(event.event, event.payload);
      assert(message.ok, `${event.event}: ${message.ok ? "" : message.reason}`);
      session.handlePortal(message.value, now);
    });
  }
}

function describe(message: Uint8Array): string {
  const text = describeDnsMessage(message);
  return text === undefined ? "garbage" : [text.code, ...text.records.map(({ data }) => data)].join(" ");
}
