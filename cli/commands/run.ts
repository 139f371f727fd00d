/** `fz run`: the client in the foreground, a drop-in for upstream's headless client. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_OK } from "../exit.ts";
import { runForeground } from "../foreground.ts";
import { custom, plainFlag, refusedToken, setting, toggle } from "../options.ts";
import { printNote } from "../output.ts";
import { clientConfig, type SessionSettings, sessionSettings, settingOptions } from "../session_options.ts";
import { checkPortal, checkToken, findToken, noToken, takeVariable } from "../token.ts";
import { openLog } from "./peer_options.ts";

const RUN_SETTINGS = [
  "apiUrl",
  "tokenPath",
  "name",
  "maxPartitionTime",
  "id",
  "dnsControl",
  "internetResource",
  "disabledResources",
  "tunName",
  "mtu",
  "port",
  "excluded",
  "lan",
  "failFast",
  "listen",
  "increaseBuffers",
  "flowLogs",
  "logDir",
  "logFilter",
  "logFormat",
] as const;

/** Upstream's name for what is the only thing to do here; old scripts still write it. */
const STANDALONE = custom<"standalone">(
  "COMMAND",
  (input) => input === "standalone" ? input : message`Unknown argument ${input}.`,
);

export const runCommand = defineCommand({
  name: "run",
  aliases: ["standalone"],
  brief: message`Run the client in the foreground.`,
  description:
    message`Connects and stays connected until a signal: for services, containers and scripts. SIGINT and \
SIGTERM disconnect gracefully, a second one at once; SIGHUP finds new paths. The token comes from FIREZONE_TOKEN or from a file. \
While the portal cannot be reached it is tried again, also at the start.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("FIREZONE_TOKEN=… fz run")}${lineBreak()}
  ${commandLine("fz run --check")}${lineBreak()}
  ${commandLine("fz run --dns-control etc-resolv-conf --activate-internet-resource")}`,
  options: (env) =>
    object({
      ...settingOptions(RUN_SETTINGS),
      token: refusedToken(),
      check: plainFlag(["--check"], {
        description: message`Check token, configuration and privileges, change nothing, and exit.`,
      }),
      exit: plainFlag(["--exit"], { description: message`Exit with 0 as soon as the tunnel is configured.` }),
      service: plainFlag(["--service"], {
        description: message`Wait for a sign-in while nobody is signed in, instead of ending.`,
        hidden: true,
      }),
      tokenStdin: plainFlag(["--token-stdin"], {
        description: message`Read the token from standard input.`,
        hidden: true,
      }),
      // Taken and without effect: upstream's switches for services that this program does not talk to.
      noTelemetry: toggle(env, ["--no-telemetry"], "FIREZONE_NO_TELEMETRY", {
        description: [],
        hidden: true,
      }),
      metrics: setting(env, ["--metrics"], "FIREZONE_METRICS", string({ metavar: "EXPORTER" }), undefined, {
        description: [],
        hidden: true,
      }),
      otlp: setting(
        env,
        ["--otlp-grpc-endpoint"],
        "OTLP_GRPC_ENDPOINT",
        string({ metavar: "ENDPOINT" }),
        undefined,
        {
          description: [],
          hidden: true,
        },
      ),
      standalone: optional(
        argument(STANDALONE, { hidden: true, errors: { invalidValue: (error) => error } }),
      ),
    }),
  async run(options, context) {
    const { settings, profile, origins } = await sessionSettings(context, options, {
      purpose: options.check ? "command" : "session",
    });
    // Before the token is read: what it is read from is still there for the process that goes on.
    const kept = options.check ? [] : await context.host.reducePrivileges({
      role: "client",
      port: settings.port,
      reads: [settings.tokenPath],
      writes: settings.logDir === undefined ? [] : [settings.logDir],
    });
    const token = await tokenFor(options, { settings, origins }, context);
    const { token: _, ...client } = clientConfig(settings, token ?? "");
    if (options.check) {
      await context.host.checkClient({ ...client, token: token ?? "" });
      printNote(context, "Everything needed to run is there");
      return EXIT_OK;
    }
    const log = await openLog(context, settings);
    for (const reason of kept) log.warn("runs with more of root's rights than it needs", { reason });
    const { disabledResources, listen } = settings;
    const session = {
      profile: profile.name,
      client,
      token,
      disabledResources,
      listen,
      waitsForCredential: options.service,
    };
    return await runForeground(context, () => context.host.startSession(session, log), {
      exitWhenReady: options.exit,
      leftBehind: "Ended at once; run `fz cleanup` to undo what is left on this machine",
    });
  },
});

interface TokenOptions {
  readonly tokenStdin: boolean;
  readonly service: boolean;
  readonly check: boolean;
}

/** Returns the token; undefined if there is none and the session can wait for it. */
async function tokenFor(
  { tokenStdin, service, check }: TokenOptions,
  { settings, origins }: Pick<SessionSettings, "settings" | "origins">,
  context: CliContext,
): Promise<string | undefined> {
  if (tokenStdin) {
    takeVariable(context);
    const { readInput } = await context.host.credentials();
    return checkToken(await readInput("stdin"), "standard input");
  }
  const isChosen = origins.tokenPath.type !== "default";
  const found = await findToken(context, settings.tokenPath, isChosen);
  if (found === undefined) {
    if (service && !check) return undefined;
    throw noToken(settings.tokenPath);
  }
  if (found.source.type === "file") await checkPortal(context, found.token, settings);
  return found.token;
}
