/** Options that several commands share, each with its environment variable: the flag wins, then the variable. */

import { envVar, type Message, message, text } from "@optique/core/message";
import { type MultipleOptions, withDefault, WithDefaultError } from "@optique/core/modifiers";
import type { Parser, Suggestion } from "@optique/core/parser";
import { flag, negatableFlag, option } from "@optique/core/primitives";
import { choice, type ValueParser, type ValueParserResult } from "@optique/core/valueparser";
import { Fault } from "../lib/base/fault.ts";
import { IpAddress, type SocketAddress } from "../lib/base/ip.ts";
import type { Duration } from "../lib/base/time.ts";
import {
  ADDRESS as ADDRESS_KIND,
  DURATION as DURATION_KIND,
  pathKind,
  plainText,
  SWITCH,
  type ValueKind,
} from "../lib/control/setting_value.ts";
import type { Setting } from "../lib/control/settings.ts";
import { readVariable } from "../lib/control/sources.ts";
import type { Environment } from "./context.ts";
import { INTERFACE, LEVEL, RESOURCE } from "./values.ts";

type OptionName = `-${string}`;

export interface SettingOptions {
  readonly description: Message;
  readonly hidden?: boolean;
}

/** Returns a parser for an option with a value; `variable` stands in where the option is missing, then `fallback`. */
export function setting<T, const F>(
  env: Environment,
  names: readonly [OptionName, ...OptionName[]],
  variable: string,
  values: ValueParser<"sync", T>,
  fallback: F,
  options: SettingOptions,
) {
  const parser = option(...(names as [OptionName]), values, described(options, variable));
  return withDefault(parser, (): T | F => fromEnvironment(env, variable, values) ?? fallback, {
    message: shownDefault(values, fallback),
  });
}

/** Returns a parser for a switch that is off unless the flag is given or `variable` says so. */
export function toggle(
  env: Environment,
  names: readonly [OptionName, ...OptionName[]],
  variable: string,
  options: SettingOptions,
) {
  const parser = flag(...(names as [OptionName]), described(options, variable));
  return withDefault(parser, (): boolean => fromEnvironment(env, variable, BOOLEAN) ?? false, {
    message: NOTHING,
  });
}

/** Returns a parser for a role's use of `declared`: its flags, then its variables, then its default. No profile has a say. */
export function roleSetting<T>(env: Environment, declared: Setting<T>): Parser<"sync", T, unknown> {
  const { kind, variables, fallback } = declared;
  const lookUp = () => {
    try {
      return readVariable(kind, variables, (name) => env.get(name))?.value ?? fallback;
    } catch (error) {
      // The parser takes any other error for one of its own and names its class.
      throw error instanceof Fault ? new WithDefaultError(message`${text(error.message)}.`) : error;
    }
  };
  return withDefault(flagOf(declared), lookUp, { message: defaultOf(declared) }) as Parser<
    "sync",
    T,
    unknown
  >;
}

/** How the flag of a setting is offered. */
export interface FlagOptions {
  /** Help leaves it out. */
  readonly hidden?: boolean;
  /** False where only the flag counts. */
  readonly hasVariables?: boolean;
}

/** Returns a parser for the flags of `declared`, described with its variables. It fails where there is no flag. */
export function flagOf<T>(
  declared: Setting<T>,
  { hidden = false, hasVariables = true }: FlagOptions = {},
): Parser<"sync", NonNullable<T>, unknown> {
  const { flags, variables, kind } = declared;
  const notes = hasVariables ? ` [${variables.join(", ")}]` : "";
  const description = message`${text(declared.description + notes)}`;
  if (kind.type !== "switch") {
    return option(...flags as readonly ["--x"], valueParser(kind), { description, hidden });
  }
  const [long] = flags.filter((name) => name.startsWith("--"));
  const negative = declared.off ?? (`--no-${long?.slice(2) ?? ""}` as const);
  const names = { positive: flags, negative };
  return negatableFlag(names, { description, hidden }) as Parser<"sync", unknown, unknown> as never;
}

/** Returns how help shows the default of `declared`; nothing where it says nothing. */
export function defaultOf<T>({ kind, fallback }: Setting<T>): Message {
  if (fallback === undefined || fallback === null || kind.type === "switch" || kind.type === "list") {
    return NOTHING;
  }
  return message`${text(plainText(kind.plain(fallback)))}`;
}

/** Returns how an argument repeats that must be there once at least. */
export function oneOrMore(metavar: Uppercase<string>): MultipleOptions {
  return { min: 1, errors: { tooFew: message`${text(metavar)} is missing.` } };
}

