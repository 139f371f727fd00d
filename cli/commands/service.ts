/** `fz service`: the session as a service of the machine. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice } from "@optique/core/valueparser";
import type { ServiceRequest, ServiceStatus } from "../../lib/control/service/service.ts";
import { defineCommand, defineGroup } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_OK } from "../exit.ts";
import { capitalised } from "../format.ts";
import { plainFlag } from "../options.ts";
import { printFacts, printJson } from "../output.ts";
import { sessionSettings, type SettingOptions, settingOptions } from "../session_options.ts";

/** Exit code of `fz service status` for a service that does not run; the same as that of every question to it. */
const EXIT_NOT_RUNNING = 12;

const jsonFlag = () => plainFlag(["--json"], { description: message`Print one JSON document.` });

const installCommand = defineCommand({
  name: "install",
  brief: message`Let the session start with the machine.`,
  description:
    message`Writes the definition of the service for this machine's supervisor and enables it. Doing it again \
brings it up to date. The credential is the profile's: sign in before or after.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz service install --start")}${lineBreak()}
  ${commandLine("fz service install --print")}`,
  options: () =>
    object({
      ...settingOptions(["dnsControl", "tokenPath"]),
      start: plainFlag(["--start"], { description: message`Also start it now.` }),
      print: plainFlag(["--print"], { description: message`Only print the definition.` }),
      kind: optional(option("--for", choice(["systemd", "launchd", "windows"], { metavar: "SUPERVISOR" }), {
        description: message`With --print: for another machine's supervisor.`,
      })),
      json: jsonFlag(),
    }),
  async run({ start, print, kind, json, ...options }, context) {
    const request = await serviceRequest(context, options);
    if (print) {
      context.stdout.write(await context.host.serviceDefinition(kind, request));
      return EXIT_OK;
    }
    const supervisor = await context.host.supervisor();
    const done = [...await supervisor.install(request)];
    const isSignedIn = await context.host.readToken(request.tokenFile) !== undefined;
    // What runs was begun by the definition as it was.
    const isOutdated = done.length > 0 && isRunning(await supervisor.status());
    if (start) {
      if (isOutdated) await supervisor.stop();
      await supervisor.start();
      done.push(`${isOutdated ? "restarted" : "started"}; fz status tells how it stands`);
    }
    if (json) {
      printJson(context, { done, signedIn: isSignedIn, service: document(await supervisor.status()) });
      return EXIT_OK;
    }
    printLines(context, done, "The service is installed as it should be.");
    if (!isSignedIn) context.stderr.write("Nobody has signed in yet: run `fz sign-in`.\n");
    else if (!start && isOutdated) {
      context.stderr.write("The session runs on as it was begun: `fz service restart` makes it follow.\n");
    } else if (!start && !isRunning(await supervisor.status())) {
      context.stderr.write("Start it with `fz service start` or `fz up`.\n");
    }
    return EXIT_OK;
  },
});

const uninstallCommand = defineCommand({
  name: "uninstall",
  brief: message`Stop the service and remove its definition.`,
  description:
    message`Stops the session, which undoes what it changed on the machine, and removes the definition of the \
service. The credential and the settings stay.`,
  options: () => object({ json: jsonFlag() }),
  async run({ json }, context) {
    const done = await (await context.host.supervisor()).uninstall();
    if (json) printJson(context, { done });
    else printLines(context, done, "There is no service to remove.");
    return EXIT_OK;
  },
});

const startCommand = defineCommand({
  name: "start",
  brief: message`Start the service.`,
  description: message`Starts the process of the session and returns; \`fz up\` also waits for the tunnel.`,
  options: () => object({}),
  async run(_options, context) {
    await (await context.host.supervisor()).start();
    context.stdout.write("Started; `fz status` tells how it stands\n");
    return EXIT_OK;
  },
});

const stopCommand = defineCommand({
  name: "stop",
  brief: message`Stop the service.`,
  description:
    message`Ends the session and undoes what it changed on the machine; it starts again with the machine.`,
  options: () => object({}),
  async run(_options, context) {
    await (await context.host.supervisor()).stop();
    context.stdout.write("Stopped\n");
    return EXIT_OK;
  },
});

const restartCommand = defineCommand({
  name: "restart",
  brief: message`Stop the service if it runs, and start it.`,
  description:
    message`Ends the session and begins another: with the settings, the program and the definition of the service \
as they are now. Returns when the process was started; \`fz up\` also waits for the tunnel.`,
  options: () => object({}),
  async run(_options, context) {
    const supervisor = await context.host.supervisor();
    if (isRunning(await supervisor.status())) await supervisor.stop();
    await supervisor.start();
    context.stdout.write("Restarted; `fz status` tells how it stands\n");
    return EXIT_OK;
  },
});

const statusCommand = defineCommand({
  name: "status",
  brief: message`Tell how the service stands at its supervisor.`,
  description:
    message`Tells whether the service is installed and runs, in the supervisor's words; \`fz status\` asks the \
session itself. Exits with 12 if it does not run.`,
  options: () => object({ json: jsonFlag() }),
  async run({ json }, context) {
    const status = await (await context.host.supervisor()).status();
    if (json) printJson(context, document(status));
    else printFacts(context, facts(status));
    return isRunning(status) ? EXIT_OK : EXIT_NOT_RUNNING;
  },
});

export const serviceCommand = defineGroup({
  name: "service",
  brief: message`Run the session as a service of this machine.`,
  description:
    message`Installs, removes, starts and stops the session as a service: under systemd, launchd, or Windows' \
service control manager.`,
  commands: [installCommand, uninstallCommand, startCommand, stopCommand, restartCommand, statusCommand],
});

async function serviceRequest(
  context: CliContext,
  options: SettingOptions<"dnsControl" | "tokenPath">,
): Promise<ServiceRequest> {
  const { profile, settings } = await sessionSettings(context, options);
  return { profile: profile.name, tokenFile: settings.tokenPath, dnsControl: settings.dnsControl };
}

function isRunning({ state }: ServiceStatus): boolean {
  return state === "active" || state === "activating" || state === "reloading" || state === "running";
}

function facts(status: ServiceStatus): [label: string, value: string][] {
  const { supervisor, definition, isInstalled, isEnabled, state, text, pid, restarts, lastExitCode } = status;
  const lines: [string, string | undefined][] = [
    ["service", isInstalled ? `${state}${text === undefined ? "" : `: ${text}`}` : "not installed"],
    ["supervisor", supervisor],
    ["definition", isInstalled ? definition : undefined],
    ["starts with the machine", isInstalled ? (isEnabled ? "yes" : "no") : undefined],
    ["process", pid?.toString()],
    ["restarts", restarts === undefined || restarts === 0 ? undefined : String(restarts)],
    ["last exit code", pid === undefined && isInstalled ? lastExitCode?.toString() : undefined],
  ];
  return lines.filter((line): line is [string, string] => line[1] !== undefined);
}

function document(status: ServiceStatus): Record<string, unknown> {
  const { isInstalled: installed, isEnabled: enabled, ...rest } = status;
  return { installed, enabled, running: isRunning(status), ...rest };
}

function printLines(context: CliContext, lines: readonly string[], ifNone: string): void {
  for (const line of lines.length === 0 ? [ifNone] : lines) context.stdout.write(`${capitalised(line)}\n`);
}
