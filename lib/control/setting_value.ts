/**
 * What a setting's value may be: how it is read from text (a flag, a variable, `fz config set`) and from TOML, and how
 * it is written again. What is wrong with a value is the end of a sentence that quotes it: `"x" is not a duration`.
 */

import { IpNetwork, SocketAddress } from "../base/ip.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { Duration } from "../base/time.ts";
import { formatDuration, parseDuration } from "./duration.ts";
import { LogFilter } from "./log_filter.ts";

/** A value as TOML and JSON carry it. */
export type PlainValue = string | boolean | number | readonly string[];

/** One kind of value. */
export interface ValueKind<T> {
  readonly type: "text" | "path" | "url" | "choice" | "switch" | "duration" | "address" | "number" | "list";
  /** Stands for the value in help. */
  readonly metavar: Uppercase<string>;
  /** All values there are, where they can be told. */
  readonly choices?: readonly string[];
  /** Reads what a person wrote. */
  read(text: string): Result<T>;
  /** Takes a value of a TOML document. */
  fromPlain(value: unknown): Result<T>;
  /** Returns what `fromPlain` takes back. */
  plain(value: T): PlainValue;
}

/** Longest text of a value, in characters. */
const MAX_TEXT = 4096;
/** Most entries of a list. */
const MAX_ENTRIES = 256;
/** Name or address, with a port at will. */
const HOST = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(:\d{1,5})?$/i;

/** Any text without control characters. */
export function textKind(metavar: Uppercase<string>): ValueKind<string> {
  return ofText("text", metavar, (text) => ok(text));
}

/** A file or folder; in a profile an absolute one, since nobody knows where a service stands. */
export function pathKind(metavar: Uppercase<string>): ValueKind<string> {
  const base = ofText("path", metavar, (text) => ok(text));
  return {
    ...base,
    fromPlain(value) {
      const text = base.fromPlain(value);
      if (!text.ok || /^(\/|[A-Za-z]:[/\\])/.test(text.value)) return text;
      return err(`${quoted(text.value)} is not an absolute path`);
    },
  };
}

