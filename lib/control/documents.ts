/** What the control API answers: its documents. They carry `schema` and only grow; `api.ts` says which route gives which. */

import * as v from "valibot";
import { DNS_CONTROLS } from "../host/dns_control.ts";

const Text = v.string();
const Count = v.pipe(v.number(), v.integer(), v.minValue(0));
const Ms = v.pipe(v.number(), v.minValue(0));
/** RFC 3339 in UTC. */
const Time = v.string();
const Optional = <S extends v.GenericSchema>(schema: S) => v.optional(schema);

/** What went wrong, in the words of a `Fault`. */
export const Problem = v.object({
  code: v.picklist([
    "usage",
    "rejected",
    "expired",
    "unreachable",
    "privilege",
    "tun",
    "dns",
    "timeout",
    "unknown-resource",
    "offline",
    "not-running",
    "unexpected",
  ]),
  message: Text,
  /** What the user can do. */
  next: Optional(Text),
});
export type Problem = v.InferOutput<typeof Problem>;

/** How two peers reach each other. Kinds are ICE's: "host", "serverReflexive", "peerReflexive", "relayed". */
export const PathDocument = v.object({
  kind: v.picklist(["direct", "relayed"]),
  local: Text,
  remote: Text,
  localKind: Text,
  remoteKind: Text,
  rttMs: Optional(Ms),
  relayId: Optional(Text),
});
export type PathDocument = v.InferOutput<typeof PathDocument>;

/** A kind of traffic that a resource allows; nothing but these, where there are any. */
export const FilterDocument = v.object({
  protocol: v.picklist(["tcp", "udp", "icmp"]),
  /** Undefined for ICMP. */
  firstPort: Optional(Count),
  lastPort: Optional(Count),
});
export type FilterDocument = v.InferOutput<typeof FilterDocument>;

/** Something that policy lets this device reach. */
export const ResourceDocument = v.object({
  id: Text,
  type: v.picklist(["dns", "cidr", "internet", "static-device-pool", "dynamic-device-pool"]),
  name: Text,
  /** Pattern, network or address. */
  address: Optional(Text),
  addressDescription: Optional(Text),
  filters: v.array(FilterDocument),
  sites: v.array(v.object({ id: Text, name: Text, state: v.picklist(["online", "offline", "unknown"]) })),
  /** Online: a gateway of a site is connected. Offline: the portal said so lately. Unknown: nobody tried. */
  state: v.picklist(["online", "offline", "unknown"]),
  /** False if it was disabled here, or is the Internet resource and switched off. */
  enabled: v.boolean(),
  access: v.picklist(["none", "requested", "connecting", "connected"]),
  gatewayId: Optional(Text),
  /** The portal's last refusal, until it grants. */
  denial: Optional(v.object({ reason: Text, violatedProperties: v.array(Text), agoMs: Ms })),
  /** Why it cannot be used, whatever the portal says. */
  warning: Optional(Text),
});
export type ResourceDocument = v.InferOutput<typeof ResourceDocument>;

/** A gateway and the connection to it. */
export const GatewayDocument = v.object({
  id: Text,
  siteId: Text,
  siteName: Optional(Text),
  ipv4: Text,
  ipv6: Text,
  resourceIds: v.array(Text),
  /** "connecting", "connected", "idle", or "gone" while it is being forgotten. */
  state: Text,
  path: Optional(PathDocument),
  lastHandshakeAgoMs: Optional(Ms),
  rxBytes: Count,
  txBytes: Count,
});
export type GatewayDocument = v.InferOutput<typeof GatewayDocument>;

/** A relay of the session. */
export const RelayDocument = v.object({
  id: Text,
  state: Text,
  address: Optional(Text),
  relayedAddresses: v.array(Text),
  rttMs: Optional(Ms),
});
export type RelayDocument = v.InferOutput<typeof RelayDocument>;

/** Who answers names. */
export const DnsDocument = v.object({
  /** How names reach the session on this machine. */
  control: v.picklist(DNS_CONTROLS),
  /** Why this way was taken, in one sentence, and what was seen of the machine. */
  reason: Optional(Text),
  evidence: Optional(v.array(Text)),
  /** How often somebody overwrote the settings on this machine, and they were set again. */
  repairs: Optional(Count),
  /** Why names do not reach the session though they should. */
  problem: Optional(Text),
  /** Addresses in the tunnel that answer, each for one upstream server. */
  sentinels: v.array(v.object({ address: Text, upstream: Text })),
  /** The machine's own resolvers. */
  systemResolvers: v.array(Text),
  searchDomain: Optional(Text),
  /** Patterns that are answered by the session itself. */
  intercepted: v.array(v.object({ pattern: Text, resource: Text })),
  /** Questions so far, by who answered. */
  answered: v.record(Text, Count),
  cacheEntries: Count,
});
export type DnsDocument = v.InferOutput<typeof DnsDocument>;

/**
 * Where a session stands. "signed-out": no credential, or a dead one. "connecting": the tunnel is not configured yet.
 * "connected". "degraded": the tunnel works, but the portal is away, so nothing new is granted. "stopping".
 */
export const SessionState = v.picklist(["signed-out", "connecting", "connected", "degraded", "stopping"]);
export type SessionState = v.InferOutput<typeof SessionState>;

/** What carries the tunnel on this machine. */
export const UnderlayDocument = v.object({
  /** Whether the machine has a way out. */
  hasPath: v.boolean(),
  /** Where the session's UDP sockets listen: one for each address family. */
  sockets: v.array(Text),
  /** Datagrams that could not be sent, by the system's error. */
  sendErrors: v.record(Text, Count),
  /** How often the session started over on another network. */
  resets: Count,
});
export type UnderlayDocument = v.InferOutput<typeof UnderlayDocument>;

