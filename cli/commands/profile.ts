/** `fz profile`: several accounts on one machine, each with its settings and its credential. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { Fault } from "../../lib/base/fault.ts";
import { isProfileName, unknownProfile } from "../../lib/control/profile.ts";
import { plainText, type PlainValue } from "../../lib/control/setting_value.ts";
import { SETTING_NAMES, type SettingName, SETTINGS } from "../../lib/control/settings.ts";
import { defineCommand, defineGroup } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_OK } from "../exit.ts";
import { custom, plainFlag } from "../options.ts";
import { painter, printFacts, printJson, printNote } from "../output.ts";
import { PROFILE, profileChoice, settingOption } from "../session_options.ts";
import { renderTable } from "../table.ts";

const NEW_PROFILE = custom<string>(
  "NAME",
  (input) =>
    isProfileName(input)
      ? input
      : message`${input} is not a profile's name: letters from a to z, digits, ., _ and -.`,
);
const JSON_FLAG = plainFlag(["--json"], { description: message`Print one JSON document.` });
/** What is written into a profile comes from the command line alone. */
const WRITTEN = { hasVariables: false };
const ADD_SETTINGS = ["apiUrl", "authBaseUrl", "accountSlug", "name"] as const;

const listCommand = defineCommand({
  name: "list",
  brief: message`List the profiles.`,
  description: message`Lists all profiles; a star marks the current one.`,
  options: () => object({ json: JSON_FLAG }),
  async run({ json }, context) {
    const profiles = await (await context.host.profiles()).list();
    if (json) {
      printJson(context, {
        profiles: profiles.map(({ signedIn, ...rest }) => ({ ...rest, signedIn: signedIn ?? null })),
      });
      return EXIT_OK;
    }
    const paint = painter(context.stdout, context.env);
    const isCurrent = (row: number) => profiles[row]!.current;
    const bold = (text: string, row: number) => isCurrent(row) ? paint("bold", text) : text;
    const lines = renderTable(
      [{ title: "" }, { title: "PROFILE", paint: bold }, { title: "CREDENTIAL" }],
      profiles.map(({ name, current, signedIn }) => [current ? "*" : "", name, credentialWord(signedIn)]),
      { width: context.stdout.columns },
    );
    context.stdout.write(lines.join("\n") + "\n");
    return EXIT_OK;
  },
});

const showCommand = defineCommand({
  name: "show",
  brief: message`Print what a profile sets and where it is.`,
  description:
    message`Prints the files of a profile and the settings in it. fz config show tells what holds in the \
end.`,
  options: () => object({ name: optional(argument(PROFILE)), json: JSON_FLAG }),
  async run({ name: given, json }, context) {
    const profiles = await context.host.profiles();
    const profile = await profiles.load(profileChoice(context, given), "command");
    const { name, path, exists, settings } = profile;
    const summary = (await profiles.list()).find((candidate) => candidate.name === name);
    if (!exists || summary === undefined) throw unknownProfile(name, await profiles.names());
    const tokenPath = settings.values.tokenPath ?? profile.tokenPath;
    const set = SETTING_NAMES.flatMap((key) => {
      const value = settings.values[key];
      return value === undefined ? [] : [[SETTINGS[key].key, plain(key, value)] as const];
    });
    const { current, signedIn } = summary;
    if (json) {
      const facts = { name, current, signedIn: signedIn ?? null, path, tokenPath };
      printJson(context, { ...facts, settings: Object.fromEntries(set) });
      return EXIT_OK;
    }
    printFacts(context, [
      ["Profile", current ? `${name} (current)` : name],
      ["Credential", credentialWord(signedIn)],
      ["Settings file", path],
      ["Token file", tokenPath],
      ...set.map(([key, value]) => [key, plainText(value)] as const),
    ]);
    return EXIT_OK;
  },
});

