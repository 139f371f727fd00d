/** `fz whoami`: who is signed in, where, with what, and for how long. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { Fault } from "../../lib/base/fault.ts";
import type { Credentials, Identity } from "../../lib/control/credential.ts";
import { defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_OK } from "../exit.ts";
import { formatAgo, msSince } from "../format.ts";
import { accountText, actorText, checkedIdentity, expiryText, nearExpiry } from "../identity.ts";
import { plainFlag } from "../options.ts";
import { printFacts, printJson, printWarning } from "../output.ts";
import { type SessionSettings, sessionSettings, settingOptions } from "../session_options.ts";
import { findToken, type FoundToken } from "../token.ts";

const UNKNOWN = "unknown: the portal does not tell";

export const whoamiCommand = defineCommand({
  name: "whoami",
  brief: message`Show who is signed in, and for how long.`,
  description:
    message`Shows account, person, device, portal and token of the profile, as far as the portal tells. Exits with 3 \
if nobody is signed in or the portal takes the token no more, with 4 if the sign-in expired.`,
  options: () =>
    object({
      ...settingOptions(["apiUrl", "tokenPath", "id", "name"]),
      json: plainFlag(["--json"], { description: message`Print a JSON document.` }),
    }),
  async run({ json, ...given }, context) {
    const session = await sessionSettings(context, given);
    const { settings, profile, origins } = session;
    const credentials = await context.host.credentials();
    const found = await findToken(context, settings.tokenPath, origins.tokenPath.type !== "default");
    if (found === undefined) {
      throw new Fault("rejected", `Not signed in: there is no token in "${settings.tokenPath}"`, {
        next: "Run `fz sign-in`.",
      });
    }
    const identity = await identify(found, session, credentials);
    const now = Date.now();
    if (typeof identity.expiresAt === "string" && Date.parse(identity.expiresAt) <= now) {
      throw new Fault("expired", `Not signed in any more: the sign-in expired ${expiryText(identity, now)}`, {
        next: "Run `fz sign-in`.",
      });
    }
    const device = await credentials.device(settings);
    if (json) {
      const { account, actor, portal, expiresAt, signedInAt } = identity;
      const facts = { account, actor, device, portal, expiresAt, signedInAt };
      printJson(context, { ...facts, profile: profile.name, token: found.source });
    } else {
      print(identity, device, found, profile.name, now, context);
    }
    const left = nearExpiry(identity, now);
    if (left !== undefined) printWarning(context, `The sign-in ends in ${left}; \`fz sign-in\` renews it`);
    return EXIT_OK;
  },
});

/** Returns what the portal says now, or else what it said at sign-in. Throws if it says that the token is dead. */
async function identify(
  { token, source }: FoundToken,
  { settings }: SessionSettings,
  credentials: Credentials,
): Promise<Identity> {
  const kept = source.type === "file" ? await credentials.identity(source.path, token) : undefined;
  const portal = kept?.portal ?? settings.apiUrl;
  const told = await credentials.ask(portal, token);
  return checkedIdentity({ ...kept, portal, ...told });
}

function print(
  identity: Identity,
  { name, id }: { readonly name: string; readonly id: string | undefined },
  { source }: FoundToken,
  profile: string,
  now: number,
  context: CliContext,
): void {
  const { signedInAt } = identity;
  const age = signedInAt === undefined ? undefined : msSince(signedInAt, now);
  const place = source.type === "variable" ? `the variable ${source.name}` : source.path;
  printFacts(context, [
    ["Account", accountText(identity) ?? UNKNOWN],
    ["Actor", actorText(identity) ?? UNKNOWN],
    ["Device", id === undefined ? name : `${name} (${id.length > 20 ? `${id.slice(0, 12)}…` : id})`],
    ["Portal", identity.portal],
    ["Profile", profile],
    ["Token", age === undefined ? place : `${place}, signed in ${formatAgo(age)}`],
    ["Expires", expiryText(identity, now)],
  ]);
}
