/**
 * The admin API without its socket: a request in, an answer out. `io/portal_admin.ts` puts it behind a local Unix
 * socket. docs/portal-seed.md lists the paths.
 */

import type * as v from "valibot";
import { err, ok, type Result } from "../base/result.ts";
import type { Rng } from "../base/rng.ts";
import type { Instant, WallClock } from "../base/time.ts";
import type { Directory } from "./directory.ts";
import {
  AccountInput,
  ActorInput,
  type Complaint,
  GroupInput,
  PolicyInput,
  readInput,
  ResourceInput,
  SiteInput,
  TokenInput,
} from "./inputs.ts";
import { type Account, TABLE_NAMES, type TableName } from "./model.ts";
import type { AnyPeer } from "./peers.ts";
import type { Portal } from "./portal.ts";
import {
  lookUp,
  putAccount,
  putActor,
  putGroup,
  putPolicy,
  putResource,
  putSite,
  putToken,
} from "./upsert.ts";

/** A request to the admin API. */
export interface AdminRequest {
  readonly method: string;
  /** Such as "/v1/resources/Wiki", decoded. */
  readonly path: string;
  /** Parsed JSON; undefined without a body. */
  readonly body: unknown;
}

/** Its answer. */
export interface AdminAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** What the API needs besides the portal. */
export interface AdminContext {
  readonly portal: Portal;
  readonly rng: Rng;
  readonly wallClock: WallClock;
}

/** Answers `request`; changes reach peers before this returns (as actions of the portal). */
export function handleAdmin(context: AdminContext, request: AdminRequest, now: Instant): AdminAnswer {
  const [prefix, noun = "", ...rest] = request.path.split("/").filter((part) => part !== "");
  const reference = rest.length === 0 ? undefined : rest.join("/");
  if (prefix !== "v1") return complain(404, "there is nothing at this path");
  const { directory } = context.portal;
  switch (request.method) {
    case "GET":
      return list(context, noun, reference);
    case "POST": {
      const account = accountOf(directory, request.body);
      if (reference !== undefined) return complain(405, "POST to the collection");
      return post(context, noun, account, request.body, now);
    }
    case "PATCH":
      return patch(context, noun, reference ?? "", request.body, now);
    case "DELETE":
      return remove(context, noun, reference ?? "", now);
    default:
      return complain(405, `cannot ${request.method}`);
  }
}

function list({ portal, wallClock }: AdminContext, noun: string, reference: string | undefined): AdminAnswer {
  const { presence, directory } = portal;
  const online = { clients: presence.clients, gateways: presence.gateways, relays: presence.relays };
  if (noun === "status") {
    return {
      status: 200,
      body: {
        clients: presence.clients.size,
        gateways: presence.gateways.size,
        relays: presence.relays.size,
        accounts: directory.all("accounts").map((account) => ({
          slug: account.slug,
          name: account.name,
          ...Object.fromEntries(
            COUNTED.map((table) => [
              table,
              directory.all(table).filter(({ accountId }) => accountId === account.id).length,
            ]),
          ),
        })),
      },
    };
  }
  if (noun === "clients" || noun === "gateways" || noun === "relays") {
    const peers: readonly AnyPeer[] = [...online[noun].values()];
    return { status: 200, body: peers.map((peer) => describePeer(directory, wallClock, peer)) };
  }
  if (!isTable(noun)) return complain(404, `there are no "${noun}"`);
  if (reference === undefined) {
    return {
      status: 200,
      body: directory.all(noun).map((it) => redact(noun, it)),
    };
  }
  const id = resolve(directory, noun, reference);
  const record = directory.get(noun, id);
  return record === undefined ? complain(404, "not found") : { status: 200, body: redact(noun, record) };
}

function post(
  { portal, rng, wallClock }: AdminContext,
  noun: string,
  account: Account | undefined,
  body: unknown,
  now: Instant,
): AdminAnswer {
  const input = withoutAccount(body);
  if (noun === "accounts") {
    return write(portal, AccountInput, input, now, (it, dir) => shown("accounts", putAccount(dir, it, rng)));
  }
  if (account === undefined) return complain(400, `account: ${noAccount(portal.directory, body)}`);
  switch (noun) {
    case "sites":
      return write(portal, SiteInput, input, now, (it, dir) => putSite(dir, account, it));
    case "actors":
      return write(
        portal,
        ActorInput,
        input,
        now,
        (it, dir) => shown("actors", putActor(dir, account, it, rng)),
      );
    case "groups":
      return write(portal, GroupInput, input, now, (it, dir) => putGroup(dir, account, it));
    case "resources":
      return write(portal, ResourceInput, input, now, (it, dir) => putResource(dir, account, it));
    case "policies":
      return write(portal, PolicyInput, input, now, (it, dir) => putPolicy(dir, account, it));
    case "tokens":
      return write(portal, TokenInput, input, now, (it, dir) => {
        const outcome = putToken(dir, account, it, rng, wallClock.unixMs(now) / 1000);
        if (!outcome.ok) return outcome;
        const { token, secret } = outcome.value;
        return ok({ ...redact("tokens", token), ...(secret === undefined ? {} : { secret }) });
      });
    default:
      return complain(404, `cannot make "${noun}"`);
  }
}

