/** What happens to a session in words, for `fz watch` on a terminal. */

import { printable } from "../lib/base/text.ts";
import type { SessionEvent } from "../lib/control/api.ts";
import { formatMs } from "./format.ts";

/** Longest value that is shown of an event that is not known here. */
const MAX_VALUE = 60;

/** Returns one line for `event`, without its time. */
export function eventText(event: SessionEvent): string {
  return printable(describe(event, (name) => textOf(event[name])));
}

/** Returns "15:04:05" in the time of this machine, or what stands there if that is no time. */
export function clockText(time: string): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return printable(time, MAX_VALUE);
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, "0")).join(":");
}

function describe(event: SessionEvent, field: (name: string) => string): string {
  switch (event.event) {
    case "status":
      return `The session is ${field("state")}`;
    case "state-changed":
      return `The session is ${field("state")}${after(": ", messageOf(event.problem))}`;
    case "portal-connected":
      return "The portal is connected";
    case "portal-lost":
      return `The portal is away: ${field("reason")}`;
    case "signed-in":
      return `Signed in, ${Array.isArray(event.resources) ? event.resources.length : "?"} resources`;
    case "interface":
      return `The tunnel device is ${field("name")}, ${field("ipv4")}, ${field("ipv6")}`;
    case "ready":
      return "The tunnel is configured";
    case "network-changed":
      return "The network changed: finding new paths";
    case "dns-repaired":
      return `This machine's DNS settings were overwritten, and set again (${field("repairs")} so far)`;
    case "dns-problem":
      return `Names do not reach the session: ${field("reason")}`;
    case "resources-changed":
      return "Resources changed";
    case "access-requested":
      return `Asked for access to ${field("resourceId")}`;
    case "access-granted":
      return `May use ${field("resourceId")} by gateway ${field("gatewayId")}`;
    case "access-denied":
      return `May not use ${field("resourceId")}: ${field("reason")}`;
    case "connected":
      return `Gateway ${field("gatewayId")} is connected${after(", ", pathOf(event.path))}`;
    case "path-changed":
      return `Gateway ${field("gatewayId")} is reached another way${after(", ", pathOf(event.path))}`;
    case "disconnected":
      return `Gateway ${field("gatewayId")} is gone: ${field("reason")}`;
    case "dropped":
      return `Some events are missing: ${field("reason")}`;
    case "stopping":
      return "The session is stopping";
    case "stopped":
      return "The session has stopped";
    default: {
      const fields = Object.keys(event).filter((name) => name !== "time" && name !== "event");
      return [event.event, ...fields.map((name) => `${name}=${field(name)}`)].join(" ");
    }
  }
}

function textOf(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? "?";
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text;
}

function messageOf(problem: unknown): string {
  return typeof problem === "object" && problem !== null && "message" in problem
    ? String(problem.message)
    : "";
}

function pathOf(path: unknown): string {
  if (typeof path !== "object" || path === null || !("kind" in path)) return "";
  const rtt = "rttMs" in path && typeof path.rttMs === "number" ? `, ${formatMs(path.rttMs)}` : "";
  return `${path.kind}${rtt}`;
}

function after(separator: string, text: string): string {
  return text === "" ? "" : separator + text;
}
