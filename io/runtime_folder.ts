/** The folder of a session's sockets and locks: open to all, for what is in it guards itself. */

/** Makes the folder at `path`, whatever the process's mask. Returns whether it is new; one that is there stays as it is. */
export function makeRuntimeFolder(path: string): boolean {
  try {
    if (Deno.statSync(path).isDirectory) return false;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  Deno.mkdirSync(path, { recursive: true, mode: 0o755 });
  if (Deno.build.os !== "windows") Deno.chmodSync(path, 0o755);
  return true;
}
