/**
 * Makes records of what people write. A record of the same name (policies: same pair, tokens: same kind and name) is
 * updated, so that applying twice changes nothing. Used by seeds and by the admin API.
 */

import { toBase64 } from "../base/bytes.ts";
import { IpAddress, IpNetwork } from "../base/ip.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { Rng } from "../base/rng.ts";
import { isReserved, isReservedAddress } from "./addresses.ts";
import { isWellFormed } from "./conditions.ts";
import type { Directory } from "./directory.ts";
import type {
  AccountInput,
  ActorInput,
  Complaint,
  GroupInput,
  PolicyInput,
  ResourceInput,
  SiteInput,
  TokenInput,
} from "./inputs.ts";
import { hashPassword, isPassword } from "./password.ts";
import { endSignIns } from "./sign_in_token.ts";
import type { Account, Actor, Group, Policy, Resource, ResourceFilter, Site, Token } from "./model.ts";

/** Writes an account, with its group "Everyone". */
export function putAccount(directory: Directory, input: AccountInput, rng: Rng): Result<Account, Complaint> {
  const before = directory.find("accounts", ({ slug }) => slug === input.slug);
  const dns = input.dns === undefined ? before?.dns ?? { type: "system" } as const : readDns(input.dns);
  if (dns === undefined) return err(`dns: resolvers must be addresses outside the tunnel's own networks`);
  const account: Account = {
    id: before?.id ?? directory.newId(),
    slug: input.slug,
    name: input.name ?? before?.name ?? input.slug,
    searchDomain: input.search_domain ?? before?.searchDomain,
    dns,
    ingestKey: before?.ingestKey ?? toBase64(rng.bytes(32)),
    sessionLifetime: input.client_session_lifetime ?? before?.sessionLifetime,
    isDisabled: input.disabled ?? before?.isDisabled ?? false,
  };
  directory.put("accounts", account);
  const hasEveryone =
    directory.find("groups", (it) => it.accountId === account.id && it.isEveryone) !== undefined;
  if (!hasEveryone) {
    directory.put("groups", {
      id: directory.newId(),
      accountId: account.id,
      name: "Everyone",
      isEveryone: true,
    });
  }
  return ok(account);
}

/** Writes a site. */
export function putSite(directory: Directory, account: Account, input: SiteInput): Result<Site, Complaint> {
  const before = lookUp(directory, "sites", account, input.id ?? input.name);
  const site: Site = {
    id: before?.id ?? input.id ?? directory.newId(),
    accountId: account.id,
    name: input.name,
  };
  directory.put("sites", site);
  return ok(site);
}

/** Writes an actor. Another password ends all sign-ins with the old one. */
export function putActor(
  directory: Directory,
  account: Account,
  input: ActorInput,
  rng: Rng,
): Result<Actor, Complaint> {
  const before = lookUp(directory, "actors", account, input.id ?? input.name);
  const { password } = input;
  const isKept = password === undefined ||
    (before?.passwordHash !== undefined && isPassword(password, before.passwordHash));
  const actor: Actor = {
    id: before?.id ?? input.id ?? directory.newId(),
    accountId: account.id,
    name: input.name,
    type: input.type ?? before?.type ?? "account_user",
    email: input.email ?? before?.email,
    passwordHash: isKept ? before?.passwordHash : hashPassword(password, rng),
    isDisabled: input.disabled ?? before?.isDisabled ?? false,
  };
  const complaint = actor.passwordHash === undefined ? undefined : complainAboutSignIn(directory, actor);
  if (complaint !== undefined) return err(complaint);
  if (before !== undefined && !isKept) endSignIns(directory, actor.id);
  directory.put("actors", actor);
  return ok(actor);
}

/** Writes a group and, if they are listed, its members. */
export function putGroup(
  directory: Directory,
  account: Account,
  input: GroupInput,
): Result<Group, Complaint> {
  const before = lookUp(directory, "groups", account, input.id ?? input.name);
  const actorIds: string[] = [];
  for (const name of input.members ?? []) {
    const actor = lookUp(directory, "actors", account, name);
    if (actor === undefined) return err(`members: there is no actor "${name}"`);
    actorIds.push(actor.id);
  }
  const group: Group = {
    id: before?.id ?? input.id ?? directory.newId(),
    accountId: account.id,
    name: input.name,
    isEveryone: before?.isEveryone ?? false,
  };
  directory.put("groups", group);
  if (input.members === undefined) return ok(group);
  const memberships = directory.all("memberships").filter(({ groupId }) => groupId === group.id);
  for (const membership of memberships) {
    if (!actorIds.includes(membership.actorId)) directory.remove("memberships", membership.id);
  }
  for (const actorId of actorIds) {
    if (memberships.some((membership) => membership.actorId === actorId)) continue;
    directory.put("memberships", {
      id: directory.newId(),
      accountId: account.id,
      groupId: group.id,
      actorId,
    });
  }
  return ok(group);
}

