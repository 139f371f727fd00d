/** `fz config`: what holds for a session, where each value comes from, and changes of a profile's settings. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message, text } from "@optique/core/message";
import { multiple } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import type { ValueParser } from "@optique/core/valueparser";
import { Fault } from "../../lib/base/fault.ts";
import { plainText, type PlainValue } from "../../lib/control/setting_value.ts";
import {
  SETTING_NAMES,
  type SettingName,
  settingNamed,
  SETTINGS,
  type Settings,
  unknownSetting,
} from "../../lib/control/settings.ts";
import { type DnsControl, foreignDnsControl } from "../../lib/host/dns_control.ts";
import { describeOrigin } from "../../lib/control/sources.ts";
import { defineCommand, defineGroup } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_OK } from "../exit.ts";
import { custom, oneOrMore, plainFlag } from "../options.ts";
import { printJson, printNote } from "../output.ts";
import { profileChoice, profileOption, sessionSettings, settingOptions } from "../session_options.ts";
import { renderTable } from "../table.ts";

const KEY: ValueParser<"sync", SettingName> = {
  ...custom("KEY", (input) => settingNamed(input) ?? message`${text(unknownSetting(input))}`),
  *suggest(prefix) {
    for (const { key, description } of Object.values(SETTINGS)) {
      if (key.startsWith(prefix)) {
        yield { kind: "literal", text: key, description: message`${text(description)}` };
      }
    }
  },
};
const VALUE = custom<string>("VALUE", (input) => input);
const JSON_FLAG = plainFlag(["--json"], { description: message`Print one JSON document.` });

const showCommand = defineCommand({
  name: "show",
  brief: message`Print every setting of a session.`,
  description:
    message`Prints what holds for the next session: a flag beats a variable, a variable beats the profile, the \
profile beats what was switched while a session ran, and that beats the default. Takes the options of fz run, to try what they would give.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz config show --origin")}${lineBreak()}
  ${commandLine("fz config show --json | jq '.settings[\"api-url\"].value'")}`,
  options: () =>
    object({
      ...settingOptions(SETTING_NAMES, { hidden: true }),
      origin: plainFlag(["--origin"], { description: message`Say where each value comes from.` }),
      json: JSON_FLAG,
    }),
  async run({ origin, json, ...flags }, context) {
    const { profile, settings, origins } = await sessionSettings(context, flags);
    if (json) {
      const entries = SETTING_NAMES.map((name) => [SETTINGS[name].key, {
        value: plainOf(name, settings) ?? null,
        origin: origins[name],
      }]);
      printJson(context, {
        profile: profile.name,
        path: profile.path,
        settings: Object.fromEntries(entries),
      });
      return EXIT_OK;
    }
    const columns = [{ title: "SETTING" }, { title: "VALUE" }, ...origin ? [{ title: "ORIGIN" }] : []];
    const rows = SETTING_NAMES.map((name) => [
      SETTINGS[name].key,
      shown(plainOf(name, settings)),
      describeOrigin(origins[name]),
    ]);
    const lines = renderTable(columns, rows, { width: context.stdout.columns, isBare: !origin });
    context.stdout.write(lines.join("\n") + "\n");
    return EXIT_OK;
  },
});

const getCommand = defineCommand({
  name: "get",
  brief: message`Print the value of one setting.`,
  description: message`Prints what holds for the next session, and nothing if the setting has no value.`,
  footer: message`Example:${lineBreak()}
  ${commandLine("fz config get api-url")}`,
  options: () => object({ key: argument(KEY), profile: profileOption(), json: JSON_FLAG }),
  async run({ key: name, profile: given, json }, context) {
    const { settings, origins } = await sessionSettings(context, { profile: given });
    const value = plainOf(name, settings);
    if (json) printJson(context, { key: SETTINGS[name].key, value: value ?? null, origin: origins[name] });
    else if (value !== undefined && value.toString() !== "") context.stdout.write(`${plainText(value)}\n`);
    return EXIT_OK;
  },
});

const setCommand = defineCommand({
  name: "set",
  brief: message`Change a setting of a profile.`,
  description: message`Writes the value into the profile's file and leaves everything else in it as it is. A \
session that runs takes it up when it starts again. Several values make a list, where the setting is one.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz config set log-filter debug")}${lineBreak()}
  ${commandLine('fz config set disabled-resources "Old wiki" printer')}`,
  options: () =>
    object({
      key: argument(KEY),
      values: multiple(argument(VALUE), oneOrMore("VALUE")),
      profile: profileOption(),
      json: JSON_FLAG,
    }),
  run({ key: name, values, profile, json }, context) {
    const value = readValues(name, values);
    if (name === "dnsControl") {
      // Its own kind read it.
      const reason = foreignDnsControl(value as DnsControl, context.os);
      if (reason !== undefined) throw wrongValue(name, reason);
    }
    return change(context, name, value, { given: profile, json });
  },
});

const unsetCommand = defineCommand({
  name: "unset",
  brief: message`Take a setting out of a profile.`,
  description: message`Removes the setting from the profile's file, so that its default holds again.`,
  footer: message`Example:${lineBreak()}
  ${commandLine("fz config unset log-filter")}`,
  options: () => object({ key: argument(KEY), profile: profileOption(), json: JSON_FLAG }),
  run({ key: name, profile, json }, context) {
    return change(context, name, undefined, { given: profile, json });
  },
});

const pathCommand = defineCommand({
  name: "path",
  brief: message`Print where the settings of a profile are.`,
  description:
    message`Prints the path of the profile's settings, for an editor. The file may not be there yet.`,
  footer: message`Example:${lineBreak()}
  ${commandLine('"$EDITOR" "$(fz config path)"')}`,
  options: () => object({ profile: profileOption(), json: JSON_FLAG }),
  async run({ profile: given, json }, context) {
    const profiles = await context.host.profiles();
    const { name, path, tokenPath } = await profiles.locate(profileChoice(context, given));
    if (json) printJson(context, { profile: name, path, tokenPath });
    else context.stdout.write(`${path}\n`);
    return EXIT_OK;
  },
});

export const configCommand = defineGroup({
  name: "config",
  brief: message`Show and change the settings of a session.`,
  description:
    message`Settings come from flags, variables, the profile's file, what was switched while a session ran, \
and defaults, in this order.`,
  commands: [showCommand, getCommand, setCommand, unsetCommand, pathCommand],
});

async function change(
  context: CliContext,
  name: SettingName,
  value: PlainValue | undefined,
  { given, json }: { readonly given: string | undefined; readonly json: boolean },
): Promise<number> {
  const profiles = await context.host.profiles();
  const { name: profile } = await profiles.locate(profileChoice(context, given));
  const path = await profiles.change(profile, name, value);
  const { key, variables } = SETTINGS[name];
  if (json) printJson(context, { profile, path, key, value: value ?? null });
  else if (value === undefined) printNote(context, `Unset ${key} in "${path}"`);
  else printNote(context, `Set ${key} to ${shown(value)} in "${path}"`);
  const variable = variables.find((candidate) => (context.env.get(candidate) ?? "") !== "");
  if (variable !== undefined) printNote(context, `Here ${variable} is set and wins over the profile`);
  if (await profiles.running() === profile) {
    printNote(context, "The running session takes it up when it starts again");
  }
  return EXIT_OK;
}

/** Returns what stands for `values` in a profile. Throws `Fault` "usage" if they are no value of the setting. */
function readValues(name: SettingName, values: readonly string[]): PlainValue {
  const setting = SETTINGS[name];
  if (setting.kind.type !== "list" && values.length > 1) throw wrongValue(name, "it takes one value");
  const read = values.map((value) => {
    const result = setting.kind.read(value);
    if (!result.ok) throw wrongValue(name, result.reason);
    // The kind is the setting's own.
    return (setting.kind.plain as (value: unknown) => PlainValue)(result.value);
  });
  return setting.kind.type === "list" ? read.flat() as readonly string[] : read[0]!;
}

function wrongValue(name: SettingName, reason: string): Fault {
  const { key, description } = SETTINGS[name];
  return new Fault("usage", `Cannot set "${key}": ${reason}`, { next: description });
}

function plainOf<K extends SettingName>(name: K, settings: Settings): PlainValue | undefined {
  const value = settings[name];
  return value === undefined || value === null ? undefined : SETTINGS[name].kind.plain(value);
}

function shown(value: PlainValue | undefined): string {
  return value === undefined || value.toString() === "" ? "-" : plainText(value);
}
