/**
 * Logging as an argument. Packets at trace; names and addresses of users at debug; secrets never. The shell hands in a
 * real sink, tests a recorder.
 */

/** Takes what is worth noting, by level. */
export interface Log {
  trace(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** Returns the log of a part of the program ("ice"), so that a filter can name it. Parts are flat. */
  part(name: string): Log;
}

/** Values that belong to a line of the log. */
export type LogFields = Readonly<Record<string, unknown>>;

/** A log that drops everything. */
export const silentLog: Log = {
  trace() {},
  debug() {},
  info() {},
  warn() {},
  error() {},
  part: () => silentLog,
};
