/**
 * The options of commands about a session, made from the one table of settings (lib/control/settings.ts), and what
 * holds in the end: flag, then variable, then profile, then what was switched at run time, then default.
 */

import { type Message, message } from "@optique/core/message";
import { map, multiple, withDefault } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import type { ValueParser } from "@optique/core/valueparser";
import { Fault } from "../lib/base/fault.ts";
import type { ClientConfig } from "../lib/control/config.ts";
import {
  checkProfileName,
  isProfileName,
  type Profile,
  type ProfileChoice,
  unknownProfile,
} from "../lib/control/profile.ts";
import { type Setting, type SettingName, SETTINGS, type Settings } from "../lib/control/settings.ts";
import { type FlagValues, type Origin, resolveSettings } from "../lib/control/sources.ts";
import { foreignDnsControl } from "../lib/host/dns_control.ts";
import type { CliContext } from "./context.ts";
import { custom, defaultOf, flagOf, type FlagOptions } from "./options.ts";
import { printWarning } from "./output.ts";
import { PROFILE as KNOWN_PROFILE } from "./values.ts";

/** What the options of `settingOptions` read: undefined where there was no flag. */
export type SettingOptions<K extends SettingName> =
  & { readonly [P in K]: Settings[P] | undefined }
  & { readonly profile: string | undefined };

/** What holds for a session. */
export interface SessionSettings {
  readonly profile: Profile;
  readonly settings: Settings & { readonly tokenPath: string };
  readonly origins: Readonly<Record<SettingName, Origin>>;
}

/** Returns parsers of the flags of these settings, and of `--profile`; for `object`. Help may leave the former out. */
export function settingOptions<K extends SettingName>(
  names: readonly K[],
  options: FlagOptions = {},
): { readonly [P in keyof SettingOptions<K>]: Parser<"sync", SettingOptions<K>[P], unknown> } {
  const parsers = names.map((name) => [name, settingOption(SETTINGS[name], options)] as const);
  return { profile: profileOption(), ...Object.fromEntries(parsers) } as never;
}

/** A profile's name. */
export const PROFILE: ValueParser<"sync", string> = {
  ...KNOWN_PROFILE,
  ...custom("PROFILE", (input) => isProfileName(input) ? input : message`${input} is not a profile's name.`),
};

/** Returns the parser of `--profile`. */
export function profileOption(): Parser<"sync", string | undefined, unknown> {
  const description = message`Profile to use; the current one otherwise. [FZ_PROFILE]`;
  return absent(option("--profile", PROFILE, { description }), []);
}

/** Returns which profile a command is about. Throws `Fault` "usage" if FZ_PROFILE is no name. */
export function profileChoice(context: CliContext, given: string | undefined): ProfileChoice {
  if (given !== undefined) return { by: "flag", name: given };
  const name = context.env.get("FZ_PROFILE");
  if (name === undefined || name === "") return { by: "current" };
  checkProfileName(name, "the variable FZ_PROFILE");
  return { by: "variable", name };
}

/**
 * Returns what holds for a session with `options`. "session": where the profile's file is broken, its last good copy
 * holds and standard error says so; for a command that is a `Fault`. A profile that does not exist is one, too, unless
 * `mayBeNew`.
 */
export async function sessionSettings(
  context: CliContext,
  options: FlagValues & { readonly profile?: string | undefined },
  { purpose = "command", mayBeNew = false }: {
    readonly purpose?: "command" | "session";
    readonly mayBeNew?: boolean;
  } = {},
): Promise<SessionSettings> {
  const profile = await loadProfile(context, profileChoice(context, options.profile), purpose, mayBeNew);
  const { settings, origins } = resolveSettings({
    flags: options,
    variable: (name) => context.env.get(name),
    profile: profile.settings,
    switched: profile.switched,
    defaults: { tokenPath: profile.tokenPath },
  });
  checkDnsControl(context, settings, origins.dnsControl);
  return { profile, origins, settings: { ...settings, tokenPath: settings.tokenPath ?? profile.tokenPath } };
}

/** Returns what a client is told by these settings. */
export function clientConfig(settings: Settings, token: string): ClientConfig {
  const { apiUrl, name, id, maxPartitionTime, dnsControl, internetResource } = settings;
  const { tunName, mtu, port, excluded, lan, failFast, increaseBuffers, flowLogs } = settings;
  const peer = { apiUrl, token, name, id, maxPartitionTime };
  const network = { dnsControl, internetResource, tunName, mtu, port, excluded, lan };
  return { ...peer, ...network, failFast, increaseBuffers, flowLogs };
}

/** Throws `Fault` "usage" for a way of another system. A profile may have come from there: who starts a session judges that. */
function checkDnsControl({ os }: CliContext, { dnsControl }: Settings, origin: Origin): void {
  if (dnsControl === undefined || (origin.type !== "flag" && origin.type !== "variable")) return;
  const reason = foreignDnsControl(dnsControl, os);
  if (reason === undefined) return;
  const [what, next] = origin.type === "flag"
    ? [origin.flag, `Leave ${origin.flag} out, to use what fits this machine.`]
    : [`the variable ${origin.variable}`, `Unset ${origin.variable}, to use what fits this machine.`];
  throw new Fault("usage", `Cannot use ${what}: ${reason}`, { next });
}

async function loadProfile(
  context: CliContext,
  choice: ProfileChoice,
  purpose: "command" | "session",
  mayBeNew: boolean,
): Promise<Profile> {
  const profiles = await context.host.profiles();
  const profile = await profiles.load(choice, purpose);
  if (profile.warning !== undefined) printWarning(context, profile.warning);
  if (profile.exists || mayBeNew) return profile;
  throw unknownProfile(profile.name, await profiles.names());
}

/** Returns the parser of a setting's flags; undefined where there is none. */
export function settingOption<T>(
  setting: Setting<T>,
  options: FlagOptions = {},
): Parser<"sync", T | undefined, unknown> {
  if (setting.kind.type !== "list") {
    return absent(flagOf(setting, options), options.hasVariables === false ? [] : defaultOf(setting));
  }
  return map(
    multiple(flagOf(setting, options)),
    (lists) => lists.length === 0 ? undefined : lists.flat() as T,
  );
}

function absent<T>(
  parser: Parser<"sync", T, unknown>,
  shown: Message,
): Parser<"sync", T | undefined, unknown> {
  return withDefault(parser, undefined, { message: shown });
}
