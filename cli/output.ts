/** How commands print: colours by policy, JSON documents with a schema number, errors with the next step. */

import { Fault, type FaultCode } from "../lib/base/fault.ts";
import { printable } from "../lib/base/text.ts";
import type { CliContext, Environment, Stream } from "./context.ts";
import { factLines, wrap } from "./table.ts";

/** Version of all JSON documents. Fields are added, never changed or removed, without raising it. */
const SCHEMA = 1;

/** Returns whether `stream` takes colours. NO_COLOR (no-color.org) beats FORCE_COLOR, both beat the terminal. */
export function usesColour(stream: Stream, env: Environment): boolean {
  if ((env.get("NO_COLOR") ?? "") !== "") return false;
  const forced = env.get("FORCE_COLOR") ?? "";
  if (forced !== "") return forced !== "0" && forced !== "false";
  return stream.isTerminal && env.get("TERM") !== "dumb";
}

/** Returns whether lines on `stream` can be written anew. */
export function canRedraw({ isTerminal }: Stream, env: Environment): boolean {
  return isTerminal && env.get("TERM") !== "dumb";
}

const DEFAULT_WIDTH = 80;
/** Longer lines of prose are hard to read. */
const MAX_WIDTH = 110;

/** Returns how wide help and other prose may be on `stream`. */
export function proseWidth(stream: Stream): number {
  return Math.min(stream.columns ?? DEFAULT_WIDTH, MAX_WIDTH);
}

/** How a word of output looks. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

const CODES: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

/** Returns a function that styles text for `stream`, or leaves it as it is. Style never carries meaning alone. */
export function painter(stream: Stream, env: Environment): (style: Style, text: string) => string {
  if (!usesColour(stream, env)) return (_style, text) => text;
  return (style, text) => `\x1b[${CODES[style][0]}m${text}\x1b[${CODES[style][1]}m`;
}

/** Writes `fields` to standard output as one JSON document. */
export function printJson(context: CliContext, fields: Readonly<Record<string, unknown>>): void {
  context.stdout.write(JSON.stringify({ schema: SCHEMA, ...fields }) + "\n");
}

/** Writes lines of "label  value" to standard output, values aligned. */
export function printFacts(
  { stdout }: Pick<CliContext, "stdout">,
  facts: readonly (readonly [label: string, value: string])[],
): void {
  for (const line of factLines(facts, stdout.columns)) stdout.write(`${line}\n`);
}

/** How a text of several lines is set. */
export interface TextLayout {
  /** Before every line but the first. */
  readonly indent?: string;
  readonly paint?: (line: string) => string;
}

/** Writes `text` as a line of its own, broken between words where the terminal is narrower. */
export function printText(stream: Stream, text: string, layout: TextLayout = {}): void {
  const { indent = "", paint = (line) => line } = layout;
  for (const line of wrap(printable(text), stream.columns, indent)) stream.write(`${paint(line)}\n`);
}

/** Writes a remark to standard error. */
export function printNote({ stderr }: Pick<CliContext, "stderr">, text: string): void {
  printText(stderr, `fz: ${text}`, { indent: INDENT });
}

/** Writes one sentence about `error` to standard error, and the next step if there is one. */
export function printError(context: CliContext, error: unknown): void {
  printMarked(context, "red", "fz:", describeError(error));
  const next = error instanceof Fault ? error.next ?? NEXT_STEPS[error.code] : NEXT_STEPS.unexpected;
  for (const line of next?.split("\n") ?? []) {
    printText(context.stderr, INDENT + line, { indent: INDENT });
  }
}

const LOOK = "Run `fz doctor` to look for the cause.";

/** What to do where the failure itself does not say. */
const NEXT_STEPS: Readonly<Partial<Record<FaultCode, string>>> = {
  "unexpected": "Run `fz doctor` to look for the cause, and `fz bundle` to ask others about it.",
  "rejected": "Run `fz sign-in`.",
  "expired": "Run `fz sign-in`.",
  "unreachable": LOOK,
  "tun": LOOK,
  "dns": LOOK,
  "timeout": "Try again; `fz status` tells how the session is.",
  "not-running": "Run `fz up` to connect.",
};

/** Writes a warning of one sentence to standard error. */
export function printWarning(context: CliContext, sentence: string): void {
  printMarked(context, "yellow", "fz: warning:", sentence);
}

/** Returns the message of `error` with its causes on one line. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error instanceof Fault ? error.message : `Unexpected ${error.name}: ${error.message}`;
  let text = own;
  let cause = error.cause;
  for (let depth = 0; cause !== undefined && depth < 8; depth++) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (reason !== "" && !text.includes(reason)) text += `: ${reason}`;
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return printable(text.replace(/\s*\n\s*/g, " "));
}

/** Before the lines that belong to one above. */
const INDENT = "    ";

function printMarked({ stderr, env }: CliContext, style: Style, mark: string, text: string): void {
  const paint = painter(stderr, env);
  const [first = "", ...others] = wrap(`${mark} ${printable(text)}`, stderr.columns, INDENT);
  for (const line of [paint(style, mark) + first.slice(mark.length), ...others]) stderr.write(`${line}\n`);
}
