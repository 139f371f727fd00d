/** What stands between a person and a resource, each with what to do about it. The words of `fz ping`, `wait`, `explain`. */

import type { ProbeEvent, Problem } from "./api.ts";

/** What is in the way. */
export type Cause = Extract<ProbeEvent, { event: "failure" }>["cause"];

/** Something in the way, in words. */
export interface Obstacle {
  readonly cause: Cause;
  readonly problem: Problem;
}

/** What the portal said when it refused. */
export interface Refusal {
  readonly reason: string;
  readonly violatedProperties: readonly string[];
}

/** Returns the obstacle that only a person at this machine can remove; what waits need not wait for it. */
export function needsPerson({ cause }: Obstacle): boolean {
  return cause === "not-signed-in" || cause === "disabled";
}

/** Nobody is signed in; `problem` says why, if it is known. */
export function notSignedIn(problem: Problem | undefined): Obstacle {
  const { code = "rejected", message = "Nobody is signed in", next = "Run `fz sign-in`." } = problem ?? {};
  return { cause: "not-signed-in", problem: { code, message, next } };
}

/** The session has no tunnel yet. */
export function connecting(): Obstacle {
  return obstacle("connecting", "timeout", "The session is still connecting", "See `fz status`.");
}

/** The portal is away, and without it nothing new is granted. */
export function portalUnreachable(problem: Problem | undefined): Obstacle {
  const { message = "Cannot reach the portal", next } = problem ?? {};
  return obstacle(
    "portal-unreachable",
    "unreachable",
    message,
    next ?? "Check the network; the session goes on trying.",
  );
}

/** No resource leads there. */
export function unknownResource(target: string, suggestion: string | undefined): Obstacle {
  const next = suggestion === undefined
    ? "See `fz resource list` for what you may reach."
    : `Did you mean "${suggestion}"? See \`fz resource list\`.`;
  return obstacle(
    "unknown-resource",
    "unknown-resource",
    `Cannot reach "${target}": no resource of yours leads there`,
    next,
  );
}

/** The user switched the resource off. */
export function disabled(
  target: string,
  resource: { readonly name: string; readonly type: string },
): Obstacle {
  const [what, next] = resource.type === "internet"
    ? ["the Internet resource is switched off", "Run `fz internet on`."]
    : [
      `resource "${resource.name}" is disabled here`,
      `Run \`fz resource enable ${quoted(resource.name)}\`.`,
    ];
  return obstacle("disabled", "unknown-resource", `Cannot reach "${target}": ${what}`, next);
}

/** Devices of other users. */
export function unsupported(target: string, resource: string): Obstacle {
  return obstacle(
    "denied",
    "unknown-resource",
    `Cannot reach "${target}": "${resource}" is a pool of devices, which fz cannot reach yet`,
    "Ask an administrator for a resource behind a gateway.",
  );
}

/** The portal refused access. */
export function denied(target: string, resource: string, refusal: Refusal): Obstacle {
  const { reason, violatedProperties } = refusal;
  const why = violatedProperties.length > 0
    ? `a condition of its policy is not met (${violatedProperties.map(condition).join(", ")})`
    : REASONS.get(reason) ?? `the portal refused it (${reason})`;
  const next = violatedProperties.length > 0
    ? "Meet the condition, or ask an administrator."
    : NEXT_STEPS.get(reason) ?? "Ask an administrator for a policy that allows it.";
  return obstacle(
    "denied",
    "unknown-resource",
    `Cannot reach "${target}": access to "${resource}" is denied: ${why}`,
    next,
  );
}

/** The gateway turned packets away although the portal granted access. */
export function refusedByGateway(target: string): Obstacle {
  return obstacle(
    "denied",
    "unknown-resource",
    `Cannot reach "${target}": the gateway refused it; the authorisation may have ended`,
    "Try again; if it stays, ask an administrator.",
  );
}

