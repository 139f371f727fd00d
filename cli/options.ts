/** Options that several commands share, each with its environment variable: the flag wins, then the variable. */

import { envVar, type Message, message, text } from "@optique/core/message";
import { withDefault, WithDefaultError } from "@optique/core/modifiers";
import { flag, option } from "@optique/core/primitives";
import { string, type ValueParser, type ValueParserResult } from "@optique/core/valueparser";
import { IpAddress, SocketAddress } from "../lib/base/ip.ts";
import type { Duration } from "../lib/base/time.ts";
import type { Environment } from "./context.ts";
import { parseDuration } from "./duration.ts";

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

/** A duration such as "30s" or "1h 30m". */
export const DURATION: ValueParser<"sync", Duration> = custom(
  "DURATION",
  (input) => parseDuration(input) ?? message`${input} is not a duration such as ${"30s"} or ${"1h 30m"}.`,
);

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
export const SOCKET_ADDRESS: ValueParser<"sync", SocketAddress> = custom(
  "ADDRESS:PORT",
  (input) =>
    SocketAddress.parse(input) ??
      message`${input} is not an address with a port such as ${"127.0.0.1:8080"}.`,
);

/** A portal's URL. */
export const PORTAL_URL: ValueParser<"sync", string> = custom("URL", (input) => {
  const url = URL.canParse(input) ? new URL(input) : undefined;
  if (url !== undefined && /^(wss?|https?):$/.test(url.protocol)) return input;
  return message`${input} is not a URL that begins with ${"wss://"} or ${"https://"}.`;
});

/** A path. */
export const FILE: ValueParser<"sync", string> = string({ metavar: "FILE" });

const BOOLEAN: ValueParser<"sync", boolean> = custom("BOOLEAN", (input) => {
  if (/^(1|true|yes|on)$/i.test(input)) return true;
  if (/^(0|false|no|off)$/i.test(input)) return false;
  return message`${input} is neither ${"true"} nor ${"false"}.`;
});

const NOTHING: Message = [];

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