/** Writes a resource. */
export function putResource(
  directory: Directory,
  account: Account,
  input: ResourceInput,
): Result<Resource, Complaint> {
  const before = lookUp(directory, "resources", account, input.id ?? input.name);
  const isPool = input.type === "static_device_pool";
  const site = input.site === undefined
    ? directory.get("sites", before?.siteId)
    : lookUp(directory, "sites", account, input.site);
  if (site === undefined && !isPool) return err(`site: there is no site "${input.site ?? ""}"`);
  const address = readAddress(input);
  if (!address.ok) return address;
  const deviceIds: string[] = [];
  for (const name of input.devices ?? []) {
    const device = lookUp(directory, "devices", account, name);
    if (device === undefined || device.role !== "client") return err(`devices: there is no client "${name}"`);
    deviceIds.push(device.id);
  }
  const filters = input.filters?.map(readFilter) ?? before?.filters ?? [];
  const isBackwards = filters.some((it) => it.protocol !== "icmp" && it.port_range_start > it.port_range_end);
  if (isBackwards) return err("filters: a range of ports must not run backwards");
  const other = directory.find("resources", (it) => it.accountId === account.id && it.type === "internet");
  if (input.type === "internet" && other !== undefined && other.id !== before?.id) {
    return err("type: an account has one Internet resource at most");
  }
  const resource: Resource = {
    id: before?.id ?? input.id ?? directory.newId(),
    accountId: account.id,
    type: input.type,
    name: input.name,
    address: address.value,
    addressDescription: input.address_description ?? before?.addressDescription,
    filters,
    ipStack: input.ip_stack ?? before?.ipStack ?? "dual",
    siteId: isPool ? undefined : site?.id,
    deviceIds: input.devices === undefined ? before?.deviceIds ?? [] : deviceIds,
  };
  directory.put("resources", resource);
  return ok(resource);
}

/** Writes a policy. */
export function putPolicy(
  directory: Directory,
  account: Account,
  input: PolicyInput,
): Result<Policy, Complaint> {
  const group = lookUp(directory, "groups", account, input.group);
  const resource = lookUp(directory, "resources", account, input.resource);
  if (group === undefined) return err(`group: there is no group "${input.group}"`);
  if (resource === undefined) return err(`resource: there is no resource "${input.resource}"`);
  const malformed = input.conditions?.find((condition) => !isWellFormed(condition));
  if (malformed !== undefined) {
    return err(`conditions: cannot understand the values of "${malformed.property}"`);
  }
  const before = directory.get("policies", input.id) ??
    directory.find("policies", (it) => it.groupId === group.id && it.resourceId === resource.id);
  const policy: Policy = {
    id: before?.id ?? input.id ?? directory.newId(),
    accountId: account.id,
    groupId: group.id,
    resourceId: resource.id,
    description: input.description ?? before?.description,
    conditions: input.conditions ?? before?.conditions ?? [],
    expiresAt: input.expires_at ?? before?.expiresAt,
    isDisabled: input.disabled ?? before?.isDisabled ?? false,
  };
  directory.put("policies", policy);
  return ok(policy);
}

