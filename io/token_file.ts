/** Reads a token from a file that nobody else can read. The rule of upstream, and where this process is not root, its own. */

import { Fault } from "../lib/base/fault.ts";

/** Bits that give anybody but the owner anything, and the owner more than reading and writing. */
const FORBIDDEN_MODE = 0o177;

/**
 * Returns the text of the file at `path`, undefined if there is none. Throws `Fault` "rejected" if the file is not
 * owned by this user and group (root's: root), or open to others.
 */
export async function readTokenFile(path: string): Promise<string | undefined> {
  try {
    // Opened before it is judged: what is checked is what is read.
    using file = await Deno.open(path);
    const { uid, gid, mode, isFile } = await file.stat();
    if (!isFile) throw new Fault("rejected", `Cannot use "${path}": it is not a file`);
    check(path, uid ?? -1, gid ?? -1, (mode ?? 0) & 0o777);
    return await readAll(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Fault) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new Fault("rejected", `Cannot read the token in "${path}": ${reason}`);
  }
}

function check(path: string, uid: number, gid: number, mode: number): void {
  const own = Deno.uid() ?? 0;
  const ownGroup = Deno.gid() ?? 0;
  if (uid !== 0 && uid !== own || (own === 0 && gid !== ownGroup)) {
    throw new Fault("rejected", `Cannot use the token in "${path}": it is owned by ${uid}:${gid}`, {
      next: `Run "chown ${own}:${ownGroup} ${path}".`,
    });
  }
  if ((mode & FORBIDDEN_MODE) !== 0) {
    throw new Fault("rejected", `Cannot use the token in "${path}": its mode is ${mode.toString(8)}`, {
      next: `Run "chmod 600 ${path}".`,
    });
  }
}

async function readAll(file: Deno.FsFile): Promise<string> {
  const LIMIT = 64 * 1024;
  const bytes = new Uint8Array(LIMIT);
  let length = 0;
  for (;;) {
    const count = await file.read(bytes.subarray(length));
    if (count === null) return new TextDecoder().decode(bytes.subarray(0, length));
    length += count;
    if (length === LIMIT) throw new Fault("rejected", "Cannot use the token: the file is far too long");
  }
}
