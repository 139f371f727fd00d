/**
 * The way from the rules and routes that are there to those that are wanted. A packet for which both agree is led
 * that way at every moment in between: nothing leaks out of the tunnel, nothing of ours loops into it.
 */

import { type PlannedRoute, type PlannedRule, Priority, type RoutePlan, Table } from "./route_plan.ts";

/** One change of the kernel's state. */
export type RouteStep =
  | { readonly type: "add-rule" | "remove-rule"; readonly rule: PlannedRule }
  | { readonly type: "add-route" | "remove-route"; readonly route: PlannedRoute };

/** Returns the changes in order. Each must be tried even if one before it failed. */
export function routeSteps(present: RoutePlan, wanted: RoutePlan): RouteStep[] {
  const rules = { present: byKey(present.rules, ruleKey), wanted: byKey(wanted.rules, ruleKey) };
  const routes = { present: byKey(present.routes, routeKey), wanted: byKey(wanted.routes, routeKey) };
  const additions: RouteStep[] = [
    ...missing(rules.wanted, rules.present).map((rule) => ({ type: "add-rule", rule } as const)),
    ...missing(routes.wanted, routes.present).map((route) => ({ type: "add-route", route } as const)),
  ];
  const removals: RouteStep[] = [
    ...missing(rules.present, rules.wanted).map((rule) => ({ type: "remove-rule", rule } as const)),
    ...missing(routes.present, routes.wanted).map((route) => ({ type: "remove-route", route } as const)),
  ];
  return [
    ...additions.sort((one, other) => rank(one) - rank(other)),
    ...removals.sort((one, other) => rank(other) - rank(one)),
  ];
}

/** Returns a text that two rules share if the kernel takes them for the same. */
export function ruleKey(
  { family, priority, action, notMark, destination, udpSourcePort, servedTcpPort }: PlannedRule,
): string {
  const what = action.type === "lookup"
    ? `lookup ${action.table} suppress ${action.suppressPrefixLength}`
    : action.type === "goto"
    ? `goto ${action.priority}`
    : action.type;
  const ports = `port ${udpSourcePort} served ${servedTcpPort}`;
  return `${family} ${priority} not ${notMark} to ${destination} ${ports} ${what}`;
}

/** Returns a text that two routes share if they are the same. */
export function routeKey({ destination, table, device }: PlannedRoute): string {
  return `${destination} ${table} ${device}`;
}

/**
 * Where a change stands among additions; removals go the other way. Exceptions come before what they are exceptions
 * from: a jump needs its goal, a bypass comes before the routes that it passes by, resources before the local networks
 * that they beat, and those, like answers, before the Internet.
 */
function rank(step: RouteStep): number {
  const priority = "rule" in step ? step.rule.priority : undefined;
  if (priority === Priority.end || priority === Priority.ownAddresses || priority === Priority.names) {
    return 0;
  }
  if (priority === Priority.bypass || priority === Priority.localPort) return 1;
  if ("route" in step && step.route.table !== Table.internet) return 2;
  if (priority === Priority.resources) return 3;
  if (priority !== undefined && AROUND.includes(priority)) return 4;
  return 5;
}

/** What beats the Internet resource alone. */
const AROUND: readonly number[] = [Priority.local, Priority.onLink, Priority.answers];

function byKey<T>(values: readonly T[], key: (value: T) => string): Map<string, T> {
  return new Map(values.map((value) => [key(value), value]));
}

function missing<T>(from: ReadonlyMap<string, T>, among: ReadonlyMap<string, T>): T[] {
  return [...from].filter(([key]) => !among.has(key)).map(([, value]) => value);
}
