/** `fz portal token`: what clients without a person, gateways and relays sign in with. */

import { object, or } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { map, multiple, optional } from "@optique/core/modifiers";
import { argument, flag, option } from "@optique/core/primitives";
import { Fault } from "../../lib/base/fault.ts";
import { printable } from "../../lib/base/text.ts";
import type { Duration } from "../../lib/base/time.ts";
import { defineCommand, defineGroup } from "../command.ts";
import type { CliContext } from "../context.ts";
import { parseDuration } from "../../lib/control/duration.ts";
import { EXIT_OK } from "../exit.ts";
import { custom, oneOrMore } from "../options.ts";
import { printJson } from "../output.ts";
import { renderTable } from "../table.ts";
import {
  accountOption,
  adminOptions,
  type AdminRecord,
  askAdmin,
  listRecords,
  NAME,
  nameIn,
  recordOf,
  textOf,
  timeOf,
} from "./portal_admin.ts";

/** Upstream wants an end for every client's token, too. */
const CLIENT_LIFETIME = "90d";

const LIFETIME = custom<Duration | "never">("DURATION", (input) => {
  if (input === "never") return input;
  const duration = parseDuration(input);
  return duration === undefined || duration < 1000
    ? message`${input} is neither a duration such as ${"90d"} nor ${"never"}.`
    : duration;
});

const createCommand = defineCommand({
  name: "create",
  brief: message`Make a token and print it, once.`,
  description:
    message`Makes a token beside those that there are, and prints nothing but the token: only a hash of it is kept. \
Tokens of actors end after 90 days unless told otherwise, those of gateways and relays never.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz portal token create --actor ci --expires 30d | fz sign-in --token-stdin")}${lineBreak()}
  ${commandLine("fz portal token create --site Paris >gateway.token")}`,
  options: (env) =>
    object({
      owner: or(
        map(
          option("--actor", NAME, { description: message`For clients of this actor.` }),
          (actor) => ({ kind: "client", actor } as const),
        ),
        map(
          option("--site", NAME, { description: message`For gateways of this site.` }),
          (site) => ({ kind: "gateway", site } as const),
        ),
        map(
          flag("--relay", { description: message`For relays.` }),
          () => ({ kind: "relay" } as const),
        ),
        { errors: { noMatch: message`Say whose token it is: --actor NAME, --site NAME or --relay.` } },
      ),
      name: optional(
        option("--name", NAME, { description: message`What to call it; made up otherwise.` }),
      ),
      expires: optional(
        option("--expires", LIFETIME, { description: message`How long it is good: 90d, 12h, never.` }),
      ),
      account: accountOption(),
      ...adminOptions(env),
    }),
  async run({ owner, name, expires, account, adminSocket, json }, context) {
    const lifetime = expires ?? (owner.kind === "client" ? parseDuration(CLIENT_LIFETIME)! : "never");
    const body = recordOf(
      await askAdmin(context, adminSocket, "make a token", {
        method: "POST",
        path: "/v1/tokens",
        body: {
          ...owner,
          replace: false,
          ...(name === undefined ? {} : { name }),
          ...(account === undefined ? {} : { account }),
          ...(lifetime === "never" ? {} : { expires_in: Math.floor(lifetime / 1000) }),
        },
      }),
    );
    const token = textOf(body.secret);
    if (token === undefined) throw new Fault("unexpected", "Cannot make a token: the portal showed none");
    const [tokenName, expiresAt] = [textOf(body.name), timeOf(body.expiresAt)];
    if (json) printJson(context, { token, name: tokenName, kind: owner.kind, expiresAt: expiresAt ?? null });
    else {
      context.stdout.write(`${token}\n`);
      const end = expiresAt === undefined ? "never expires" : `expires ${expiresAt}`;
      context.stderr.write(`Token "${printable(tokenName ?? "")}" ${end}. It is not shown again.\n`);
    }
    return EXIT_OK;
  },
});

const listCommand = defineCommand({
  name: "list",
  brief: message`List tokens: whose they are and when they end.`,
  description: message`Lists the tokens of all accounts. What they read is not kept, so it is not shown.`,
  options: (env) => object(adminOptions(env)),
  async run({ adminSocket, json }, context) {
    const [tokens, actors, sites] = await Promise.all(
      ["tokens", "actors", "sites"].map((table) => listRecords(context, adminSocket, table)),
    );
    const rows = (tokens ?? []).map((token) => describe(token, actors ?? [], sites ?? []));
    if (json) printJson(context, { tokens: rows });
    else if (rows.length === 0) context.stderr.write("There are no tokens.\n");
    else {
      const titles = ["NAME", "KIND", "OF", "ENDS"].map((title) => ({ title, isFlexible: title === "NAME" }));
      const cells = rows.map((row) => [row.name, row.kind, row.of ?? "-", row.expiresAt ?? "never"]);
      const lines = renderTable(titles, cells, { width: context.stdout.columns });
      context.stdout.write(`${lines.join("\n")}\n`);
    }
    return EXIT_OK;
  },
});

const revokeCommand = defineCommand({
  name: "revoke",
  brief: message`Make tokens worthless at once.`,
  description: message`Removes tokens by name or id. Whoever is connected with one is sent away.`,
  options: (env) =>
    object({
      names: multiple(
        argument(NAME, { description: message`Token, as the list names it.` }),
        oneOrMore("TOKEN"),
      ),
      ...adminOptions(env),
    }),
  async run({ names, adminSocket, json }, context) {
    const revoked: string[] = [];
    for (const name of names) {
      await removeToken(context, adminSocket, name);
      revoked.push(name);
    }
    if (json) printJson(context, { revoked });
    else for (const name of revoked) context.stderr.write(`Revoked "${printable(name)}".\n`);
    return EXIT_OK;
  },
});

export const tokenCommand = defineGroup({
  name: "token",
  brief: message`Make, list and revoke tokens.`,
  description: message`Tokens are what clients without a person, gateways and relays sign in with.`,
  commands: [createCommand, listCommand, revokeCommand],
});

function describe(token: AdminRecord, actors: readonly AdminRecord[], sites: readonly AdminRecord[]) {
  return {
    id: textOf(token.id),
    name: textOf(token.name) ?? "",
    kind: textOf(token.kind) ?? "",
    of: nameIn(actors, token.actorId) ?? nameIn(sites, token.siteId) ?? null,
    expiresAt: timeOf(token.expiresAt) ?? null,
    /** Whether somebody signed in with a browser. */
    interactive: token.isInteractive === true,
  };
}

async function removeToken(
  context: CliContext,
  adminSocket: string | undefined,
  name: string,
): Promise<void> {
  const { status } = await context.host.askPortal(adminSocket, {
    method: "DELETE",
    path: `/v1/tokens/${name}`,
    body: undefined,
  });
  if (status < 400) return;
  throw new Fault("usage", `Cannot revoke token "${name}": there is none with this name`, {
    next: "See `fz portal token list`.",
  });
}
