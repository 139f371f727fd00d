/**
 * Writing a file that is about to take its place. Root writes in folders of the service's user, too: so it is made anew,
 * never written through a link that was laid at its name (open(2), O_EXCL).
 */

/** Writes `text` to a new file at `path`; what a killed process, or somebody else, left there goes. Throws what Deno throws. */
export function writeDraft(path: string, text: string, mode: number): void {
  try {
    Deno.removeSync(path);
  } catch {
    // There is none, or the next call tells what is the matter.
  }
  Deno.writeTextFileSync(path, text, { createNew: true, mode });
}
