/** Relays as the portal names them to clients and gateways. */

import { SocketAddress } from "../base/ip.ts";
import type { Relay } from "../wire/portal/common.ts";

/** A relay as the portal names it; one with addresses of both families comes as two, with one id. */
export interface RelayConfig {
  readonly id: string;
  readonly addr: SocketAddress;
  readonly username: string;
  readonly password: string;
  /** Unix time in seconds at which the credentials end. */
  readonly expiresAt: number;
}

/** Returns those of `relays` that relay; the others only tell addresses, as every relay does too. */
export function relayConfigs(relays: readonly Relay[]): RelayConfig[] {
  return relays.filter((relay) => relay.type === "turn").map((relay) => ({
    id: relay.id,
    addr: SocketAddress.from(relay.addr),
    username: relay.username,
    password: relay.password,
    expiresAt: relay.expires_at,
  }));
}
