/** Client, gateway and relay as they run in production, without their shells: whole sessions on simulated hosts. */

import assert from "node:assert/strict";
import { toBase64 } from "../../lib/base/bytes.ts";
import { nobleProvider } from "../../lib/base/crypto.ts";
import type { Datagram } from "../../lib/base/datagram.ts";
import { IpAddress, SocketAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { Instant, Wake } from "../../lib/base/time.ts";
import type { ChannelEvent } from "../../lib/channel/client.ts";
import { type ClientEvent, ClientSession, type InterfaceConfig } from "../../lib/client/session.ts";
import type { GatewayEvent } from "../../lib/gateway/event.ts";
import { GatewaySession } from "../../lib/gateway/session.ts";
import { RelaySession } from "../../lib/relay/session.ts";
import { type IpPacket, parsePacket } from "../../lib/wire/ip.ts";
import { decodeClientInbound, encodeClientOutbound } from "../../lib/wire/portal/client.ts";
import { decodeGatewayInbound, encodeGatewayOutbound } from "../../lib/wire/portal/gateway.ts";
import { decodeRelayInbound } from "../../lib/wire/portal/relay.ts";
import { Host, type Machine } from "./host.ts";
import { newKeyPair } from "./node_peer.ts";
import { PortalLink, type SimPortal } from "./portal.ts";
import { wallClock } from "./relay.ts";
import type { Simulation } from "./simulation.ts";

const RELAY_PORT = 3478;

function common(simulation: Simulation) {
  const { rng, now } = simulation;
  return { crypto: nobleProvider, rng, now, wallClock: wallClock(), log: silentLog };
}

function load(bytes: Uint8Array): IpPacket {
  const packet = parsePacket(bytes.slice());
  assert(packet.ok, packet.ok ? "" : packet.reason);
  return packet.value;
}

export class RelayRole implements Machine {
  readonly host: Host;
  readonly link: PortalLink;
  readonly #session: RelaySession;
  readonly #datagrams: Datagram[] = [];

  constructor(simulation: Simulation, portal: SimPortal, token: string, publicIp: IpAddress) {
    this.host = new Host(simulation, RELAY_PORT);
    this.#session = new RelaySession({
      ...common(simulation),
      publicAddress: { 4: publicIp },
      listenPort: RELAY_PORT,
      lowestPort: 49_152,
      highestPort: 65_535,
    });
    this.link = new PortalLink({
      portal,
      role: "relay",
      token,
      query: { ipv4: publicIp.toString(), port: String(RELAY_PORT) },
      joinPayload: this.#session.joinPayload,
      onEvent: (event) => {
        if (event.type !== "message") return;
        const message = decodeRelayInbound(event.event, event.payload);
        if (message.ok) this.#session.handlePortal(message.value);
      },
    });
  }

  start(): void {
    this.host.run(this);
    this.link.start();
  }

  handleDatagram(local: SocketAddress, remote: SocketAddress, payload: Uint8Array, now: Instant): void {
    const { server } = this.#session;
    const forwarded = server.handleDatagram(local, remote, payload, now);
    if (forwarded !== undefined) this.#datagrams.push({ ...forwarded, payload: forwarded.payload.slice() });
    for (let event = server.pollEvent(); event !== undefined; event = server.pollEvent()) {
      if (event.type === "open-port") server.handlePortOpened(event.port, true, now);
    }
  }

  handleTimeout(now: Instant): void {
    this.#session.server.handleTimeout(now);
  }

  pollTimeout(): Wake | undefined {
    return this.#session.server.pollTimeout();
  }

  pollDatagram(): Datagram | undefined {
    return this.#datagrams.shift() ?? this.#session.server.pollDatagram();
  }
}

export class GatewayRole implements Machine {
  readonly host: Host;
  readonly link: PortalLink;
  readonly session: GatewaySession;
  readonly events: GatewayEvent[] = [];
  /** Names that the gateway's host can resolve. */
  readonly names = new Map<string, readonly IpAddress[]>();
  /** The network behind the gateway: takes a packet, may return an answer. */
  serve: (packet: IpPacket) => Uint8Array | undefined = () => undefined;

  constructor(simulation: Simulation, portal: SimPortal, token: string, name: string) {
    this.host = new Host(simulation);
    const keyPair = newKeyPair(simulation);
    this.session = new GatewaySession({ ...common(simulation), keyPair });
    this.link = new PortalLink({
      portal,
      role: "gateway",
      token,
      query: { external_id: name, name, public_key: toBase64(keyPair.publicKey) },
      onEvent: (event) => this.#handlePortalEvent(event),
    });
  }

