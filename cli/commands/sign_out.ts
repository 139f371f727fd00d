/** `fz sign-out`: ends the session, tells the portal where it listens, and forgets the token. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { Fault } from "../../lib/base/fault.ts";
import type { Credentials, Revocation } from "../../lib/control/credential.ts";
import { defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_OK } from "../exit.ts";
import { whoText } from "../identity.ts";
import { plainFlag } from "../options.ts";
import { printNote, printText, printWarning } from "../output.ts";
import { findSession, stopSession } from "../own_session.ts";
import { withProgress } from "../busy.ts";
import { type SessionSettings, sessionSettings, settingOptions } from "../session_options.ts";
import { wrap } from "../table.ts";
import { checkToken, takeVariable } from "../token.ts";
import { printable } from "../../lib/base/text.ts";

export const signOutCommand = defineCommand({
  name: "sign-out",
  aliases: ["logout"],
  brief: message`End the session and forget the token.`,
  description:
    message`Stops the running session of the profile, asks the portal to end the sign-in where it offers that, and \
removes the token from this machine. Asks before; --force does not.`,
  options: () =>
    object({
      ...settingOptions(["apiUrl", "tokenPath"]),
      force: plainFlag(["-f", "--force"], { description: message`Do not ask.` }),
    }),
  async run({ force, ...given }, context) {
    const session = await sessionSettings(context, given);
    const { tokenPath } = session.settings;
    const credentials = await context.host.credentials();
    const isSet = takeVariable(context) !== undefined;
    if (!(await credentials.exists(tokenPath))) {
      printNote(context, `Not signed in: there is no token in "${tokenPath}"`);
      if (isSet) printWarning(context, "FIREZONE_TOKEN is set here; unset it where it comes from");
      return EXIT_OK;
    }
    const token = await readStored(tokenPath, context);
    const identity = token === undefined ? undefined : await credentials.identity(tokenPath, token);
    if (!force && !(await isWanted(identity === undefined ? "" : whoText(identity), session, context))) {
      context.stderr.write("Nothing was changed\n");
      return EXIT_OK;
    }
    await stopOwnSession(session, context);
    // The token is for the portal that gave it, whatever the settings say now.
    const portal = identity?.portal ?? session.settings.apiUrl;
    const revocation = token === undefined ? undefined : await revoke(token, portal, credentials, context);
    await credentials.remove(tokenPath);
    context.stdout.write("Signed out\n");
    const rest = revocation === undefined ? undefined : remainder(revocation);
    if (rest !== undefined) printText(context.stderr, rest);
    if (isSet) printWarning(context, "FIREZONE_TOKEN is set here; unset it where it comes from");
    return EXIT_OK;
  },
});

async function isWanted(
  who: string,
  { profile }: SessionSettings,
  { prompt, stderr }: CliContext,
): Promise<boolean> {
  if (!prompt.isPossible) {
    throw new Fault("usage", "Cannot ask whether to sign out: there is no terminal", {
      next: "Use --force to sign out without a question.",
    });
  }
  const what = profile.name === "default" ? "" : `, profile ${profile.name}`;
  const question = wrap(`You are signed in${printable(who)}${what}. Sign out?`, stderr.columns);
  return await prompt.confirm(question.join("\n"));
}

/** A file that cannot be used as a token can still be removed. */
async function readStored(path: string, context: CliContext): Promise<string | undefined> {
  try {
    const text = await context.host.readToken(path);
    return text === undefined ? undefined : checkToken(text, `"${path}"`);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    printWarning(context, `${error.message}; it is removed all the same`);
    return undefined;
  }
}

async function stopOwnSession({ profile }: SessionSettings, context: CliContext): Promise<void> {
  const found = await findSession(context);
  const { control, status } = found ?? {};
  if (control === undefined || status?.profile !== profile.name) return;
  await withProgress(context, "Stopping the session", () => stopSession(context, control));
}

function revoke(
  token: string,
  portal: string,
  credentials: Credentials,
  context: CliContext,
): Promise<Revocation> {
  return withProgress(
    context,
    `Telling ${printable(portal)}`,
    () => credentials.revoke(portal, token),
  );
}

/** Returns what is left of the sign-in, undefined if nothing. */
function remainder(revocation: Revocation): string | undefined {
  const advice = "it stays valid until it expires; an administrator can revoke it.";
  switch (revocation.type) {
    case "revoked":
    case "dead":
      return undefined;
    case "not-offered":
      return `The portal does not end this token on request: ${advice}`;
    case "failed":
      return `The portal could not be told to end the token (${printable(revocation.reason)}): ${advice}`;
  }
}
