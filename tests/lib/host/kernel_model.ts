/** A model of the kernel's policy routing, enough to tell which way a packet goes by a `RoutePlan`. */

import type { IpAddress, IpNetwork } from "../../../lib/base/ip.ts";
import type { PlannedRule, RoutePlan } from "../../../lib/host/route_plan.ts";
import { routeKey, ruleKey } from "../../../lib/host/route_steps.ts";
import type { RouteStep } from "../../../lib/host/route_steps.ts";

/** A packet that this machine is about to send. */
export interface Packet {
  readonly destination: IpAddress;
  readonly mark?: number;
  readonly udpSourcePort?: number;
  readonly tcpSourcePort?: number;
}

/** Routes that are not ours: device names by network. */
export type MainTable = readonly { readonly destination: IpNetwork; readonly device: string }[];

/** Returns the device that `packet` leaves by, "fz" if it is ours; undefined if there is no route. */
export function deviceOf(packet: Packet, plan: RoutePlan, main: MainTable): string | undefined {
  const { family } = packet.destination;
  const last: PlannedRule = { family, priority: 32_766, action: { type: "lookup", table: 254 } };
  const rules = [...plan.rules, last].filter((rule) => rule.family === family)
    .sort((one, other) => one.priority - other.priority);
  let from = 0;
  for (const { priority, action, notMark, destination, udpSourcePort, servedTcpPort } of rules) {
    if (priority < from || (notMark !== undefined && packet.mark === notMark)) continue;
    if (destination?.contains(packet.destination) === false) continue;
    if (udpSourcePort !== undefined && packet.udpSourcePort !== udpSourcePort) continue;
    if (servedTcpPort !== undefined && packet.tcpSourcePort !== servedTcpPort) continue;
    // A jump without a goal is none.
    if (action.type === "goto" && rules.some((rule) => rule.priority === action.priority)) {
      from = action.priority;
    }
    if (action.type !== "lookup") continue;
    const routes = [
      ...plan.routes.filter(({ table }) => table === action.table)
        .map((route) => ({ destination: route.destination, device: "fz" })),
      ...(action.table === 254 ? main : []),
    ];
    const best = routes.filter((route) => route.destination.contains(packet.destination))
      .sort((one, other) => other.destination.prefix - one.destination.prefix)[0];
    if (best !== undefined && best.destination.prefix > (action.suppressPrefixLength ?? -1)) {
      return best.device;
    }
  }
  return undefined;
}

/** Returns `plan` after `step`. */
export function after(plan: RoutePlan, step: RouteStep): RoutePlan {
  switch (step.type) {
    case "add-rule":
      return { ...plan, rules: [...plan.rules, step.rule] };
    case "remove-rule":
      return { ...plan, rules: plan.rules.filter((rule) => ruleKey(rule) !== ruleKey(step.rule)) };
    case "add-route":
      return { ...plan, routes: [...plan.routes, step.route] };
    case "remove-route":
      return { ...plan, routes: plan.routes.filter((route) => routeKey(route) !== routeKey(step.route)) };
  }
}
