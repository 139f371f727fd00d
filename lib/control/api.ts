/**
 * The control API of a running session, whole: its requests, answers and events. The session (`io/control/server.ts`)
 * and the command line (`io/control/client.ts`) both check what they get against these schemas. Documents carry
 * `schema` and only grow: readers skip fields that they do not know. docs/control.md explains it to people.
 */

import * as v from "valibot";
import { IpNetwork } from "../base/ip.ts";
import {
  DnsAnswerDocument,
  DnsDocument,
  ExplainDocument,
  HealthDocument,
  LogDocument,
  NetworkDocument,
  ProbeEvent,
  ResourceDocument,
  SessionEvent,
  StatusDocument,
} from "./documents.ts";

export * from "./documents.ts";

/** Version of the API: the first part of every path. */
export const API_VERSION = 1;

const Text = v.string();
const Count = v.pipe(v.number(), v.integer(), v.minValue(0));
const Ms = v.pipe(v.number(), v.minValue(0));
const Optional = <S extends v.GenericSchema>(schema: S) => v.optional(schema);

const Nothing = v.object({});
const Done = v.object({ schema: v.literal(1) });
const MAX_NAME = 1024;
const Name = v.pipe(Text, v.minLength(1), v.maxLength(MAX_NAME));
/** Such as "192.168.0.0/16", or an address. */
const Network = v.pipe(
  Name,
  v.check((text) => IpNetwork.parse(text) !== undefined, "It is not a network"),
  v.check((text) => IpNetwork.parse(text)?.prefix !== 0, "It leaves nothing for the tunnel"),
);
const MAX_EXCLUDED = 1024;
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
    /** What is not named stays as it is. */
    request: v.object({
      active: v.boolean(),
      excluded: v.optional(v.pipe(v.array(Network), v.maxLength(MAX_EXCLUDED))),
      lan: v.optional(v.picklist(["allow", "deny"])),
    }),
    answer: v.object({
      schema: v.literal(1),
      internet: StatusDocument.entries.internet,
      network: v.optional(NetworkDocument),
    }),
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
