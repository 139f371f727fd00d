/** A file that other programs read while it is written anew again and again. */

import { Fault } from "../lib/base/fault.ts";

/** Puts `text` at `path`, readable for all: whoever reads sees the old text or the new one. Throws a Fault ("usage"). */
export async function replacePublicFile(path: string, text: string): Promise<void> {
  const slash = path.lastIndexOf("/");
  // In the same folder, since a rename is one step only there; with a name that no collector of "*.prom" takes.
  const draft = `${path.slice(0, slash + 1)}.${path.slice(slash + 1)}.${Deno.pid}`;
  try {
    await Deno.writeTextFile(draft, text, { createNew: true });
    // Whatever the process's mask is.
    if (Deno.build.os !== "windows") await Deno.chmod(draft, 0o644);
    await Deno.rename(draft, path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.AlreadyExists)) await Deno.remove(draft).catch(() => {});
    throw new Fault("usage", `Cannot write "${path}"`, { cause });
  }
}
