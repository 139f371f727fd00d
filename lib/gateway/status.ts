/** What a gateway shows of itself. */

import type { IpAddress } from "../base/ip.ts";
import type { WallClock } from "../base/time.ts";
import type { NodeStatus } from "../node/node.ts";
import type { ClientPeer, TunnelAddresses } from "./client_peer.ts";

/** What there is to know about a gateway. */
export interface GatewayStatus {
  /** Undefined before the portal's first word. */
  readonly addresses: TunnelAddresses | undefined;
  readonly clients: readonly ClientStatus[];
  readonly node: NodeStatus;
  /** Packets that were not passed on, by reason. */
  readonly drops: Readonly<Record<string, number>>;
}

/** What there is to know about a client of a gateway. */
export interface ClientStatus {
  readonly id: string;
  readonly ipv4: IpAddress;
  readonly ipv6: IpAddress;
  readonly resources: readonly {
    readonly id: string;
    readonly type: "dns" | "cidr" | "internet";
    readonly name: string;
    /** Unix time in milliseconds; undefined without end. */
    readonly expiresAtMs: number | undefined;
  }[];
  readonly natSessions: number;
}

/** Returns what there is to show of `peer`. */
export function describeClient(peer: ClientPeer, wallClock: WallClock): ClientStatus {
  return {
    id: peer.id,
    ipv4: peer.addresses.ipv4,
    ipv6: peer.addresses.ipv6,
    resources: [...peer.authorizations].map(({ resource, expiresAt }) => ({
      id: resource.id,
      type: resource.type,
      name: resource.name,
      expiresAtMs: expiresAt === undefined ? undefined : wallClock.unixMs(expiresAt),
    })),
    natSessions: peer.natSessions,
  };
}
