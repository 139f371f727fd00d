/** Who may reach what, now: policies of the actor's groups, their conditions, and what voids a decision later. */

import type { IpAddress } from "../base/ip.ts";
import { type ConditionContext, judge } from "./conditions.ts";
import type { Directory } from "./directory.ts";
import type { Authorization, Device, Policy, Resource, Token } from "./model.ts";

/** A client that asks, and the circumstances that conditions look at. */
export interface Requester {
  readonly device: Device;
  readonly token: Token;
  readonly remoteIp: IpAddress | undefined;
}

/** Whether somebody may use a resource, and until when. */
export type Access =
  | { readonly type: "allowed"; readonly policy: Policy; readonly expiresAt: number }
  | { readonly type: "forbidden"; readonly violatedProperties: readonly string[] }
  /** No policy mentions the resource at all: for this client it does not exist. */
  | { readonly type: "unknown" };

/** "Never", as a unix time that every peer can hold: 2038-01-01. */
export const FAR_FUTURE = 2145916800;

/** Returns whether `requester` may reach `resource`; of several policies the one that lasts longest decides. */
export function judgeAccess(
  directory: Directory,
  requester: Requester,
  resource: Resource,
  unixSeconds: number,
): Access {
  const groups = directory.groupsOf(requester.device.ownerId);
  const violated = new Set<string>();
  const tokenExpiry = requester.token.expiresAt ?? FAR_FUTURE;
  let best: { policy: Policy; expiresAt: number } | undefined;
  let isMentioned = false;
  for (const policy of directory.all("policies")) {
    if (policy.resourceId !== resource.id || !groups.has(policy.groupId) || !isActive(policy, unixSeconds)) {
      continue;
    }
    isMentioned = true;
    const outcome = judgePolicy(policy, contextOf(requester, unixSeconds));
    for (const property of outcome.violated) violated.add(property);
    if (outcome.violated.length > 0) continue;
    const expiresAt = Math.min(outcome.expiresAt, tokenExpiry);
    if (best === undefined || expiresAt > best.expiresAt) best = { policy, expiresAt };
  }
  if (best !== undefined) return { type: "allowed", ...best };
  return isMentioned ? { type: "forbidden", violatedProperties: [...violated] } : { type: "unknown" };
}

/** Returns the resources that `requester` can reach now: allowed, and with a site unless they are pools. */
export function connectableResources(
  directory: Directory,
  requester: Requester,
  unixSeconds: number,
): Map<string, Resource> {
  const groups = directory.groupsOf(requester.device.ownerId);
  const context = contextOf(requester, unixSeconds);
  const found = new Map<string, Resource>();
  for (const policy of directory.all("policies")) {
    if (!groups.has(policy.groupId) || !isActive(policy, unixSeconds) || found.has(policy.resourceId)) {
      continue;
    }
    const resource = directory.get("resources", policy.resourceId);
    if (resource === undefined || resource.accountId !== requester.device.accountId) continue;
    if (resource.type !== "static_device_pool" && directory.get("sites", resource.siteId) === undefined) {
      continue;
    }
    if (judgePolicy(policy, context).violated.length === 0) found.set(resource.id, resource);
  }
  return found;
}

/** Returns what a grant by `policy` rests on. A change of it voids the authorization; names and filters are not in it. */
export function basisOf(policy: Policy, resource: Resource): string {
  return JSON.stringify([
    policy.groupId,
    policy.resourceId,
    policy.conditions,
    policy.expiresAt ?? null,
    resource.type,
    resource.address ?? null,
    resource.ipStack,
    resource.siteId ?? null,
  ]);
}

/** Returns whether `authorization` still stands: everything it rests on is there and unchanged. Expiry is not looked at. */
export function stillStands(directory: Directory, authorization: Authorization): boolean {
  const policy = directory.get("policies", authorization.policyId);
  const resource = directory.get("resources", authorization.resourceId);
  const token = directory.get("tokens", authorization.tokenId);
  const client = directory.get("devices", authorization.clientId);
  const receiver = directory.get("devices", authorization.receiverId);
  if (policy === undefined || policy.isDisabled || resource === undefined) return false;
  if (token === undefined || client === undefined || receiver === undefined) return false;
  if (!isAccountable(directory, token)) return false;
  if (basisOf(policy, resource) !== authorization.basis) return false;
  if (!directory.groupsOf(client.ownerId).has(policy.groupId)) return false;
  const needsVerification = policy.conditions.some((it) =>
    it.property === "client_verified" && it.values[0] === "true"
  );
  if (needsVerification && !client.isVerified) return false;
  return resource.type === "static_device_pool"
    ? resource.deviceIds.includes(receiver.id)
    : receiver.ownerId === resource.siteId;
}

/** Returns whether the owner of `token` may still use it: neither actor nor account is disabled. Expiry is not looked at. */
export function isAccountable(directory: Directory, token: Token): boolean {
  const account = directory.get("accounts", token.accountId);
  if (account === undefined || account.isDisabled) return false;
  if (token.kind === "client") {
    const actor = directory.get("actors", token.actorId);
    return actor !== undefined && !actor.isDisabled;
  }
  return token.kind === "relay" || directory.get("sites", token.siteId) !== undefined;
}

function judgePolicy(policy: Policy, context: ConditionContext): { violated: string[]; expiresAt: number } {
  const violated: string[] = [];
  let expiresAt = policy.expiresAt ?? Infinity;
  for (const condition of policy.conditions) {
    const verdict = judge(condition, context);
    if (!verdict.holds) violated.push(condition.property);
    else if (verdict.expiresAt !== undefined) expiresAt = Math.min(expiresAt, verdict.expiresAt);
  }
  return { violated, expiresAt };
}

function isActive(policy: Policy, unixSeconds: number): boolean {
  return !policy.isDisabled && (policy.expiresAt === undefined || policy.expiresAt > unixSeconds);
}

function contextOf(requester: Requester, unixSeconds: number): ConditionContext {
  return { remoteIp: requester.remoteIp, unixSeconds, isVerified: requester.device.isVerified };
}
