/** Profiles in memory. */

import {
  type Profile,
  type ProfileChoice,
  type Profiles,
  unknownProfile,
} from "../../lib/control/profile.ts";
import { changeProfile, readProfile } from "../../lib/control/profile_text.ts";
import { Fault } from "../../lib/base/fault.ts";

/** Returns profiles with these texts; the default one is always there, and the current one. */
export function fakeProfiles(
  given: Readonly<Record<string, string>>,
  switched: Profile["switched"] = {},
): Profiles & {
  readonly texts: Map<string, string>;
} {
  const texts = new Map([["default", ""], ...Object.entries(given)]);
  let current = "default";
  const pathOf = (name: string) => `/config/profiles/${name}.toml`;
  const names = () => [...texts.keys()].sort();
  const textOf = (name: string) => {
    const text = texts.get(name);
    if (text === undefined) throw unknownProfile(name, names());
    return text;
  };
  const placesOf = (choice: ProfileChoice) => {
    const name = choice.by === "current" ? current : choice.name;
    const isDefault = name === "default";
    const tokenPath = isDefault ? "/etc/dev.firezone.client/token" : `/config/profiles/${name}.token`;
    return { name, path: pathOf(name), tokenPath };
  };
  return {
    texts,
    names: () => Promise.resolve(names()),
    current: () => Promise.resolve(current),
    list: () =>
      Promise.resolve(
        names().map((name) => ({ name, current: name === current, signedIn: false, path: pathOf(name) })),
      ),
    running: () => Promise.resolve(undefined),
    locate: (choice) => Promise.resolve(placesOf(choice)),
    load(choice): Promise<Profile> {
      const { name, path, tokenPath } = placesOf(choice);
      const read = readProfile(texts.get(name) ?? "");
      if (!read.ok) return Promise.reject(new Fault("usage", `${path}: ${read.reason.reason}`));
      return Promise.resolve({
        name,
        path,
        tokenPath,
        exists: texts.has(name),
        settings: { path, ...read.value },
        switched,
        warning: undefined,
      });
    },
    // deno-lint-ignore require-await
    async change(name, setting, value) {
      texts.set(name, changeProfile(textOf(name), setting, value));
      return pathOf(name);
    },
    async add(name, settings) {
      texts.set(name, "");
      for (const [setting, value] of Object.entries(settings)) {
        await this.change(name, setting as "name", value);
      }
      return pathOf(name);
    },
    // deno-lint-ignore require-await
    async use(name) {
      textOf(name);
      current = name;
    },
    // deno-lint-ignore require-await
    async remove(name) {
      textOf(name);
      texts.delete(name);
    },
    // deno-lint-ignore require-await
    async rename(from, to) {
      texts.set(to, textOf(from));
      texts.delete(from);
      if (current === from) current = to;
    },
  };
}
