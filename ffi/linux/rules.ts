/**
 * Rules and routes of ours among those of the machine: recognised by protocol number and table, also those of a killed
 * process and of upstream's client, whose rules lead into the same tables but say that the kernel made them.
 */

import type { Family } from "../../lib/base/ip.ts";
import {
  type PlannedRoute,
  type PlannedRule,
  Priority,
  PROTOCOL,
  type RoutePlan,
  Table,
} from "../../lib/host/route_plan.ts";
import { routeKey, ruleKey } from "../../lib/host/route_steps.ts";
import type { NetlinkRoute, Route, RouteSpec, Rule, RuleSpec } from "./netlink/mod.ts";

/** What netlink is used for here. */
export type RouteKernel = Pick<
  NetlinkRoute,
  "link" | "links" | "routes" | "rules" | "lookUp" | "apply" | "close"
>;

/** What is there of ours. */
export interface OwnState {
  /** Everything that a plan can name. */
  readonly plan: RoutePlan;
  /** As the kernel has it, by the keys of the plan. */
  readonly rules: ReadonlyMap<string, Rule>;
  readonly routes: ReadonlyMap<string, Route>;
  /** The rest: of other versions, of upstream's client. */
  readonly strayRules: readonly Rule[];
  readonly strayRoutes: readonly Route[];
  /** Families whose rule for the machine's own addresses comes behind our first one. */
  readonly lateLocal: readonly Family[];
}

/** Tables that nobody else uses. */
const OWN_TABLES: readonly number[] = [Table.resources, Table.links, Table.internet];
const TCP = 6;
const UDP = 17;
/**
 * What comes from the machine itself, as rules have it. Such rules alone do not make the reverse path filter read ports;
 * those for our own UDP ports, which are there wherever it is strict, do (fib_rule_requires_fldissect in net/core).
 */
const OWN_LINK = "lo";

/** Returns what is there; of the main table only routes to interface `mainDevice`, if that is given. */
export function readOwnState(kernel: RouteKernel, mainDevice?: number): OwnState {
  const routes = new Map<string, Route>();
  const planned: PlannedRoute[] = [];
  const strayRoutes: Route[] = [];
  for (const route of ownRoutes(kernel, mainDevice)) {
    const plan = toPlannedRoute(route);
    if (plan === undefined || routes.has(routeKey(plan))) strayRoutes.push(route);
    else {
      routes.set(routeKey(plan), route);
      planned.push(plan);
    }
  }
  const state = readOwnRules(kernel);
  return { ...state, plan: { ...state.plan, routes: planned }, routes, strayRoutes };
}

/** Returns the rules that are there; there may be any number of routes, and listing them takes a while. */
export function readOwnRules(kernel: RouteKernel): OwnState {
  const rules = new Map<string, Rule>();
  const planned: PlannedRule[] = [];
  const strayRules: Rule[] = [];
  const all = ([4, 6] as const).flatMap((family) => kernel.rules(family));
  const lateLocal = ([4, 6] as const).filter((family) => {
    const local = all.find((rule) => rule.family === family && isLocalRule(rule));
    return local !== undefined && local.priority >= Priority.ownAddresses;
  });
  // Of two that are alike, one made by upstream's client, ours is the one that is planned.
  const own = all.filter(isOwnRule).sort((one, other) => Number(isMarked(other)) - Number(isMarked(one)));
  for (const rule of own) {
    const plan = toPlannedRule(rule);
    if (plan === undefined || rules.has(ruleKey(plan))) strayRules.push(rule);
    else {
      rules.set(ruleKey(plan), rule);
      planned.push(plan);
    }
  }
  const plan = { rules: planned, routes: [] };
  return { plan, rules, strayRules, routes: new Map(), strayRoutes: [], lateLocal };
}

/** Returns `plan` as netlink takes it. */
export function toRuleSpec(
  { family, priority, action, notMark, destination, udpSourcePort, servedTcpPort }: PlannedRule,
): RuleSpec {
  const port = udpSourcePort ?? servedTcpPort;
  const protocol = udpSourcePort === undefined
    ? { ipProtocol: TCP, inputLink: OWN_LINK }
    : { ipProtocol: UDP };
  const suppress = action.type === "lookup" ? action.suppressPrefixLength : undefined;
  return {
    family,
    priority,
    protocol: PROTOCOL,
    action: action.type,
    table: action.type === "lookup" ? action.table : 0,
    ...(action.type === "goto" ? { goto: action.priority } : {}),
    ...(suppress === undefined ? {} : { suppressPrefixLength: suppress }),
    ...(notMark === undefined ? {} : { not: true, mark: notMark }),
    ...(destination === undefined ? {} : { destination }),
    ...(port === undefined ? {} : { ...protocol, sourcePort: { first: port, last: port } }),
  };
}

