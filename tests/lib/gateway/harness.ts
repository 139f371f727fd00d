/** A gateway session over a node of the test's own, and shorthands for what portal, clients and network send. */

import assert from "node:assert/strict";
import { toBase64 } from "../../../lib/base/bytes.ts";
import { nobleProvider } from "../../../lib/base/crypto.ts";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import { silentLog } from "../../../lib/base/log.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import { WallClock } from "../../../lib/base/time.ts";
import type { GatewayEvent } from "../../../lib/gateway/event.ts";
import { GatewaySession } from "../../../lib/gateway/session.ts";
import type { IpPacket } from "../../../lib/wire/ip.ts";
import { parsePacket } from "../../../lib/wire/ip.ts";
import type { ControlMessage } from "../../../lib/wire/p2p_control.ts";
import { decodeControl, encodeControl } from "../../../lib/wire/p2p_control.ts";
import { decodeGatewayInbound } from "../../../lib/wire/portal/gateway.ts";
import { buildUdp } from "../../../lib/wire/udp.ts";
import { FakeNode } from "./fake_node.ts";

const KEY = toBase64(new Uint8Array(32).fill(7));
export const START_UNIX = 1_800_000_000;
export const OWN_4 = IpAddress.from("100.64.0.2");
export const CLIENT_4 = IpAddress.from("100.64.0.1");
export const SERVER = IpAddress.from("10.0.0.7");
export const PROXIES = ["100.96.0.1", "100.96.0.2", "100.96.0.3", "100.96.0.4"].map((text) =>
  IpAddress.from(text)
);
export const LOCAL = SocketAddress.from("198.51.100.1:52625");
export const RELAY = {
  type: "turn",
  id: "relay1",
  addr: "192.0.2.9:3478",
  username: "u",
  password: "p",
  expires_at: 1,
};

export class Harness {
  readonly node = new FakeNode();
  readonly session: GatewaySession;

  constructor(options: { init?: unknown; joined?: boolean } = {}) {
    this.session = new GatewaySession({
      keyPair: { privateKey: new Uint8Array(32), publicKey: new Uint8Array(32) },
      crypto: nobleProvider,
      rng: seededRng(1),
      now: 0,
      wallClock: new WallClock(0, START_UNIX * 1000),
      log: silentLog,
      node: this.node,
    });
    if (options.joined !== false) this.session.handlePortalJoined(0);
    this.portal("init", initPayload());
    this.events();
    this.node.calls.length = 0;
  }

  portal(event: string, payload: unknown, now = 0): void {
    const message = decodeGatewayInbound(event, payload);
    assert(message.ok, message.ok ? "" : `${event}: ${message.reason}`);
    this.session.handlePortal(message.value, now);
  }

  authorize(
    resource: unknown,
    options: { client?: string; ipv4?: string; expiresIn?: number; ref?: string; now?: number } = {},
  ) {
    const client = options.client ?? "c1";
    this.portal("create_authorization", {
      ref: options.ref ?? "ref1",
      expires_at: options.expiresIn === undefined ? null : START_UNIX + options.expiresIn,
      client: {
        id: client,
        public_key: KEY,
        preshared_key: KEY,
        ipv4: options.ipv4 ?? "100.64.0.1",
        ipv6: `fd00:2021:1111::1:${options.ipv4?.at(-1) ?? "1"}`,
      },
      resource,
      client_ice_credentials: { username: "cccc", password: "clientpassword01234567" },
      gateway_ice_credentials: { username: "gggg", password: "gatewaypassword0123456" },
    }, options.now ?? 0);
  }

  fromClient(packet: Uint8Array, now = 0, client = "c1"): Uint8Array | undefined {
    return this.session.handleDatagram(LOCAL, this.node.remoteOf(client), packet, now);
  }

  /** Packets sent to clients outside the data path. */
  replies(): IpPacket[] {
    const packets: IpPacket[] = [];
    for (
      let datagram = this.session.pollDatagram();
      datagram !== undefined;
      datagram = this.session.pollDatagram()
    ) {
      packets.push(load(datagram.payload));
    }
    return packets;
  }

  sent(): unknown[] {
    const messages: unknown[] = [];
    for (
      let message = this.session.pollPortal();
      message !== undefined;
      message = this.session.pollPortal()
    ) {
      messages.push(message);
    }
    return messages;
  }

  events(): GatewayEvent[] {
    const events: GatewayEvent[] = [];
    for (let event = this.session.pollEvent(); event !== undefined; event = this.session.pollEvent()) {
      events.push(event);
    }
    return events;
  }

  eventTypes(): string[] {
    return this.events().map((event) => event.type);
  }
}

export function initPayload(authorizations?: unknown[]): unknown {
  return {
    interface: { ipv4: "100.64.0.2", ipv6: "fd00:2021:1111::2" },
    config: { ipv4_masquerade_enabled: true, ipv6_masquerade_enabled: true },
    relays: [RELAY],
    ...(authorizations === undefined ? {} : { authorizations }),
  };
}

export const cidr = (id: string, address = "10.0.0.0/8", filters: unknown[] = []) => ({
  id,
  type: "cidr",
  name: id,
  address,
  filters,
});
export const dns = (id: string, address: string) => ({ id, type: "dns", name: id, address, filters: [] });

export function load(bytes: Uint8Array): IpPacket {
  const parsed = parsePacket(bytes);
  assert(parsed.ok);
  return parsed.value;
}

export function udp(
  source: IpAddress,
  destination: IpAddress,
  sourcePort = 5000,
  destinationPort = 80,
  payload = new Uint8Array(4),
): Uint8Array {
  return buildUdp({ source, destination, sourcePort, destinationPort, payload });
}

export function controlIn(packets: IpPacket[]): ControlMessage[] {
  return packets.filter((packet) => packet.isControl).map((packet) => {
    const decoded = decodeControl(packet);
    assert(decoded.ok);
    return decoded.value;
  });
}

export function assignedIps(resourceId: string, domain: string, proxyIps = PROXIES): Uint8Array {
  return encodeControl({ type: "assigned-ips", resourceId, domain, proxyIps });
}
