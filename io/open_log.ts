/** Opens the log that a role was asked for: on standard error, and in a folder if one is named. */

import { Fault } from "../lib/base/fault.ts";
import type { Log } from "../lib/base/log.ts";
import { createLog, setupLog } from "./log.ts";
import { LogFilter } from "../lib/control/log_filter.ts";

/** What the user said about logging. */
export interface OpenLogOptions {
  /** As in FZ_LOG_FILTER. */
  readonly filter: string;
  /** Folder for "fz.log" and its predecessors. */
  readonly folder: string | undefined;
  readonly format: "text" | "json";
}

/** Returns the log of this process. Throws a Fault ("usage") for a filter or folder that cannot be used. */
export function openLog({ filter, folder, format }: OpenLogOptions): Log {
  const parsed = LogFilter.parse(filter);
  if (!parsed.ok) throw new Fault("usage", `Cannot use log filter "${filter}": ${parsed.reason}`);
  const file = folder === undefined ? undefined : new LogFile(folder);
  const encoder = new TextEncoder();
  setupLog({
    filter: parsed.value,
    format,
    write: (line) => {
      const bytes = encoder.encode(line);
      file?.write(bytes);
      try {
        Deno.stderr.writeSync(bytes);
      } catch {
        // The reader of our standard error has gone; the file, if any, goes on.
      }
    },
  });
  return createLog("fz");
}

/** "fz.log", with "fz.log.1" and so on for what came before. Comes back where somebody removed it. */
export class LogFile {
  readonly #path: string;
  readonly #maxLength: number;
  #file: Deno.FsFile | undefined;
  #inode: number | null = null;
  #length = 0;
  #checkedAt = -Infinity;

  /** Throws a Fault ("usage") if `folder` cannot be written to. */
  constructor(folder: string, maxLength = MAX_LENGTH) {
    this.#path = `${folder.replace(/\/+$/, "")}/fz.log`;
    this.#maxLength = maxLength;
    try {
      Deno.mkdirSync(folder, { recursive: true, mode: 0o750 });
      this.#open();
    } catch (cause) {
      throw new Fault("usage", `Cannot write logs to "${folder}"`, { cause });
    }
  }

  write(bytes: Uint8Array): void {
    try {
      this.#check();
      if (this.#length > 0 && this.#length + bytes.length > this.#maxLength) this.#rotate();
      this.#file?.writeSync(bytes);
      this.#length += bytes.length;
    } catch {
      // A full disk must not end the session.
    }
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  /** Opens the file anew if it is not ours any more: removed, or moved by a tool that rotates logs. */
  #check(): void {
    const now = performance.now();
    if (now - this.#checkedAt < CHECK_INTERVAL_MS) return;
    this.#checkedAt = now;
    if (this.#file !== undefined && inodeOf(this.#path) === this.#inode) return;
    this.close();
    Deno.mkdirSync(this.#path.slice(0, this.#path.lastIndexOf("/")), { recursive: true, mode: 0o750 });
    this.#open();
  }

  #open(): void {
    this.#file = Deno.openSync(this.#path, { append: true, create: true, mode: 0o640 });
    const { ino, size } = this.#file.statSync();
    this.#inode = ino;
    this.#length = size;
  }

  #rotate(): void {
    this.close();
    // Should opening fail, the next try must not push the files on once more.
    this.#length = 0;
    for (let index = KEPT - 1; index >= 0; index--) {
      const from = index === 0 ? this.#path : `${this.#path}.${index}`;
      try {
        Deno.renameSync(from, `${this.#path}.${index + 1}`);
      } catch {
        // There are not that many yet.
      }
    }
    this.#open();
  }
}

function inodeOf(path: string): number | null | undefined {
  try {
    return Deno.statSync(path).ino;
  } catch {
    return undefined;
  }
}

const MAX_LENGTH = 10 * 2 ** 20;
const KEPT = 4;
const CHECK_INTERVAL_MS = 1000;