/** Returns a parser for a flag without a variable. */
export function plainFlag(names: readonly [OptionName, ...OptionName[]], options: SettingOptions) {
  const { hidden = false, description } = options;
  return withDefault(flag(...(names as [OptionName]), { description, hidden }), false, { message: NOTHING });
}

/**
 * Returns a parser that turns down `--token`: arguments can be read by everyone on the machine. The value is not
 * repeated in the message.
 */
export function refusedToken() {
  const values = custom<never>(
    "TOKEN",
    () =>
      message`a token is never taken from the command line, where every user of \
this machine could read it: set ${envVar("FIREZONE_TOKEN")} or use ${text("--token-path")}.`,
  );
  return withDefault(option("--token", values, { hidden: true }), undefined, { message: NOTHING });
}

/** Returns a value parser from `parse`, which answers with the value or with what was wrong. */
export function custom<T>(
  metavar: Uppercase<string>,
  parse: (text: string) => T | Message,
): ValueParser<"sync", T> {
  return {
    mode: "sync",
    metavar: metavar as "VALUE",
    // Stands for a value while Optique looks ahead; never reaches a command.
    placeholder: undefined as T,
    parse(input): ValueParserResult<T> {
      const result = parse(input);
      return isMessage(result) ? { success: false, error: result } : { success: true, value: result };
    },
    format: String,
  };
}

/** Returns a parser of values of `kind`. */
function valueParser<T>(kind: ValueKind<T>): ValueParser<"sync", T> {
  if (kind.type === "choice") {
    return choice(kind.choices ?? [], { metavar: kind.metavar as "VALUE" }) as ValueParser<
      "sync",
      unknown
    > as never;
  }
  return {
    mode: "sync",
    metavar: kind.metavar as "VALUE",
    // Stands for a value while Optique looks ahead; never reaches a command.
    placeholder: undefined as T,
    parse(input): ValueParserResult<T> {
      const read = kind.read(input);
      return read.ok
        ? { success: true, value: read.value }
        : { success: false, error: message`${text(read.reason)}.` };
    },
    format: (value) => plainText(kind.plain(value)),
    suggest: (prefix) => suggestionsOf(kind, prefix),
  };
}

/** A duration such as "30s" or "1h 30m". */
export const DURATION: ValueParser<"sync", Duration> = valueParser(DURATION_KIND);

/** An IP address of `family`. */
export function address(family: 4 | 6): ValueParser<"sync", IpAddress> {
  return custom(family === 4 ? "IPV4" : "IPV6", (input) => {
    const parsed = IpAddress.parse(input);
    return parsed?.family === family
      ? parsed
      : message`${input} is not an IPv${text(String(family))} address.`;
  });
}

/** An address with a port. */
export const SOCKET_ADDRESS: ValueParser<"sync", SocketAddress> = valueParser(ADDRESS_KIND);

/** A path. */
export const FILE: ValueParser<"sync", string> = valueParser(pathKind("FILE"));

const BOOLEAN: ValueParser<"sync", boolean> = valueParser(SWITCH);

const NOTHING: Message = [];

function suggestionsOf(kind: ValueKind<unknown>, prefix: string): Iterable<Suggestion> {
  switch (kind.metavar) {
    case "RESOURCE":
      return RESOURCE.suggest?.(prefix) ?? [];
    case "INTERFACE":
      return INTERFACE.suggest?.(prefix) ?? [];
    case "FILTER":
      return LEVEL.suggest?.(prefix) ?? [];
    case "FILE":
      return [{ kind: "file", pattern: prefix, type: "any" }];
    case "FOLDER":
      return [{ kind: "file", pattern: prefix, type: "directory" }];
    default:
      return [];
  }
}

function fromEnvironment<T>(
  env: Environment,
  variable: string,
  values: ValueParser<"sync", T>,
): T | undefined {
  const found = env.get(variable);
  if (found === undefined || found === "") return undefined;
  const result = values.parse(found);
  if (result.success) return result.value;
  throw new WithDefaultError(message`${envVar(variable)}: ${result.error}`);
}

function described(options: SettingOptions, variable: string): { description: Message; hidden: boolean } {
  return {
    description: message`${options.description} ${text(`[${variable}]`)}`,
    hidden: options.hidden ?? false,
  };
}

function shownDefault<T>(values: ValueParser<"sync", T>, fallback: unknown): Message {
  return fallback === undefined ? NOTHING : message`${text(values.format(fallback as T))}`;
}

function isMessage(result: unknown): result is Message {
  return Array.isArray(result);
}
