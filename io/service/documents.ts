/** A session in the words of the control API: from what the engine and the shell know to the documents of `api.ts`. */

import type { ClientStatus, GatewayStatus, ResourceStatus } from "../../lib/client/status.ts";
import type {
  DnsDocument,
  GatewayDocument,
  HealthDocument,
  NetworkDocument,
  PathDocument,
  Problem,
  RelayDocument,
  ResourceDocument,
  SessionState,
  StatusDocument,
  UnderlayDocument,
} from "../../lib/control/api.ts";
import { VERSION } from "../../lib/control/version.ts";
import type { DnsServer } from "../../lib/dns/sentinels.ts";
import type { PathInfo } from "../../lib/node/path.ts";
import type { ClientFacts, ClientUnderlay } from "../client_facts.ts";
import type { DnsState } from "../dns_upkeep.ts";
import { underlayLimits } from "./underlay_limits.ts";

/** The engine of a session at one moment. */
export interface EngineView {
  readonly status: ClientStatus;
  readonly facts: ClientFacts;
  readonly underlay: ClientUnderlay;
}

/** What the service knows of its session besides what the engine says. Times are Unix milliseconds. */
export interface SessionFacts {
  readonly pid: number;
  readonly profile: string;
  readonly state: SessionState;
  readonly startedAt: number;
  readonly readyAt: number | undefined;
  readonly problem: Problem | undefined;
  readonly retryAt: number | undefined;
  readonly portalUrl: string;
  readonly portalSince: number | undefined;
  readonly deviceName: string;
  /** Whether full tunnel was asked for. */
  readonly internetWanted: boolean;
  /** Undefined while nobody is signed in. */
  readonly engine: EngineView | undefined;
}

/** Returns everything about a session. */
export function statusDocument(session: SessionFacts): StatusDocument {
  const { engine } = session;
  return {
    schema: 1,
    version: VERSION,
    pid: session.pid,
    profile: session.profile,
    state: session.state,
    startedAt: timeText(session.startedAt),
    ...present("readyAt", session.readyAt, timeText),
    ...present("problem", session.problem),
    ...present("retryAt", session.retryAt, timeText),
    portal: {
      url: session.portalUrl,
      connected: engine?.status.isPortalJoined ?? false,
      ...present("since", session.portalSince, timeText),
    },
    device: { name: session.deviceName, ...present("id", engine?.facts.deviceId) },
    ...present("tunnel", engine && tunnelOf(engine)),
    ...present("dns", engine, dnsDocument),
    ...present("underlay", engine?.underlay, underlayDocument),
    internet: engine === undefined
      ? { available: false, wanted: session.internetWanted, active: false }
      : internetOf(engine.status),
    ...present("network", engine, networkDocument),
    resources: engine?.status.resources.map(resourceDocument) ?? [],
    gateways: engine?.status.gateways.map((gateway) => gatewayDocument(gateway, engine.status)) ?? [],
    relays: engine?.status.relays.map(relayDocument) ?? [],
    drops: { ...engine?.status.drops },
  };
}

/** Returns whether a session in this state lives and serves. */
export function healthDocument({ state, problem }: Pick<SessionFacts, "state" | "problem">): HealthDocument {
  return { schema: 1, live: true, ready: state === "connected", state, ...present("problem", problem) };
}

/** Returns what is told of a resource. */
export function resourceDocument(resource: ResourceStatus): ResourceDocument {
  return {
    id: resource.id,
    type: resource.type,
    name: resource.name,
    ...present("address", resource.address),
    ...present("addressDescription", resource.addressDescription),
    filters: resource.filters.map((filter) =>
      filter.protocol === "icmp"
        ? { protocol: "icmp" }
        : { protocol: filter.protocol, firstPort: filter.ports.first, lastPort: filter.ports.last }
    ),
    sites: resource.sites.map((site) => ({ ...site })),
    state: resource.state,
    enabled: resource.isActive,
    access: resource.access,
    ...present("gatewayId", resource.gatewayId),
    ...present("denial", resource.denial, ({ reason, violatedProperties, agoMs }) => ({
      reason,
      violatedProperties: [...violatedProperties],
      agoMs: milliseconds(agoMs),
    })),
    ...present("warning", resource.warning),
  };
}

