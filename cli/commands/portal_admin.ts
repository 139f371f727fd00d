/** How the verbs of `fz portal` talk to the portal that runs. */

import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { string, type ValueParser } from "@optique/core/valueparser";
import { Fault } from "../../lib/base/fault.ts";
import type { CliContext, Environment } from "../context.ts";
import { FILE, plainFlag, setting } from "../options.ts";

/** Names the admin socket for the portal and for its verbs. */
export const ADMIN_SOCKET_VARIABLE = "FZ_PORTAL_ADMIN_SOCKET";

/** A name or an id of something in the portal. */
export const NAME: ValueParser<"sync", string> = string({ metavar: "NAME" });

/** A record as the admin API shows it. */
export type AdminRecord = Readonly<Record<string, unknown>>;

/** Returns the options that all verbs have. */
export function adminOptions(env: Environment) {
  return {
    adminSocket: setting(env, ["--admin-socket"], ADMIN_SOCKET_VARIABLE, FILE, undefined, {
      description: message`Admin socket of the portal; the usual place otherwise.`,
    }),
    json: plainFlag(["--json"], { description: message`Print one JSON document.` }),
  };
}

/** Returns the option that says which account is meant. */
export function accountOption() {
  return optional(option("--account", string({ metavar: "SLUG" }), {
    description: message`Account, where the portal has several.`,
  }));
}

/** What to ask of a portal. */
export interface AdminQuestion {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
}

/** Returns the portal's answer; throws a `Fault` that begins with `action` if it says no. */
export async function askAdmin(
  context: CliContext,
  adminSocket: string | undefined,
  action: string,
  { method, path, body }: AdminQuestion,
): Promise<unknown> {
  const answer = await context.host.askPortal(adminSocket, { method, path, body });
  if (answer.status < 400) return answer.body;
  const record = recordOf(answer.body);
  const reason = textOf(record.error) ?? `it answered with status ${answer.status}`;
  // Complaints begin with the field, which nobody has typed here.
  const sentence = reason.replace(
    /^(\w+): (must )?/,
    (_, field, must) => must === undefined ? "" : `the ${field} must `,
  );
  throw new Fault("usage", `Cannot ${action}: ${sentence}`, {
    ...(/^account: .*several/.test(reason) ? { next: "Name the account with --account." } : {}),
  });
}

/** Returns the records at `path` ("actors", "tokens"). */
export async function listRecords(
  context: CliContext,
  adminSocket: string | undefined,
  table: string,
): Promise<readonly AdminRecord[]> {
  const body = await askAdmin(context, adminSocket, `list ${table}`, { method: "GET", path: `/v1/${table}` });
  return Array.isArray(body) ? body.map(recordOf) : [];
}

/** Returns `value` as a record; an empty one if it is none. */
export function recordOf(value: unknown): AdminRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value as AdminRecord : {};
}

/** Returns `value` if it is a text with something in it. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Returns unix seconds as RFC 3339. */
export function timeOf(value: unknown): string | undefined {
  return typeof value === "number" && Math.abs(value) < 1e11
    ? new Date(value * 1000).toISOString().replace(".000Z", "Z")
    : undefined;
}

/** Returns the name of the record with this id, else the id. */
export function nameIn(records: readonly AdminRecord[], id: unknown): string | undefined {
  return textOf(records.find((record) => record.id === id)?.name) ?? textOf(id);
}
