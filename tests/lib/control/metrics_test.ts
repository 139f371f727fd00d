import assert from "node:assert/strict";
import fc from "fast-check";
import type { GatewayDocument, ResourceDocument, StatusDocument } from "../../../lib/control/api.ts";
import { renderMetrics } from "../../../lib/control/metrics.ts";

const NOW = Date.parse("2026-01-01T00:01:40Z");

const RESOURCE: ResourceDocument = {
  id: "r1",
  type: "dns",
  name: "Alice's secret wiki",
  address: "wiki.corp.example",
  filters: [],
  sites: [{ id: "s1", name: "Berlin", state: "online" }],
  state: "online",
  enabled: true,
  access: "connected",
  gatewayId: "g1",
};

const GATEWAY: GatewayDocument = {
  id: "g1",
  siteId: "s1",
  siteName: "Berlin",
  ipv4: "100.64.0.2",
  ipv6: "fd00::2",
  resourceIds: ["r1"],
  state: "connected",
  path: {
    kind: "direct",
    local: "192.0.2.1:1",
    remote: "198.51.100.7:2",
    localKind: "host",
    remoteKind: "host",
    rttMs: 12.5,
  },
  lastHandshakeAgoMs: 30_000,
  rxBytes: 1000,
  txBytes: 2000,
};

const STATUS: StatusDocument = {
  schema: 1,
  version: "0.1.0",
  pid: 1,
  profile: "default",
  state: "connected",
  startedAt: "2026-01-01T00:00:00Z",
  readyAt: "2026-01-01T00:00:10Z",
  portal: { url: "wss://portal.corp.example/", connected: true },
  device: { name: "alice-laptop" },
  dns: {
    control: "etc-resolv-conf",
    sentinels: [],
    systemResolvers: ["192.0.2.53"],
    intercepted: [],
    answered: { resource: 3, cache: 4 },
    cacheEntries: 5,
  },
  underlay: {
    hasPath: true,
    sockets: ["0.0.0.0:52625"],
    sendErrors: { ENETUNREACH: 7, ENOBUFS: 1 },
    resets: 2,
  },
  internet: { available: true, wanted: false, active: false },
  resources: [RESOURCE],
  gateways: [GATEWAY],
  relays: [{ id: "relay1", state: "allocated", relayedAddresses: [], rttMs: 8 }],
  drops: { "no-route": 6 },
};

Deno.test("renderMetrics: tells what the status tells", () => {
  const lines = renderMetrics(STATUS, NOW).split("\n");
  const expected = [
    'fz_build_info{version="0.1.0"} 1',
    "fz_start_time_seconds 1767225600",
    "fz_uptime_seconds 100",
    "fz_ready_time_seconds 1767225610",
    'fz_session_state{state="connected"} 1',
    'fz_session_state{state="signed-out"} 0',
    'fz_session_problem{code="none"} 0',
    "fz_portal_connected 1",
    "fz_resources 1",
    'fz_resource_state{resource_id="r1",state="online"} 1',
    'fz_resource_state{resource_id="r1",state="offline"} 0',
    'fz_resource_connected{resource_id="r1"} 1',
    'fz_gateway_connected{gateway_id="g1",site_id="s1"} 1',
    'fz_gateway_path{gateway_id="g1",site_id="s1",kind="direct"} 1',
    'fz_gateway_path{gateway_id="g1",site_id="s1",kind="relayed"} 0',
    'fz_gateway_rtt_seconds{gateway_id="g1",site_id="s1"} 0.0125',
    'fz_gateway_handshake_age_seconds{gateway_id="g1",site_id="s1"} 30',
    'fz_gateway_receive_bytes_total{gateway_id="g1",site_id="s1"} 1000',
    'fz_gateway_transmit_bytes_total{gateway_id="g1",site_id="s1"} 2000',
    'fz_relay_rtt_seconds{relay_id="relay1"} 0.008',
    'fz_dropped_packets_total{reason="no-route"} 6',
    'fz_dns_questions_total{source="resource"} 3',
    "fz_dns_cache_entries 5",
    "fz_dns_repairs_total 0",
  ];
  for (const line of expected) assert.ok(lines.includes(line), line);
});

Deno.test("renderMetrics: shows no name and no address of anybody", () => {
  const text = renderMetrics(STATUS, NOW);
  for (const secret of ["Alice", "alice", "wiki", "Berlin", "corp.example", "100.64", "192.0.2", "198.51"]) {
    assert.ok(!text.includes(secret), secret);
  }
});

Deno.test("renderMetrics: leaves out what is not known", () => {
  const { dns: _dns, readyAt: _ready, ...less } = STATUS;
  const text = renderMetrics({
    ...less,
    state: "signed-out",
    resources: [],
    gateways: [],
    relays: [],
    drops: {},
  }, NOW);
  assert.doesNotMatch(text, /fz_dns|fz_ready|fz_gateway_|fz_resource_|fz_relay_|fz_dropped/);
  assert.match(text, /^fz_session_state\{state="signed-out"\} 1$/m);
});

Deno.test("renderMetrics: keeps to the exposition format, whatever ids and reasons are", () => {
  const word = fc.string({ unit: "grapheme", maxLength: 12 });
  fc.assert(fc.property(word, word, word, fc.nat(), (id, reason, state, count) => {
    const status: StatusDocument = {
      ...STATUS,
      version: id,
      resources: [{ ...RESOURCE, id }],
      gateways: [{ ...GATEWAY, id, siteId: reason }],
      relays: [{ id, state, relayedAddresses: [] }],
      drops: { [reason]: count },
    };
    checkExposition(renderMetrics(status, NOW));
  }));
});

/** The grammar of https://prometheus.io/docs/instrumenting/exposition_formats/, as far as it is used. */
function checkExposition(text: string): void {
  assert.ok(text.endsWith("\n"), "the last line ends, too");
  const name = "[a-zA-Z_:][a-zA-Z0-9_:]*";
  const label = `[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\"n])*"`;
  const sample = new RegExp(
    `^(${name})(?:\\{${label}(?:,${label})*\\})? (?:-?\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?)$`,
    "u",
  );
  const families = new Set<string>();
  const seen = new Set<string>();
  let current = "";
  for (const [index, line] of text.slice(0, -1).split("\n").entries()) {
    const help = new RegExp(`^# HELP (${name}) .+$`).exec(line);
    const type = new RegExp(`^# TYPE (${name}) (counter|gauge)$`).exec(line);
    if (help !== null) {
      current = help[1]!;
      assert.ok(!families.has(current), `${current} comes once`);
      families.add(current);
    } else if (type !== null) {
      assert.equal(type[1], current);
      assert.equal(type[2] === "counter", current.endsWith("_total"), `${current} is named as its type`);
    } else {
      const match = sample.exec(line);
      assert.ok(match !== null, `line ${index + 1}: ${line}`);
      assert.equal(match[1], current, "samples stand under their family");
      const series = line.slice(0, line.lastIndexOf(" "));
      assert.ok(!seen.has(series), `${series} comes once`);
      seen.add(series);
    }
  }
}

Deno.test("renderMetrics: counts what could not be sent, and how often the network changed", () => {
  const text = renderMetrics(STATUS, NOW);
  assert.match(text, /^fz_network_path 1$/m);
  assert.match(text, /^fz_network_resets_total 2$/m);
  assert.match(text, /^fz_send_errors_total{error="ENETUNREACH"} 7$/m);
  assert.match(text, /^fz_send_errors_total{error="ENOBUFS"} 1$/m);
  assert.doesNotMatch(text, /52625/);
});
