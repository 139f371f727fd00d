/** Options of all roles that sign in to a portal, and of all that log. */

import { message } from "@optique/core/message";
import { choice, string } from "@optique/core/valueparser";
import type { Log } from "../../lib/base/log.ts";
import type { CliContext, Environment } from "../context.ts";
import { DURATION, FILE, PORTAL_URL, refusedToken, setting } from "../options.ts";

/** Returns the options of everything that signs in at a portal. */
export function peerOptions(env: Environment, tokenPath: string) {
  return {
    apiUrl: setting(env, ["-u", "--api-url"], "FIREZONE_API_URL", PORTAL_URL, "wss://api.firezone.dev/", {
      description: message`Portal to connect to.`,
    }),
    tokenPath: setting(env, ["--token-path"], "FIREZONE_TOKEN_PATH", FILE, tokenPath, {
      description: message`File with the token, where FIREZONE_TOKEN is not set.`,
    }),
    token: refusedToken(),
    name: setting(env, ["--firezone-name"], "FIREZONE_NAME", string({ metavar: "NAME" }), undefined, {
      description: message`Name shown to administrators; the host's name otherwise.`,
    }),
  };
}

/** How long a peer bears the absence of its portal. */
export function partitionOption(env: Environment) {
  return {
    maxPartitionTime: setting(
      env,
      ["-m", "--max-partition-time"],
      "MAX_PARTITION_TIME",
      DURATION,
      undefined,
      {
        description: message`Give up when the portal has been away for this long; never otherwise.`,
      },
    ),
  };
}

/** Returns the options about logging. */
export function logOptions(env: Environment) {
  return {
    logDir: setting(env, ["-l", "--log-dir"], "LOG_DIR", string({ metavar: "FOLDER" }), undefined, {
      description: message`Write log files there too.`,
    }),
    logFilter: setting(env, ["--log-filter"], "RUST_LOG", string({ metavar: "FILTER" }), "info", {
      description: message`How much to log: a level, or a list such as info,ice=trace.`,
    }),
    logFormat: setting(env, ["--log-format"], "FIREZONE_LOG_FORMAT", choice(["text", "json"]), "text", {
      description: message`Form of a log line.`,
    }),
  };
}

/** Returns the log that the options of `logOptions` ask for. */
export function openLog(
  context: CliContext,
  options: {
    readonly logDir: string | undefined;
    readonly logFilter: string;
    readonly logFormat: "text" | "json";
  },
): Log {
  return context.host.openLog({
    folder: options.logDir,
    filter: options.logFilter,
    format: options.logFormat,
  });
}
