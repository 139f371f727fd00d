/** The log files that a detached session left: what `fz log` shows when no session runs. */

import { Fault } from "../lib/base/fault.ts";
import type { LogDocument } from "../lib/control/api.ts";
import { isAtLeast, parseLogLine, type RecordLevel } from "../lib/control/log_line.ts";
import { pathsOf } from "../lib/control/paths.ts";
import { pathContext } from "./path_context.ts";

/** At most so much is read of a file, from its end. */
const MAX_READ = 4 * 2 ** 20;
const KEPT_FILES = 4;

/** What was asked for. */
export interface KeptLogOptions {
  readonly last: number;
  readonly level?: RecordLevel | undefined;
}

/** Records of an earlier session. */
export interface KeptLog {
  readonly path: string;
  readonly records: readonly LogDocument[];
}

/** Returns what this user's last session without a supervisor left. */
export function keptLog(wanted: KeptLogOptions): KeptLog | undefined {
  return readKeptLog(pathsOf(pathContext()).logFolder, wanted);
}

/**
 * Returns the last records of the log in `folder`, those before the last rotation too; undefined if there is no log.
 * Throws a Fault ("privilege") if it is another user's.
 */
export function readKeptLog(folder: string, { last, level = "trace" }: KeptLogOptions): KeptLog | undefined {
  const path = `${folder}/fz.log`;
  let records: LogDocument[] = [];
  let exists = false;
  for (let index = 0; index <= KEPT_FILES && records.length < last; index++) {
    const text = readEnd(index === 0 ? path : `${path}.${index}`);
    // While a session rotates, the newest may be missing for a moment.
    if (text === undefined) {
      if (index === 0) continue;
      break;
    }
    exists = true;
    const older = text.split("\n").map(parseLogLine)
      .filter((record) => record !== undefined && isAtLeast(record.level, level)) as LogDocument[];
    records = [...older, ...records];
  }
  return exists ? { path, records: last === 0 ? [] : records.slice(-last) } : undefined;
}

function readEnd(path: string): string | undefined {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) return undefined;
    const next = "Run the command as the user who started the session, or with sudo.";
    throw new Fault("privilege", `Cannot read the log "${path}"`, { cause, next });
  }
  try {
    const { size } = file.statSync();
    file.seekSync(Math.max(0, size - MAX_READ), Deno.SeekMode.Start);
    const bytes = new Uint8Array(Math.min(size, MAX_READ));
    let length = 0;
    for (let count: number | null = 1; length < bytes.length && count !== null;) {
      count = file.readSync(bytes.subarray(length));
      length += count ?? 0;
    }
    return new TextDecoder().decode(bytes.subarray(0, length));
  } finally {
    file.close();
  }
}
