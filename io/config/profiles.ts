/** The profiles of this user, in files (lib/control/paths.ts). */

import { Fault } from "../../lib/base/fault.ts";
import { silentLog } from "../../lib/base/log.ts";
import {
  currentProfileFile,
  DEFAULT_PROFILE,
  type PathContext,
  type Paths,
  pathsOf,
  settingsFile,
  tokenFile,
} from "../../lib/control/paths.ts";
import {
  checkProfileName,
  type Profile,
  type ProfileChoice,
  type Profiles,
  type ProfileSummary,
  unknownProfile,
} from "../../lib/control/profile.ts";
import {
  changeProfile,
  decodeProfile,
  MAX_PROFILE_BYTES,
  type ProfileText,
  readProfile,
  type TextProblem,
} from "../../lib/control/profile_text.ts";
import { err, ok, type Result } from "../../lib/base/result.ts";
import type { PlainValue } from "../../lib/control/setting_value.ts";
import { type SettingName, SETTINGS } from "../../lib/control/settings.ts";
import { pathContext } from "../path_context.ts";
import { infoOf, locked, moveFile, readBounded, removeFile, replaceFile, telling } from "./files.ts";
import { PROFILE_ENDINGS, profileNames } from "./names.ts";
import { keepGood, lastGood, lastGoodFile } from "./last_good.ts";

/** The longest name and a line break. */
const MAX_NAME_BYTES = 66;
/** What sessions keep of a profile: its last good settings, and what was switched while they ran. */
const STATE_ENDINGS = [".toml.good", ".json"] as const;

/** Returns the profiles of this process's user. */
export function openProfiles(context: PathContext = pathContext()): Profiles {
  return new FileProfiles(context);
}

class FileProfiles implements Profiles {
  readonly #context: PathContext;
  readonly #paths: Paths;

  constructor(context: PathContext) {
    this.#context = context;
    this.#paths = pathsOf(context);
  }

