/**
 * What was switched while a session ran and is to hold at its next start, unless a flag, a variable or the profile says
 * otherwise (lib/control/sources.ts): disabled resources, full tunnel and what passes it by. A small file beside the profile's other state;
 * where it cannot be read, nothing was switched.
 */

import * as v from "valibot";
import { IpNetwork } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import { writeDraft } from "../draft.ts";
import { type HeldFolder, holdFolder } from "../held_folder.ts";

/** What was switched. */
export interface Wishes {
  /** Undefined: never switched, so that the settings decide. */
  readonly internet: boolean | undefined;
  readonly excluded?: readonly IpNetwork[];
  readonly lan?: "allow" | "deny";
  /** Ids, also of resources that are not there at the moment. */
  readonly disabledResources: readonly string[];
}

/** Nothing was switched. */
export const NO_WISHES: Wishes = { internet: undefined, disabledResources: [] };
const MAX_BYTES = 2 ** 20;
const MAX_RESOURCES = 10_000;
const MAX_EXCLUDED = 1024;

const Stored = v.object({
  schema: v.literal(1),
  internet: v.optional(v.boolean()),
  excluded: v.optional(v.pipe(v.array(v.string()), v.maxLength(MAX_EXCLUDED))),
  lan: v.optional(v.picklist(["allow", "deny"])),
  disabledResources: v.optional(
    v.pipe(v.array(v.pipe(v.string(), v.maxLength(256))), v.maxLength(MAX_RESOURCES)),
    [],
  ),
});

/** Returns the file with the wishes of `profile` in the state folder `state`. */
export function wishesFile(state: string, profile: string): string {
  return `${state}/profiles/${profile}.json`;
}

/** Returns what the file at `path` says. */
export function readWishes(path: string, log: Log): Wishes {
  try {
    const { isFile, size } = Deno.statSync(path);
    // Opening a pipe would wait for somebody who writes.
    if (!isFile) throw new Error("it is not a file");
    if (size > MAX_BYTES) throw new Error("it is too long");
    const stored = v.parse(Stored, JSON.parse(Deno.readTextFileSync(path)));
    const { internet, disabledResources, excluded, lan } = stored;
    return {
      internet,
      disabledResources,
      ...(excluded === undefined ? {} : { excluded: excluded.map((text) => IpNetwork.from(text)) }),
      ...(lan === undefined ? {} : { lan }),
    };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      log.warn("cannot read what was switched before; going on as if nothing was", { path, error });
    }
    return NO_WISHES;
  }
}

/** Makes the file at `path` say `wishes`, all of it or nothing. A failure is logged: the wishes hold until the end. */
export function writeWishes(path: string, wishes: Wishes, log: Log): void {
  const { internet, disabledResources, excluded, lan } = wishes;
  const kept = disabledResources.slice(0, MAX_RESOURCES);
  try {
    const at = path.lastIndexOf("/");
    using folder = holdFolder(path.slice(0, at), 0o700);
    const text = JSON.stringify({
      schema: 1,
      ...(internet === undefined ? {} : { internet }),
      ...(excluded === undefined ? {} : { excluded: excluded.map(String) }),
      ...(lan === undefined ? {} : { lan }),
      disabledResources: kept,
    });
    replace(folder, path.slice(at + 1), `${text}\n`);
  } catch (error) {
    log.warn("cannot keep what was switched for the next start", { path, error });
  }
}

function replace({ path, owner }: HeldFolder, name: string, text: string): void {
  const temporary = `${path}/${name}.${Deno.pid}.new`;
  try {
    writeDraft(temporary, text, 0o600, owner);
    Deno.renameSync(temporary, `${path}/${name}`);
  } catch (error) {
    removeQuietly(temporary);
    throw error;
  }
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It was not even made.
  }
}