/** Writes a token. Its text, `secret`, is returned when it was just made up and never again. */
export function putToken(
  directory: Directory,
  account: Account,
  input: TokenInput,
  rng: Rng,
  unixSeconds: number,
  rotate = true,
): Result<{ readonly token: Token; readonly secret: string | undefined }, Complaint> {
  const { kind } = input;
  const actor = input.actor === undefined ? undefined : lookUp(directory, "actors", account, input.actor);
  const site = input.site === undefined ? undefined : lookUp(directory, "sites", account, input.site);
  if (kind === "client" && actor === undefined) return err(`actor: there is no actor "${input.actor ?? ""}"`);
  if (kind === "gateway" && site === undefined) return err(`site: there is no site "${input.site ?? ""}"`);
  const byName = (name: string) =>
    directory.find("tokens", (it) => it.accountId === account.id && it.kind === kind && it.name === name);
  const ownName = [kind, actor?.name ?? site?.name ?? ""].join(" ").trim();
  if (input.replace === false && input.name !== undefined && byName(input.name) !== undefined) {
    return err(`name: there is a token "${input.name}" already`);
  }
  let name = input.name ?? ownName;
  for (let count = 2; input.replace === false && byName(name) !== undefined; count++) {
    name = `${ownName} ${count}`;
  }
  const before = byName(name);
  const secret = input.token === undefined && (before === undefined || rotate)
    ? `fz_${kind}_${rng.bytes(32).toBase64({ alphabet: "base64url", omitPadding: true })}`
    : undefined;
  const text = input.token ?? secret;
  const hash = text === undefined ? before!.hash : directory.hashToken(text);
  const clash = directory.find("tokens", (it) => it.hash === hash && it.id !== before?.id);
  if (clash !== undefined) return err(`token: "${clash.name}" has the same text`);
  const expiresIn = before !== undefined && secret === undefined ? undefined : input.expires_in;
  // Another text is another token: sessions and authorizations of the old one end with it.
  const isNew = before === undefined || before.hash !== hash;
  if (before !== undefined && isNew) directory.remove("tokens", before.id);
  const token: Token = {
    id: isNew ? directory.newId() : before.id,
    accountId: account.id,
    kind,
    name,
    hash,
    actorId: kind === "client" ? actor?.id : undefined,
    siteId: kind === "gateway" ? site?.id : undefined,
    expiresAt: input.expires_at ??
      (expiresIn === undefined ? before?.expiresAt : Math.floor(unixSeconds) + expiresIn),
  };
  directory.put("tokens", token);
  return ok({ token, secret });
}

/** Returns why `actor` could not sign in with a browser. */
function complainAboutSignIn(directory: Directory, actor: Actor): Complaint | undefined {
  if (actor.type === "service_account") return "password: service accounts have tokens, not passwords";
  const email = actor.email?.toLowerCase() ?? "";
  if (email === "") return "email: who signs in with a password needs one";
  const other = directory.find(
    "actors",
    (it) =>
      it.accountId === actor.accountId && it.id !== actor.id && it.email?.toLowerCase() === email &&
      it.passwordHash !== undefined,
  );
  return other === undefined ? undefined : `email: "${other.name}" signs in with the same one`;
}

/** Returns the record of `table` that has this id or name within `account`. */
export function lookUp<T extends "sites" | "actors" | "groups" | "resources" | "devices" | "tokens">(
  directory: Directory,
  table: T,
  account: Account,
  reference: string,
) {
  const byId = directory.get(table, reference);
  if (byId?.accountId === account.id) return byId;
  return directory.find(table, (record) => record.accountId === account.id && record.name === reference);
}

function readDns(dns: NonNullable<AccountInput["dns"]>): Account["dns"] | undefined {
  if (dns === "system") return { type: "system" };
  if (typeof dns === "string") {
    return {
      type: "secure",
      provider: dns.slice("secure:".length) as "google" | "quad9" | "cloudflare" | "opendns",
    };
  }
  const servers = dns.map((text) => IpAddress.parse(text));
  if (servers.some((server) => server === undefined || isReservedAddress(server))) return undefined;
  return { type: "custom", servers: servers.map(String) };
}

function readAddress(input: ResourceInput): Result<string | undefined, Complaint> {
  const text = input.address ?? "";
  switch (input.type) {
    case "internet":
    case "static_device_pool":
      return text === "" ? ok(undefined) : err(`address: a resource of type "${input.type}" has none`);
    case "ip":
    case "cidr": {
      const network = IpNetwork.parse(text);
      if (network === undefined) {
        return err(`address: "${text}" is no ${input.type === "ip" ? "IP address" : "network"}`);
      }
      if (isReserved(network)) return err(`address: "${text}" is reserved for the tunnel`);
      return ok(input.type === "ip" ? network.address.toString() : network.toString());
    }
    case "dns": {
      const isPattern = text !== "" &&
        text.split(".").every((label) => /^[\p{L}\p{N}_*?-]{1,63}$/u.test(label));
      return isPattern ? ok(text.toLowerCase()) : err(`address: "${text}" is no name or pattern`);
    }
  }
}

function readFilter(input: NonNullable<ResourceInput["filters"]>[number]): ResourceFilter {
  if (typeof input !== "string") {
    if (input.protocol === "icmp") return { protocol: "icmp" };
    return {
      protocol: input.protocol,
      port_range_start: input.port_range_start ?? 1,
      port_range_end: input.port_range_end ?? 65535,
    };
  }
  const [protocol, range] = input.split("/");
  if (protocol !== "tcp" && protocol !== "udp") return { protocol: "icmp" };
  const [start, end] = (range ?? "1-65535").split("-").map(Number);
  return { protocol, port_range_start: start!, port_range_end: Math.min(end ?? start!, 65535) };
}
