/**
 * A session's status in Prometheus' text format (exposition format 0.0.4). Resources, gateways and relays are labelled by
 * their ids only: metrics are kept for years and shown on walls, and names and addresses say who talks to what. `fz
 * resource list --json` joins ids to names where somebody may know them.
 */

import type { GatewayDocument, RelayDocument, ResourceDocument, StatusDocument } from "./api.ts";

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number | undefined];

/** Values of `state` labels: each is a series, so that one which goes away is a 0 and no gap. */
const SESSION_STATES: readonly StatusDocument["state"][] = [
  "signed-out",
  "connecting",
  "connected",
  "degraded",
  "stopping",
];
const RESOURCE_STATES: readonly ResourceDocument["state"][] = ["online", "offline", "unknown"];
const PATH_KINDS = ["direct", "relayed"] as const;

/** Returns the metrics of `status`; `nowMs` is the time in Unix milliseconds. */
export function renderMetrics(status: StatusDocument, nowMs: number): string {
  return [
    ...sessionMetrics(status, nowMs),
    ...status.resources.length === 0 ? [] : resourceMetrics(status.resources),
    ...status.gateways.length === 0 ? [] : gatewayMetrics(status.gateways),
    ...status.relays.length === 0 ? [] : relayMetrics(status.relays),
    counter(
      "fz_dropped_packets_total",
      "Packets that were not passed on, by reason.",
      counts(status.drops, "reason"),
    ),
    ...status.underlay === undefined ? [] : [
      gauge("fz_network_path", "Whether the machine has a way out.", [[{}, Number(status.underlay.hasPath)]]),
      counter("fz_network_resets_total", "Times the session started over on another network.", [[
        {},
        status.underlay.resets,
      ]]),
      counter(
        "fz_send_errors_total",
        "Datagrams that could not be sent, by the system's error.",
        counts(status.underlay.sendErrors, "error"),
      ),
    ],
    ...status.dns === undefined ? [] : [
      counter(
        "fz_dns_questions_total",
        "Questions answered, by who answered.",
        counts(status.dns.answered, "source"),
      ),
      gauge("fz_dns_cache_entries", "Answers kept.", [[{}, status.dns.cacheEntries]]),
      counter(
        "fz_dns_repairs_total",
        "DNS settings of the machine set again after somebody overwrote them.",
        [
          [{}, status.dns.repairs ?? 0],
        ],
      ),
    ],
  ].join("");
}

function sessionMetrics(status: StatusDocument, nowMs: number): string[] {
  const startedMs = Date.parse(status.startedAt);
  const readyMs = status.readyAt === undefined ? undefined : Date.parse(status.readyAt);
  const { internet } = status;
  return [
    gauge("fz_build_info", "The program; always 1.", [[{ version: status.version }, 1]]),
    gauge("fz_start_time_seconds", "When the session started, in Unix time.", [[{}, startedMs / 1000]]),
    gauge("fz_uptime_seconds", "How long the session runs.", [[{}, Math.max(0, nowMs - startedMs) / 1000]]),
    gauge("fz_ready_time_seconds", "When the tunnel was configured, in Unix time.", [
      [{}, readyMs === undefined ? undefined : readyMs / 1000],
    ]),
    gauge(
      "fz_session_state",
      "1 for the state that the session is in.",
      SESSION_STATES.map((state) => [{ state }, Number(status.state === state)]),
    ),
    gauge("fz_session_problem", "1 while something is in the way, by the code of its cause.", [
      [{ code: status.problem?.code ?? "none" }, Number(status.problem !== undefined)],
    ]),
    gauge("fz_portal_connected", "Whether the portal is connected.", [[{}, Number(status.portal.connected)]]),
    gauge("fz_internet_active", "Whether all traffic goes through the tunnel.", [[
      {},
      Number(internet.active),
    ]]),
    gauge("fz_resources", "Resources that policy lets this device reach.", [[{}, status.resources.length]]),
    gauge("fz_gateways", "Gateways that the session knows.", [[{}, status.gateways.length]]),
    gauge("fz_relays", "Relays that the session uses.", [[{}, status.relays.length]]),
  ];
}