/** Returns what is told of a gateway; the name of its site is that of a resource there. */
export function gatewayDocument(gateway: GatewayStatus, status: ClientStatus): GatewayDocument {
  const site = status.resources.flatMap(({ sites }) => sites).find(({ id }) => id === gateway.siteId);
  return {
    id: gateway.id,
    siteId: gateway.siteId,
    ...present("siteName", site?.name),
    ipv4: String(gateway.ipv4),
    ipv6: String(gateway.ipv6),
    resourceIds: [...gateway.resourceIds],
    state: gateway.state,
    ...present("path", gateway.path, pathDocument),
    ...present("lastHandshakeAgoMs", gateway.lastHandshakeAgoMs, milliseconds),
    rxBytes: gateway.rxBytes,
    txBytes: gateway.txBytes,
  };
}

/** Returns what is told of a path between peers. */
export function pathDocument(path: PathInfo): PathDocument {
  return {
    kind: path.kind,
    local: String(path.local),
    remote: String(path.remote),
    localKind: path.localKind,
    remoteKind: path.remoteKind,
    ...present("rttMs", path.rttMs, milliseconds),
    ...present("relayId", path.relayId),
  };
}

/** Returns who answers names. */
export function dnsDocument({ status, facts }: EngineView): DnsDocument {
  return {
    control: facts.dnsControl,
    ...dnsState(facts.dns),
    sentinels: status.dns.sentinels.map(({ address, upstream }) => ({
      address: String(address),
      upstream: serverText(upstream),
    })),
    systemResolvers: [...facts.resolvers],
    ...present("searchDomain", status.interface?.dns.searchDomain),
    intercepted: status.resources
      .filter(({ type, isActive, address }) => type === "dns" && isActive && address !== undefined)
      .map(({ address, name }) => ({ pattern: address!, resource: name })),
    answered: { ...status.dns.answered },
    cacheEntries: status.dns.cacheEntries,
  };
}

function networkDocument(view: EngineView): NetworkDocument {
  const { excluded, lan, degraded } = view.facts;
  return { excluded: excluded.map(String), lan, degraded: [...degraded, ...underlayLimits(view)] };
}

function underlayDocument({ hasPath, sockets, sendErrors, resets }: ClientUnderlay): UnderlayDocument {
  return { hasPath, sockets: sockets.map(String), sendErrors: { ...sendErrors }, resets };
}

function dnsState({ reason, evidence, repairs, problem }: DnsState): Partial<DnsDocument> {
  return { reason, evidence: [...evidence], repairs, ...present("problem", problem) };
}

/** Returns where full tunnel stands. */
function internetOf({ internet }: ClientStatus): StatusDocument["internet"] {
  return { available: internet.isAvailable, wanted: internet.isWanted, active: internet.isActive };
}

/** Returns RFC 3339 in UTC. */
export function timeText(unixMs: number): string {
  return new Date(unixMs).toISOString();
}

function tunnelOf({ status, facts }: EngineView): StatusDocument["tunnel"] {
  const { interface: config } = status;
  return config === undefined ? undefined : {
    device: facts.tunName,
    ipv4: String(config.ipv4),
    ipv6: String(config.ipv6),
    mtu: facts.mtu,
    routes: config.routes.map(String),
  };
}

function relayDocument(relay: ClientStatus["relays"][number]): RelayDocument {
  return {
    id: relay.id,
    state: relay.state,
    ...present("address", relay.address, String),
    relayedAddresses: relay.relayedAddresses.map(String),
    ...present("rttMs", relay.rttMs, milliseconds),
  };
}

function serverText(server: DnsServer): string {
  return server.type === "do53" ? String(server.address) : server.url;
}

/** Fractions of a microsecond are noise. */
function milliseconds(value: number): number {
  return Math.max(Math.round(value * 1000) / 1000, 0);
}

/** Returns an object with `key` if there is a value, converted: the API leaves out what is absent. */
function present<K extends string, T>(key: K, value: T | undefined): { readonly [P in K]?: T };
function present<K extends string, T, U>(
  key: K,
  value: T | undefined,
  convert: (value: T) => U,
): { readonly [P in K]?: U };
function present(key: string, value: unknown, convert: (value: unknown) => unknown = (same) => same): object {
  return value === undefined ? {} : { [key]: convert(value) };
}
