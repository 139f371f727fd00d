/** Statuses as a session tells them, and a control that answers with them. */

import type { Control } from "../../lib/control/control.ts";
import type {
  GatewayDocument,
  ResourceDocument,
  SessionEvent,
  StatusDocument,
} from "../../lib/control/api.ts";

export const NOW = Date.parse("2026-01-01T00:03:12Z");

export const RESOURCES: readonly ResourceDocument[] = [
  {
    id: "11111111-0000-4000-8000-000000000001",
    type: "dns",
    name: "GitLab",
    address: "gitlab.corp.example",
    filters: [],
    sites: [{ id: "s1", name: "Berlin", state: "online" }],
    state: "online",
    enabled: true,
    access: "connected",
    gatewayId: "22222222-0000-4000-8000-000000000001",
  },
  {
    id: "11111111-0000-4000-8000-000000000002",
    type: "cidr",
    name: "Office",
    address: "10.0.0.0/8",
    filters: [],
    sites: [{ id: "s2", name: "Paris", state: "offline" }],
    state: "offline",
    enabled: true,
    access: "none",
  },
];

export const GATEWAY: GatewayDocument = {
  id: "22222222-0000-4000-8000-000000000001",
  siteId: "s1",
  siteName: "Berlin",
  ipv4: "100.64.0.2",
  ipv6: "fd00:2021:1111::2",
  resourceIds: [RESOURCES[0]!.id],
  state: "connected",
  path: {
    kind: "direct",
    local: "192.0.2.1:52625",
    remote: "198.51.100.7:52625",
    localKind: "host",
    remoteKind: "serverReflexive",
    rttMs: 12.3,
  },
  lastHandshakeAgoMs: 45_000,
  rxBytes: 327_155_712,
  txBytes: 1536,
};

export const STATUS: StatusDocument = {
  schema: 1,
  version: "0.1.0",
  pid: 4242,
  profile: "default",
  state: "connected",
  startedAt: "2026-01-01T00:00:00Z",
  readyAt: "2026-01-01T00:00:01Z",
  portal: { url: "wss://portal.example/", connected: true, since: "2026-01-01T00:02:12Z" },
  device: { name: "box" },
  tunnel: {
    device: "tun-fz",
    ipv4: "100.64.0.1",
    ipv6: "fd00:2021:1111::1",
    mtu: 1280,
    routes: ["100.64.0.0/10", "10.0.0.0/8"],
  },
  dns: {
    control: "systemd-resolved",
    sentinels: [],
    systemResolvers: ["192.0.2.53"],
    intercepted: [{ pattern: "gitlab.corp.example", resource: "GitLab" }],
    answered: { resource: 3, cache: 4 },
    cacheEntries: 5,
  },
  internet: { available: true, wanted: false, active: false },
  resources: [...RESOURCES],
  gateways: [GATEWAY],
  relays: [{
    id: "33333333-0000-4000-8000-000000000001",
    state: "allocated",
    relayedAddresses: [],
    rttMs: 8,
  }],
  drops: { "no-route": 3, "expired": 0 },
};

export const SIGNED_OUT: StatusDocument = {
  schema: 1,
  version: "0.1.0",
  pid: 4242,
  profile: "default",
  state: "signed-out",
  startedAt: "2026-01-01T00:00:00Z",
  problem: { code: "expired", message: "The token has expired", next: "Run `fz sign-in`." },
  portal: { url: "wss://portal.example/", connected: false },
  device: { name: "box" },
  internet: { available: false, wanted: false, active: false },
  resources: [],
  gateways: [],
  relays: [],
  drops: {},
};

/** Answers `status` with what `next` returns, and follows `events`. */
export function fakeControl(
  next: () => StatusDocument,
  events: (signal: AbortSignal | undefined) => AsyncIterable<SessionEvent> = quiet,
): Control {
  return {
    ask: ((route: string) => {
      try {
        const status = next();
        const { state, problem } = status;
        if (route === "status") return Promise.resolve(status);
        return Promise.resolve({ schema: 1, live: true, ready: state === "connected", state, problem });
      } catch (error) {
        return Promise.reject(error);
      }
    }) as Control["ask"],
    lines: ((_route: string, _request: unknown, signal?: AbortSignal) => events(signal)) as Control["lines"],
    bytes: (async function* () {
      yield new TextEncoder().encode("# TYPE fz_up gauge\n");
      await Promise.resolve();
      yield new TextEncoder().encode("fz_up 1\n");
    }) as Control["bytes"],
  };
}

async function* quiet(signal: AbortSignal | undefined): AsyncGenerator<SessionEvent> {
  await new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve()));
  yield* [];
}
