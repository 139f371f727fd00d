/** Which messages are wanted: the filter language of FZ_LOG_FILTER and RUST_LOG, "info,dns=debug,ffi=trace". */

import { err, ok, type Result } from "../base/result.ts";

/** Levels from the most talkative to silence. */
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "off"] as const;
/** A level of logging. */
export type LogLevel = typeof LOG_LEVELS[number];

/** An immutable filter. */
export class LogFilter {
  readonly #fallback: LogLevel;
  readonly #byCategory: ReadonlyMap<string, LogLevel>;

  /** `byCategory` maps a category, or the start of one that ends at a dot, to a level. */
  constructor(fallback: LogLevel, byCategory: ReadonlyMap<string, LogLevel> = new Map()) {
    this.#fallback = fallback;
    this.#byCategory = byCategory;
  }

  /**
   * Returns the filter that `text` describes: levels, alone or as `category=level`, separated by commas. "::" and "/"
   * stand for ".", and "*" for everything, so that filters written for the Rust client are understood. The failure's
   * reason quotes the part that is wrong.
   */
  static parse(text: string): Result<LogFilter> {
    let fallback: LogLevel = "info";
    const byCategory = new Map<string, LogLevel>();
    for (const part of text.split(",").map((piece) => piece.trim()).filter((piece) => piece !== "")) {
      const equals = part.indexOf("=");
      const level = toLevel(equals < 0 ? part : part.slice(equals + 1));
      if (level === undefined) return err(`"${part}" is none of: ${LOG_LEVELS.join(", ")}`);
      const category = equals < 0 ? "*" : part.slice(0, equals).trim().replaceAll(/::|\//g, ".");
      if (category === "*") fallback = level;
      else byCategory.set(category, level);
    }
    return ok(new LogFilter(fallback, byCategory));
  }

  /** Returns the least level that is wanted of `category` ("ffi.tun"), as an index into `LOG_LEVELS`. */
  threshold(category: string): number {
    for (let name = category; name !== ""; name = name.slice(0, Math.max(0, name.lastIndexOf(".")))) {
      const level = this.#byCategory.get(name);
      if (level !== undefined) return LOG_LEVELS.indexOf(level);
    }
    return LOG_LEVELS.indexOf(this.#fallback);
  }

  /** Returns the filter in its own language. */
  toString(): string {
    return [this.#fallback, ...[...this.#byCategory].map(([name, level]) => `${name}=${level}`)].join(",");
  }
}

function toLevel(text: string): LogLevel | undefined {
  const name = text.trim().toLowerCase();
  if (name === "warning") return "warn";
  return LOG_LEVELS.find((level) => level === name);
}
