/**
 * Writes what is made from the command tree: `deno task generate`. Completions for shells, the manual, and the recorded
 * help of the tests. `generated()` is what the test compares with the files.
 */

import { SHELLS } from "../cli/shells.ts";
import { manualPages } from "../cli/manual/pages.ts";
import { withReference } from "./control_reference.ts";

const ROOT = new URL("..", import.meta.url).pathname;

/** Returns all generated files, path in the repository to text. */
export async function generated(): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for (const shell of SHELLS) files.set(`completions/${shell.file}`, shell.script());
  for (const [name, text] of await manualPages()) files.set(`man/${name}`, text);
  const [page, schema] = ["docs/control.md", "lib/control/api.ts"].map((path) =>
    Deno.readTextFileSync(ROOT + path)
  );
  files.set("docs/control.md", withReference(page!, schema!));
  return files;
}

if (import.meta.main) {
  const files = await generated();
  for (const folder of ["completions", "man"]) {
    await Deno.remove(ROOT + folder, { recursive: true }).catch(() => {});
    await Deno.mkdir(ROOT + folder);
  }
  for (const [path, text] of files) await Deno.writeTextFile(ROOT + path, text);
  console.log(`${files.size} files`);
}
