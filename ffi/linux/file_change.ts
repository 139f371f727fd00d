/** Writing over a file of the host so that it can be put back: what it was, a copy of it, and when it changes. */

import { fromBase64, toBase64 } from "../../lib/base/bytes.ts";
import type { Change } from "../../lib/host/journal.ts";
import { readSmallFile, readSmallText } from "./small_file.ts";
import { isWritable } from "./writable.ts";

/** A file written over, as the journal has it. */
export type FileChange = Extract<Change, { type: "file" }>;

/** Calls `onChange` when the file at `path`, what it leads to, or what is in it, is written or replaced. */
export function watchFile(path: string, onChange: () => void): { close(): void } {
  const target = quietly(() => Deno.realPathSync(path)) ?? path;
  const files = new Set([path, target]);
  // The folder tells of a file that is replaced, the file of one that is mounted.
  const places = [...new Set([...files, folderOf(path), folderOf(target)])].filter((place) =>
    look(place).exists
  );
  const watcher = quietly(() => Deno.watchFs(places, { recursive: false }));
  void (async () => {
    try {
      for await (const { kind, paths } of watcher ?? []) {
        if (kind !== "access" && paths.some((one) => files.has(one) || one.startsWith(`${target}/`))) {
          onChange();
        }
      }
    } catch {
      // Then it is noticed by looking every now and then.
    }
  })();
  return { close: () => watcher?.close() };
}

/** Returns what the change of the file at `path` is called in the journal. */
export function idOf(path: string): FileChange["id"] {
  return `file:${path}`;
}

/** Returns what would be lost by writing over `path`. */
export function capture(path: string): FileChange {
  const base = { id: idOf(path), type: "file", path } as const;
  const { exists, isSymlink } = look(path);
  if (!exists) return { ...base, original: undefined, isInPlace: false };
  if (isSymlink) {
    return { ...base, original: { type: "link", target: Deno.readLinkSync(path) }, isInPlace: false };
  }
  const { mode, uid, gid } = Deno.statSync(path);
  const content = toBase64(readSmallFile(path));
  return {
    ...base,
    original: { type: "file", content, mode: (mode ?? 0o644) & 0o7777, uid: uid ?? 0, gid: gid ?? 0 },
    isInPlace: isPlain(path),
  };
}

/** Returns whether `path` can be written where it is. */
export function isPlain(path: string): boolean {
  const { exists, isSymlink } = look(path);
  return exists && !isSymlink && isWritable(path);
}

/** Keeps `original` at `path`, with its mode. */
export function saveCopy(path: string, original: NonNullable<FileChange["original"]>): void {
  replace(path, (draft) => {
    if (original.type === "link") return Deno.symlinkSync(original.target, draft);
    writeDraft(draft, fromBase64(original.content)!, original.mode | 0o600);
    ownAs(draft, original);
  });
}

/** The file's own mode and owner, for a copy; one that has the wrong ones is better than none. */
function ownAs(path: string, { mode, uid, gid }: { mode: number; uid: number; gid: number }): void {
  quietly(() => Deno.chownSync(path, uid, gid));
  quietly(() => Deno.chmodSync(path, mode));
}

/** Writes `text` over the file at `path`, in place or as another file of the same mode and owner. */
export function write(path: string, text: string, isInPlace: boolean): void {
  if (isInPlace) return writeInPlace(path, new TextEncoder().encode(text));
  const former = quietly(() => Deno.lstatSync(path));
  replace(path, (draft) => {
    writeDraft(draft, new TextEncoder().encode(text), 0o644);
    if (former?.isFile) ownAs(draft, { mode: former.mode! & 0o7777, uid: former.uid!, gid: former.gid! });
    else Deno.chmodSync(draft, 0o644);
  });
}

/**
 * Writes `bytes` over the file at `path`, and keeps its inode. One write puts all of them there, lines without meaning up
 * to the end of what was longer: who reads meanwhile finds the one file or the other.
 */
export function writeInPlace(path: string, bytes: Uint8Array): void {
  using file = Deno.openSync(path, { write: true });
  const padded = new Uint8Array(Math.max(bytes.length, file.statSync().size)).fill(NEWLINE);
  padded.set(bytes);
  writeAll(file, padded);
  file.truncateSync(bytes.length);
  file.syncSync();
}

/** On the disk before it takes its place: after a power cut there would else be an empty file. */
function writeDraft(draft: string, bytes: Uint8Array, mode: number): void {
  using file = Deno.openSync(draft, { write: true, createNew: true, mode });
  writeAll(file, bytes);
  file.syncSync();
}

/** Writes all of `bytes`, in as many pieces as it takes. */
export function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}

/** Returns where a file at `path` is written before it takes its place: always the same, so that the next one finds it. */
export function draftOf(path: string): string {
  return `${path}.fz-new`;
}

/** Removes what a process that was killed was about to put at `path`. */
export function removeDraft(path: string): void {
  quietly(() => Deno.removeSync(draftOf(path)));
}

/** Makes a new file by `make` and moves it over `path` at once. */
export function replace(path: string, make: (draft: string) => void): void {
  const draft = draftOf(path);
  quietly(() => Deno.removeSync(draft));
  try {
    make(draft);
    Deno.renameSync(draft, path);
    syncFolderOf(path);
  } catch (error) {
    quietly(() => Deno.removeSync(draft));
    throw error;
  }
}

/** Has the disk know who is at `path`, before the journal forgets who was. */
export function syncFolderOf(path: string): void {
  quietly(() => {
    using folder = Deno.openSync(folderOf(path), { read: true });
    folder.syncSync();
  });
}

/** Returns the text of the file at `path`, empty if there is none. Throws an UnfitFile if it is not to be read. */
export function read(path: string): string {
  try {
    return readSmallText(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

/** Returns what is at `path` itself, without following a link. */
export function look(path: string): { exists: boolean; isSymlink: boolean } {
  const found = quietly(() => Deno.lstatSync(path));
  return { exists: found !== undefined, isSymlink: found?.isSymlink === true };
}

/** Returns whether something is mounted at `path` (proc_pid_mountinfo(5), fifth field). */
export function isMounted(path: string): boolean {
  const mounts = quietly(() => Deno.readTextFileSync("/proc/self/mountinfo")) ?? "";
  return mounts.split("\n").some((line) => line.split(" ", 5)[4] === path);
}

/** Returns the folder that `path`, an absolute one, is in. */
export function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

function quietly<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

const NEWLINE = 0x0a;
