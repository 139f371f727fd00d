/** A session in words, for `fz status`: the answer first, then what it is made of. */

import { printable, shortId } from "../lib/base/text.ts";
import type {
  DnsDocument,
  GatewayDocument,
  NetworkDocument,
  RelayDocument,
  StatusDocument,
} from "../lib/control/api.ts";
import { formatAgo, formatBytes, formatCount, formatMs, formatSpan, msSince } from "./format.ts";
import type { Style } from "./output.ts";
import { describePath, resourceAddress, resourceState } from "./resource_text.ts";
import { factLines, renderTable, wrap } from "./table.ts";

/** How a status is shown. */
export interface StatusView {
  readonly width: number | undefined;
  /** Unix time in milliseconds. */
  readonly nowMs: number;
  readonly paint: (style: Style, text: string) => string;
}

/** More resources than this are for `fz resource list`. */
const MAX_RESOURCES = 20;
/** Below this there is no room for addresses beside names and states. */
const ADDRESS_WIDTH = 60;

/** Returns one sentence: where the session stands. Without figures that change all the time unless `isFull`. */
export function headline(status: StatusDocument, isFull = true): string {
  const portal = printable(hostOf(status.portal.url));
  const name = printable(status.device.name);
  switch (status.state) {
    case "connected":
      // What was measured before says nothing.
      return isWayOut(status)
        ? `Connected as "${name}" to ${portal}: ${summary(status, isFull)}`
        : `Connected as "${name}" to ${portal}, but ${NO_WAY_OUT}: ${summary(status, false)}`;
    case "degraded":
      return `Connected as "${name}", but ${portal} is away: nothing new is granted; ${
        summary(status, isFull)
      }`;
    case "connecting":
      return `Connecting to ${portal}`;
    case "signed-out":
      return "Not signed in";
    case "stopping":
      return "Stopping";
  }
}

/** Returns the lines of a status. */
export function statusLines(status: StatusDocument, view: StatusView): string[] {
  const { width, paint } = view;
  const style: Style = status.state === "connected" && isWayOut(status)
    ? "green"
    : status.state === "signed-out"
    ? "red"
    : "yellow";
  const { problem } = status;
  const why = [
    ...problem === undefined ? [] : wrap(printable(problem.message), width),
    ...problem?.next === undefined ? [] : wrap(printable(problem.next), width),
  ];
  return [
    ...wrap(headline(status), width).map((line) => paint(style, line)),
    ...why,
    "",
    ...factLines(facts(status, view.nowMs), width, paint),
    ...section(resourceLines(status, view)),
    ...section(gatewayLines(status.gateways, view)),
    ...section(relayLines(status.relays, view)),
  ];
}

/**
 * Returns what says whether something changed that a reader of single lines wants to hear of: not counters, ages and
 * round trips.
 */
export function stableText(status: StatusDocument): string {
  return JSON.stringify(status, (key, value: unknown) => VOLATILE.has(key) ? undefined : value);
}

const VOLATILE: ReadonlySet<string> = new Set([
  "rxBytes",
  "txBytes",
  "rttMs",
  "lastHandshakeAgoMs",
  "agoMs",
  "answered",
  "cacheEntries",
  "drops",
  "retryAt",
]);

/** Some live with routes to single networks, so that all may be well without it. */
const NO_WAY_OUT = "this machine has no working default route";

function isWayOut({ underlay }: StatusDocument): boolean {
  return underlay?.hasPath !== false;
}

function summary({ resources, gateways }: StatusDocument, isFull: boolean): string {
  const connected = gateways.filter(({ path }) => path !== undefined);
  const paths = connected.map(({ path }) => isFull ? describeRoundTrip(path!) : path!.kind);
  const shown = paths.length === 0 || paths.length > 3 ? "" : ` (${paths.join("; ")})`;
  return `${formatCount(resources.length, "resource")}, ${formatCount(connected.length, "gateway")}${shown}`;
}

function describeRoundTrip(
  { kind, rttMs }: { readonly kind: string; readonly rttMs?: number | undefined },
): string {
  return rttMs === undefined ? kind : `${kind}, ${formatMs(rttMs)}`;
}

