/** Opens the log that a role was asked for: on standard error, and in a folder if one is named. */

import { Fault } from "../lib/base/fault.ts";
import type { Log } from "../lib/base/log.ts";
import { createLog, setupLog } from "./log.ts";
import { LogFilter } from "./log_filter.ts";

/** What the user said about logging. */
export interface OpenLogOptions {
  /** As in FZ_LOG. */
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

/** "fz.log", with "fz.log.1" and so on for what came before. */
class LogFile {
  readonly #path: string;
  #file: Deno.FsFile | undefined;
  #length = 0;

  constructor(folder: string) {
    this.#path = `${folder.replace(/\/+$/, "")}/fz.log`;
    try {
      Deno.mkdirSync(folder, { recursive: true, mode: 0o750 });
      this.#open();
    } catch (cause) {
      throw new Fault("usage", `Cannot write logs to "${folder}"`, { cause });
    }
  }

  write(bytes: Uint8Array): void {
    try {
      if (this.#length + bytes.length > MAX_LENGTH) this.#rotate();
      this.#file?.writeSync(bytes);
      this.#length += bytes.length;
    } catch {
      // A full disk must not end the session.
    }
  }

  #open(): void {
    this.#file = Deno.openSync(this.#path, { append: true, create: true, mode: 0o640 });
    this.#length = this.#file.statSync().size;
  }

  #rotate(): void {
    this.#file?.close();
    this.#file = undefined;
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

const MAX_LENGTH = 10 * 2 ** 20;
const KEPT = 4;
