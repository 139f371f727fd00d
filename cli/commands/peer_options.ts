/** Options of roles that sign in to a portal and are no session of a profile, and of all that log. */

import type { Log } from "../../lib/base/log.ts";
import { SETTINGS } from "../../lib/control/settings.ts";
import type { CliContext, Environment } from "../context.ts";
import { refusedToken, roleSetting } from "../options.ts";

/** Returns the options of a role that signs in at a portal. */
export function peerOptions(env: Environment, tokenPath: string) {
  const description = "File with the token, where FIREZONE_TOKEN is not set.";
  return {
    apiUrl: roleSetting(env, SETTINGS.apiUrl),
    tokenPath: roleSetting<string>(env, { ...SETTINGS.tokenPath, description, fallback: tokenPath }),
    token: refusedToken(),
    name: roleSetting(env, SETTINGS.name),
  };
}

/** How long a peer bears the absence of its portal. */
export function partitionOption(env: Environment) {
  return { maxPartitionTime: roleSetting(env, SETTINGS.maxPartitionTime) };
}

/** Returns the options about logging. */
export function logOptions(env: Environment) {
  return {
    logDir: roleSetting(env, SETTINGS.logDir),
    logFilter: roleSetting(env, SETTINGS.logFilter),
    logFormat: roleSetting(env, SETTINGS.logFormat),
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
): Promise<Log> {
  return context.host.openLog({
    folder: options.logDir,
    filter: options.logFilter,
    format: options.logFormat,
  });
}