  start(): void {
    this.host.run(this);
    this.link.start();
  }

  handleDatagram(local: SocketAddress, remote: SocketAddress, payload: Uint8Array, now: Instant): void {
    const bytes = this.session.handleDatagram(local, remote, payload, now);
    const answer = bytes && this.serve(load(bytes));
    const datagram = answer && this.session.handlePacket(answer, now);
    if (datagram !== undefined) this.host.send(datagram);
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
    const { session, host } = this;
    for (let message = session.pollPortal(); message !== undefined; message = session.pollPortal()) {
      const { event, payload } = encodeGatewayOutbound(message);
      this.link.send(event, payload);
    }
    for (let request = session.pollResolve(); request !== undefined; request = session.pollResolve()) {
      const { id, domain } = request;
      host.simulation.schedule(5, () => {
        const addresses = this.names.get(domain) ?? [];
        session.handleResolved(id, {
          ipv4: addresses.filter(({ family }) => family === 4),
          ipv6: addresses.filter(({ family }) => family === 6),
        }, host.simulation.now);
        host.drain();
      });
    }
    for (let event = session.pollEvent(); event !== undefined; event = session.pollEvent()) {
      this.events.push(event);
    }
  }

  #handlePortalEvent(event: ChannelEvent): void {
    const { now } = this.host.simulation;
    if (event.type === "joined") this.session.handlePortalJoined(now);
    if (event.type === "hiccup") this.session.handlePortalLost(now);
    if (event.type === "message") {
      const message = decodeGatewayInbound(event.event, event.payload);
      assert(message.ok, message.ok ? "" : `${event.event}: ${message.reason}`);
      this.session.handlePortal(message.value, now);
    }
    this.host.drain();
  }
}

export class ClientRole implements Machine {
  readonly host: Host;
  readonly link: PortalLink;
  readonly session: ClientSession;
  readonly events: ClientEvent[] = [];
  /** Packets for applications, as they come. */
  readonly packets: IpPacket[] = [];
  config: InterfaceConfig | undefined;

  constructor(simulation: Simulation, portal: SimPortal, token: string, name: string) {
    this.host = new Host(simulation);
    const keyPair = newKeyPair(simulation);
    this.session = new ClientSession({
      ...common(simulation),
      keyPair,
      internetResourceActive: false,
      systemResolvers: [SocketAddress.from("192.0.2.53:53")],
    });
    this.link = new PortalLink({
      portal,
      role: "client",
      token,
      query: { external_id: name, name, public_key: toBase64(keyPair.publicKey) },
      onEvent: (event) => this.#handlePortalEvent(event),
    });
  }

  start(): void {
    this.host.run(this);
    this.link.start();
  }

  /** An application sends a packet. */
  send(packet: Uint8Array): void {
    const datagram = this.session.handlePacket(packet, this.host.simulation.now);
    if (datagram !== undefined) this.host.send(datagram);
    this.host.drain();
  }

  /** Returns and forgets the packets that have come. */
  take(): IpPacket[] {
    return this.packets.splice(0);
  }

  handleDatagram(local: SocketAddress, remote: SocketAddress, payload: Uint8Array, now: Instant): void {
    const bytes = this.session.handleDatagram(local, remote, payload, now);
    if (bytes !== undefined) this.packets.push(load(bytes));
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
    for (let bytes = session.pollPacket(); bytes !== undefined; bytes = session.pollPacket()) {
      this.packets.push(load(bytes));
    }
    for (let message = session.pollPortal(); message !== undefined; message = session.pollPortal()) {
      const { event, payload } = encodeClientOutbound(message);
      this.link.send(event, payload);
    }
    for (let event = session.pollEvent(); event !== undefined; event = session.pollEvent()) {
      this.events.push(event);
      if (event.type === "interface") this.config = event.config;
    }
  }

  #handlePortalEvent(event: ChannelEvent): void {
    const { now } = this.host.simulation;
    if (event.type === "joined") this.session.handlePortalJoined(now);
    if (event.type === "hiccup") this.session.handlePortalLost(now);
    if (event.type === "message") {
      const message = decodeClientInbound(event.event, event.payload);
      assert(message.ok, message.ok ? "" : `${event.event}: ${message.reason}`);
      this.session.handlePortal(message.value, now);
    }
    this.host.drain();
  }
}
