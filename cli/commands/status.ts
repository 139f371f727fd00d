/** `fz status`: where the session stands. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice } from "@optique/core/valueparser";
import { Fault } from "../../lib/base/fault.ts";
import type { HealthDocument, StatusDocument } from "../../lib/control/api.ts";
import type { Control } from "../../lib/control/control.ts";
import { defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_OK, exitCodeOf } from "../exit.ts";
import { plainFlag } from "../options.ts";
import { painter, printJson } from "../output.ts";
import { statusLines } from "../status_text.ts";
import { watchStatus } from "../status_watch.ts";

export const statusCommand = defineCommand({
  name: "status",
  brief: message`Show where the session stands: portal, tunnel, resources, gateways.`,
  description:
    message`Says in its first line whether the tunnel works, then what it is made of. Exits with 0 if the tunnel works, also \
while the portal is away; otherwise by the cause: 12 if no session runs, 3 or 4 if nobody is signed in, 5 while it is still connecting. \
With ${"--check"} it prints one line: ${"live"} asks whether the session answers, ${"ready"} whether the tunnel works and the portal is connected.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz status --watch")}${lineBreak()}
  ${commandLine("fz status --json | jq -r '.gateways[].path.kind'")}${lineBreak()}
  ${commandLine("fz status --check ready || systemctl restart fz")}`,
  options: () =>
    object({
      watch: plainFlag(["-w", "--watch"], {
        description: message`Go on: drawn anew on a terminal, a line a change in a pipe. Ctrl+C ends it.`,
      }),
      check: optional(
        option("--check", choice(["live", "ready"], { metavar: "WHAT" }), {
          description: message`Only say whether it is live or ready, for health checks.`,
        }),
      ),
      json: plainFlag(["--json"], {
        description: message`Print one JSON document; with --watch one a change.`,
      }),
    }),
  async run({ watch, check, json }, context) {
    if (watch && check !== undefined) throw new Fault("usage", "Cannot watch and check at once");
    const control = await context.host.control("read");
    if (check !== undefined) return await checkHealth(control, check, json, context);
    if (watch) return await watchStatus(control, json, context);
    const status = await control.ask("status", {});
    if (json) printJson(context, status);
    else printStatus(context, status);
    return exitCodeOfState(status);
  },
});

async function checkHealth(
  control: Control,
  what: "live" | "ready",
  json: boolean,
  context: CliContext,
): Promise<number> {
  const health = await control.ask("health", {});
  const isGood = health[what];
  if (json) printJson(context, health);
  else if (isGood) context.stdout.write(`${what}\n`);
  else context.stdout.write(`not ${what}: ${health.problem?.message ?? health.state}\n`);
  if (isGood) return EXIT_OK;
  // The tunnel works, but whoever asks for ready asks for the portal, too.
  return exitCodeOfState(health) || exitCodeOf(new Fault("unreachable", ""));
}

function printStatus(context: CliContext, status: StatusDocument): void {
  const { stdout, env } = context;
  const view = { width: stdout.columns, nowMs: Date.now(), paint: painter(stdout, env) };
  stdout.write(`${statusLines(status, view).join("\n")}\n`);
}

function exitCodeOfState({ state, problem }: Pick<HealthDocument, "state" | "problem">): number {
  switch (state) {
    case "connected":
    case "degraded":
      return EXIT_OK;
    case "connecting":
      return exitCodeOf(new Fault(problem?.code ?? "unreachable", ""));
    case "signed-out":
      return exitCodeOf(new Fault(problem?.code ?? "rejected", ""));
    case "stopping":
      return exitCodeOf(new Fault("not-running", ""));
  }
}
