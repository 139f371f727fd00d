/** Why traffic for a name, an address or a resource goes where it goes: the answer of `fz explain`. Changes nothing. */

import { type IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import { shortId } from "../../lib/base/text.ts";
import type { Explanation } from "../../lib/client/explain.ts";
import type { ClientStatus, GatewayStatus, ResourceStatus } from "../../lib/client/status.ts";
import {
  describeFilters,
  type Host,
  nearestResource,
  parseTarget,
  type Target,
} from "../../lib/client/target.ts";
import type { ExplainDocument, Problem, RequestOf } from "../../lib/control/api.ts";
import * as obstacles from "../../lib/control/obstacle.ts";
import { excludedBy, ON_LINK } from "../../lib/host/route_plan.ts";
import { FilterSet } from "../../lib/resource/filter.ts";
import { gatewayDocument, resourceDocument } from "./documents.ts";
import type { ProbeEngine } from "./probe.ts";
import { areAllSilent } from "./underlay_limits.ts";

/** What the machine leads past the tunnel. */
export interface Passing {
  /** Addresses of the machine itself. */
  readonly own?: readonly IpNetwork[];
  /** Whatever resources say. */
  readonly excluded: readonly IpNetwork[];
  /** What the session itself must reach: the portal, DNS servers. */
  readonly bypass?: readonly IpAddress[];
  /** Of those that the Internet resource would take; none where local networks go into the tunnel, too. */
  readonly local: readonly IpNetwork[];
}

/** The kernel's table `local` has it, before any rule of ours. */
const IPV6_MULTICAST = IpNetwork.from("ff00::/8");

/** Returns what happens to traffic for the target of `request`. */
export function explainTarget(
  engine: ProbeEngine,
  request: RequestOf<"explain">,
  passing: Passing = { excluded: [], local: [] },
): ExplainDocument {
  const status = engine.status();
  const target = parseTarget(request.target, status.resources);
  const { host } = target;
  const explanation = host &&
    engine.questions.explain(host.type === "name" ? host.name : String(host.address));
  const named = target.type === "resource"
    ? status.resources.find(({ id }) => id === target.resourceId)
    : undefined;
  const asked = askedOf(request, target);
  const facts: Facts = { text: request.target, status, host, explanation, named, asked };
  const internet = internetForName(facts);
  const found = internet === undefined
    ? explanation?.resources ?? (named === undefined ? [] : [named])
    : [internet];
  const past = passesBy(host, found, passing);
  const resources = past === undefined ? found : [];
  const judged = resources.map((resource) => ({ resource, permitted: permits(resource, asked) }));
  const carrier = judged.find(({ permitted }) => permitted !== false)?.resource;
  const gateway = past === undefined ? gatewayOf(facts, carrier) : undefined;
  const domain = explanation?.domain;
  const [verdict, reason] = internet === undefined
    ? [explanation?.verdict ?? "resource", reasonOf(facts, resources, carrier, gateway)] as const
    : ["resource", byInternet(internet, gateway, facts)] as const;
  const { because, problem } = past ?? reason;
  return {
    schema: 1,
    target: request.target,
    kind: explanation?.kind ?? (named?.type === "dns" ? "name" : "address"),
    ...(domain === undefined ? {} : { domain }),
    addresses: explanation?.proxyIps.map(String) ?? [],
    matches: judged.map(({ resource, permitted }) => {
      const mapping = explanation?.mappings[resource.id];
      return {
        resource: resourceDocument(resource),
        ...(permitted === undefined ? {} : { permitted }),
        ...(mapping === undefined ? {} : { mapping }),
      };
    }),
    verdict: past === undefined ? verdict : "not-tunnelled",
    ...(gateway === undefined ? {} : { gateway: gatewayDocument(gateway, status) }),
    because,
    ...(problem === undefined ? {} : { problem }),
  };
}

interface Facts {
  readonly text: string;
  readonly status: ClientStatus;
  readonly host: Host | undefined;
  readonly explanation: Explanation | undefined;
  /** The resource that was named. */
  readonly named: ResourceStatus | undefined;
  readonly asked: Asked | undefined;
}

interface Asked {
  readonly protocol: "tcp" | "udp" | "icmp";
  readonly port: number | undefined;
}

interface Reason {
  readonly because: string;
  readonly problem?: Problem;
}

function askedOf({ protocol, port }: RequestOf<"explain">, target: Target): Asked | undefined {
  const wanted = port ?? target.port;
  if (protocol === undefined) return wanted === undefined ? undefined : { protocol: "tcp", port: wanted };
  return { protocol, port: wanted };
}

/** Undefined if the question leaves it open. */
function permits({ filters }: ResourceStatus, asked: Asked | undefined): boolean | undefined {
  if (asked === undefined) return undefined;
  const set = new FilterSet(filters);
  if (asked.protocol === "icmp") return set.permits("icmp", 0);
  if (asked.port !== undefined) return set.permits(asked.protocol, asked.port);
  return set.permitsAll || filters.some(({ protocol }) => protocol === asked.protocol);
}

/** Why the machine does not even hand packets for the address to the session; undefined if it does. */
function passesBy(
  host: Host | undefined,
  found: readonly ResourceStatus[],
  { own = [], excluded, bypass = [], local }: Passing,
): Reason | undefined {
  if (host?.type !== "address") return undefined;
  const { address } = host;
  const covering = (networks: readonly IpNetwork[]) => networks.find((network) => network.contains(address));
  if (covering(own) !== undefined) {
    return { because: "It is an address of this machine itself: what is sent there does not leave it." };
  }
  const out = excludedBy(excluded, address);
  if (out !== undefined) {
    return { because: `Network ${out} is excluded: it goes past the tunnel, as without fz.` };
  }
  if (bypass.some((each) => each.equals(address))) {
    return {
      because:
        "The session itself needs it, as its portal or a DNS server: it goes past the tunnel, whoever " +
        "sends there, also where a resource covers it.",
    };
  }
  if (IPV6_MULTICAST.contains(address)) return onLink(IPV6_MULTICAST);
  const isInternet = found.length > 0 && found.every(({ type }) => type === "internet");
  const near = isInternet ? covering(local) : undefined;
  if (near === undefined) return undefined;
  if (ON_LINK.includes(near)) return onLink(near);
  return {
    because:
      `Network ${near} is this machine's own, and no resource but the Internet covers it: it goes past the ` +
      "tunnel, as without fz.",
  };
}

function onLink(network: IpNetwork): Reason {
  return {
    because:
      `No router passes on what is sent to ${network} (link-local, multicast or broadcast): it stays on ` +
      "this machine's local network.",
  };
}

function gatewayOf({ status, explanation }: Facts, carrier: ResourceStatus | undefined) {
  const id = explanation?.gatewayId ?? carrier?.gatewayId;
  return status.gateways.find((gateway) => gateway.id === id);
}

function reasonOf(
  facts: Facts,
  resources: readonly ResourceStatus[],
  carrier: ResourceStatus | undefined,
  gateway: GatewayStatus | undefined,
): Reason {
  const { explanation, text, asked } = facts;
  switch (explanation?.verdict) {
    case "dns": {
      const upstream = explanation.sentinel?.upstream;
      const server = upstream?.type === "doh" ? upstream.url : String(upstream?.address);
      return { because: `It is a name server of the session itself, which asks ${server}.` };
    }
    case "gateway":
      return { because: `It is the tunnel address of gateway ${shortId(explanation.gatewayId ?? "")}.` };
    case "refused":
      return refused(facts, resources[0]);
    case "not-tunnelled":
      return notTunnelled(facts);
    case "resource":
    case undefined:
      break;
  }
  const first = resources[0];
  if (first === undefined) return notTunnelled(facts);
  if (carrier === undefined) {
    const words = asked === undefined
      ? "it"
      : `${asked.protocol}${asked.port === undefined ? "" : `/${asked.port}`}`;
    return because(obstacles.filtered(text, words, first.name, describeFilters(first.filters)));
  }
  return accessTo(carrier, gateway, facts);
}

function refused({ text }: Facts, pool: ResourceStatus | undefined): Reason {
  if (pool !== undefined) return because(obstacles.unsupported(text, pool.name));
  return because(obstacles.unknownResource(text, undefined));
}

/** Names are no concern of the Internet resource, but their addresses are. Undefined where it does not count. */
function internetForName({ status, host, explanation }: Facts): ResourceStatus | undefined {
  if (host?.type !== "name" || explanation?.verdict !== "not-tunnelled" || !status.internet.isActive) {
    return undefined;
  }
  return explanation.disabled.length > 0
    ? undefined
    : status.resources.find(({ type }) => type === "internet");
}

function byInternet(
  internet: ResourceStatus,
  gateway: GatewayStatus | undefined,
  facts: Facts,
): Reason {
  const reason = accessTo(internet, gateway, facts);
  if (reason.problem !== undefined) return reason;
  return {
    because: `${reason.because} Addresses that are local or excluded go past the tunnel.${hint(facts)}`,
  };
}

function hint({ text, status }: Facts): string {
  const similar = nearestResource(text, status.resources);
  return similar === undefined ? "" : ` Did you mean "${similar}"?`;
}

function notTunnelled(facts: Facts): Reason {
  const [off] = facts.explanation?.disabled ?? [];
  if (off !== undefined) return because(obstacles.disabled(facts.text, off));
  return { because: `No resource leads there: it goes past the tunnel, as without fz.${hint(facts)}` };
}

function accessTo(resource: ResourceStatus, gateway: GatewayStatus | undefined, facts: Facts): Reason {
  const { text, host, explanation, status } = facts;
  const { name, sites, denial, warning } = resource;
  if (!resource.isActive) return because(obstacles.disabled(text, resource));
  if (resource.type === "static-device-pool" || resource.type === "dynamic-device-pool") {
    return because(obstacles.unsupported(text, name));
  }
  if (warning !== undefined) {
    const problem: Problem = {
      code: "unknown-resource",
      message: `Resource "${name}" cannot be used: ${warning}`,
    };
    return { because: `${problem.message}.`, problem };
  }
  if (resource.access === "connected" && gateway !== undefined) {
    if (explanation?.mappings[resource.id] === "failed" && host?.type === "name") {
      return because(obstacles.nameFailed(text, host.name));
    }
    const { path } = gateway;
    if (path === undefined) return because(obstacles.pathLost(text));
    const rtt = path.rttMs === undefined ? "" : `, ${path.rttMs.toFixed(1)} ms`;
    const way = `${path.kind}${rtt}`;
    return { because: `Resource "${name}" leads there, through gateway ${shortId(gateway.id)} (${way}).` };
  }
  if (denial?.reason === "offline") {
    return because(obstacles.siteOffline(text, sites.map((site) => site.name)));
  }
  if (denial !== undefined) return because(obstacles.denied(text, name, denial));
  if (!status.isPortalJoined) return because(obstacles.portalUnreachable(undefined));
  if (areAllSilent(status.relays)) return because(obstacles.noRelays(text));
  if (resource.access === "connecting") {
    return { because: `Resource "${name}" leads there; its gateway is being connected.` };
  }
  const where = sites.map((site) => `"${site.name}"`).join(", ");
  const through = where === "" ? "" : `, through a gateway of site ${where}`;
  const when = resource.access === "requested"
    ? "the portal has not answered yet"
    : "the first packet will ask for access";
  return { because: `Resource "${name}" leads there${through}; ${when}.` };
}

function because({ problem }: obstacles.Obstacle): Reason {
  return { because: `${problem.message}.`, problem };
}
