/**
 * The control API of a running session, whole: its requests, answers and events. The session (`io/control/server.ts`)
 * and the command line (`io/control/client.ts`) both check what they get against these schemas. Documents carry
 * `schema` and only grow: readers skip fields that they do not know. docs/control.md explains it to people.
 */

import * as v from "valibot";

/** Version of the API: the first part of every path. */
export const API_VERSION = 1;

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
  control: v.picklist(["disabled", "etc-resolv-conf", "systemd-resolved"]),
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
  internet: v.object({ available: v.boolean(), wanted: v.boolean(), active: v.boolean() }),
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

const Nothing = v.object({});
const Done = v.object({ schema: v.literal(1) });
const MAX_NAME = 1024;
const Name = v.pipe(Text, v.minLength(1), v.maxLength(MAX_NAME));
const Targets = v.pipe(v.array(Name), v.minLength(1), v.maxLength(64));
const Port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535));

/**
 * Every route. `authority`: "read" is open to the readers' group, "change" to the owner. `answer`: a document
 * ("json"), documents one a line until either side ends it ("lines"), or bytes.
 */
export const ROUTES = {
  version: {
    method: "GET",
    path: "/v1",
    authority: "read",
    kind: "json",
    request: Nothing,
    answer: v.object({ schema: v.literal(1), api: v.array(Count), version: Text }),
  },
  status: {
    method: "GET",
    path: "/v1/status",
    authority: "read",
    kind: "json",
    request: Nothing,
    answer: StatusDocument,
  },
  resources: {
    method: "GET",
    path: "/v1/resources",
    authority: "read",
    kind: "json",
    request: Nothing,
    answer: v.object({ schema: v.literal(1), resources: v.array(ResourceDocument) }),
  },
  health: {
    method: "GET",
    path: "/v1/health",
    authority: "read",
    kind: "json",
    request: Nothing,
    answer: HealthDocument,
  },
  metrics: { method: "GET", path: "/v1/metrics", authority: "read", kind: "bytes", request: Nothing },
  events: {
    method: "GET",
    path: "/v1/events",
    authority: "read",
    kind: "lines",
    request: Nothing,
    answer: SessionEvent,
  },
  log: {
    method: "POST",
    path: "/v1/log",
    authority: "read",
    kind: "lines",
    /** `follow`: goes on with what comes. `last`: how many of the kept lines come first. */
    request: v.object({
      follow: Optional(v.boolean()),
      last: Optional(Count),
      level: Optional(v.picklist(["trace", "debug", "info", "warn", "error"])),
    }),
    answer: LogDocument,
  },
  dns: {
    method: "GET",
    path: "/v1/dns",
    authority: "read",
    kind: "json",
    request: Nothing,
    answer: DnsDocument,
  },
  dnsQuery: {
    method: "POST",
    path: "/v1/dns/query",
    authority: "read",
    kind: "json",
    request: v.object({ name: Name, type: Optional(Name) }),
    answer: DnsAnswerDocument,
  },
  explain: {
    method: "POST",
    path: "/v1/explain",
    authority: "read",
    kind: "json",
    /** A name, an address, or a resource; with a protocol and port, whether the filters permit that. */
    request: v.object({
      target: Name,
      protocol: Optional(v.picklist(["tcp", "udp", "icmp"])),
      port: Optional(Port),
    }),
    answer: ExplainDocument,
  },
  wait: {
    method: "POST",
    path: "/v1/wait",
    authority: "read",
    kind: "lines",
    /** Resources by name or id, or names and addresses, each with ":PORT" at will. */
    request: v.object({ targets: Targets, timeoutMs: Optional(Ms) }),
    answer: ProbeEvent,
  },
  ping: {
    method: "POST",
    path: "/v1/ping",
    authority: "read",
    kind: "lines",
    request: v.object({
      target: Name,
      /** Endless if undefined. */
      count: Optional(Count),
      intervalMs: Optional(Ms),
      timeoutMs: Optional(Ms),
    }),
    answer: ProbeEvent,
  },
  credential: {
    method: "POST",
    path: "/v1/credential",
    authority: "change",
    kind: "json",
    /** Takes the token in place of the dead one and connects. */
    request: v.object({ token: v.pipe(Text, v.regex(/^[\x21-\x7e]{1,8192}$/)) }),
    answer: Done,
  },
  stop: {
    method: "POST",
    path: "/v1/stop",
    authority: "change",
    kind: "json",
    request: Nothing,
    answer: Done,
  },
  reset: {
    method: "POST",
    path: "/v1/reset",
    authority: "change",
    kind: "json",
    request: Nothing,
    answer: Done,
  },
  setResource: {
    method: "POST",
    path: "/v1/resource",
    authority: "change",
    kind: "json",
    /** By name or id. */
    request: v.object({ resource: Name, enabled: v.boolean() }),
    answer: v.object({ schema: v.literal(1), resource: ResourceDocument }),
  },
  setInternet: {
    method: "POST",
    path: "/v1/internet",
    authority: "change",
    kind: "json",
    request: v.object({ active: v.boolean() }),
    answer: v.object({ schema: v.literal(1), internet: StatusDocument.entries.internet }),
  },
  logFilter: {
    method: "GET",
    path: "/v1/log-filter",
    authority: "read",
    kind: "json",
    request: Nothing,
    answer: v.object({ schema: v.literal(1), filter: Text }),
  },
  setLogFilter: {
    method: "POST",
    path: "/v1/log-filter",
    authority: "change",
    kind: "json",
    /** Directives as in RUST_LOG; what was asked for at the start if undefined. */
    request: v.object({ filter: Optional(Name) }),
    answer: v.object({ schema: v.literal(1), filter: Text }),
  },
  capture: {
    method: "POST",
    path: "/v1/capture",
    authority: "change",
    kind: "bytes",
    /** pcapng of the packets inside the tunnel. */
    request: v.object({
      filter: Optional(Name),
      maxBytes: Optional(Count),
      maxPackets: Optional(Count),
      durationMs: Optional(Ms),
      snapLength: Optional(Count),
    }),
  },
} as const satisfies Record<string, Route>;

/** One route of the API. */
export interface Route {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly authority: "read" | "change";
  readonly kind: "json" | "lines" | "bytes";
  readonly request: v.GenericSchema;
  /** Of the answer or of each of its lines; undefined for bytes. */
  readonly answer?: v.GenericSchema;
}

/** The name of a route. */
export type RouteName = keyof typeof ROUTES;

/** Names of the routes that answer in one way. */
export type RouteOf<K extends Route["kind"]> = {
  [R in RouteName]: typeof ROUTES[R]["kind"] extends K ? R : never;
}[RouteName];

/** What a route is asked. */
export type RequestOf<R extends RouteName> = v.InferOutput<typeof ROUTES[R]["request"]>;

/** What a route answers, or each line of it. */
export type AnswerOf<R extends RouteOf<"json" | "lines">> = v.InferOutput<typeof ROUTES[R]["answer"]>;