function resourceMetrics(resources: readonly ResourceDocument[]): string[] {
  const each = (value: (resource: ResourceDocument) => number): Sample[] =>
    resources.map((resource) => [{ resource_id: resource.id }, value(resource)]);
  return [
    gauge(
      "fz_resource_state",
      "1 for the state that the resource's sites are in.",
      resources.flatMap((resource) =>
        RESOURCE_STATES.map((state): Sample => [
          { resource_id: resource.id, state },
          Number(resource.state === state),
        ])
      ),
    ),
    gauge(
      "fz_resource_enabled",
      "0 if it was taken out of the tunnel here.",
      each(({ enabled }) => Number(enabled)),
    ),
    gauge(
      "fz_resource_connected",
      "Whether a gateway for it is connected.",
      each(({ access }) => Number(access === "connected")),
    ),
    gauge(
      "fz_resource_denied",
      "Whether the portal refused it lately.",
      each(({ denial }) => Number(denial !== undefined)),
    ),
  ];
}

function gatewayMetrics(gateways: readonly GatewayDocument[]): string[] {
  const each = (value: (gateway: GatewayDocument) => number | undefined): Sample[] =>
    gateways.map((gateway) => [{ gateway_id: gateway.id, site_id: gateway.siteId }, value(gateway)]);
  return [
    gauge(
      "fz_gateway_connected",
      "Whether the gateway is connected.",
      each(({ state }) => Number(state === "connected" || state === "idle")),
    ),
    gauge(
      "fz_gateway_path",
      "1 for the way on which the gateway is reached.",
      gateways.flatMap(({ id, siteId, path }) =>
        PATH_KINDS.map((kind): Sample => [
          { gateway_id: id, site_id: siteId, kind },
          Number(path?.kind === kind),
        ])
      ),
    ),
    gauge(
      "fz_gateway_rtt_seconds",
      "Last round trip to the gateway.",
      each(({ path }) => path?.rttMs === undefined ? undefined : path.rttMs / 1000),
    ),
    gauge(
      "fz_gateway_handshake_age_seconds",
      "Time since the last WireGuard handshake.",
      each(({ lastHandshakeAgoMs: ms }) => ms === undefined ? undefined : ms / 1000),
    ),
    counter(
      "fz_gateway_receive_bytes_total",
      "Bytes that came from the gateway.",
      each(({ rxBytes }) => rxBytes),
    ),
    counter(
      "fz_gateway_transmit_bytes_total",
      "Bytes that went to the gateway.",
      each(({ txBytes }) => txBytes),
    ),
  ];
}

function relayMetrics(relays: readonly RelayDocument[]): string[] {
  return [
    gauge(
      "fz_relay_state",
      "1 for the state that the relay is in.",
      relays.map(({ id, state }) => [
        { relay_id: id, state },
        1,
      ]),
    ),
    gauge(
      "fz_relay_rtt_seconds",
      "Last round trip to the relay.",
      relays.map(({ id, rttMs }) => [{ relay_id: id }, rttMs === undefined ? undefined : rttMs / 1000]),
    ),
  ];
}

function counts(values: Readonly<Record<string, number>>, label: string): Sample[] {
  return Object.entries(values).map(([name, value]) => [{ [label]: name }, value]);
}

function gauge(name: string, help: string, samples: readonly Sample[]): string {
  return family(name, "gauge", help, samples);
}

function counter(name: string, help: string, samples: readonly Sample[]): string {
  return family(name, "counter", help, samples);
}

/** A family without samples is left out: a type alone says nothing. */
function family(name: string, type: string, help: string, samples: readonly Sample[]): string {
  const lines = samples.flatMap(([labels, value]) =>
    value === undefined || Number.isNaN(value) ? [] : [`${name}${labelText(labels)} ${value}\n`]
  );
  if (lines.length === 0) return "";
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => character === "\n" ? "\\n" : `\\${character}`);
}
