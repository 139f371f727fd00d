/**
 * Which source of a setting wins: flag, variable, profile, what was switched at run time, default. What is wrong names
 * where it came from.
 */

import { Fault } from "../base/fault.ts";
import { SETTING_NAMES, type SettingName, SETTINGS, type Settings } from "./settings.ts";
import type { ValueKind } from "./setting_value.ts";

/** Where a value came from. */
export type Origin =
  | { readonly type: "flag"; readonly flag: string }
  | { readonly type: "variable"; readonly variable: string }
  | { readonly type: "profile"; readonly path: string; readonly line: number }
  /** By a command such as `fz internet on`, in an earlier session. */
  | { readonly type: "switched" }
  | { readonly type: "default" };

/** Values that one profile sets, and the line of each. */
export interface ProfileSettings {
  readonly path: string;
  readonly values: Partial<Settings>;
  readonly lines: Readonly<Partial<Record<SettingName, number>>>;
}

/** Everything that may set something. */
export interface Sources {
  /** What the command line said; checked already. */
  readonly flags: FlagValues;
  readonly variable: (name: string) => string | undefined;
  readonly profile: ProfileSettings | undefined;
  /** What was switched while a session ran: it gives way to everything that somebody wrote down. */
  readonly switched?: Partial<Settings>;
  /** Defaults that only the shell knows. */
  readonly defaults?: Partial<Settings>;
}

/** Settings by flags; undefined where there was none. */
export type FlagValues = { readonly [K in SettingName]?: Settings[K] | undefined };

/** Settings with the origin of each. */
export interface ResolvedSettings {
  readonly settings: Settings;
  readonly origins: Readonly<Record<SettingName, Origin>>;
}

/** Returns what holds. Throws `Fault` "usage" for a variable with a value that cannot be. */
export function resolveSettings(sources: Sources): ResolvedSettings {
  const settings: Partial<Record<SettingName, unknown>> = {};
  const origins: Partial<Record<SettingName, Origin>> = {};
  for (const name of SETTING_NAMES) {
    const { value, origin } = resolveSetting(name, sources);
    settings[name] = value;
    origins[name] = origin;
  }
  // Each name was filled from its own row of the table.
  return { settings: settings as unknown as Settings, origins: origins as Record<SettingName, Origin> };
}

/** Returns what holds for one setting. Throws `Fault` "usage" as `resolveSettings` does. */
export function resolveSetting<K extends SettingName>(
  name: K,
  sources: Sources,
): { readonly value: Settings[K]; readonly origin: Origin } {
  const { flags, kind, variables, fallback } = SETTINGS[name];
  const byFlag: Settings[K] | undefined = sources.flags[name];
  if (byFlag !== undefined) {
    return {
      value: byFlag,
      origin: { type: "flag", flag: flags.find((flag) => flag.startsWith("--")) ?? flags[0] },
    };
  }
  const byVariable = readVariable(kind, variables, sources.variable);
  if (byVariable !== undefined) {
    return { value: byVariable.value, origin: { type: "variable", variable: byVariable.variable } };
  }
  const byProfile: Settings[K] | undefined = sources.profile?.values[name];
  if (sources.profile !== undefined && byProfile !== undefined) {
    const line = sources.profile.lines[name] ?? 1;
    return { value: byProfile, origin: { type: "profile", path: sources.profile.path, line } };
  }
  const bySwitch: Settings[K] | undefined = sources.switched?.[name];
  if (bySwitch !== undefined) return { value: bySwitch, origin: { type: "switched" } };
  return { value: sources.defaults?.[name] ?? fallback, origin: { type: "default" } };
}

/**
 * Returns the first of `variables` that is set and not empty, and its value; undefined if there is none. Throws `Fault`
 * "usage" if it cannot be read.
 */
export function readVariable<T>(
  kind: ValueKind<T>,
  variables: readonly string[],
  get: (name: string) => string | undefined,
): { readonly variable: string; readonly value: T } | undefined {
  for (const variable of variables) {
    const text = get(variable);
    if (text === undefined || text === "") continue;
    const read = kind.read(text);
    if (!read.ok) {
      throw new Fault("usage", `Cannot use the variable ${variable}: ${read.reason}`, {
        next: `Set ${variable} to something else, or unset it.`,
      });
    }
    return { variable, value: read.value };
  }
  return undefined;
}

/** Returns `origin` in a few words. */
export function describeOrigin(origin: Origin): string {
  switch (origin.type) {
    case "flag":
      return origin.flag;
    case "variable":
      return origin.variable;
    case "profile":
      return `${origin.path}:${origin.line}`;
    case "switched":
      return "switched at run time";
    case "default":
      return "default";
  }
}
