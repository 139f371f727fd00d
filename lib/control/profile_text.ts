/**
 * The text of a profile: TOML whose keys are the settings (lib/control/settings.ts). Reading tells line and column of
 * what is wrong; writing changes one line and leaves comments and order as they are.
 */

import { parse, TomlError } from "smol-toml";
import { Fault } from "../base/fault.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { PlainValue } from "./setting_value.ts";
import { type SettingName, settingNamed, SETTINGS, type Settings, unknownSetting } from "./settings.ts";
import { type Statement, statementsOf } from "./toml_layout.ts";

/** What a profile's text sets. */
export interface ProfileText {
  readonly values: Partial<Settings>;
  readonly lines: Readonly<Partial<Record<SettingName, number>>>;
}

/** What is wrong with a profile's text, and where. Both are counted from 1. */
export interface TextProblem {
  readonly line: number;
  readonly column: number;
  /** `unknown setting "api-ulr"`. */
  readonly reason: string;
}

/** Largest file that is read, in bytes: some hundred times what all settings need. */
export const MAX_PROFILE_BYTES = 64 * 1024;

const BOM = "\ufeff";

/** Returns the text in `bytes`; a problem where they are no UTF-8 or too many. */
export function decodeProfile(bytes: Uint8Array): Result<string, TextProblem> {
  if (bytes.length > MAX_PROFILE_BYTES) {
    return err({ line: 1, column: 1, reason: `the file is larger than ${MAX_PROFILE_BYTES / 1024} KiB` });
  }
  try {
    return ok(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return err(notText(bytes));
  }
}

/** Returns what `text` sets. */
export function readProfile(text: string): Result<ProfileText, TextProblem> {
  const content = withoutMark(text);
  let document: Readonly<Record<string, unknown>>;
  try {
    document = parse(content);
  } catch (error) {
    return err(syntaxProblem(error));
  }
  const values: Partial<Record<SettingName, unknown>> = {};
  const lines: Partial<Record<SettingName, number>> = {};
  const statements = statementsOf(content);
  for (const [key, value] of Object.entries(document)) {
    const { line, column } = statements.find((statement) => keyOf(statement) === key) ??
      { line: 1, column: 1 };
    const name = settingNamed(key);
    if (name === undefined) return err({ line, column, reason: unknownSetting(key) });
    const read = SETTINGS[name].kind.fromPlain(value);
    if (!read.ok) return err({ line, column, reason: `the setting "${key}": ${read.reason}` });
    values[name] = read.value;
    lines[name] = line;
  }
  // Each value was read by its own setting.
  return ok({ values: values as Partial<Settings>, lines });
}

/**
 * Returns `text` with `name` set to `value`, or without it; everything else stays. Throws `Fault` "unexpected" if that
 * cannot be done. `text` has no problem.
 */
export function changeProfile(text: string, name: SettingName, value: PlainValue | undefined): string {
  const { key } = SETTINGS[name];
  const mark = text.startsWith(BOM) ? BOM : "";
  const content = withoutMark(text);
  const found = statementsOf(content).find((statement) => keyOf(statement) === key);
  const changed = mark +
    (value === undefined ? without(content, found) : withValue(content, found, key, value));
  const expected = { ...parse(content), ...(value === undefined ? {} : { [key]: value }) };
  if (value === undefined) delete expected[key];
  if (canonical(parse(withoutMark(changed))) !== canonical(expected)) {
    throw new Fault(
      "unexpected",
      `Cannot change the setting "${key}": the file is written in an unusual way`,
      {
        next: "Change it with an editor.",
      },
    );
  }
  return changed;
}

function withValue(text: string, found: Statement | undefined, key: string, value: PlainValue): string {
  const literal = literalOf(value);
  if (found !== undefined) return text.slice(0, found.valueStart) + literal + text.slice(found.valueEnd);
  const newline = text.includes("\r\n") ? "\r\n" : "\n";
  const gap = text === "" || text.endsWith("\n") ? "" : newline;
  return `${text}${gap}${key} = ${literal}${newline}`;
}

function without(text: string, found: Statement | undefined): string {
  return found === undefined ? text : text.slice(0, found.start) + text.slice(found.end);
}

/** Returns `value` in TOML. JSON's strings are basic strings of TOML, but for DEL. */
function literalOf(value: PlainValue): string {
  if (typeof value === "boolean" || typeof value === "number") return String(value);
  if (typeof value === "string") return JSON.stringify(value).replaceAll("\x7f", "\\u007f");
  return `[${value.map(literalOf).join(", ")}]`;
}

/** Returns the first part of a statement's key: that of a flat document. */
function keyOf({ keyText, isTable }: Statement): string | undefined {
  try {
    return Object.keys(parse(isTable ? `[${keyText}]` : `${keyText} = 0`))[0];
  } catch {
    return undefined;
  }
}

function syntaxProblem(error: unknown): TextProblem {
  if (!(error instanceof TomlError)) throw error;
  const sentence = error.message.split("\n")[0]!.replace(/^Invalid TOML document: /, "");
  return { line: error.line, column: error.column, reason: sentence };
}

function notText(bytes: Uint8Array): TextProblem {
  let line = 1;
  let start = 0;
  for (let at = 0; at <= bytes.length; at++) {
    if (at < bytes.length && bytes[at] !== 0x0a) continue;
    const decoded = new TextDecoder().decode(bytes.subarray(start, at));
    const column = decoded.indexOf("\ufffd") + 1;
    if (column > 0) return { line, column, reason: "the file is not text in UTF-8" };
    line++;
    start = at + 1;
  }
  return { line: 1, column: 1, reason: "the file is not text in UTF-8" };
}

function withoutMark(text: string): string {
  return text.startsWith(BOM) ? text.slice(BOM.length) : text;
}

function canonical(document: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(Object.entries(document).sort(([one], [other]) => one < other ? -1 : 1));
}