/** A URL with one of `schemes`. */
export function urlKind(schemes: readonly string[]): ValueKind<string> {
  return ofText("url", "URL", (text) => {
    // Not URL.parse: the core has no such global.
    const [, scheme = "", authority = ""] = /^([a-z]+):\/\/([^\s/?#]*)\S*$/i.exec(text) ?? [];
    // Not repeated: what stands before the "@" may be a password.
    if (authority.includes("@")) return err("a URL here may not carry a name or password");
    if (schemes.includes(scheme.toLowerCase()) && HOST.test(authority)) return ok(text);
    const known = schemes.slice(0, 2).map((scheme) => quoted(`${scheme}://`)).join(" or ");
    return err(`${quoted(text)} is not a URL that begins with ${known}`);
  });
}

/** One of `choices`; `aliases` are other words for them. */
export function choiceKind<const C extends string>(
  metavar: Uppercase<string>,
  choices: readonly C[],
  aliases: Readonly<Record<string, NoInfer<C>>> = {},
): ValueKind<C> {
  const kind = ofText("choice", metavar, (text): Result<C> => {
    const choice = choices.find((candidate) => candidate === (aliases[text] ?? text));
    return choice === undefined
      ? err(`${quoted(text)} is none of ${choices.map(quoted).join(", ")}`)
      : ok(choice);
  });
  return { ...kind, choices };
}

/** Text that matches `pattern`; `what` says what it should be ("an account's slug"). */
export function patternKind(metavar: Uppercase<string>, pattern: RegExp, what: string): ValueKind<string> {
  return ofText(
    "text",
    metavar,
    (text) => pattern.test(text) ? ok(text) : err(`${quoted(text)} is not ${what}`),
  );
}

/** Which messages are logged. A variable may be meant for another program, too; what a profile says has to be right. */
export function filterKind(metavar: Uppercase<string>): ValueKind<string> {
  const base = textKind(metavar);
  return {
    ...base,
    fromPlain(value) {
      const text = base.fromPlain(value);
      const filter = text.ok ? LogFilter.parse(text.value) : text;
      return filter.ok ? text : filter;
    },
  };
}

/** On or off. */
export const SWITCH: ValueKind<boolean> = {
  type: "switch",
  metavar: "BOOLEAN",
  choices: ["true", "false"],
  read(text) {
    if (/^(1|true|yes|on)$/i.test(text)) return ok(true);
    if (/^(0|false|no|off)$/i.test(text)) return ok(false);
    return err(`${quoted(text)} is neither "true" nor "false"`);
  },
  fromPlain(value) {
    return typeof value === "boolean" ? ok(value) : err(`${shown(value)} is neither true nor false`);
  },
  plain: (value) => value,
};

/** A span of time such as "30s" or "1h 30m". */
export const DURATION: ValueKind<Duration> = {
  type: "duration",
  metavar: "DURATION",
  read(text) {
    const duration = parseDuration(text);
    return duration === undefined || !Number.isSafeInteger(duration)
      ? err(`${quoted(text)} is not a duration such as "30s" or "1h 30m"`)
      : ok(duration);
  },
  fromPlain(value) {
    return typeof value === "string"
      ? DURATION.read(value)
      : err(`${shown(value)} is not a duration such as "30s" or "1h 30m"`);
  },
  plain: formatDuration,
};

/** An address with a port. */
export const ADDRESS: ValueKind<SocketAddress> = {
  type: "address",
  metavar: "ADDRESS:PORT",
  read(text) {
    const address = SocketAddress.parse(text);
    return address === undefined
      ? err(`${quoted(text)} is not an address with a port such as "127.0.0.1:8080"`)
      : ok(address);
  },
  fromPlain(value) {
    return typeof value === "string"
      ? ADDRESS.read(value)
      : err(`${shown(value)} is not an address with a port`);
  },
  plain: String,
};

/** A whole number from `least` to `most`. */
export function numberKind(metavar: Uppercase<string>, least: number, most: number): ValueKind<number> {
  const range = `a whole number from ${least} to ${most}`;
  const checked = (value: number, text: string): Result<number> =>
    Number.isInteger(value) && value >= least && value <= most ? ok(value) : err(`${text} is not ${range}`);
  return {
    type: "number",
    metavar,
    read: (text) => checked(/^\d{1,9}$/.test(text) ? Number(text) : NaN, quoted(text)),
    fromPlain: (value) =>
      typeof value === "number" ? checked(value, String(value)) : err(`${shown(value)} is not ${range}`),
    plain: (value) => value,
  };
}

/** Texts; separated by commas where a person writes them. */
export function listKind(metavar: Uppercase<string>): ValueKind<readonly string[]> {
  return listOf(textKind(metavar));
}

/** Networks such as "10.0.0.0/8", and single addresses. */
export const NETWORKS: ValueKind<readonly IpNetwork[]> = listOf(
  ofText("text", "NETWORK", (text): Result<IpNetwork> => {
    const network = IpNetwork.parse(text);
    if (network === undefined) {
      return err(`${quoted(text)} is not a network such as "10.0.0.0/8", or an address`);
    }
    return network.prefix > 0 ? ok(network) : err(`${quoted(text)} leaves nothing for the tunnel`);
  }, String),
);

function listOf<T>(entry: ValueKind<T>): ValueKind<readonly T[]> {
  const { metavar } = entry;
  const all = (values: readonly unknown[]): Result<readonly T[]> => {
    if (values.length > MAX_ENTRIES) return err(`it has more than ${MAX_ENTRIES} entries`);
    const entries: T[] = [];
    for (const value of values) {
      const read = entry.fromPlain(value);
      if (!read.ok) return read;
      entries.push(read.value);
    }
    return ok(entries);
  };
  return {
    type: "list",
    metavar,
    read: (text) => all(text.split(",").map((part) => part.trim()).filter((part) => part !== "")),
    fromPlain: (value) => Array.isArray(value) ? all(value) : err(`${shown(value)} is not a list of texts`),
    plain: (value) => value.map((entry) => String(entry)),
  };
}

/** Returns `value` as one line that a person reads, and that `read` of its kind takes back. */
export function plainText(value: PlainValue): string {
  return typeof value === "object" ? value.join(",") : String(value);
}

function ofText<T>(
  type: ValueKind<T>["type"],
  metavar: Uppercase<string>,
  read: (text: string) => Result<T>,
  plain: (value: T) => string = String,
): ValueKind<T> {
  const checked = (text: string): Result<T> => {
    if (text === "") return err("it is empty");
    if (text.length > MAX_TEXT) return err(`it is longer than ${MAX_TEXT} characters`);
    return /\p{Cc}/u.test(text) ? err("it has control characters") : read(text);
  };
  return {
    type,
    metavar,
    read: checked,
    fromPlain: (value) =>
      typeof value === "string" ? checked(value) : err(`${shown(value)} is not text in quotes`),
    plain,
  };
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}

/** Returns a value of the wrong type as people would call it. */
function shown(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "toISOString" in value ? "a date" : "a table";
  return String(value);
}
