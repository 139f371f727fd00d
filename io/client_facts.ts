/** What there is to tell of a client and its machine, besides the state of its session. */

import type { DnsControl } from "../ffi/platform.ts";
import type { IpAddress, IpNetwork, SocketAddress } from "../lib/base/ip.ts";
import type { DnsState } from "./dns_upkeep.ts";

/** What passes the tunnel by. */
export interface Routing {
  /** Networks that always do. */
  readonly excluded: readonly IpNetwork[];
  /** Whether local networks do while everything else goes into the tunnel. */
  readonly lan: "allow" | "deny";
}

/** What a client is on this machine. */
export interface ClientFacts extends HostFacts {
  /** The name and the id by which the portal knows it. */
  readonly deviceName: string;
  readonly deviceId: string;
}

/** What a client has of its machine. */
export interface HostFacts extends Routing {
  readonly tunName: string;
  readonly mtu: number;
  readonly dnsControl: DnsControl;
  readonly dns: DnsState;
  /** The machine's own resolvers. */
  readonly resolvers: readonly string[];
  /** What the session itself reaches past the tunnel although a route leads into it: the portal, DNS servers. */
  readonly bypass: readonly IpAddress[];
  /** What this machine's network cannot do: sentences for a person. */
  readonly degraded: readonly string[];
}

/** What carries the tunnel on this machine. */
export interface ClientUnderlay {
  /** Whether the machine has a way out. */
  readonly hasPath: boolean;
  /** Where our UDP sockets listen: one for each family that there is. */
  readonly sockets: readonly SocketAddress[];
  /** The port that they were asked to have; undefined if any will do. */
  readonly wantedPort: number | undefined;
  /** Datagrams that could not be sent, by the kernel's error. */
  readonly sendErrors: Readonly<Record<string, number>>;
  /** How often everything started over. */
  readonly resets: number;
}
