/** Profiles: named sets of settings, each with a credential of its own; what the shell offers for them. */

import { Fault } from "../base/fault.ts";
import { nearest } from "../base/nearest.ts";
import type { ProfileSettings } from "./sources.ts";
import type { PlainValue } from "./setting_value.ts";
import type { SettingName, Settings } from "./settings.ts";

/** How a profile was chosen. */
export type ProfileChoice =
  | { readonly by: "flag" | "variable"; readonly name: string }
  /** `fz profile use`, or nothing: then it is the default one. */
  | { readonly by: "current" };

/** A profile that was loaded. */
export interface Profile {
  readonly name: string;
  /** Its settings file, whether there is one or not. */
  readonly path: string;
  /** Where its token is kept, where no setting says otherwise. */
  readonly tokenPath: string;
  /** Whether it has settings or a token; always true for the default one. */
  readonly exists: boolean;
  readonly settings: ProfileSettings;
  /** What was switched while its session ran. */
  readonly switched: Partial<Settings>;
  /** Set if these are not the settings in the file: why, with line and column, and since when they hold. */
  readonly warning: string | undefined;
}

/** One line of `fz profile list`. */
export interface ProfileSummary {
  readonly name: string;
  readonly current: boolean;
  /** Undefined if that cannot be told. */
  readonly signedIn: boolean | undefined;
  readonly path: string;
}

/** The profiles of this user. Every function may throw a `Fault`. */
export interface Profiles {
  /** Sorted; the default one is always among them. */
  names(): Promise<readonly string[]>;
  /** The name that `fz profile use` chose, else the default one. */
  current(): Promise<string>;
  list(): Promise<readonly ProfileSummary[]>;
  /** The name of the one that this user's session runs with; undefined if none runs. */
  running(): Promise<string | undefined>;
  /** Returns a profile's name and places without reading its settings. */
  locate(choice: ProfileChoice): Promise<Pick<Profile, "name" | "path" | "tokenPath">>;
  /**
   * Reads a profile. "command": a broken file is a `Fault`. "session": what was read is kept, and a broken file gives
   * way to the last good one, if there is one. What does not exist has no settings.
   */
  load(choice: ProfileChoice, purpose: "command" | "session"): Promise<Profile>;
  /** Writes one setting, or takes it out; comments and everything else stay. Returns the file's path. */
  change(name: string, setting: SettingName, value: PlainValue | undefined): Promise<string>;
  /** Makes a profile with these settings. Returns the file's path. */
  add(name: string, settings: Readonly<Partial<Record<SettingName, PlainValue>>>): Promise<string>;
  /** Makes it the current one. */
  use(name: string): Promise<void>;
  /** Removes settings, token and last good copy. Neither the current one nor one that runs. */
  remove(name: string): Promise<void>;
  /** The current one stays it under its new name. Not one that runs. */
  rename(from: string, to: string): Promise<void>;
}

/** What a profile may be called: what is safe in a file's name and on a command line. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** Returns whether `name` may be a profile's. */
export function isProfileName(name: string): boolean {
  return NAME.test(name);
}

/** Throws `Fault` "usage" unless `name` may be a profile's; `source` says where it stands ("the variable FZ_PROFILE"). */
export function checkProfileName(name: string, source: string): void {
  if (isProfileName(name)) return;
  throw new Fault(
    "usage",
    `Cannot use ${source}: ${JSON.stringify(name.slice(0, 80))} is not a profile's name`,
    {
      next:
        'A name has up to 63 letters from "a" to "z", digits, ".", "_" and "-", and begins with a letter or digit.',
    },
  );
}

/** Returns the `Fault` for a profile that is not there; `names` are those that are. */
export function unknownProfile(name: string, names: readonly string[]): Fault {
  const suggestion = nearest(name, names);
  const meant = suggestion === undefined ? "" : `. Did you mean "${suggestion}"?`;
  return new Fault("usage", `Cannot use the profile "${name}": there is none${meant}`, {
    next: `Run \`fz profile list\` to see all, or \`fz profile add ${name}\` to make it.`,
  });
}