/** Returns `route` as netlink takes it. */
export function toRouteSpec({ destination, table, device }: PlannedRoute): RouteSpec {
  return { destination, table, index: device, protocol: PROTOCOL };
}

/** Returns `rule` in the words of ip-rule(8). */
export function ruleText(rule: RuleSpec): string {
  const { priority, not, mark, destination, sourcePort, ipProtocol, action = "lookup", table, goto } = rule;
  const parts = [
    `priority ${priority}`,
    ...(not === true ? ["not"] : []),
    ...(mark === undefined ? [] : [`fwmark 0x${mark.toString(16)}`]),
    ...(destination === undefined ? [] : [`to ${destination}`]),
    ...(sourcePort === undefined
      ? []
      : [`${ipProtocol === TCP ? "tcp" : "udp"} from port ${sourcePort.first}`]),
    action === "lookup" ? `lookup ${tableText(table)}` : action === "goto" ? `goto ${goto}` : action,
  ];
  return parts.join(" ");
}

/** Returns `route` in the words of ip-route(8). */
export function routeText({ destination, table }: RouteSpec): string {
  return `${destination.prefix === 0 ? "default" : destination} table ${tableText(table)}`;
}

function tableText(table: number): string {
  return table === Table.main ? "main" : table === Table.local ? "local" : String(table);
}

function ownRoutes(kernel: RouteKernel, mainDevice: number | undefined): Route[] {
  const own = OWN_TABLES.flatMap((table) => kernel.routes({ table }));
  if (mainDevice === undefined) return own;
  const main = kernel.routes({ table: Table.main });
  return [...own, ...main.filter(({ protocol, index }) => protocol === PROTOCOL && index === mainDevice)];
}

function isMarked({ protocol }: Rule): boolean {
  return protocol === PROTOCOL;
}

function isOwnRule({ protocol, not, mark, table, action, priority, goto }: Rule): boolean {
  if (protocol === PROTOCOL || (not && mark !== undefined && OWN_TABLES.includes(table))) return true;
  // Kernels before 4.17 keep no protocol.
  const isJump = action === "goto" && goto === Priority.end &&
    (priority === Priority.bypass || priority === Priority.onLink);
  return protocol === 0 && (isJump || (action === "nop" && priority === Priority.end));
}

/** The kernel's own is the first; to have other rules before it, some move it (VRFs, Cilium). */
function isLocalRule({ protocol, action, table }: Rule): boolean {
  return action === "lookup" && table === Table.local && protocol !== PROTOCOL;
}

/** Undefined if there is more to the rule than a plan has. */
function toPlannedRule(rule: Rule): PlannedRule | undefined {
  const { family, priority, action, not, mark, destination, sourcePort, ipProtocol, table } = rule;
  const { suppressPrefixLength } = rule;
  const isLookup = action === "lookup";
  if (!isLookup && action !== "goto" && action !== "nop") return undefined;
  const planned: PlannedRule = {
    family,
    priority,
    action: isLookup
      ? { type: action, table, ...(suppressPrefixLength === undefined ? {} : { suppressPrefixLength }) }
      : action === "goto"
      ? { type: action, priority: rule.goto ?? 0 }
      : { type: action },
    ...(not && mark !== undefined ? { notMark: mark } : {}),
    ...(destination === undefined ? {} : { destination }),
    ...(sourcePort === undefined
      ? {}
      : { [ipProtocol === TCP ? "servedTcpPort" : "udpSourcePort"]: sourcePort.first }),
  };
  return sameRule(toRuleSpec(planned), rule) ? planned : undefined;
}

function sameRule(spec: RuleSpec, rule: Rule): boolean {
  const { mask, source, outputLink, destinationPort, tos, users, isVrf } = rule;
  if ([mask, source, outputLink, destinationPort, tos, users, isVrf].some((one) => one !== undefined)) {
    return false;
  }
  return ruleText(spec) === ruleText(rule) && spec.ipProtocol === rule.ipProtocol &&
    spec.inputLink === rule.inputLink &&
    spec.sourcePort?.last === rule.sourcePort?.last &&
    spec.suppressPrefixLength === rule.suppressPrefixLength;
}

/** Undefined for routes that are not made by us, or lead elsewhere than straight to a device. */
function toPlannedRoute(route: Route): PlannedRoute | undefined {
  const { destination, table, index, gateway, type, protocol, nextHops, source } = route;
  const isPlain = type === "unicast" && protocol === PROTOCOL && gateway === undefined &&
    nextHops === undefined &&
    source === undefined;
  return isPlain && index !== undefined ? { destination, table, device: index } : undefined;
}
