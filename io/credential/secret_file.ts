/**
 * Files for one pair of eyes: replaced whole or not at all, mode 0600 from their first moment, never through a symbolic
 * link, and in no folder where others could exchange them. Where Linux has /proc, the folder is held open and all names
 * are looked up in it, so that what was checked is what is used.
 */

import fs from "node:fs";
import { toHex } from "../../lib/base/bytes.ts";
import { Fault } from "../../lib/base/fault.ts";
import { guardFolder } from "../windows_folder.ts";

/** Who owns a file. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Puts `text` into the file at `path`, with mode 0600. Root keeps a service user's file his: the file has the owner of
 * its folder, or, in a folder of root, the owner that it had. Throws a `Fault` with what was there before untouched.
 */
export function writeSecretFile(path: string, text: string): void {
  const { folder, name } = split(path);
  attempt("store", path, () => {
    makeFolders(folder);
    using pinned = new PinnedFolder(folder);
    pinned.check(path);
    removeDrafts(pinned, name, STALE_DRAFT_MS);
    const draft = `.${name}.${randomSuffix()}${DRAFT_ENDING}`;
    const place = pinned.at(draft);
    try {
      writeDraft(place, text, pinned.ownerOf(name));
      fs.renameSync(place, pinned.at(name));
    } catch (error) {
      unlink(place);
      throw error;
    }
    pinned.sync();
  });
}

/** Removes the file at `path` and what unfinished writes of it left. Returns whether there was one. */
export function removeSecretFile(path: string): boolean {
  const { folder, name } = split(path);
  return attempt("remove", path, () => {
    let pinned: PinnedFolder;
    try {
      pinned = new PinnedFolder(folder);
    } catch (error) {
      if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return false;
      throw error;
    }
    using held = pinned;
    removeDrafts(held, name, 0);
    const isGone = unlink(held.at(name));
    held.sync();
    return isGone;
  });
}

/** A folder that stays the same whatever happens to its path. */
class PinnedFolder {
  readonly #path: string;
  readonly #handle: number | undefined;
  readonly #stat: fs.Stats;
  readonly #base: string;

  constructor(path: string) {
    this.#path = path;
    if (IS_WINDOWS) {
      this.#handle = undefined;
      this.#stat = fs.statSync(path);
      this.#base = path;
      return;
    }
    this.#handle = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    this.#stat = fs.fstatSync(this.#handle);
    const held = `/proc/self/fd/${this.#handle}`;
    this.#base = Deno.build.os === "linux" && fs.existsSync(held) ? held : path;
  }

  /** Returns the path of `name` in this folder. */
  at(name: string): string {
    return `${this.#base}/${name}`;
  }

