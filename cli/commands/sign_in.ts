/** `fz sign-in`: gets a token, tries it at the portal, and keeps it. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { Fault } from "../../lib/base/fault.ts";
import type { Credentials, Identity, SignIn } from "../../lib/control/credential.ts";
import { defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_INTERRUPTED, EXIT_OK } from "../exit.ts";
import { formatCount } from "../format.ts";
import { checkedIdentity, expiryText, whoText } from "../identity.ts";
import { FILE, plainFlag, refusedToken } from "../options.ts";
import { painter, printJson, printText, printWarning, usesColour } from "../output.ts";
import { findSession, type FoundSession } from "../own_session.ts";
import { withProgress } from "../busy.ts";
import { type SessionSettings, sessionSettings, settingOptions } from "../session_options.ts";
import { authBaseOf, signInUrl } from "../sign_in_url.ts";
import { checkToken, credentialPath, takeVariable } from "../token.ts";
import { printable } from "../../lib/base/text.ts";

/** What a profile remembers of a sign-in: its token is for this portal and no other. */
const REMEMBERED = ["apiUrl", "authBaseUrl", "accountSlug"] as const;

interface Options {
  readonly profile: string | undefined;
  readonly tokenStdin: boolean;
  readonly tokenFile: string | undefined;
  readonly browser: boolean;
  readonly verify: boolean;
  readonly json: boolean;
}

export const signInCommand = defineCommand({
  name: "sign-in",
  aliases: ["login"],
  brief: message`Sign in with a browser or with a token.`,
  description:
    message`Shows the page where you sign in, takes the token that you get there, tries it at the portal and \
keeps it in a file that only its owner can read. Scripts hand over a token with --token-stdin, --token-file or \
FIREZONE_TOKEN. A running session goes on with the new token. As root, in a folder of a service's user, the file is that \
user's.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz sign-in --account-slug acme")}${lineBreak()}
  ${commandLine("fz sign-in --token-stdin < token")}${lineBreak()}
  ${commandLine("fz sign-in --profile work --api-url wss://portal.corp.example/")}`,
  options: () =>
    object({
      ...settingOptions(["accountSlug", "authBaseUrl", "apiUrl", "tokenPath", "id", "name"]),
      token: refusedToken(),
      tokenStdin: plainFlag(["--token-stdin"], { description: message`Read the token from standard input.` }),
      tokenFile: optional(
        option("--token-file", FILE, {
          description: message`Read the token from a file; - is standard input.`,
        }),
      ),
      noBrowser: plainFlag(["--no-browser"], {
        description: message`Open no browser, only show the page's address.`,
      }),
      noVerify: plainFlag(["--no-verify"], {
        description: message`Keep the token without trying it at the portal.`,
      }),
      json: plainFlag(["--json"], { description: message`Print who is signed in as a JSON document.` }),
    }),
  async run({ noBrowser, noVerify, ...given }, context) {
    const options: Options = { ...given, browser: !noBrowser, verify: !noVerify };
    if (options.tokenStdin && options.tokenFile !== undefined) {
      throw new Fault("usage", "Cannot use --token-stdin together with --token-file", {
        next: "Give one of them.",
      });
    }
    const session = await sessionSettings(context, given, { mayBeNew: true });
    const credentials = await context.host.credentials();
    const token = await getToken(options, session, credentials, context);
    if (token === undefined) return EXIT_INTERRUPTED;
    const found = await findSession(context);
    const signIn = options.verify ? await tryToken(token, session, found, credentials, context) : {};
    const { account, actor, expiresAt } = signIn;
    const identity = checkedIdentity({
      portal: session.settings.apiUrl,
      account,
      actor,
      expiresAt,
      signedInAt: new Date().toISOString(),
    });
    await credentials.store(session.settings.tokenPath, token, identity);
    await remember(session, context);
    report(identity, signIn, options, session, context);
    await revive(token, session, found, context);
    return EXIT_OK;
  },
});

/** Returns the token from where the user said, or from where one is; undefined if he interrupted. */
async function getToken(
  options: Options,
  session: SessionSettings,
  credentials: Credentials,
  context: CliContext,
): Promise<string | undefined> {
  const variable = takeVariable(context);
  if (options.tokenStdin || options.tokenFile === "-") {
    if (context.prompt.isPossible) return await askToken(context, "Token: ");
    return checkToken(await credentials.readInput("stdin"), "standard input");
  }
  if (options.tokenFile !== undefined) {
    const text = await credentials.readInput({ path: options.tokenFile });
    return checkToken(text, `"${options.tokenFile}"`);
  }
  if (variable !== undefined) {
    context.stderr.write("fz: Using the token in FIREZONE_TOKEN\n");
    return variable;
  }
  const handedOver = credentialPath(context);
  const stored = handedOver === undefined ? undefined : await context.host.readToken(handedOver);
  // Empty: the unit's stand-in for a token that nobody had stored when it started.
  if (stored !== undefined && stored.trim() !== "") {
    context.stderr.write(`fz: Using the token in "${handedOver}"\n`);
    return checkToken(stored, `"${handedOver}"`);
  }
  if (!context.prompt.isPossible) {
    throw new Fault("usage", "Cannot sign in with a browser: there is no terminal to paste the token into", {
      next: "Hand over a token with --token-stdin, --token-file FILE or FIREZONE_TOKEN.",
    });
  }
  return await signInWithBrowser(options, session, credentials, context);
}

