/** Where a command puts bytes: a file of the user's own, or standard output. */

import { Fault } from "../lib/base/fault.ts";

/** Opens the new file at `path`, for its owner only; standard output for "-". Throws a Fault ("usage"). */
export function openOutput(path: string, { overwrite }: { readonly overwrite: boolean }): {
  write(bytes: Uint8Array): boolean;
  close(): void;
} {
  if (path === "-") return { write: (bytes) => writeAll(Deno.stdout, bytes), close() {} };
  const file = openFile(path, overwrite);
  return {
    write(bytes) {
      try {
        return writeAll(file, bytes);
      } catch (cause) {
        throw new Fault("unexpected", `Cannot write to "${path}": ${reasonOf(cause)}`, {
          next: "Make room there, or name another file.",
        });
      }
    },
    close: () => file.close(),
  };
}

function openFile(path: string, overwrite: boolean): Deno.FsFile {
  try {
    const file = Deno.openSync(path, { write: true, createNew: !overwrite, create: true, mode: 0o600 });
    try {
      const { isFile, mode } = file.statSync();
      // A file that others may read must not get what they may not; devices and pipes are as they are.
      if (isFile) {
        if (overwrite && mode !== null && Deno.build.os !== "windows") Deno.chmodSync(path, 0o600);
        file.truncateSync();
      }
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  } catch (cause) {
    if (cause instanceof Deno.errors.AlreadyExists) {
      throw new Fault("usage", `Cannot write "${path}": there is such a file`, {
        next: "Name another one, or add --force to overwrite it.",
      });
    }
    throw new Fault("usage", `Cannot write "${path}": ${reasonOf(cause)}`, {
      next: "Check that its folder is there and that you may write to it, or name another file.",
    });
  }
}

/** The runtime adds the number and the path to what the system says. */
function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.replace(/ \(os error \d+\).*$/s, "");
}

function writeAll(file: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): boolean {
  try {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(file.writeSync(rest));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return false;
    throw error;
  }
}