  names(): readonly string[] {
    return fs.readdirSync(this.#base);
  }

  /** Throws a `Fault` if somebody else could exchange files here. */
  check(path: string): void {
    if (IS_WINDOWS) return;
    const { uid, mode } = this.#stat;
    const own = Deno.uid() ?? 0;
    if (own !== 0 && uid !== 0 && uid !== own) {
      throw new Fault(
        "privilege",
        `Cannot store the token in "${path}": the folder belongs to user ${uid}`,
        { next: "Choose a folder of your own with --token-path." },
      );
    }
    if ((mode & 0o002) !== 0 && (mode & STICKY) === 0) {
      throw new Fault("privilege", `Cannot store the token in "${path}": everybody may write to its folder`, {
        next: `Run "chmod o-w ${this.#path}", or choose another folder with --token-path.`,
      });
    }
  }

  /** Returns who shall own the file `name`; undefined: whoever makes it. */
  ownerOf(name: string): Owner | undefined {
    if (IS_WINDOWS || Deno.uid() !== 0) return undefined;
    const { uid, gid, mode } = this.#stat;
    if (uid !== 0) return { uid, gid };
    // Where only root writes, only root can have given the file away. Elsewhere anybody may have left one to be filled.
    const isRoots = (mode & 0o022) === 0;
    const before = isRoots ? lstat(this.at(name)) : undefined;
    return before?.isFile() === true && before.uid !== 0
      ? { uid: before.uid, gid: before.gid }
      : { uid: 0, gid: 0 };
  }

  /** Makes what happened in the folder outlive a power cut. */
  sync(): void {
    if (this.#handle !== undefined) fs.fsyncSync(this.#handle);
  }

  [Symbol.dispose](): void {
    if (this.#handle !== undefined) fs.closeSync(this.#handle);
  }
}

/** The file must not be there yet, not even as a link; its owner and mode are right before it holds a byte. */
function writeDraft(place: string, text: string, owner: Owner | undefined): void {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
  const file = fs.openSync(place, O_WRONLY | O_CREAT | O_EXCL | (O_NOFOLLOW ?? 0), MODE);
  try {
    if (!IS_WINDOWS) fs.fchmodSync(file, MODE);
    if (owner !== undefined) fs.fchownSync(file, owner.uid, owner.gid);
    const bytes = new TextEncoder().encode(text);
    for (let offset = 0; offset < bytes.length;) offset += fs.writeSync(file, bytes, offset);
    fs.fsyncSync(file);
  } finally {
    fs.closeSync(file);
  }
}

/** A process that was killed leaves its draft; drafts of others at work are young. */
function removeDrafts(folder: PinnedFolder, name: string, olderThanMs: number): void {
  for (const candidate of folder.names()) {
    if (!candidate.startsWith(`.${name}.`) || !candidate.endsWith(DRAFT_ENDING)) continue;
    const stat = lstat(folder.at(candidate));
    if (stat !== undefined && Date.now() - stat.mtimeMs >= olderThanMs) unlink(folder.at(candidate));
  }
}

/** Root's folders can be listed by all, as upstream makes them; a user's are his own. */
function makeFolders(folder: string): void {
  fs.mkdirSync(folder, { recursive: true, mode: Deno.uid() === 0 ? 0o755 : 0o700 });
  guardFolder(folder);
}

function attempt<T>(verb: "store" | "remove", path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    const code = codeOf(cause);
    const known = REASONS[code];
    const reason = known ?? (cause instanceof Error ? cause.message : String(cause));
    const message = `Cannot ${verb} the token in "${path}": ${reason}`;
    const why = known === undefined ? { cause } : {};
    if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
      const next = code === "EROFS"
        ? "Choose another file with --token-path."
        : "Run it as root, or choose a file of your own with --token-path.";
      throw new Fault("privilege", message, { ...why, next });
    }
    const next = verb === "store" ? { next: "What was stored before is untouched." } : {};
    throw new Fault("unexpected", message, { ...why, ...next });
  }
}

function split(path: string): { folder: string; name: string } {
  const at = Math.max(path.lastIndexOf("/"), IS_WINDOWS ? path.lastIndexOf("\\") : -1);
  const folder = at < 0 ? "." : at === 0 ? "/" : path.slice(0, at);
  return { folder, name: path.slice(at + 1) };
}

/** Returns whether there was something to remove. */
function unlink(path: string): boolean {
  try {
    fs.unlinkSync(path);
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

function lstat(path: string): fs.Stats | undefined {
  return fs.lstatSync(path, { throwIfNoEntry: false });
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

function randomSuffix(): string {
  return toHex(crypto.getRandomValues(new Uint8Array(8)));
}

const IS_WINDOWS = Deno.build.os === "windows";
const MODE = 0o600;
const STICKY = 0o1000;
const DRAFT_ENDING = ".new";
const STALE_DRAFT_MS = 10 * 60_000;
const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "no space is left on the device",
  EDQUOT: "the disk quota is used up",
  EISDIR: "it is a folder",
  EEXIST: "a part of the path is no folder",
  ENOTDIR: "a part of the path is no folder",
  ELOOP: "the path has too many symbolic links",
};
