/** A whole gateway, and the site behind it: a server at every address, and a resolver that knows some names. */

import assert from "node:assert/strict";
import { IpAddress, SocketAddress } from "../../lib/base/ip.ts";
import type { Instant } from "../../lib/base/time.ts";
import { GatewaySession } from "../../lib/gateway/session.ts";
import { type DnsQuery, encodeDnsAnswer, ResponseCode } from "../../lib/wire/dns.ts";
import type { IpPacket } from "../../lib/wire/ip.ts";
import { decodeGatewayInbound, encodeGatewayOutbound } from "../../lib/wire/portal/gateway.ts";
import { buildTcp, TcpFlag } from "../../lib/wire/tcp.ts";
import { buildUdp, udpPayload } from "../../lib/wire/udp.ts";
import { Role, type RoleOptions } from "./role.ts";

export class GatewayRole extends Role<GatewaySession> {
  /** Where packets of clients went, as "address:port". */
  readonly served: string[] = [];
  readonly #names: ReadonlyMap<string, readonly string[]>;

  /** `names`: the addresses that the site's resolver tells. */
  constructor(options: Omit<RoleOptions, "role">, names: ReadonlyMap<string, readonly string[]>) {
    super({ ...options, role: "gateway" }, (common) => new GatewaySession(common));
    this.#names = names;
    this.session.handleSystemResolvers([SocketAddress.from("10.0.0.53:53")]);
  }

  get status() {
    return this.session.status(this.simulation.now);
  }

  /** Ends as a process does that was asked to. */
  shutdown(): void {
    this.use((session, now) => session.shutdown(now));
    this.crash();
  }

  /** Ends as a machine does whose cable was pulled. */
  crash(): void {
    this.host.isOn = false;
    this.link.unplug();
  }

  protected receive(packet: IpPacket): void {
    this.served.push(`${packet.destination}:${packet.destinationPort}`);
    const answer = serve(packet);
    if (answer !== undefined) this.simulation.schedule(1, () => this.send(answer));
  }

  protected answer(query: DnsQuery): Uint8Array {
    return encodeDnsAnswer(query, ResponseCode.nameError);
  }

  protected handleMessage(event: string, payload: unknown, now: Instant): void {
    const message = decodeGatewayInbound(event, payload);
    assert(message.ok, message.ok ? "" : `${event}: ${message.reason}`);
    this.session.handlePortal(message.value, now);
  }

  protected pollMore(): void {
    const { session } = this;
    for (let message = session.pollPortal(); message !== undefined; message = session.pollPortal()) {
      const { event, payload } = encodeGatewayOutbound(message);
      this.link.send(event, payload);
    }
    for (let request = session.pollResolve(); request !== undefined; request = session.pollResolve()) {
      const { id, domain } = request;
      const addresses = (this.#names.get(domain) ?? []).map((text) => IpAddress.from(text));
      const ipv4 = addresses.filter(({ family }) => family === 4);
      const ipv6 = addresses.filter(({ family }) => family === 6);
      this.later(10, (session, now) => session.handleResolved(id, { ipv4, ipv6 }, now));
    }
  }
}

/** Every server of the site takes connections, and says over UDP what it is told. */
function serve(packet: IpPacket): Uint8Array | undefined {
  const reverse = {
    source: packet.destination,
    destination: packet.source,
    sourcePort: packet.destinationPort,
    destinationPort: packet.sourcePort,
  };
  if (packet.transport === "udp") return buildUdp({ ...reverse, payload: udpPayload(packet)! });
  if (packet.transport !== "tcp") return undefined;
  return buildTcp({
    ...reverse,
    sequence: 100,
    acknowledgment: 2,
    flags: TcpFlag.syn | TcpFlag.ack,
    window: 1000,
  });
}