/** Switches a policy or actor off or on, marks a device as verified. Everything else is a POST with the same name. */
function patch(
  { portal }: AdminContext,
  noun: string,
  reference: string,
  body: unknown,
  now: Instant,
): AdminAnswer {
  const flags = typeof body === "object" && body !== null ? body as Readonly<Record<string, unknown>> : {};
  const outcome = portal.change((directory): Result<unknown, Complaint> => {
    const { disabled, verified } = flags;
    if ((noun === "policies" || noun === "actors") && typeof disabled === "boolean") {
      const record = directory.get(noun, resolve(directory, noun, reference));
      if (record === undefined) return err("not found");
      const changed = { ...record, isDisabled: disabled };
      directory.put(noun, changed);
      return ok(redact(noun, changed));
    }
    if (noun === "devices" && typeof verified === "boolean") {
      const record = directory.get("devices", resolve(directory, "devices", reference));
      if (record === undefined) return err("not found");
      const changed = { ...record, isVerified: verified };
      directory.put("devices", changed);
      return ok(redact("devices", changed));
    }
    return err("cannot change this: policies and actors have `disabled`, devices have `verified`");
  }, now);
  if (outcome.ok) return { status: 200, body: outcome.value };
  return complain(outcome.reason === "not found" ? 404 : 400, outcome.reason);
}

function remove({ portal }: AdminContext, noun: string, reference: string, now: Instant): AdminAnswer {
  if (!isTable(noun)) return complain(404, `there are no "${noun}"`);
  const id = resolve(portal.directory, noun, reference);
  if (id === undefined) return complain(404, "not found");
  const isGone = noun === "authorizations"
    ? portal.revoke(id, now)
    : portal.change((directory) => directory.remove(noun, id), now);
  return isGone ? { status: 200, body: { removed: id } } : complain(404, "not found");
}

function write<T extends v.GenericSchema>(
  portal: Portal,
  schema: T,
  body: unknown,
  now: Instant,
  put: (input: v.InferOutput<T>, directory: Directory) => Result<unknown, Complaint>,
): AdminAnswer {
  const input = readInput(schema, body);
  if (!input.ok) return complain(400, input.reason);
  const outcome = portal.change((directory) => put(input.value, directory), now);
  return outcome.ok ? { status: 200, body: outcome.value } : complain(400, outcome.reason);
}

/** Returns the account that `body` names by slug or id, else the only one. */
function accountOf(directory: Directory, body: unknown): Account | undefined {
  const named = typeof body === "object" && body !== null && "account" in body ? body.account : undefined;
  const accounts = directory.all("accounts");
  if (named === undefined) return accounts.length === 1 ? accounts[0] : undefined;
  return accounts.find(({ id, slug }) => id === named || slug === named);
}

function noAccount(directory: Directory, body: unknown): string {
  if (directory.all("accounts").length === 0) return "there is none yet";
  return typeof body === "object" && body !== null && "account" in body
    ? `there is no account ${JSON.stringify(body.account)}`
    : "there are several, name one";
}

function withoutAccount(body: unknown): unknown {
  if (typeof body !== "object" || body === null || !("account" in body)) return body;
  const { account: _, ...rest } = body;
  return rest;
}

/** Returns the id of the record with this id, or with this name where names are unique. */
function resolve(directory: Directory, table: TableName, reference: string): string | undefined {
  if (directory.get(table, reference) !== undefined) return reference;
  if (table === "accounts") return directory.find("accounts", ({ slug }) => slug === reference)?.id;
  if (table === "policies" || table === "memberships" || table === "authorizations") return undefined;
  const found = directory.all("accounts").map((account) => lookUp(directory, table, account, reference)?.id)
    .filter((id) => id !== undefined);
  return found.length === 1 ? found[0] : undefined;
}

function shown(
  table: TableName,
  outcome: Result<object, Complaint>,
): Result<Record<string, unknown>, Complaint> {
  return outcome.ok ? ok(redact(table, outcome.value)) : outcome;
}

/** Returns `record` without what must not be shown. */
function redact(table: TableName, record: object): Record<string, unknown> {
  const shown: Record<string, unknown> = { ...record };
  if (table === "actors") shown.hasPassword = shown.passwordHash !== undefined;
  for (const key of SECRETS[table] ?? []) delete shown[key];
  return shown;
}

function describePeer(directory: Directory, wallClock: WallClock, peer: AnyPeer): Record<string, unknown> {
  const shared = {
    connectedAt: Math.floor(wallClock.unixMs(peer.connectedAt) / 1000),
    remoteIp: peer.remoteIp?.toString(),
    userAgent: peer.userAgent,
    socketVersion: peer.version,
  };
  if (peer.role === "relay") {
    const { relayId: id, name, port } = peer;
    return { id, name, ipv4: peer.ipv4?.toString(), ipv6: peer.ipv6?.toString(), port, ...shared };
  }
  const device = directory.get("devices", peer.deviceId);
  const { publicKey } = peer;
  return {
    ...(device === undefined ? { id: peer.deviceId } : redact("devices", device)),
    publicKey,
    ...shared,
  };
}

function complain(status: number, message: string): AdminAnswer {
  return { status, body: { error: message } };
}

function isTable(noun: string): noun is TableName {
  return (TABLE_NAMES as readonly string[]).includes(noun);
}

/** What a status counts in each account. */
const COUNTED = ["actors", "sites", "resources", "policies", "tokens"] as const;

const SECRETS: Partial<Record<TableName, readonly string[]>> = {
  accounts: ["ingestKey"],
  actors: ["passwordHash"],
  tokens: ["hash"],
  devices: ["pskBase"],
};