  async names(): Promise<readonly string[]> {
    return await telling(`Cannot read "${this.#paths.config}/profiles"`, () => profileNames(this.#paths));
  }

  async current(): Promise<string> {
    const path = currentProfileFile(this.#paths);
    const bytes = await readBounded(path, MAX_NAME_BYTES);
    const name = new TextDecoder().decode(bytes).trim();
    if (name === "") return DEFAULT_PROFILE;
    checkProfileName(name, `"${path}"`);
    return name;
  }

  async list(): Promise<readonly ProfileSummary[]> {
    const current = await this.current();
    return await Promise.all(
      (await this.names()).map(async (name) => ({
        name,
        current: name === current,
        signedIn: await this.#hasToken(name),
        path: settingsFile(this.#paths, name),
      })),
    );
  }

  async running(): Promise<string | undefined> {
    const { readSessionTrace } = await import("../service/session_file.ts");
    const trace = await readSessionTrace(this.#paths);
    return trace.type === "alive" ? trace.record.profile : undefined;
  }

  async locate(choice: ProfileChoice): Promise<Pick<Profile, "name" | "path" | "tokenPath">> {
    const name = choice.by === "current" ? await this.current() : choice.name;
    checkProfileName(name, "the profile");
    return { name, path: settingsFile(this.#paths, name), tokenPath: tokenFile(this.#context, name) };
  }

  async load(choice: ProfileChoice, purpose: "command" | "session"): Promise<Profile> {
    const { name, path, tokenPath } = await this.locate(choice);
    const bytes = await readBounded(path, MAX_PROFILE_BYTES);
    const found = readBytes(bytes);
    const facts = {
      name,
      path,
      tokenPath,
      exists: await this.#exists(name),
      switched: await this.#switched(name),
    };
    if (!found.ok) {
      const problem = problemFault(path, found.reason);
      if (purpose === "command") throw problem;
      const good = await lastGood(this.#paths, name);
      if (good.type === "untrusted") {
        throw untrustedFault(problem, good.whose, lastGoodFile(this.#paths, name));
      }
      if (good.type === "none") throw problem;
      const read = readBytes(good.bytes);
      if (!read.ok) throw problem;
      const settings = { path: lastGoodFile(this.#paths, name), ...read.value };
      return { ...facts, settings, warning: `${problem.message}. The settings of ${good.since} hold.` };
    }
    const settings = { path, ...found.value };
    const warning = purpose === "session" ? await keepGood(this.#paths, name, bytes) : undefined;
    return { ...facts, settings, warning };
  }

  async change(name: string, setting: SettingName, value: PlainValue | undefined): Promise<string> {
    checkProfileName(name, "the profile");
    return await this.#locked(async () => {
      if (!await this.#exists(name)) throw unknownProfile(name, await this.names());
      return await this.#write(name, { [setting]: value });
    });
  }

  async add(name: string, settings: Readonly<Partial<Record<SettingName, PlainValue>>>): Promise<string> {
    checkProfileName(name, "this name");
    return await this.#locked(async () => {
      if (await this.#exists(name)) throw existing("add", name);
      return await this.#write(name, settings);
    });
  }

  async use(name: string): Promise<void> {
    checkProfileName(name, "the profile");
    await this.#locked(async () => {
      if (!await this.#exists(name)) throw unknownProfile(name, await this.names());
      await replaceFile(currentProfileFile(this.#paths), `${name}\n`);
    });
  }

  async remove(name: string): Promise<void> {
    await this.#locked(async () => {
      await this.#checkChangeable("remove", name);
      if (await this.current() === name) {
        throw new Fault("usage", `Cannot remove the profile "${name}": it is the current one`, {
          next: "Run `fz profile use` with another one first.",
        });
      }
      // The settings last: what was left of a profile is still one, and can be removed again.
      for (const ending of [".token", ".identity.json", ".toml"]) await removeFile(this.#file(name, ending));
      for (const ending of STATE_ENDINGS) await removeFile(this.#stateFile(name, ending));
    });
  }

  async rename(from: string, to: string): Promise<void> {
    checkProfileName(to, "the new name");
    await this.#locked(async () => {
      await this.#checkChangeable("rename", from);
      if (await this.#exists(to)) throw existing("rename to", to);
      const wasCurrent = await this.current() === from;
      for (const ending of PROFILE_ENDINGS) await moveFile(this.#file(from, ending), this.#file(to, ending));
      for (const ending of STATE_ENDINGS) {
        // Left by a profile that was removed by hand.
        await removeFile(this.#stateFile(to, ending));
        await moveFile(this.#stateFile(from, ending), this.#stateFile(to, ending));
      }
      if (wasCurrent) await replaceFile(currentProfileFile(this.#paths), `${to}\n`);
    });
  }

  async #checkChangeable(verb: string, name: string): Promise<void> {
    checkProfileName(name, "the profile");
    if (name === DEFAULT_PROFILE) {
      throw new Fault("usage", `Cannot ${verb} the profile "${name}": it is always there`, {
        next: "Run `fz sign-out` to remove its token, `fz config unset` to clear its settings.",
      });
    }
    if (!await this.#exists(name)) throw unknownProfile(name, await this.names());
    if (await this.running() === name) {
      throw new Fault("usage", `Cannot ${verb} the profile "${name}": its session runs`, {
        next: "Run `fz down` first.",
      });
    }
  }

  /** Only inside `#locked`. */
  async #write(
    name: string,
    settings: Readonly<Partial<Record<SettingName, PlainValue | undefined>>>,
  ): Promise<string> {
    const path = settingsFile(this.#paths, name);
    const bytes = await readBounded(path, MAX_PROFILE_BYTES);
    const found = readBytes(bytes);
    if (!found.ok) throw problemFault(path, found.reason);
    let text = found.value.text;
    for (const [key, value] of Object.entries(settings) as [SettingName, PlainValue | undefined][]) {
      checkValue(key, value);
      text = changeProfile(text, key, value);
    }
    if (bytes === undefined || text !== found.value.text) await replaceFile(path, text);
    return path;
  }

  async #exists(name: string): Promise<boolean> {
    if (name === DEFAULT_PROFILE) return true;
    return await telling(`Cannot look for the profile "${name}"`, async () => {
      for (const ending of PROFILE_ENDINGS) {
        if (await infoOf(this.#file(name, ending)) !== undefined) return true;
      }
      return false;
    });
  }

  async #switched(name: string): Promise<Profile["switched"]> {
    const { readWishes, wishesFile } = await import("../service/wishes.ts");
    // The session warns of a file that cannot be read.
    const wishes = readWishes(wishesFile(this.#paths.state, name), silentLog);
    const { internet, disabledResources, excluded, lan } = wishes;
    return {
      ...(excluded === undefined ? {} : { excluded }),
      ...(lan === undefined ? {} : { lan }),
      ...(internet === undefined ? {} : { internetResource: internet }),
      ...(disabledResources.length === 0 ? {} : { disabledResources }),
    };
  }

  /** Undefined if the file's folder cannot be read, or the profile's settings are broken. */
  async #hasToken(name: string): Promise<boolean | undefined> {
    try {
      const { settings, tokenPath } = await this.load({ by: "flag", name }, "command");
      return (await Deno.stat(settings.values.tokenPath ?? tokenPath)).size > 0;
    } catch (error) {
      return error instanceof Deno.errors.NotFound ? false : undefined;
    }
  }

  #file(name: string, ending: string): string {
    return `${this.#paths.config}/profiles/${name}${ending}`;
  }

  #stateFile(name: string, ending: string): string {
    return `${this.#paths.state}/profiles/${name}${ending}`;
  }

  async #locked<T>(action: () => Promise<T>): Promise<T> {
    const { config } = this.#paths;
    return await locked(config, async () => {
      await telling(
        `Cannot write in "${config}"`,
        () => Deno.mkdir(`${config}/profiles`, { recursive: true, mode: 0o755 }),
      );
      return await action();
    });
  }
}

function readBytes(
  bytes: Uint8Array | undefined,
): Result<ProfileText & { readonly text: string }, TextProblem> {
  const text = decodeProfile(bytes ?? new Uint8Array());
  if (!text.ok) return text;
  const read = readProfile(text.value);
  return read.ok ? ok({ ...read.value, text: text.value }) : err(read.reason);
}

function problemFault(path: string, { line, column, reason }: TextProblem): Fault {
  return new Fault(
    "usage",
    `Cannot use the settings in "${path}": line ${line}, column ${column}: ${reason}`,
    {
      next: "Correct that place with an editor.",
    },
  );
}

/** `problem` with the settings, and why what `path` has, which `whose` could write, does not take their place. */
function untrustedFault({ message }: Fault, whose: string, path: string): Fault {
  return new Fault("usage", `${message}. Root does not take "${path}" instead: ${whose} may write there`, {
    next: "Correct that place with an editor.",
  });
}

function checkValue(name: SettingName, value: PlainValue | undefined): void {
  if (value === undefined) return;
  const { key, kind } = SETTINGS[name];
  const read = kind.fromPlain(value);
  if (!read.ok) throw new Fault("usage", `Cannot set "${key}": ${read.reason}`);
}

function existing(verb: string, name: string): Fault {
  return new Fault("usage", `Cannot ${verb} "${name}": there is a profile of this name`, {
    next: "Run `fz profile list` to see all.",
  });
}
