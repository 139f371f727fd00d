/**
 * The journal on disk: what a session is about to change on its machine, written before each change, so that whatever
 * ends the session leaves enough to undo it. `<state>/journal.json`; where that cannot be written, `<runtime>/journal.json`,
 * which a power cut takes. One process at a time has it: the folder is locked, since two runtime folders may share one
 * folder of state. Each user has a journal of his own; what another user's session left in the kernel is found by its
 * mark (io/leftovers.ts), what it left in files is its user's to undo.
 */

import { Fault } from "../lib/base/fault.ts";
import type { Log } from "../lib/base/log.ts";
import type { Paths } from "../lib/control/paths.ts";
import {
  type Change,
  decodeJournal,
  encodeJournal,
  isFoundUnnoted,
  isNewerJournal,
  type Journal,
  type JournalEntry,
  MAX_CHANGES,
  MAX_JOURNAL_BYTES,
} from "../lib/host/journal.ts";
import { guardFolder } from "./windows_folder.ts";

/** A journal that somebody holds. */
export interface HeldJournal extends Journal {
  /** Where it is written; undefined: nowhere, so that only changes which are found without it may be made. */
  readonly path: string | undefined;
  /** What is noted, oldest first. */
  entries(): readonly JournalEntry[];
  /** Where a journal was put that could not be understood. */
  readonly setAside: readonly string[];
  /** Throws the Fault that noting a change of a file would throw for want of a place. */
  check(): void;
  /** Lets others have it. */
  close(): void;
}

/** This kernel's life and network, as the journal tells them apart. */
export function thisKernel(root = "/proc"): Pick<JournalEntry, "boot" | "namespace"> {
  return {
    boot: quietly(() => Deno.readTextFileSync(`${root}/sys/kernel/random/boot_id`).trim()) ?? "",
    namespace: quietly(() => Deno.readLinkSync(`${root}/self/ns/net`)) ?? "",
  };
}

/** Opens the journal of a session with these folders. Never throws; what could not be understood is kept aside. */
export function openJournal(
  { state, runtime }: Pick<Paths, "state" | "runtime">,
  log: Log,
  here: Pick<JournalEntry, "boot" | "namespace"> = thisKernel(),
): HeldJournal {
  return new FileJournal([state, runtime], log, here);
}

/** Returns what the journals in these folders say, without holding or changing them. */
export function peekJournal({ state, runtime }: Pick<Paths, "state" | "runtime">): readonly JournalEntry[] {
  return [state, runtime].flatMap((folder) => placesIn(folder)).flatMap((path) => {
    const found = readJournal(path);
    return found.type === "understood" ? found.entries : [];
  });
}

const NAME = "journal.json";
/** Where a journal of a later version waits until that version comes back. */
const NEWER = `${NAME}.newer`;
/** More journals than this are not kept aside. */
const MAX_ASIDE = 8;
/** Room that has to be there at the start, so that a disk which is about full is found before anything is changed. */
const PROBE_BYTES = 16_384;
const OTHERS_WRITE = 0o022;
/** Whoever can open a folder can lock it, and keep its sessions from noting anything. */
const STATE_MODE = 0o700;
/** Others come by here to the sockets. */
const RUNTIME_MODE = 0o755;
/** Kept free of what is found without us, for what is not. */
const ROOM = 32;

class FileJournal implements HeldJournal {
  readonly path: string | undefined;
  readonly setAside: string[] = [];
  readonly #log: Log;
  readonly #here: Pick<JournalEntry, "boot" | "namespace">;
  readonly #entries = new Map<string, JournalEntry>();
  readonly #lock: Deno.FsFile | undefined;
  #failure: unknown;
  #isClosed = false;
  #place: string;

