/**
 * The straight line of packets: TUN device → router → gateway, and back through the checks on what gateways may send.
 * Packets that cannot go now wait in `Access`; those that may not go are answered here.
 */

import type { Datagram } from "../base/datagram.ts";
import type { AddressKey } from "../base/ip.ts";
import { Ring } from "../base/ring.ts";
import { type Instant, seconds } from "../base/time.ts";
import type { ProxyIps } from "../dns/proxy_ips.ts";
import { buildUnreachable } from "../wire/icmp.ts";
import { IpPacket } from "../wire/ip.ts";
import { type ControlMessage, decodeControl } from "../wire/p2p_control.ts";
import type { Access } from "./access.ts";
import type { ClientDns } from "./dns.ts";
import type { EchoProbes } from "./echo.ts";
import type { ClientEvent } from "./event.ts";
import type { Router } from "./router.ts";
import { isAllowedSource } from "./source_check.ts";

/** What traffic needs from the session. */
export interface TrafficContext {
  readonly router: Router;
  readonly access: Access;
  readonly dns: ClientDns;
  readonly echo: EchoProbes;
  readonly proxyIps: ProxyIps;
  readonly emit: (event: ClientEvent) => void;
}

/** What a gateway sent: a packet for the TUN device, a control message, or nothing that concerns anybody else. */
export type Received =
  | { readonly type: "packet"; readonly packet: Uint8Array }
  | { readonly type: "control"; readonly message: ControlMessage }
  | { readonly type: "consumed" };

/** The data path of a client. */
export class Traffic {
  readonly #context: TrafficContext;
  readonly #packets = new Ring<Uint8Array>(MAX_QUEUED);
  readonly #datagrams = new Ring<Datagram>(MAX_QUEUED);
  readonly #drops = new Map<string, number>();
  /** One view for packets from the TUN device, one for packets from the tunnel. */
  readonly #outgoing = new IpPacket();
  readonly #incoming = new IpPacket();
  readonly #refusedAt = new Map<string, Instant>();
  #own: readonly [AddressKey, AddressKey] | undefined;

  constructor(context: TrafficContext) {
    this.#context = context;
  }

  /** Packets dropped, by reason. */
  get drops(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#drops);
  }

  setOwnAddresses(ipv4: AddressKey, ipv6: AddressKey): void {
    this.#own = [ipv4, ipv6];
    this.#context.router.setOwnAddresses(ipv4, ipv6);
  }

  /** Takes a packet from the TUN device; returns the datagram that carries it, if it can go now. */
  send(bytes: Uint8Array, now: Instant): Datagram | undefined {
    const fault = this.#outgoing.load(bytes);
    return fault === undefined ? this.#send(this.#outgoing, now) : this.#drop(fault);
  }

  /** Sends a packet that waited, or one of our own; its datagram goes to the queue. */
  resend(bytes: Uint8Array, now: Instant): void {
    const packet = new IpPacket();
    const fault = packet.load(bytes);
    const datagram = fault === undefined ? this.#send(packet, now) : this.#drop(fault);
    if (datagram !== undefined) this.transmit(datagram);
  }

  /** Queues a copy of `datagram`. */
  transmit(datagram: Datagram): void {
    this.#datagrams.push({ ...datagram, payload: datagram.payload.slice() });
  }

  /** Takes what a gateway sent. */
  receive(gatewayId: string, bytes: Uint8Array, now: Instant): Received {
    const packet = this.#incoming;
    const { access, router, proxyIps, dns, echo } = this.#context;
    const fault = packet.load(bytes);
    if (fault !== undefined) return this.#consume(fault);
    if (packet.isControl) {
      const message = decodeControl(packet);
      return message.ok ? { type: "control", message: message.value } : this.#consume(message.reason);
    }
    const peer = access.peers.get(gatewayId);
    if (peer === undefined) return this.#consume("unknown-gateway");
    if (!isAllowedSource(packet, peer, router, proxyIps, access.peers)) {
      return this.#consume("not-allowed-source");
    }
    if (this.#own?.includes(packet.destinationKey) !== true) return this.#consume("not-for-us");
    if (dns.handleTunnelPacket(packet, now) || echo.handlePacket(packet, now)) return CONSUMED;
    return { type: "packet", packet: packet.bytes };
  }

  /** Returns the next packet for the TUN device. */
  pollPacket(): Uint8Array | undefined {
    return this.#packets.shift() ?? this.#context.dns.pollPacket();
  }

  /** Returns the next datagram that waited. */
  pollDatagram(): Datagram | undefined {
    return this.#datagrams.shift();
  }

  /** Forgets datagrams for paths that are gone. */
  reset(): void {
    this.#datagrams.takeAll();
  }

  #send(packet: IpPacket, now: Instant): Datagram | undefined {
    const { router, access, dns } = this.#context;
    const decision = router.route(packet);
    switch (decision.type) {
      case "resource":
        return access.sendToResource(decision.resource, decision.domain, packet, now);
      case "gateway":
        return access.sendToPeer(decision.peer, packet, now);
      case "sentinel":
        dns.handlePacket(packet, now);
        return undefined;
      case "prohibited":
        return this.#refuse(packet, "filtered", decision.resourceId, now);
      case "device":
        return this.#refuse(packet, "device-access-refused", decision.resourceId, now);
      case "drop":
        return this.#drop(decision.reason);
    }
  }

  #refuse(
    packet: IpPacket,
    type: "filtered" | "device-access-refused",
    resourceId: string,
    now: Instant,
  ): undefined {
    const answer = buildUnreachable(packet, "prohibited");
    if (answer !== undefined && !this.#answersEcho(answer, now)) this.#packets.push(answer);
    const toldAt = this.#refusedAt.get(resourceId);
    if (toldAt === undefined || now - toldAt >= TELL_AGAIN_AFTER) {
      if (this.#refusedAt.size >= MAX_QUEUED) this.#refusedAt.clear();
      this.#refusedAt.set(resourceId, now);
      this.#context.emit({ type, resourceId });
    }
    return this.#drop(type);
  }

  #answersEcho(answer: Uint8Array, now: Instant): boolean {
    const packet = new IpPacket();
    return packet.load(answer) === undefined && this.#context.echo.handlePacket(packet, now);
  }

  #consume(reason: string): Received {
    this.#drop(reason);
    return CONSUMED;
  }

  #drop(reason: string): undefined {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1);
    return undefined;
  }
}

const CONSUMED: Received = { type: "consumed" };
const MAX_QUEUED = 1024;
const TELL_AGAIN_AFTER = seconds(10);