/** What passes the tunnel by, and what this machine's network cannot do. */
export const NetworkDocument = v.object({
  /** Networks that always do, such as "192.168.0.0/16". */
  excluded: v.array(Text),
  /** Whether local networks do while everything else goes into the tunnel. */
  lan: v.picklist(["allow", "deny"]),
  /** Sentences. */
  degraded: v.array(Text),
});
export type NetworkDocument = v.InferOutput<typeof NetworkDocument>;

/** Everything about a session. */
export const StatusDocument = v.object({
  schema: v.literal(1),
  version: Text,
  pid: Count,
  profile: Text,
  state: SessionState,
  startedAt: Time,
  /** When the tunnel was configured. */
  readyAt: Optional(Time),
  /** Why it is not connected: the dead credential, the portal that cannot be reached. */
  problem: Optional(Problem),
  /** When the next try begins. */
  retryAt: Optional(Time),
  portal: v.object({ url: Text, connected: v.boolean(), since: Optional(Time) }),
  device: v.object({ name: Text, id: Optional(Text) }),
  tunnel: Optional(v.object({
    device: Text,
    ipv4: Text,
    ipv6: Text,
    mtu: Count,
    routes: v.array(Text),
  })),
  dns: Optional(DnsDocument),
  /** Absent while nobody is signed in. */
  underlay: Optional(UnderlayDocument),
  internet: v.object({ available: v.boolean(), wanted: v.boolean(), active: v.boolean() }),
  network: Optional(NetworkDocument),
  /** The Internet resource first, then by name. */
  resources: v.array(ResourceDocument),
  gateways: v.array(GatewayDocument),
  relays: v.array(RelayDocument),
  /** Packets dropped, by reason. */
  drops: v.record(Text, Count),
});
export type StatusDocument = v.InferOutput<typeof StatusDocument>;

/** What happens to traffic for a name or address, and why. */
export const ExplainDocument = v.object({
  schema: v.literal(1),
  target: Text,
  kind: v.picklist(["name", "address"]),
  /** The name behind the address. */
  domain: Optional(Text),
  /** The addresses that applications see for the name. */
  addresses: v.array(Text),
  /** Resources that match, in the order in which they are tried. */
  matches: v.array(v.object({
    resource: ResourceDocument,
    /** Of the question's protocol and port; undefined if none was asked about. */
    permitted: Optional(v.boolean()),
    /** State of the name's mapping at the gateway. */
    mapping: Optional(v.picklist(["pending", "confirmed", "failed"])),
  })),
  verdict: v.picklist(["resource", "gateway", "dns", "refused", "not-tunnelled"]),
  gateway: Optional(GatewayDocument),
  /** One sentence: why it does or does not get through. */
  because: Text,
  /** The cause in a Fault's words if it does not get through. */
  problem: Optional(Problem),
});
export type ExplainDocument = v.InferOutput<typeof ExplainDocument>;

/** An answer to a name. */
export const DnsAnswerDocument = v.object({
  schema: v.literal(1),
  name: Text,
  type: Text,
  rcode: Text,
  answers: v.array(v.object({ name: Text, type: Text, ttl: Count, data: Text })),
  /** Who answered: "resource", "cache", the upstream server's address or URL, or "nobody". */
  source: Text,
  resource: Optional(Text),
  ms: Ms,
});
export type DnsAnswerDocument = v.InferOutput<typeof DnsAnswerDocument>;

/** One line of the session's log. */
export const LogDocument = v.object({
  time: Time,
  level: v.picklist(["trace", "debug", "info", "warn", "error"]),
  category: Text,
  message: Text,
  fields: Optional(v.record(Text, v.unknown())),
});
export type LogDocument = v.InferOutput<typeof LogDocument>;

/** How far a wait or a probe of a resource has come; each stage once, in this order, as far as it gets. */
export const ProbeEvent = v.variant("event", [
  v.object({
    event: v.literal("stage"),
    target: Text,
    stage: v.picklist(["signed-in", "known", "authorised", "connected", "named", "reachable"]),
    detail: Optional(Text),
  }),
  /** An answer came back through the tunnel. */
  v.object({
    event: v.literal("reply"),
    target: Text,
    sequence: Count,
    /** What was asked and answered: an echo, or a TCP handshake or refusal. */
    method: v.picklist(["icmp", "tcp", "gateway"]),
    address: Text,
    rttMs: Ms,
    gatewayId: Optional(Text),
    path: Optional(PathDocument),
  }),
  /** No answer so far, and why. A wait goes on; the last one says why it ended. */
  v.object({
    event: v.literal("failure"),
    target: Text,
    sequence: Optional(Count),
    /** What is in the way. */
    cause: v.picklist([
      "not-signed-in",
      "connecting",
      "portal-unreachable",
      "unknown-resource",
      "disabled",
      "denied",
      "site-offline",
      "no-relays",
      "gateway-connecting",
      "path-lost",
      "name-failed",
      "filtered",
      "no-answer",
      "timeout",
    ]),
    problem: Problem,
  }),
  v.object({ event: v.literal("done"), target: Text, sent: Count, received: Count }),
]);
export type ProbeEvent = v.InferOutput<typeof ProbeEvent>;

/** What happened to a session. The first of a stream is a "status". */
export const SessionEvent = v.looseObject({ time: Time, event: Text });
export type SessionEvent = v.InferOutput<typeof SessionEvent>;

/** Whether the session lives and serves. */
export const HealthDocument = v.object({
  schema: v.literal(1),
  /** The process answers and its loop turns. */
  live: v.boolean(),
  /** The tunnel is configured and the portal connected. */
  ready: v.boolean(),
  state: SessionState,
  problem: Optional(Problem),
});
export type HealthDocument = v.InferOutput<typeof HealthDocument>;