const addCommand = defineCommand({
  name: "add",
  brief: message`Make a profile.`,
  description: message`Makes a profile for another account or portal. Sign in to it next.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz profile add work --account-slug acme --use")}${lineBreak()}
  ${commandLine("fz profile add lab --api-url wss://portal.lab.example/")}`,
  options: () =>
    object({
      name: argument(NEW_PROFILE),
      apiUrl: settingOption(SETTINGS.apiUrl, WRITTEN),
      authBaseUrl: settingOption(SETTINGS.authBaseUrl, WRITTEN),
      accountSlug: settingOption(SETTINGS.accountSlug, WRITTEN),
      deviceName: settingOption(SETTINGS.name, WRITTEN),
      use: plainFlag(["--use"], { description: message`Make it the current one, too.` }),
      json: JSON_FLAG,
    }),
  async run({ name, use, json, deviceName, ...given }, context) {
    const profiles = await context.host.profiles();
    const values: Partial<Record<SettingName, string>> = {};
    for (const setting of ADD_SETTINGS) {
      const value = setting === "name" ? deviceName : given[setting];
      if (value !== undefined) values[setting] = value;
    }
    const path = await profiles.add(name, values);
    if (use) await profiles.use(name);
    if (json) printJson(context, { name, current: use, path });
    else {
      printNote(context, `Made the profile "${name}" in "${path}"`);
      const option = use ? "" : ` --profile ${name}`;
      context.stderr.write(`    Run \`fz sign-in${option}\` to sign in to it.\n`);
    }
    return EXIT_OK;
  },
});

const useCommand = defineCommand({
  name: "use",
  brief: message`Make a profile the current one.`,
  description:
    message`The current profile is used where neither --profile nor FZ_PROFILE names another. A session that \
runs stays with its own.`,
  options: () => object({ name: argument(PROFILE), json: JSON_FLAG }),
  async run({ name, json }, context) {
    const profiles = await context.host.profiles();
    await profiles.use(name);
    const running = await profiles.running();
    if (json) printJson(context, { name, current: true, running: running ?? null });
    else printNote(context, `The current profile is now "${name}"`);
    if (running !== undefined && running !== name) {
      printNote(
        context,
        `The running session stays with "${running}"; \`fz down\` and \`fz up\` change to "${name}"`,
      );
    }
    const variable = context.env.get("FZ_PROFILE") ?? "";
    if (variable !== "" && variable !== name) {
      printNote(context, "Here FZ_PROFILE is set and wins over the current profile");
    }
    return EXIT_OK;
  },
});

const removeCommand = defineCommand({
  name: "remove",
  aliases: ["rm"],
  brief: message`Remove a profile with its token.`,
  description:
    message`Removes the profile's settings and its token from this machine; the portal is not told. Neither \
the current profile nor one whose session runs can be removed.`,
  options: () =>
    object({
      name: argument(PROFILE),
      force: plainFlag(["-f", "--force"], { description: message`Do not ask.` }),
      json: JSON_FLAG,
    }),
  async run({ name, force, json }, context) {
    const profiles = await context.host.profiles();
    if (!force && !await confirmed(context, name, await profiles.names())) {
      printNote(context, "Nothing was removed");
      return EXIT_OK;
    }
    await profiles.remove(name);
    if (json) printJson(context, { name, removed: true });
    else printNote(context, `Removed the profile "${name}"`);
    return EXIT_OK;
  },
});

const renameCommand = defineCommand({
  name: "rename",
  aliases: ["mv"],
  brief: message`Give a profile another name.`,
  description: message`Renames the profile's settings and its token.`,
  options: () => object({ from: argument(PROFILE), to: argument(NEW_PROFILE), json: JSON_FLAG }),
  async run({ from, to, json }, context) {
    await (await context.host.profiles()).rename(from, to);
    if (json) printJson(context, { from, name: to });
    else printNote(context, `The profile "${from}" is now "${to}"`);
    return EXIT_OK;
  },
});

export const profileCommand = defineGroup({
  name: "profile",
  brief: message`Keep several accounts apart.`,
  description:
    message`A profile has settings and a credential of its own. The one named "default" is always there.`,
  commands: [listCommand, showCommand, addCommand, useCommand, removeCommand, renameCommand],
});

async function confirmed(context: CliContext, name: string, names: readonly string[]): Promise<boolean> {
  if (!names.includes(name)) throw unknownProfile(name, names);
  if (!context.prompt.isPossible) {
    throw new Fault("usage", `Cannot ask whether to remove the profile "${name}": there is no terminal`, {
      next: "Use --force to remove it without a question.",
    });
  }
  return await context.prompt.confirm(`Remove the profile "${name}" with its token?`);
}

function credentialWord(signedIn: boolean | undefined): string {
  return signedIn === undefined ? "unknown" : signedIn ? "signed in" : "signed out";
}

function plain<K extends SettingName>(name: K, value: unknown): PlainValue {
  // The value is the setting's own.
  return (SETTINGS[name].kind.plain as (value: unknown) => PlainValue)(value);
}