function facts(status: StatusDocument, nowMs: number): (readonly [string, string])[] {
  const { portal, tunnel, dns, internet, network, retryAt, drops } = status;
  const lines: (readonly [string, string])[] = [];
  if (!isWayOut(status)) lines.push(["Network", NO_WAY_OUT]);
  const since = portal.since === undefined ? undefined : msSince(portal.since, nowMs);
  const retryMs = retryAt === undefined ? undefined : Math.max(0, Date.parse(retryAt) - nowMs);
  const link = portal.connected
    ? since === undefined ? "connected" : `connected for ${formatSpan(since)}`
    : retryMs === undefined
    ? "not connected"
    : retryMs < 1000
    ? "not connected, trying again"
    : `not connected, next try in ${formatSpan(retryMs)}`;
  lines.push(["Portal", `${portal.url}, ${link}`]);
  if (tunnel !== undefined) {
    const { device, ipv4, ipv6, mtu, routes } = tunnel;
    lines.push(["Tunnel", `${device}, ${ipv4}, ${ipv6}, MTU ${mtu}, ${formatCount(routes.length, "route")}`]);
  }
  if (dns !== undefined) lines.push(["DNS", describeDns(dns)]);
  if (dns?.problem !== undefined) lines.push(["", dns.problem]);
  if (internet.available) {
    const passing = network === undefined ? [] : passingNetworks(network);
    const text = internet.active
      ? `all traffic goes through the tunnel${passing.length === 0 ? "" : `, but for ${passing.join(", ")}`}`
      : internet.wanted
      ? "on, not connected"
      : "off";
    lines.push(["Internet", text]);
  }
  for (const sentence of network?.degraded ?? []) lines.push(["Limited", sentence]);
  const up = msSince(status.startedAt, nowMs);
  const running = up === undefined ? "" : `, running for ${formatSpan(up)}`;
  lines.push(["Session", `profile ${status.profile}, fz ${status.version}, pid ${status.pid}${running}`]);
  const dropped = Object.entries(drops).filter(([, count]) => count > 0);
  if (dropped.length > 0) {
    lines.push(["Dropped", dropped.map(([reason, count]) => `${reason} ${count}`).join(", ")]);
  }
  return lines;
}

/** Returns what passes full tunnel by. */
export function passingNetworks({ excluded, lan }: NetworkDocument): string[] {
  return [...(lan === "allow" ? ["local networks"] : []), ...excluded];
}

function describeDns({ control, intercepted, answered, repairs = 0 }: DnsDocument): string {
  const total = Object.values(answered).reduce((sum, count) => sum + count, 0);
  const how = control === "disabled" ? "names do not reach the session" : `by ${control}`;
  const again = repairs > 0 ? `, set again ${formatCount(repairs, "time")}` : "";
  return `${how}, ${formatCount(intercepted.length, "pattern")}, ${formatCount(total, "question")}${again}`;
}

function resourceLines({ resources, gateways }: StatusDocument, { width, paint }: StatusView): string[] {
  if (resources.length === 0) return [];
  const shown = resources.slice(0, MAX_RESOURCES);
  const states = shown.map((resource) =>
    resourceState(resource, gateways.find(({ id }) => id === resource.gatewayId))
  );
  const hasAddress = width === undefined || width >= ADDRESS_WIDTH;
  const lines = renderTable(
    [
      { title: "RESOURCE", isFlexible: true },
      ...hasAddress ? [{ title: "ADDRESS", isFlexible: true }] : [],
      { title: "STATE", paint: (text, row) => paint(states[row]!.style, text) },
    ],
    shown.map((resource, row) => [
      resource.name,
      ...hasAddress ? [resourceAddress(resource)] : [],
      states[row]!.text,
    ]),
    { width },
  );
  const more = resources.length - shown.length;
  return more === 0 ? lines : [...lines, `and ${more} more: fz resource list`];
}

function gatewayLines(gateways: readonly GatewayDocument[], { width }: StatusView): string[] {
  if (gateways.length === 0) return [];
  return renderTable(
    [
      { title: "GATEWAY", isFlexible: true },
      { title: "PATH" },
      { title: "HANDSHAKE" },
      { title: "RECEIVED", align: "right" },
      { title: "SENT", align: "right" },
    ],
    gateways.map(({ id, siteName, state, path, lastHandshakeAgoMs, rxBytes, txBytes }) => [
      siteName === undefined ? shortId(id) : `${siteName} ${shortId(id)}`,
      path === undefined ? WITHOUT_PATH.get(state) ?? state : describePath(path),
      lastHandshakeAgoMs === undefined ? "none yet" : formatAgo(lastHandshakeAgoMs),
      formatBytes(rxBytes),
      formatBytes(txBytes),
    ]),
    { width },
  );
}

/** A gateway that was connected, is silent, and not given up yet. */
const WITHOUT_PATH: ReadonlyMap<string, string> = new Map([["connected", "no path"], ["idle", "no path"]]);

function relayLines(relays: readonly RelayDocument[], { width }: StatusView): string[] {
  if (relays.length === 0) return [];
  return renderTable(
    [{ title: "RELAY", isFlexible: true }, { title: "STATE" }, { title: "RTT", align: "right" }],
    relays.map(({ id, state, address, rttMs }) => [
      address ?? shortId(id),
      state,
      rttMs === undefined ? "" : formatMs(rttMs),
    ]),
    { width },
  );
}

function section(lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ["", ...lines];
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}
