/** Reading files of the host that anybody may have made into something else: a pipe never ends, nor does /dev/zero. */

/** Longest file that is read, in bytes. */
export const MAX_FILE_BYTES = 65_536;

/** What is at a path is not to be read as a file. The message is its state, for a person: "it is not a regular file". */
export class UnfitFile extends Error {
  override readonly name = "UnfitFile";
}

/**
 * Returns what is in the file that `path` leads to. Throws an UnfitFile if that is none or has more than
 * `MAX_FILE_BYTES`, else what the runtime throws.
 */
export function readSmallFile(path: string): Uint8Array<ArrayBuffer> {
  const bytes = readFileStart(path, MAX_FILE_BYTES + 1);
  if (bytes.length > MAX_FILE_BYTES) throw tooLarge();
  return bytes;
}

/** Does the same, as text. */
export function readSmallText(path: string): string {
  return new TextDecoder().decode(readSmallFile(path));
}

/** Returns at most the first `limit` bytes of the file that `path` leads to. Throws an UnfitFile if that is none. */
export function readFileStart(path: string, limit: number): Uint8Array<ArrayBuffer> {
  // Opening a pipe waits for somebody who writes.
  if (!isFile(path)) throw new UnfitFile("it is not a regular file");
  using file = Deno.openSync(path);
  const buffer = new Uint8Array(limit);
  let length = 0;
  while (length < limit) {
    const count = file.readSync(buffer.subarray(length));
    if (count === null) break;
    length += count;
  }
  return buffer.slice(0, length);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    throw error instanceof Deno.errors.FilesystemLoop ? new UnfitFile("its links lead in a circle") : error;
  }
}

/** Throws an UnfitFile if `text` is longer than what is read. */
export function assertSmall(text: string): void {
  if (new TextEncoder().encode(text).length > MAX_FILE_BYTES) throw tooLarge();
}

function tooLarge(): UnfitFile {
  return new UnfitFile(`it is larger than ${MAX_FILE_BYTES / 1024} KiB`);
}
