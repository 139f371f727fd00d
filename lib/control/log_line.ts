/** One record of the log as a line of text and back: `TIME LEVEL category: message name=value`. */

import { printable } from "../base/text.ts";
import type { LogDocument } from "./api.ts";

/** Levels of records, from the most talkative. */
export const RECORD_LEVELS = ["trace", "debug", "info", "warn", "error"] as const;
/** The level of a record. */
export type RecordLevel = typeof RECORD_LEVELS[number];

/** Returns whether `level` is at least `least`. */
export function isAtLeast(level: RecordLevel, least: RecordLevel): boolean {
  return RECORD_LEVELS.indexOf(level) >= RECORD_LEVELS.indexOf(least);
}

/** Returns `record` as one line without a line feed. Control characters of hostile text do not survive. */
export function formatLogLine(record: LogDocument): string {
  const fields = Object.entries(record.fields ?? {}).map(([name, value]) => ` ${name}=${fieldText(value)}`);
  return `${record.time} ${record.level.toUpperCase().padEnd(5)} ${
    printable(`${record.category}: ${record.message}${fields.join("")}`)
  }`;
}

/**
 * Returns the record in a line of a log file, of either format; undefined if the line is none. What text does not tell
 * apart stays in the message.
 */
export function parseLogLine(line: string): LogDocument | undefined {
  return line.startsWith("{") ? parseJson(line) : parseText(line);
}

/** Returns `fields` in a form that JSON can carry. */
export function plainFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, isJson(value) ? value : plainText(value)]),
  );
}

function parseText(line: string): LogDocument | undefined {
  const match = TEXT_LINE.exec(line);
  if (match === null) return undefined;
  const [, time, level, category, message] = match;
  return { time: time!, level: level!.toLowerCase() as RecordLevel, category: category!, message: message! };
}

function parseJson(line: string): LogDocument | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const { time, level, category, message, fields } = value as Record<string, unknown>;
  if (typeof time !== "string" || typeof category !== "string" || typeof message !== "string") {
    return undefined;
  }
  const known = RECORD_LEVELS.find((name) => name === level);
  if (known === undefined) return undefined;
  const record = { time, level: known, category, message };
  return isRecord(fields) ? { ...record, fields } : record;
}

function fieldText(value: unknown): string {
  const text = plainText(value);
  return /^[\w.:/%@+[\]-]+$/.test(text) ? text : JSON.stringify(text);
}

function plainText(value: unknown): string {
  if (value instanceof Error) return value.message;
  // Nobody reads more digits.
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(4)));
  if (typeof value !== "object" || value === null) return String(value);
  if (value instanceof Uint8Array) return value.toHex();
  // What came as JSON may have a member of that name.
  const hasText = typeof value.toString === "function" && value.toString !== Object.prototype.toString;
  if (hasText && !Array.isArray(value)) return value.toString();
  return JSON.stringify(value) ?? "";
}

function isJson(value: unknown): boolean {
  return value === null || ["string", "number", "boolean"].includes(typeof value) || Array.isArray(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const TEXT_LINE = /^(\d{4}-\d\d-\d\dT[\d:.]+Z) (TRACE|DEBUG|INFO|WARN|ERROR) +([^\s:]+): (.*)$/;
