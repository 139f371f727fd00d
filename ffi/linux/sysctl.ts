/**
 * Settings of the kernel under /proc/sys, changed with the former values kept in a file, so that they are put back even
 * after a killed process (sysctl(8), Documentation/networking/ip-sysctl.rst).
 */

import type { Log } from "../../lib/base/log.ts";

/** A setting: its path below /proc/sys and the value it shall have. */
export interface Setting {
  readonly path: string;
  readonly value: string;
}

export class Sysctls {
  readonly #statePath: string;
  readonly #root: string;
  readonly #log: Log;

  /** `statePath` keeps the former values; `root` is for tests. */
  constructor(options: { readonly statePath: string; readonly root?: string; readonly log: Log }) {
    this.#statePath = options.statePath;
    this.#root = options.root ?? "/proc/sys";
    this.#log = options.log;
  }

  /** Returns the value of a setting, undefined if this kernel has none. */
  async read(path: string): Promise<string | undefined> {
    try {
      return (await Deno.readTextFile(`${this.#root}/${path}`)).trim();
    } catch {
      return undefined;
    }
  }

  /** Changes `settings` in order; returns those that could not be. Settings that this kernel lacks are left out. */
  async apply(settings: readonly Setting[]): Promise<Setting[]> {
    const former = await this.#load();
    const changes: Setting[] = [];
    for (const setting of settings) {
      const value = await this.read(setting.path);
      if (value === undefined || value === setting.value) continue;
      // What a killed process found is older than what it left.
      former[setting.path] ??= value;
      changes.push(setting);
    }
    if (changes.length === 0) return [];
    await this.#save(former);
    const failed: Setting[] = [];
    for (const setting of changes) if (!await this.#write(setting)) failed.push(setting);
    return failed;
  }

  /** Puts everything back as it was before the first `apply`. Never throws. */
  async undo(): Promise<void> {
    for (const [path, value] of Object.entries(await this.#load()).reverse()) {
      if (!await this.#write({ path, value })) this.#log.warn("cannot put a kernel setting back", { path });
    }
    await Deno.remove(this.#statePath).catch(() => {});
  }

  async #write({ path, value }: Setting): Promise<boolean> {
    try {
      await Deno.writeTextFile(`${this.#root}/${path}`, value, { create: false });
      return true;
    } catch {
      return false;
    }
  }

  async #load(): Promise<Record<string, string>> {
    try {
      const state: unknown = JSON.parse(await Deno.readTextFile(this.#statePath));
      if (typeof state !== "object" || state === null) return {};
      const entries = Object.entries(state).filter((entry): entry is [string, string] =>
        typeof entry[1] === "string" && /^[\w./-]+$/.test(entry[0]) && !entry[0].includes("..")
      );
      return Object.fromEntries(entries);
    } catch {
      return {};
    }
  }

  async #save(state: Readonly<Record<string, string>>): Promise<void> {
    try {
      await Deno.mkdir(this.#statePath.replace(/\/[^/]*$/, ""), { recursive: true });
      await Deno.writeTextFile(this.#statePath, JSON.stringify(state), { mode: 0o600 });
    } catch (error) {
      this.#log.warn("cannot note kernel settings for a later undo", { error });
    }
  }
}