  constructor(folders: readonly string[], log: Log, here: Pick<JournalEntry, "boot" | "namespace">) {
    this.#log = log;
    this.#here = here;
    this.#place = `${folders[0]}/${NAME}`;
    let chosen: { readonly path: string; readonly lock: Deno.FsFile } | undefined;
    const others: string[] = [];
    const unusable: string[] = [];
    for (const folder of new Set(folders)) {
      const path = `${folder}/${NAME}`;
      let lock: Deno.FsFile | undefined;
      try {
        lock = takeFolder(folder, folder === folders[0] ? STATE_MODE : RUNTIME_MODE);
        if (lock === undefined) throw new Error("another session holds it");
        for (const place of placesIn(folder)) this.#read(place, others);
        if (chosen === undefined) {
          probe(path);
          chosen = { path, lock };
          continue;
        }
        others.push(path);
        lock.close();
      } catch (error) {
        lock?.close();
        this.#failure ??= error;
        unusable.push(path);
      }
    }
    this.path = chosen?.path;
    this.#lock = chosen?.lock;
    if (chosen === undefined) {
      log.warn("cannot note what is changed on this machine", {
        path: this.#place,
        reason: said(this.#failure),
      });
      return;
    }
    this.#place = chosen.path;
    const [failed] = unusable;
    if (failed !== undefined && chosen.path === `${folders[0]}/${NAME}`) {
      log.warn("cannot look for the journal of an earlier session", {
        path: failed,
        reason: said(this.#failure),
      });
    } else if (failed !== undefined) {
      log.warn(
        "what is changed on this machine is noted where a power cut takes it: the lasting place is of no use",
        {
          path: chosen.path,
          unusable: failed,
          reason: said(this.#failure),
        },
      );
    }
    // Theirs is in ours from now on.
    if (others.some((path) => quietly(() => Deno.lstatSync(path)) !== undefined)) {
      try {
        this.#write();
        for (const path of others) quietly(() => Deno.removeSync(path));
      } catch (error) {
        log.warn("cannot note what an earlier session changed", { error });
      }
    }
  }

  entries(): readonly JournalEntry[] {
    return [...this.#entries.values()];
  }

  check(): void {
    if (this.path === undefined) throw this.#fault(this.#failure);
  }

  note(change: Change): void {
    if (this.#isClosed) throw this.#fault(new Error("the session is over"));
    const before = this.#entries.get(change.id);
    const isFound = isFoundUnnoted(change);
    if (before === undefined && this.#entries.size >= MAX_CHANGES - (isFound ? ROOM : 0)) {
      if (isFound) return;
      throw this.#fault(new Error(`it has ${MAX_CHANGES} changes already`));
    }
    this.#entries.set(change.id, { ...this.#here, change });
    try {
      this.check();
      this.#write();
    } catch (error) {
      // By its mark it is found without us, too.
      if (isFound) return this.#log.debug("cannot note a change", { reason: said(error) });
      if (before === undefined) this.#entries.delete(change.id);
      else this.#entries.set(change.id, before);
      throw error instanceof Fault ? error : this.#fault(error);
    }
  }

  forget(id: Change["id"]): void {
    if (this.#isClosed || !this.#entries.delete(id) || this.path === undefined) return;
    try {
      this.#write();
    } catch (error) {
      // Undoing it once more does nothing.
      this.#log.debug("cannot forget a change", { reason: said(error) });
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#lock?.close();
  }

  /** Adds to `taken` what is to be removed when it is in ours. */
  #read(path: string, taken: string[]): void {
    const found = readJournal(path);
    const isAside = path.endsWith(NEWER);
    switch (found.type) {
      case "none":
        return;
      case "understood":
        for (const entry of found.entries) this.#entries.set(entry.change.id, entry);
        if (isAside) taken.push(path);
        return;
      case "newer":
      case "garbled": {
        if (isAside) return;
        const aside = freePath(found.type === "newer" ? path.replace(NAME, NEWER) : `${path}.garbled`);
        Deno.renameSync(path, aside);
        this.setAside.push(aside);
        this.#log.warn("the journal of an earlier session is of no use", { reason: found.reason, aside });
      }
    }
  }

  #write(): void {
    const entries = this.entries();
    if (entries.length > 0) {
      const text = encodeJournal(entries);
      if (text.length > MAX_JOURNAL_BYTES) {
        throw new Error(`it would be longer than ${MAX_JOURNAL_BYTES} bytes`);
      }
      return replace(this.#place, text);
    }
    try {
      Deno.removeSync(this.#place);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      throw error;
    }
    syncFolderOf(this.#place);
  }

  #fault(cause: unknown): Fault {
    const next = "Make it writable, choose another folder by FZ_STATE_DIR, or leave DNS alone with " +
      "--dns-control disabled.";
    return new Fault(
      "privilege",
      `Cannot note in "${this.#place}" what is about to be changed: ${said(cause)}`,
      {
        cause,
        next,
      },
    );
  }
}

type Found =
  | { readonly type: "none" }
  | { readonly type: "understood"; readonly entries: readonly JournalEntry[] }
  | { readonly type: "garbled" | "newer"; readonly reason: string };

function readJournal(path: string): Found {
  let text: string;
  try {
    // Opening a pipe would wait for somebody who writes.
    if (!Deno.lstatSync(path).isFile) return { type: "garbled", reason: "it is not a file" };
    using file = Deno.openSync(path);
    // Of what was opened, whoever takes its place meanwhile.
    const { isFile, size, uid, mode } = file.statSync();
    if (!isFile) return { type: "garbled", reason: "it is not a file" };
    if (size > MAX_JOURNAL_BYTES) return { type: "garbled", reason: "it is too long" };
    // What it says is done with our rights.
    if ((uid !== null && uid !== 0 && uid !== Deno.uid()) || ((mode ?? 0) & OTHERS_WRITE) !== 0) {
      return { type: "garbled", reason: "others may write it" };
    }
    text = readStart(file, size);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return { type: "none" };
    }
    return { type: "garbled", reason: said(error) };
  }
  const entries = decodeJournal(text);
  if (entries !== undefined) return { type: "understood", entries };
  return isNewerJournal(text)
    ? { type: "newer", reason: "it is of a later version" }
    : { type: "garbled", reason: "it cannot be understood" };
}

function readStart(file: Deno.FsFile, size: number): string {
  const bytes = new Uint8Array(size);
  let length = 0;
  for (let count: number | null = 1; count !== null && length < size; length += count ?? 0) {
    count = file.readSync(bytes.subarray(length));
  }
  return new TextDecoder().decode(bytes.subarray(0, length));
}

/** Where a journal of this folder may be, what is older first. */
function placesIn(folder: string): string[] {
  return [`${folder}/${NEWER}`, `${folder}/${NAME}`];
}

/** Returns `path`, or one with a number where that is taken: what was put aside before stays. */
function freePath(path: string): string {
  const isFree = (one: string) => quietly(() => Deno.lstatSync(one)) === undefined;
  const numbered = Array.from({ length: MAX_ASIDE - 1 }, (_, index) => `${path}.${index + 2}`);
  return [path, ...numbered].find(isFree) ?? path;
}

/** Returns undefined if another process has the folder. Makes it if it is not there. */
function takeFolder(folder: string, mode: number): Deno.FsFile | undefined {
  Deno.mkdirSync(folder, { recursive: true, mode });
  guardFolder(folder);
  // Windows opens no folders.
  const file = Deno.build.os === "windows"
    ? Deno.openSync(`${folder}/journal.lock`, { read: true, write: true, create: true })
    : Deno.openSync(folder, { read: true });
  try {
    if (file.tryLockSync(true)) return file;
  } catch (error) {
    file.close();
    throw error;
  }
  file.close();
  return undefined;
}

function probe(path: string): void {
  const draft = `${path}.new`;
  try {
    writeDraft(draft, " ".repeat(PROBE_BYTES));
  } finally {
    quietly(() => Deno.removeSync(draft));
  }
}

/** Whoever reads sees the old text or the new one, also after a power cut. */
function replace(path: string, text: string): void {
  const draft = `${path}.new`;
  try {
    writeDraft(draft, text);
    Deno.renameSync(draft, path);
  } catch (error) {
    quietly(() => Deno.removeSync(draft));
    throw error;
  }
  syncFolderOf(path);
}

function writeDraft(draft: string, text: string): void {
  // One that a killed process left may be somebody else's link by now.
  quietly(() => Deno.removeSync(draft));
  using file = Deno.openSync(draft, { write: true, createNew: true, mode: 0o600 });
  let bytes: Uint8Array = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(file.writeSync(bytes));
  file.syncSync();
}

function syncFolderOf(path: string): void {
  if (Deno.build.os === "windows") return;
  using folder = Deno.openSync(path.slice(0, path.lastIndexOf("/")), { read: true });
  folder.syncSync();
}

function quietly<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
