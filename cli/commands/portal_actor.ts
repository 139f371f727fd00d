/** `fz portal actor`: the people and service accounts of a portal. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { argument, option } from "@optique/core/primitives";
import { choice, string } from "@optique/core/valueparser";
import { Fault } from "../../lib/base/fault.ts";
import { printable } from "../../lib/base/text.ts";
import { defineCommand, defineGroup } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_OK } from "../exit.ts";
import { plainFlag } from "../options.ts";
import { printJson } from "../output.ts";
import { renderTable } from "../table.ts";
import {
  accountOption,
  adminOptions,
  askAdmin,
  listRecords,
  NAME,
  recordOf,
  textOf,
} from "./portal_admin.ts";

const TYPES = { user: "account_user", admin: "account_admin_user", service: "service_account" } as const;

const addCommand = defineCommand({
  name: "add",
  brief: message`Add somebody, or change the one of this name.`,
  description:
    message`Adds a person or a service account. What is not given stays as it is, for one that is there already. \
People with an e-mail address and a password can sign in with a browser; the password is asked for at a terminal, else it is \
the first line of standard input. Another password ends the sign-ins with the old one.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz portal actor add Ada --email ada@corp.example --password")}${lineBreak()}
  ${commandLine("fz portal actor add ci --type service")}`,
  options: (env) =>
    object({
      name: argument(NAME, { description: message`What to call it.` }),
      email: optional(
        option("--email", string({ metavar: "ADDRESS" }), {
          description: message`E-mail address to sign in with.`,
        }),
      ),
      type: optional(
        option("--type", choice(["user", "admin", "service"], { metavar: "TYPE" }), {
          description: message`user (default), admin, or service for what is no person.`,
        }),
      ),
      hasPassword: plainFlag(["--password"], { description: message`Set a password, which is asked for.` }),
      account: accountOption(),
      ...adminOptions(env),
    }),
  async run({ name, email, type, hasPassword, account, adminSocket, json }, context) {
    const password = hasPassword ? await readPassword(context) : undefined;
    const body = recordOf(
      await askAdmin(context, adminSocket, `add "${name}"`, {
        method: "POST",
        path: "/v1/actors",
        body: {
          name,
          ...(email === undefined ? {} : { email }),
          ...(type === undefined ? {} : { type: TYPES[type] }),
          ...(password === undefined ? {} : { password }),
          ...(account === undefined ? {} : { account }),
        },
      }),
    );
    if (json) printJson(context, { actor: describe(body) });
    else {
      const how = body.hasPassword === true ? "signs in with a password" : "has no password: give tokens";
      context.stderr.write(`Saved "${printable(name)}", who ${how}.\n`);
    }
    return EXIT_OK;
  },
});

const listCommand = defineCommand({
  name: "list",
  brief: message`List people and service accounts.`,
  description: message`Lists who there is, and who can sign in with a browser.`,
  options: (env) => object(adminOptions(env)),
  async run({ adminSocket, json }, context) {
    const actors = (await listRecords(context, adminSocket, "actors")).map(describe);
    if (json) printJson(context, { actors });
    else if (actors.length === 0) context.stderr.write("There is nobody.\n");
    else {
      const titles = ["NAME", "TYPE", "E-MAIL", "SIGN-IN"].map((title) => ({
        title,
        isFlexible: title === "NAME" || title === "E-MAIL",
      }));
      const cells = actors.map((actor) => [
        actor.name,
        actor.type,
        actor.email ?? "-",
        actor.disabled ? "disabled" : actor.hasPassword ? "password" : "token only",
      ]);
      const lines = renderTable(titles, cells, { width: context.stdout.columns });
      context.stdout.write(`${lines.join("\n")}\n`);
    }
    return EXIT_OK;
  },
});

export const actorCommand = defineGroup({
  name: "actor",
  brief: message`List and add people and service accounts.`,
  description:
    message`Actors are who policies speak of: people, who sign in, and service accounts, which have tokens.`,
  commands: [listCommand, addCommand],
});

async function readPassword(context: CliContext): Promise<string> {
  if (!context.prompt.isPossible) {
    const input = await (await context.host.credentials()).readInput("stdin");
    const line = input.split(/\r?\n/, 1)[0]!;
    if (line !== "") return line;
    throw new Fault("usage", "Cannot set a password: standard input has none", {
      next: "Write the password to standard input, one line.",
    });
  }
  const [first, second] = [await ask(context, "Password: "), await ask(context, "Again: ")];
  if (first === second) return first;
  throw new Fault("usage", "Cannot set a password: the two are not the same");
}

async function ask(context: CliContext, question: string): Promise<string> {
  const line = await context.prompt.secret(question);
  if (line.type === "text") return line.text;
  throw new Fault("usage", "Cannot set a password: none was given");
}

function describe(actor: Readonly<Record<string, unknown>>) {
  const type = Object.entries(TYPES).find(([, value]) => value === actor.type)?.[0];
  return {
    id: textOf(actor.id),
    name: textOf(actor.name) ?? "",
    type: type ?? textOf(actor.type) ?? "",
    email: textOf(actor.email) ?? null,
    hasPassword: actor.hasPassword === true,
    disabled: actor.isDisabled === true,
  };
}