/** No gateway of the resource's sites is online. */
export function siteOffline(target: string, sites: readonly string[]): Obstacle {
  const where = sites.length === 0 ? "its site" : `site ${sites.map((site) => `"${site}"`).join(", ")}`;
  return obstacle(
    "site-offline",
    "offline",
    `Cannot reach "${target}": no gateway of ${where} is online`,
    "Ask whoever runs the site to start its gateway.",
  );
}

/** Without a relay there are no connections. */
export function noRelays(target: string): Obstacle {
  return obstacle(
    "no-relays",
    "unreachable",
    `Cannot reach "${target}": no relay answers, and connections are made with the help of one`,
    "Check that UDP to the relays is not blocked: `fz netcheck`.",
  );
}

/** On the way: the portal or the gateway is being waited for. */
export function gatewayConnecting(target: string, waitsFor: "portal" | "gateway"): Obstacle {
  const what = waitsFor === "portal" ? "the portal has not answered yet" : "its gateway is being connected";
  return obstacle("gateway-connecting", "timeout", `Cannot reach "${target}" yet: ${what}`, "Wait a little.");
}

/** There was a connection. */
export function pathLost(target: string): Obstacle {
  return obstacle(
    "path-lost",
    "offline",
    `Cannot reach "${target}": the connection to its gateway is lost`,
    "The session looks for another way; see `fz netcheck`.",
  );
}

/** The gateway knows no address of the name. */
export function nameFailed(target: string, name: string): Obstacle {
  return obstacle(
    "name-failed",
    "unknown-resource",
    `Cannot reach "${target}": the gateway finds no address for "${name}", or has no way to it`,
    "Check the spelling, and the resolver of the gateway's site.",
  );
}

/** The resource does not allow that traffic. */
export function filtered(target: string, asked: string, resource: string, allowed: string): Obstacle {
  return obstacle(
    "filtered",
    "unknown-resource",
    `Cannot reach "${target}" by ${asked}: resource "${resource}" allows only ${allowed}`,
    "Use what it allows, or ask an administrator.",
  );
}

/** The way is there and the host talks, but not at the port that was named. */
export function portRefused(target: string): Obstacle {
  return obstacle(
    "no-answer",
    "timeout",
    `"${target}" refuses connections: the host answers, but nothing listens there`,
    "Check that the service has started.",
  );
}

/** The way is there, but nothing comes back. */
export function noAnswer(target: string, method: string, isUnreachable: boolean): Obstacle {
  return isUnreachable
    ? obstacle(
      "no-answer",
      "timeout",
      `No answer from "${target}": the gateway has no way to it`,
      "Check that the host is up and that the gateway can reach it.",
    )
    : obstacle(
      "no-answer",
      "timeout",
      `No answer from "${target}" (${method}): the gateway is connected, but the host behind it is silent`,
      method === "icmp"
        ? `It may not answer echo requests: try a port, as in "${target}:443".`
        : "Check that the service runs and that no firewall drops it.",
    );
}

/** Time is over before anything could be said. */
export function timedOut(target: string): Obstacle {
  return obstacle("timeout", "timeout", `Cannot reach "${target}" in time`, "Allow more time.");
}

function obstacle(cause: Cause, code: Problem["code"], message: string, next: string): Obstacle {
  return { cause, problem: { code, message, next } };
}

function condition(property: string): string {
  return CONDITIONS.get(property) ?? property;
}

/** Words for the shell, if there is anything in them that it would take apart. */
function quoted(name: string): string {
  return /^[\w.@%+:,/-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ["forbidden", "no policy allows it to you"],
  ["not_found", "the portal knows no such resource of yours"],
  ["version_mismatch", "no gateway of its site is of a version that works with this client"],
]);

const NEXT_STEPS: ReadonlyMap<string, string> = new Map([
  ["version_mismatch", "Ask whoever runs the site to update its gateway, or update fz."],
]);

const CONDITIONS: ReadonlyMap<string, string> = new Map([
  ["remote_ip", "address that you come from"],
  ["remote_ip_location_region", "country that you come from"],
  ["auth_provider_id", "way of signing in"],
  ["provider_id", "way of signing in"],
  ["current_utc_datetime", "time of day"],
  ["client_verified", "verification of this device"],
]);
