/**
 * Where a role's token comes from: the environment, then what systemd hands over, then a file; never an argument.
 */

import { Fault } from "../lib/base/fault.ts";
import { describeTokenFlaw, readTokenText } from "../lib/control/token.ts";
import type { CliContext } from "./context.ts";

const VARIABLE = "FIREZONE_TOKEN";
/** Where systemd puts what a unit asks for by `LoadCredential=token:…`. */
const CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY";

/** A token, and where it was found. */
export interface FoundToken {
  readonly token: string;
  readonly source: TokenSource;
}

/** Where a token was found. */
export type TokenSource =
  | { readonly type: "variable"; readonly name: string }
  | { readonly type: "file"; readonly path: string };

/** Returns the token that `findToken` finds. Throws `Fault` "rejected" if there is none. */
export async function takeToken(context: CliContext, path: string, isChosen = false): Promise<string> {
  const found = await findToken(context, path, isChosen);
  if (found === undefined) throw noToken(path);
  return found.token;
}

/** Returns what to say where there is no token, `path` being where one would be stored. */
export function noToken(path: string): Fault {
  return new Fault("rejected", `Cannot sign in: there is no token in ${VARIABLE}, and no file "${path}"`, {
    next: `Run \`fz sign-in\`, or set ${VARIABLE}.`,
  });
}

/**
 * Returns the token and where it is, undefined if there is none. It is removed from the environment. A `path` that the
 * user chose wins over what systemd hands over; the usual one does not.
 */
export async function findToken(
  context: CliContext,
  path: string,
  isChosen = false,
): Promise<FoundToken | undefined> {
  const given = takeVariable(context);
  if (given !== undefined) return { token: given, source: { type: "variable", name: VARIABLE } };
  const handedOver = isChosen ? undefined : credentialPath(context);
  for (const candidate of [handedOver, path]) {
    const stored = candidate === undefined ? undefined : await context.host.readToken(candidate);
    if (candidate === undefined || stored === undefined) continue;
    // The unit's stand-in for a token that nobody had stored when it started.
    if (candidate === handedOver && stored.trim() === "") continue;
    return { token: checkToken(stored, `"${candidate}"`), source: { type: "file", path: candidate } };
  }
  return undefined;
}

/**
 * Throws `Fault` "usage" if `token` was stored for another portal than the one at `apiUrl`: nobody but its own portal
 * shall see it. Nothing is known of tokens that did not come by `fz sign-in`.
 */
export async function checkPortal(
  context: CliContext,
  token: string,
  { tokenPath, apiUrl }: { readonly tokenPath: string; readonly apiUrl: string },
): Promise<void> {
  const identity = await (await context.host.credentials()).identity(tokenPath, token);
  if (identity === undefined || originOf(identity.portal) === originOf(apiUrl)) return;
  throw new Fault("usage", `Cannot use the stored token at "${apiUrl}": it is for "${identity.portal}"`, {
    next: `Run \`fz config set api-url ${identity.portal}\`, or sign in at the other portal.`,
  });
}

/** Returns the name of the variable that `found` was in; undefined for a file's token, and for none. */
export function variableOf(found: FoundToken | undefined): string | undefined {
  return found?.source.type === "variable" ? found.source.name : undefined;
}

/** Returns the token in FIREZONE_TOKEN, and removes it from there. */
export function takeVariable(context: CliContext): string | undefined {
  const given = context.env.get(VARIABLE)?.trim();
  context.env.delete(VARIABLE);
  return given === undefined || given === "" ? undefined : checkToken(given, `the variable ${VARIABLE}`);
}

/** Returns the file in which systemd would hand over the token; undefined if this is no such service. */
export function credentialPath({ env }: CliContext): string | undefined {
  const folder = env.get(CREDENTIALS_VARIABLE);
  return folder === undefined || folder === "" ? undefined : `${folder}/token`;
}

/** Returns the token in `text`. Throws `Fault` "rejected" if it is none; the text is not repeated. */
export function checkToken(text: string, place: string): string {
  const read = readTokenText(text);
  if (read.ok) return read.value;
  throw new Fault("rejected", `Cannot use the token in ${place}: ${describeTokenFlaw(read.reason)}`, {
    next: "A token is one line of printable characters without spaces.",
  });
}

/** WebSockets and HTTP of one host and port are one portal. */
function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url.replace(/^ws/, "http")).origin : url;
}
