/** What each role of the program is told at its start. The command line fills these in, the shell reads them. */

import type { Fault } from "../base/fault.ts";
import type { IpAddress, IpNetwork, SocketAddress } from "../base/ip.ts";
import type { Duration } from "../base/time.ts";
import type { DnsControl } from "../host/dns_control.ts";

export type { DnsControl };

/** Name of a client's TUN device where no other was asked for. */
export const DEFAULT_TUN_NAME = "fz0";

/** What peers of the portal have in common. */
export interface PeerConfig {
  /** Base URL of the portal, such as "wss://api.firezone.dev/". */
  readonly apiUrl: string;
  readonly token: string;
  /** Shown to administrators; the host's name where undefined. */
  readonly name: string | undefined;
  /** Identity of this device; found or made where undefined. */
  readonly id: string | undefined;
  /** How long the portal may be away after the first success; undefined is for ever. */
  readonly maxPartitionTime: Duration | undefined;
}

/** What a client is told at its start. */
export interface ClientConfig extends PeerConfig {
  /** Give up when the portal cannot be reached within 15 s of the start; otherwise it is tried for ever. */
  readonly failFast: boolean;
  /** What fits the machine if undefined. */
  readonly dnsControl: DnsControl | undefined;
  readonly internetResource: boolean;
  /** Name of the TUN device; `DEFAULT_TUN_NAME` where undefined. */
  readonly tunName: string | undefined;
  /** Largest packet in the tunnel, in bytes; the protocol's where undefined. */
  readonly mtu: number | undefined;
  /** UDP port of our sockets; another one is taken if somebody has it. The default where undefined. */
  readonly port: number | undefined;
  /** Networks that always pass the tunnel by. */
  readonly excluded: readonly IpNetwork[];
  /** Whether the local networks are reached as before while everything else goes into the tunnel. */
  readonly lan: "allow" | "deny";
  /** Raise the kernel's limits of socket buffers. */
  readonly increaseBuffers: boolean;
  readonly flowLogs: boolean;
}

/** What a session is told at its start. */
export interface SessionConfig {
  readonly profile: string;
  readonly client: Omit<ClientConfig, "token">;
  /** Undefined while nobody is signed in. */
  readonly token: string | undefined;
  /** Names or ids of resources that stay out of the tunnel. */
  readonly disabledResources: readonly string[];
  /** Whether it waits for a credential when there is none or a dead one, instead of ending. */
  readonly waitsForCredential: boolean;
  /** Where /healthz, /readyz and /metrics are served; nowhere if undefined. */
  readonly listen?: SocketAddress | undefined;
}

/** How a session in the background is started. */
export interface LaunchConfig {
  readonly profile: string;
  /** Given to a session that is started; it finds a stored one itself. */
  readonly token: string | undefined;
  /** What `fz run` is told besides. */
  readonly args: readonly string[];
  /** How long to wait at most for others: a session that is there and does not answer, another `fz up`. */
  readonly patience: Duration;
}

/** How `fz up` came by its session. */
export interface Launched {
  readonly how: "found" | "service" | "started";
  /** Process id of one that was started. */
  readonly pid: number | undefined;
}

/** What `fz cleanup` undid. */
export interface CleanupReport {
  /** The session that was killed, if its file could be read. */
  readonly session: { readonly pid: number } | undefined;
  /** Rules and routes. */
  readonly network: readonly string[];
  readonly wasDnsRestored: boolean;
  /** Other changes that the journal had, for a person: "the file /etc/resolv.conf". */
  readonly changes?: readonly string[];
  /** Files and sockets that were removed. */
  readonly files: readonly string[];
  /** Where a journal was put that could not be understood. */
  readonly setAside?: readonly string[];
  /** Why nothing was undone: somebody else's client runs. */
  readonly otherClient?: Fault;
}

/** What a gateway is told at its start. */
export interface GatewayConfig extends PeerConfig {
  /** Hide clients behind the gateway's own addresses (nftables). */
  readonly masquerade: boolean;
  readonly tunName: string | undefined;
  /** Where /healthz is served; nowhere if undefined. */
  readonly healthAddress: SocketAddress | undefined;
  readonly increaseBuffers: boolean;
  readonly flowLogs: boolean;
}

/** What a relay is told at its start. */
export interface RelayConfig extends Omit<PeerConfig, "id" | "maxPartitionTime"> {
  /** Address under which peers reach this relay; at least one of the two. */
  readonly publicIp4: IpAddress | undefined;
  readonly publicIp6: IpAddress | undefined;
  /** Where to listen; every address of the family if undefined. */
  readonly bindIp4: IpAddress | undefined;
  readonly bindIp6: IpAddress | undefined;
  /** UDP port of STUN and TURN. */
  readonly port: number;
  /** First and last port of allocations. */
  readonly lowestPort: number;
  readonly highestPort: number;
  readonly healthAddress: SocketAddress | undefined;
}

/** What a portal is told at its start. */
export interface PortalConfig {
  readonly listen: SocketAddress;
  /** Declarative description of accounts, sites, resources and tokens, read at start. */
  readonly seedFile: string | undefined;
  /** SQLite file; in memory if undefined. */
  readonly databaseFile: string | undefined;
  /** Unix socket of the admin API; none if undefined. */
  readonly adminSocket: string | undefined;
}

/** What a network in one process is told at its start. */
export interface DevConfig {
  /** Where all three are reached; an address of this machine. */
  readonly address: IpAddress;
  /** TCP port of the portal; 0 takes a free one. */
  readonly port: number;
  /** What clients may reach by the gateway: names, patterns, addresses and networks. */
  readonly resources: readonly string[];
}

/** What `fz dev` prints when all three are ready. */
export interface DevFacts {
  readonly portalUrl: string;
  readonly relay: string;
  readonly adminSocket: string;
  /** Tokens of the account, by what they are for. */
  readonly clientToken: string;
  readonly gatewayToken: string;
  readonly relayToken: string;
  /** For a machine without a person: that of a service account. */
  readonly serviceToken: string;
  /** How the account's person signs in with a browser. */
  readonly authBaseUrl: string;
  readonly accountSlug: string;
  readonly email: string;
  readonly password: string;
  readonly resources: readonly string[];
}

/** What the demo is told. */
export interface DemoConfig {
  /** Leave everything running until a signal. */
  readonly keep: boolean;
  /** Between client and gateway: UDP directly, or only by the relay. */
  readonly path: "direct" | "relayed";
}

/** One line of the demo's story. */
export interface DemoStep {
  readonly name: string;
  /** Milliseconds since the step before. */
  readonly ms: number;
  readonly detail: string;
}

/** What `fz demo --json` prints, without the envelope. */
export interface DemoReport {
  readonly ok: boolean;
  readonly steps: readonly DemoStep[];
  readonly path: DemoPath | undefined;
  readonly http: {
    readonly url: string;
    readonly status: number;
    readonly bytes: number;
    readonly ms: number;
  } | undefined;
  /** Why it failed: one sentence. */
  readonly error?: string;
}

export interface DemoPath {
  readonly kind: "direct" | "relayed";
  readonly localKind: string;
  readonly remoteKind: string;
  readonly local: string;
  readonly remote: string;
  readonly rttMs: number | undefined;
}

/** Which rights of root a role keeps, and which files it will open after it has given up the others. */
export interface ReductionRequest {
  readonly role: "client" | "gateway" | "relay";
  /** The UDP port that it will bind, if it is a certain one. */
  readonly port?: number | undefined;
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}
