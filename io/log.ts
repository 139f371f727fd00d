/**
 * Logging of the shell: `Log` of `lib/` on LogTape, one line a record on standard error (or wherever `write` leads),
 * as text or as JSON. The filter can change while the program runs.
 */

import { configureSync, getLogger, type LogRecord, resetSync } from "@logtape/logtape";
import type { Log } from "../lib/base/log.ts";
import type { LogDocument } from "../lib/control/api.ts";
import { formatLogLine, plainFields } from "../lib/control/log_line.ts";
import { LogFilter } from "../lib/control/log_filter.ts";
import { processLog } from "./log_ring.ts";

/** Where logs go, and which. */
export interface LogOptions {
  readonly filter: LogFilter;
  readonly format: "text" | "json";
  /** Takes whole lines, with their line feed. Default: standard error. */
  readonly write?: (line: string) => void;
}

/** Sets where records go, once per process or anew. */
export function setupLog({ filter, format, write = writeStderr }: LogOptions): void {
  resetSync();
  configureSync({
    sinks: {
      main: (logged) => {
        const record = toDocument(logged);
        processLog.push(record);
        write(`${format === "json" ? JSON.stringify(record) : formatLogLine(record)}\n`);
      },
    },
    loggers: [
      { category: [], sinks: ["main"], lowestLevel: "trace" },
      { category: ["logtape", "meta"], sinks: [], parentSinks: "override", lowestLevel: "error" },
    ],
  });
  initial = filter;
  setLogFilter(filter);
}

/** Changes what is wanted, at once and for all logs. */
export function setLogFilter(filter: LogFilter): void {
  current = filter;
  generation++;
}

/** Returns the filter in force. */
export function logFilter(): LogFilter {
  return current;
}

/** Goes back to the filter that the process was started with. */
export function resetLogFilter(): void {
  setLogFilter(initial);
}

/** Returns the log of `category`, for example "client.dns". Records that are not wanted cost a comparison. */
export function createLog(category: string): Log {
  const logger = getLogger(category.split("."));
  let seen = -1;
  let threshold = 0;
  const isWanted = (level: number) => {
    if (seen !== generation) {
      seen = generation;
      threshold = current.threshold(category);
    }
    return level >= threshold;
  };
  // Braces have a meaning in LogTape's templates; our messages are plain text.
  const plain = (message: string) => message.replaceAll("{", "{{").replaceAll("}", "}}");
  return {
    trace: (message, fields = {}) => {
      if (isWanted(TRACE)) logger.trace(plain(message), fields);
    },
    debug: (message, fields = {}) => {
      if (isWanted(DEBUG)) logger.debug(plain(message), fields);
    },
    info: (message, fields = {}) => {
      if (isWanted(INFO)) logger.info(plain(message), fields);
    },
    warn: (message, fields = {}) => {
      if (isWanted(WARN)) logger.warn(plain(message), fields);
    },
    error: (message, fields = {}) => {
      if (isWanted(ERROR)) logger.error(plain(message), fields);
    },
    part: createLog,
  };
}

const [TRACE, DEBUG, INFO, WARN, ERROR] = [0, 1, 2, 3, 4] as const;
let current = new LogFilter("info");
let initial = current;
let generation = 0;

function toDocument(record: LogRecord): LogDocument {
  const fields = plainFields(record.properties);
  return {
    time: new Date(record.timestamp).toISOString(),
    level: levelName(record),
    category: record.category.join("."),
    message: record.message.join(""),
    ...(Object.keys(fields).length > 0 ? { fields } : {}),
  };
}

function levelName(record: LogRecord): LogDocument["level"] {
  switch (record.level) {
    case "warning":
      return "warn";
    case "fatal":
      return "error";
    default:
      return record.level;
  }
}

function writeStderr(line: string): void {
  try {
    Deno.stderr.writeSync(new TextEncoder().encode(line));
  } catch {
    // The reader of our standard error has gone; there is nobody left to tell.
  }
}
