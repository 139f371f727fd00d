/** Opens the log that a role was asked for: on standard error, and in a folder if one is named. */

import fs from "node:fs";
import { Fault } from "../lib/base/fault.ts";
import type { Log } from "../lib/base/log.ts";
import { LogFilter } from "../lib/control/log_filter.ts";
import { pathsOf } from "../lib/control/paths.ts";
import { type HeldFolder, holdFolder } from "./held_folder.ts";
import { createLog, setupLog } from "./log.ts";
import { pathContext } from "./path_context.ts";

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
  readonly #folder: string;
  readonly #maxLength: number;
  #held: HeldFolder | undefined;
  #file: number | undefined;
  #inode: number | undefined;
  #length = 0;
  #checkedAt = -Infinity;

  /** Throws a Fault ("usage") if `folder` cannot be written to. */
  constructor(folder: string, maxLength = MAX_LENGTH) {
    this.#folder = folder.replace(/\/+$/, "");
    this.#maxLength = maxLength;
    try {
      this.#open();
    } catch (cause) {
      this.close();
      throw new Fault("usage", `Cannot write logs to "${folder}"`, { cause });
    }
  }

  write(bytes: Uint8Array): void {
    try {
      this.#check();
      if (this.#length > 0 && this.#length + bytes.length > this.#maxLength) this.#rotate();
      if (this.#file !== undefined) fs.writeSync(this.#file, bytes);
      this.#length += bytes.length;
    } catch {
      // A full disk must not end the session.
    }
  }

  close(): void {
    if (this.#file !== undefined) fs.closeSync(this.#file);
    this.#file = undefined;
    this.#held?.[Symbol.dispose]();
    this.#held = undefined;
  }

  /** Opens the file anew if it is not ours any more: removed, or moved by a tool that rotates logs. */
  #check(): void {
    const now = performance.now();
    if (now - this.#checkedAt < CHECK_INTERVAL_MS) return;
    this.#checkedAt = now;
    const isOurs = this.#held !== undefined && inodeOf(`${this.#held.path}/${NAME}`) === this.#inode;
    if (this.#file !== undefined && isOurs) return;
    this.close();
    this.#open();
  }

  #open(): void {
    this.#held = hold(this.#folder);
    const { path, owner } = this.#held;
    const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
    // No link of the service's user, and no pipe of his that nobody reads.
    const careful = owner === undefined ? 0 : O_NOFOLLOW | O_NONBLOCK;
    this.#file = fs.openSync(`${path}/${NAME}`, O_WRONLY | O_APPEND | O_CREAT | careful, 0o640);
    const { ino, size, uid, nlink } = fs.fstatSync(this.#file);
    if (owner !== undefined && nlink !== 1) throw new Error("it is a file elsewhere, too");
    if (owner !== undefined && uid === 0) fs.fchownSync(this.#file, owner.uid, owner.gid);
    this.#inode = ino;
    this.#length = size;
  }

  #rotate(): void {
    // Should opening fail, the next try must not push the files on once more.
    this.#length = 0;
    const path = `${this.#held?.path ?? this.#folder}/${NAME}`;
    for (let index = KEPT - 1; index >= 0; index--) {
      const from = index === 0 ? path : `${path}.${index}`;
      try {
        Deno.renameSync(from, `${path}.${index + 1}`);
      } catch {
        // There are not that many yet.
      }
    }
    this.close();
    this.#open();
  }
}

/** A folder that the administrator named is where he says; ours below the state may be the service's user's. */
function hold(folder: string): HeldFolder {
  if (folder === pathsOf(pathContext()).logFolder) return holdFolder(folder, 0o750);
  Deno.mkdirSync(folder, { recursive: true, mode: 0o750 });
  return { path: folder, owner: undefined, [Symbol.dispose]() {} };
}

function inodeOf(path: string): number | undefined {
  return fs.statSync(path, { throwIfNoEntry: false })?.ino;
}

const NAME = "fz.log";
const MAX_LENGTH = 10 * 2 ** 20;
const KEPT = 4;
const CHECK_INTERVAL_MS = 1000;
