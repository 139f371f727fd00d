/**
 * Logging of the shell: `Log` of `lib/` on LogTape, one line a record on standard error (or wherever `write` leads),
 * as text or as JSON. The filter can change while the program runs.
 */

import { configureSync, getLogger, type LogRecord, resetSync } from "@logtape/logtape";
import type { Log, LogFields } from "../lib/base/log.ts";
import { printable } from "../lib/base/text.ts";
import { LOG_LEVELS, LogFilter } from "./log_filter.ts";

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
    sinks: { main: (record) => write(format === "json" ? formatJson(record) : formatText(record)) },
    loggers: [
      { category: [], sinks: ["main"], lowestLevel: "trace" },
      { category: ["logtape", "meta"], sinks: [], parentSinks: "override", lowestLevel: "error" },
    ],
  });
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
  };
}

const [TRACE, DEBUG, INFO, WARN, ERROR] = [0, 1, 2, 3, 4] as const;
let current = new LogFilter("info");
let generation = 0;

function formatText(record: LogRecord): string {
  const level = levelName(record).toUpperCase().padEnd(5);
  const fields = Object.entries(record.properties).map(([name, value]) => ` ${name}=${fieldText(value)}`);
  const time = new Date(record.timestamp).toISOString();
  // Control characters of hostile input must not reach a terminal.
  return `${time} ${level} ${
    printable(`${record.category.join(".")}: ${record.message.join("")}${fields.join("")}`)
  }\n`;
}

function formatJson(record: LogRecord): string {
  const line = {
    time: new Date(record.timestamp).toISOString(),
    level: levelName(record),
    category: record.category.join("."),
    message: record.message.join(""),
    ...(Object.keys(record.properties).length > 0 ? { fields: jsonFields(record.properties) } : {}),
  };
  return JSON.stringify(line) + "\n";
}

function jsonFields(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, isJson(value) ? value : fieldText(value)]),
  );
}

function isJson(value: unknown): boolean {
  return value === null || ["string", "number", "boolean"].includes(typeof value) || Array.isArray(value);
}

function fieldText(value: unknown): string {
  const text = value instanceof Error ? value.message : describe(value);
  return /^[\w.:/%@+[\]-]+$/.test(text) ? text : JSON.stringify(text);
}

function describe(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  if (value instanceof Uint8Array) return value.toHex();
  if (value.toString !== Object.prototype.toString && !Array.isArray(value)) return String(value);
  return JSON.stringify(value) ?? "";
}

function levelName(record: LogRecord): typeof LOG_LEVELS[number] {
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