async function signInWithBrowser(
  options: Options,
  { settings, origins }: SessionSettings,
  credentials: Credentials,
  context: CliContext,
): Promise<string | undefined> {
  const { apiUrl, authBaseUrl, accountSlug } = settings;
  const base = origins.authBaseUrl.type === "default" ? authBaseOf(apiUrl) : authBaseUrl;
  const url = signInUrl(base, accountSlug);
  const isOpen = options.browser && await credentials.openBrowser(url);
  const write = (line: string) => printText(context.stderr, line);
  write(isOpen ? "Your browser shows the page to sign in:" : "Open this page in any browser, on any device:");
  context.stderr.write(`\n  ${painter(context.stderr, context.env)("bold", url)}\n\n`);
  if (!isOpen) await printCode(url, context);
  write("Sign in there, copy the token, paste it here and press Enter.");
  write("It is not shown. Ctrl+C cancels.");
  write("");
  return await askToken(context, "Token: ");
}

/** Narrow terminals, and those that cannot show it, go without. */
async function printCode(url: string, { stderr, env }: CliContext): Promise<void> {
  if (!stderr.isTerminal || env.get("TERM") === "dumb") return;
  const { qrLines } = await import("../qr.ts");
  const lines = qrLines(url, stderr.columns ?? 0);
  // Light squares must be light on any background.
  const [on, off] = usesColour(stderr, env) ? ["\x1b[38;5;231;48;5;16m", "\x1b[0m"] : ["", ""];
  for (const line of lines ?? []) stderr.write(`${on}${line}${off}\n`);
  if (lines !== undefined) stderr.write("\n");
}

async function askToken(context: CliContext, question: string): Promise<string | undefined> {
  const line = await context.prompt.secret(question);
  switch (line.type) {
    case "text":
      return checkToken(line.text, "the prompt");
    case "interrupted":
      return undefined;
    case "cancelled":
      throw new Fault("rejected", "Cannot sign in: no token was given", { next: "Run `fz sign-in` again." });
  }
}

async function tryToken(
  token: string,
  { settings }: SessionSettings,
  found: FoundSession | undefined,
  credentials: Credentials,
  context: CliContext,
): Promise<SignIn> {
  const { apiUrl, name, id } = settings;
  // A session that has no connection loses none.
  const isGentle = found !== undefined && found.status.state !== "signed-out";
  return await withProgress(
    context,
    `Trying the token at ${printable(apiUrl)}`,
    () => credentials.signIn({ apiUrl, token, name, id, isGentle }),
  );
}

/** A token sent to another portal than its own would be given away, so the profile remembers what the flags said. */
async function remember({ profile, origins, settings }: SessionSettings, context: CliContext): Promise<void> {
  const profiles = await context.host.profiles();
  for (const name of REMEMBERED) {
    const value = settings[name];
    if (origins[name].type !== "flag" || value === undefined) continue;
    if (profile.settings.values[name] === value) continue;
    await profiles.change(profile.name, name, value);
  }
}

function report(
  identity: Identity,
  signIn: SignIn,
  { verify, json }: Options,
  { profile, settings }: SessionSettings,
  context: CliContext,
): void {
  const { portal, account, actor, expiresAt, signedInAt } = identity;
  const { tokenPath } = settings;
  if (json) {
    const { resources, addresses } = signIn;
    const facts = { account, actor, expiresAt, signedInAt, portal, resources, addresses };
    return printJson(context, { verified: verify, profile: profile.name, tokenPath, ...facts });
  }
  if (!verify) {
    printText(context.stdout, `The token is kept in "${tokenPath}". It was not tried at the portal.`);
    return;
  }
  const paint = painter(context.stdout, context.env);
  const reach = signIn.resources === undefined ? "" : `: ${formatCount(signIn.resources, "resource")}`;
  printText(context.stdout, `Signed in${whoText(identity)}${reach}`, {
    paint: (line) => paint("green", line),
  });
  if (typeof expiresAt === "string") {
    printText(context.stdout, `It ends ${expiryText(identity, Date.now())}.`);
  }
}

/** A session of the profile goes on with the new token. */
async function revive(
  token: string,
  { profile, settings }: SessionSettings,
  found: FoundSession | undefined,
  context: CliContext,
): Promise<void> {
  const say = (line: string) => printText(context.stderr, line);
  if (found === undefined || found.status.profile !== profile.name) return say("Next: `fz up` connects.");
  if (found.control === undefined) {
    return say("A session of another user runs on this machine; it goes on with its own token.");
  }
  if (originOf(found.status.portal.url) !== originOf(settings.apiUrl)) {
    printWarning(context, "The running session is connected to another portal and goes on as it is");
    return say("Next: `fz down`, then `fz up`.");
  }
  try {
    await found.control.ask("credential", { token });
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    printWarning(context, `The token is kept, but the running session did not take it: ${error.message}`);
    return say("Next: `fz down`, then `fz up`.");
  }
  say("The running session goes on with it. `fz status` shows how.");
}

function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).href.replace(/\/$/, "") : url;
}
