/** What whole clients and gateways have in common: a host, a session as in production, and its link to the portal. */

import assert from "node:assert/strict";
import { toBase64 } from "../../lib/base/bytes.ts";
import { type CryptoProvider, nobleProvider } from "../../lib/base/crypto.ts";
import type { Datagram } from "../../lib/base/datagram.ts";
import type { SocketAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { Duration, Instant, Wake } from "../../lib/base/time.ts";
import type { ChannelEvent } from "../../lib/channel/client.ts";
import type { ClientSession } from "../../lib/client/session.ts";
import type { GatewaySession, GatewaySessionOptions } from "../../lib/gateway/session.ts";
import { type KeyPair, newKeyPair } from "../../lib/node/key_pair.ts";
import { decodeDnsQuery, type DnsQuery } from "../../lib/wire/dns.ts";
import { type IpPacket, parsePacket } from "../../lib/wire/ip.ts";
import { checksumsHold } from "../lib/wire/packets.ts";
import { Host, type Machine } from "./host.ts";
import { PortalLink, type SimPortal } from "./portal.ts";
import { wallClock } from "./relay.ts";
import type { Simulation } from "./simulation.ts";

export interface RoleOptions {
  readonly simulation: Simulation;
  readonly portal: SimPortal;
  readonly role: "client" | "gateway";
  readonly token: string;
  readonly name: string;
  /** Default: noble, which is the same everywhere. */
  readonly crypto?: CryptoProvider | undefined;
}

export abstract class Role<Session extends ClientSession | GatewaySession> implements Machine {
  readonly simulation: Simulation;
  readonly host: Host;
  readonly link: PortalLink;
  readonly session: Session;
  readonly events: NonNullable<ReturnType<Session["pollEvent"]>>[] = [];
  protected keyPair: KeyPair;

  constructor(
    { simulation, portal, role, token, name, crypto = nobleProvider }: RoleOptions,
    newSession: NewSession<Session>,
  ) {
    this.simulation = simulation;
    this.host = new Host(simulation);
    this.keyPair = newKeyPair(simulation.rng);
    const { rng, now } = simulation;
    const common = { crypto, rng, now, wallClock: wallClock(), log: silentLog };
    this.session = newSession({ ...common, keyPair: this.keyPair });
    this.link = new PortalLink({
      portal,
      role,
      token,
      query: () => ({ external_id: name, name, public_key: toBase64(this.keyPair.publicKey) }),
      onEvent: (event) => this.#handleChannel(event),
    });
  }

  start(): void {
    this.host.run(this);
    this.link.start();
  }

  /** Uses the session at the present instant, unless the host is off, and sends what comes out. */
  use(action: (session: Session, now: Instant) => void): void {
    if (!this.host.isOn) return;
    action(this.session, this.simulation.now);
    this.host.drain();
  }

  has(type: this["events"][number]["type"]): boolean {
    return this.events.some((event) => event.type === type);
  }

  /** The host's kernel takes a packet of applications or of the network behind a gateway. */
  send(packet: Uint8Array): void {
    this.use((session, now) => {
      const datagram = session.handlePacket(packet, now);
      if (datagram !== undefined) this.host.send(datagram);
    });
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
      this.events.push(event as this["events"][number]);
    }
    for (let packet = session.pollPacket(); packet !== undefined; packet = session.pollPacket()) {
      this.#deliver(packet);
    }
    for (let query = session.pollDnsQuery(); query !== undefined; query = session.pollDnsQuery()) {
      const { id, message } = query;
      const decoded = decodeDnsQuery(message);
      assert(decoded.ok);
      const answer = this.answer(decoded.value);
      this.later(15, (session, now) => session.handleDnsAnswer(id, { type: "answer", message: answer }, now));
    }
    this.pollMore();
  }

  /** Uses the session after `delay`. */
  protected later(delay: Duration, action: (session: Session, now: Instant) => void): void {
    this.simulation.schedule(delay, () => this.use(action));
  }

  /** Takes a packet that left the tunnel. */
  protected abstract receive(packet: IpPacket): void;
  /** Returns the answer of the host's resolver. */
  protected abstract answer(query: DnsQuery): Uint8Array;
  protected abstract handleMessage(event: string, payload: unknown, now: Instant): void;
  /** Takes what only this role's session gives. */
  protected abstract pollMore(): void;

  #deliver(bytes: Uint8Array): void {
    const packet = parsePacket(bytes.slice());
    assert(packet.ok && checksumsHold(bytes), "what left the tunnel is no packet");
    this.receive(packet.value);
  }

  #handleChannel(event: ChannelEvent): void {
    this.use((session, now) => {
      if (event.type === "joined") session.handlePortalJoined(now);
      if (event.type === "hiccup") session.handlePortalLost(now);
      if (event.type === "message") this.handleMessage(event.event, event.payload, now);
    });
  }
}

type NewSession<Session> = (options: Omit<GatewaySessionOptions, "node">) => Session;
