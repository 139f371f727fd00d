/** Reads a token from a file that nobody else can read. The rule of upstream, and where this process is not root, its own. */

import fs from "node:fs";
import { Fault } from "../lib/base/fault.ts";

/** Bits that give anybody but the owner anything, and the owner more than reading and writing. */
const FORBIDDEN_MODE = 0o177;
/** Of files that systemd made for a unit: it lets the unit's user in by an ACL, whose mask shows as the group's bits. */
const FORBIDDEN_CREDENTIAL_MODE = 0o137;

const REMOVE = "Remove it, then run `fz sign-in`.";

/**
 * Returns the text of the file at `path`, undefined if there is none. Throws `Fault` "rejected" if the file is not
 * owned by this user and group (root's: root), or open to others. Files in $CREDENTIALS_DIRECTORY are systemd's.
 */
export function readTokenFile(path: string): Promise<string | undefined> {
  // One that throws is a promise that rejects.
  return Promise.resolve().then(() => read(path));
}

function read(path: string): string | undefined {
  let file: number | undefined;
  try {
    // Opened before it is judged: what is checked is what is read. Opening a pipe would wait for its writer.
    file = fs.openSync(path, fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0));
    const stat = fs.fstatSync(file);
    if (!stat.isFile()) {
      throw new Fault("rejected", `Cannot use "${path}": it is not a file`, { next: REMOVE });
    }
    if (Deno.build.os !== "windows") check(path, stat.uid, stat.gid, stat.mode & 0o777);
    return readAll(file);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    if (error instanceof Fault) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new Fault("rejected", `Cannot read the token in "${path}": ${reason}`, { next: REMOVE });
  } finally {
    if (file !== undefined) fs.closeSync(file);
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
  const forbidden = isCredential(path) ? FORBIDDEN_CREDENTIAL_MODE : FORBIDDEN_MODE;
  if ((mode & forbidden) !== 0) {
    throw new Fault("rejected", `Cannot use the token in "${path}": its mode is ${mode.toString(8)}`, {
      next: `Run "chmod 600 ${path}".`,
    });
  }
}

function isCredential(path: string): boolean {
  const folder = Deno.env.get("CREDENTIALS_DIRECTORY");
  return folder !== undefined && folder !== "" && path.startsWith(`${folder}/`);
}

function readAll(file: number): string {
  const LIMIT = 64 * 1024;
  const bytes = new Uint8Array(LIMIT);
  let length = 0;
  for (;;) {
    const count = fs.readSync(file, bytes, length, LIMIT - length, null);
    if (count === 0) return new TextDecoder().decode(bytes.subarray(0, length));
    length += count;
    if (length === LIMIT) {
      throw new Fault("rejected", "Cannot use the token: the file is far too long", { next: REMOVE });
    }
  }
}
