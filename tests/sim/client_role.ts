/** A whole client, with the applications on its host and the resolver that the host asks without us. */

import assert from "node:assert/strict";
import { type IpAddress, SocketAddress } from "../../lib/base/ip.ts";
import type { Duration, Instant } from "../../lib/base/time.ts";
import { newKeyPair } from "../../lib/node/key_pair.ts";
import { ClientSession, type InterfaceConfig } from "../../lib/client/session.ts";
import { type DnsQuery, encodeDnsAnswer, encodeDnsQuery, RecordType } from "../../lib/wire/dns.ts";
import { describeDnsMessage } from "../../lib/wire/dns_text.ts";
import type { IpPacket } from "../../lib/wire/ip.ts";
import { decodeClientInbound, encodeClientOutbound } from "../../lib/wire/portal/client.ts";
import { buildTcp, TcpFlag, tcpFlags } from "../../lib/wire/tcp.ts";
import { buildUdp, udpPayload } from "../../lib/wire/udp.ts";
import { Role, type RoleOptions } from "./role.ts";

const SYSTEM_RESOLVER = "192.168.1.1:53";

export class ClientRole extends Role<ClientSession> {
  /** Packets that applications received. */
  readonly received: IpPacket[] = [];
  /** Names that the host's resolver was asked for. It knows them all. */
  readonly asked: string[] = [];
  #nextPort = 40_001;

  constructor(options: Omit<RoleOptions, "role">) {
    super({ ...options, role: "client" }, (common) =>
      new ClientSession({
        ...common,
        internetResourceActive: false,
        systemResolvers: [SocketAddress.from(SYSTEM_RESOLVER)],
      }));
  }

  get status() {
    return this.session.status(this.simulation.now);
  }

  get config(): InterfaceConfig {
    const config = this.status.interface;
    assert(config !== undefined, "the client was never told its addresses");
    return config;
  }

  /** An application sends `text` over UDP. */
  say(destination: string, text: string): void {
    const to = SocketAddress.from(destination);
    this.#sendUdp(to, 40_000, new TextEncoder().encode(text));
  }

  /** Returns whether an application got `text` back from `source`. */
  heard(source: string, text: string): boolean {
    const { ip, port } = SocketAddress.from(source);
    return this.received.some((packet) =>
      packet.transport === "udp" && packet.source.equals(ip) && packet.sourcePort === port &&
      new TextDecoder().decode(udpPayload(packet)) === text
    );
  }

  /** Opens a TCP connection; returns whether the server's SYN came back within `limit`. */
  connects(destination: string, limit: Duration): boolean {
    const to = SocketAddress.from(destination);
    const sourcePort = this.#nextPort++;
    this.send(buildTcp({
      source: this.#ownAddress(to.ip),
      destination: to.ip,
      sourcePort,
      destinationPort: to.port,
      sequence: 1,
      acknowledgment: 0,
      flags: TcpFlag.syn,
      window: 1000,
    }));
    const isAnswer = (packet: IpPacket) =>
      packet.transport === "tcp" && packet.destinationPort === sourcePort && packet.source.equals(to.ip) &&
      (tcpFlags(packet) & TcpFlag.syn) !== 0;
    return this.simulation.runUntil(() => this.received.some(isAnswer), limit) !== undefined;
  }

  /** Asks as applications do; returns code and records, or "nothing" if no answer comes within 15 s. */
  resolve(name: string, type: keyof typeof RecordType = "a"): string {
    const [sentinel] = this.config.dns.sentinels;
    assert(sentinel !== undefined, "the client has no resolver");
    const sourcePort = this.#nextPort++;
    this.#sendUdp(new SocketAddress(sentinel, 53), sourcePort, encodeDnsQuery(1, name, RecordType[type])!);
    const answer = () =>
      this.received.find((packet) => packet.transport === "udp" && packet.destinationPort === sourcePort);
    this.simulation.runUntil(() => answer() !== undefined, 15_000);
    const packet = answer();
    return packet === undefined ? "nothing" : describe(udpPayload(packet)!);
  }

  /** The host noticed that it is in another network: new key, new paths. */
  roam(): void {
    this.keyPair = newKeyPair(this.simulation.rng);
    this.use((session, now) => session.reset(this.keyPair, now));
    this.link.redial();
  }

  protected receive(packet: IpPacket): void {
    this.received.push(packet);
  }

  protected answer(query: DnsQuery): Uint8Array {
    this.asked.push(query.name);
    return encodeDnsAnswer(query, 0, [{ type: "A", ttl: 60, data: "203.0.113.5" }]);
  }

  protected handleMessage(event: string, payload: unknown, now: Instant): void {
    const message = decodeClientInbound(event, payload);
    assert(message.ok, message.ok ? "" : `${event}: ${message.reason}`);
    this.session.handlePortal(message.value, now);
  }

  protected pollMore(): void {
    const { session } = this;
    for (let message = session.pollPortal(); message !== undefined; message = session.pollPortal()) {
      const { event, payload } = encodeClientOutbound(message);
      this.link.send(event, payload);
    }
  }

  #sendUdp(to: SocketAddress, sourcePort: number, payload: Uint8Array): void {
    const addresses = { source: this.#ownAddress(to.ip), destination: to.ip };
    this.send(buildUdp({ ...addresses, sourcePort, destinationPort: to.port, payload }));
  }

  #ownAddress({ family }: IpAddress): IpAddress {
    return family === 4 ? this.config.ipv4 : this.config.ipv6;
  }
}

function describe(message: Uint8Array): string {
  const text = describeDnsMessage(message);
  return text === undefined ? "garbage" : [text.code, ...text.records.map(({ data }) => data)].join(" ");
}
